/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * request.h - what a handler reads of a request, and how it answers.
 *
 * A handler answers exactly once, by returning what kf_api_reply() or kf_api_refuse() returned. The
 * request, its body and the strings in them are the server's and live until the answer is out.
 * Times that cross the API are RFC 3339 UTC; inside they are nanoseconds since the epoch, as in
 * store.h.
 */
#ifndef KEYFILTER_DAEMON_API_REQUEST_H
#define KEYFILTER_DAEMON_API_REQUEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <jansson.h>

#include "base/daemon.h"
#include "timetext.h"

struct MHD_Connection;
struct MHD_Response;
struct kf_api_uri;
struct kf_cidr;
struct kf_why;

/* ---- one request ----------------------------------------------------------------------------- */

struct kf_api_request;

/*
 * Answers the request through one of the functions below. Returns 0, or -errno: then, where nothing
 * was answered, 500 is answered and names the error.
 */
typedef int (*kf_api_fn)(struct kf_api_request *request);

struct kf_api_request {
	struct kf_daemon *daemon; /* of the thread that the handler runs in */
	struct MHD_Connection *connection;
	/*
	 * The part of the path that stands for {} in the route, percent-decoded, valid UTF-8
	 * without NUL: the key's ID, the service's name, the CIDR. NULL where the route has none.
	 */
	const char *name;
	json_t *body;		      /* an object; empty where the request had no body; borrowed */
	const struct kf_api_uri *uri; /* read it with kf_api_parameter() */
	const char *if_match;	      /* the field If-Match, or NULL; read by kf_api_match() */

	/* set by the server; called through kf_api_done() and kf_api_done_by() */
	void (*done)(struct kf_api_request *request, int err);
	void (*done_by)(struct kf_api_request *request, kf_api_fn fn);

	/* the answer; set by kf_api_reply, kf_api_refuse, kf_api_answer and kf_api_follow only */
	int status;
	struct MHD_Response *response;
	bool follow;
	bool waited; /* put off once already, until all keys were loaded; not put off again */
	void *work;  /* what a handler keeps of a change that takes long; the handler owns it */
};

/* ---- answers --------------------------------------------------------------------------------- */

/* Answers @status with @body, whose reference is taken. 0, or -ENOMEM where @body is NULL. */
int kf_api_reply(struct kf_api_request *request, int status, json_t *body);

#define KF_API_REVISION_SIZE 17 /* 16 hexadecimal digits + NUL */

/* A revision as JSON and ETag have it. Returns @text. */
const char *kf_api_revision(uint64_t revision, char text[static KF_API_REVISION_SIZE]);

/* kf_api_reply() of an object, with its @revision as a strong ETag (RFC 9110 section 8.8.3). */
int kf_api_reply_revision(struct kf_api_request *request, int status, json_t *body,
			  uint64_t revision);

/*
 * If-Match (RFC 9110 section 13.1.1): 0 where there is none, or it names @revision or "*"; else 412
 * changed, of the @noun that request->name names, or 400. -EBADMSG, answered.
 */
int kf_api_match(struct kf_api_request *request, const char *noun, uint64_t revision);

/*
 * Answers {"error":{"code","message","mend"}}: @code in snake_case, @mend what to do, @cause the
 * message (printf), in which keys are masked. No full stop at the end of either: the tool joins
 * them with "; ". Returns -EBADMSG, so that a check can be `return kf_api_refuse(...)` and its
 * caller just pass it on.
 */
int kf_api_refuse(struct kf_api_request *request, int status, const char *code, const char *mend,
		  const char *cause, ...) __attribute__((format(printf, 5, 6)));

/* The same with the cause and the mend of @why. */
int kf_api_refuse_why(struct kf_api_request *request, int status, const char *code,
		      const struct kf_why *why);

/*
 * The same for what failed with @err (-errno): chooses status and code. -EAGAIN is returned without
 * an answer, and the request carried out once more when kf_policy_load() or the removal of what a
 * batch of keys has left has come to its end.
 */
int kf_api_refuse_error(struct kf_api_request *request, int err, const struct kf_why *why);

/* 404 not_found: there is no @noun called request->name; the mend names the noun's list. */
int kf_api_refuse_missing(struct kf_api_request *request, const char *noun);

/* 500 internal: @doing failed with @err (-errno). Logged too, since the fault is ours. */
int kf_api_refuse_internal(struct kf_api_request *request, int err, const char *doing);

/* Answers with a ready response, whose reference is taken: text, streams. */
int kf_api_answer(struct kf_api_request *request, int status, struct MHD_Response *response);

/*
 * A handler of a change that takes long returns this once its work has begun (work.h), and the
 * request is answered by one of the functions here and kf_api_done(), in the loop's thread.
 */
#define KF_API_LATER 1
void kf_api_done(struct kf_api_request *request, int err); /* as if the handler had returned @err */
/* The same with what @fn returns, called in a reading thread: what takes long is to write it. */
void kf_api_done_by(struct kf_api_request *request, kf_api_fn fn);

/* Answers with the events from now on, without an end. */
int kf_api_follow(struct kf_api_request *request);

/* ---- members of the body --------------------------------------------------------------------- */

enum kf_api_type {
	KF_API_STRING = 0x01,
	KF_API_INTEGER = 0x02,
	KF_API_BOOLEAN = 0x04,
	KF_API_ARRAY = 0x08,
	KF_API_NULL = 0x10,
	KF_API_OBJECT = 0x20,
	KF_API_REQUIRED = 0x100, /* or-ed in: absent is an error */
};

struct kf_api_member {
	const char *name;
	unsigned int types; /* KF_API_*, or-ed */
	json_t **value;	    /* out, borrowed from the body; NULL where absent */
};

/*
 * Takes the body apart. Refuses (400 unknown_member, wrong_type, missing_member) a member that is
 * not in @members, one of another type, a required one that is absent; names it and what is known.
 * 0, or -EBADMSG with the answer given. A null that is not allowed is a wrong type.
 *
 *	json_t *name, *quantity;
 *	const struct kf_api_member members[] = {
 *		{ "name", KF_API_STRING | KF_API_REQUIRED, &name },
 *		{ "quantity", KF_API_INTEGER, &quantity },
 *	};
 *	err = kf_api_members(request, members, KF_API_COUNT(members));
 */
int kf_api_members(struct kf_api_request *request, const struct kf_api_member *members,
		   size_t count);
#define KF_API_COUNT(array) (sizeof(array) / sizeof((array)[0]))
/* The same of an object that is a member of the body; of NULL nothing is there. */
int kf_api_members_of(struct kf_api_request *request, const json_t *object,
		      const struct kf_api_member *members, size_t count);

/* For handlers without a body: refuses any member. */
int kf_api_no_members(struct kf_api_request *request);

/*
 * An integer from @least to @most; null, where it was allowed, is 0; absent, *out stays. Refuses as
 * kf_api_refuse_value() does, with @mend, or with the range where that is NULL.
 */
int kf_api_number(struct kf_api_request *request, const char *member, const json_t *value,
		  uint32_t least, uint32_t most, const char *mend, uint32_t *out);

/*
 * 400 bad_value: "`@member`: @cause" (printf). -EBADMSG. Names of members stand in backticks, here
 * and in mends: the tool shows its options in their place.
 */
int kf_api_refuse_value(struct kf_api_request *request, const char *member, const char *mend,
			const char *cause, ...) __attribute__((format(printf, 4, 5)));

/*
 * Has @text, which is UTF-8, control characters: U+0001 to U+001F, U+007F to U+009F? Terminals may
 * obey the latter, too.
 */
bool kf_api_has_control(const char *text);

/*
 * 400 secret: "`@member`: ..." without the text, where @text looks like a key or another secret; 0
 * where it does not. For all that is stored, listed or logged.
 */
int kf_api_no_secret(struct kf_api_request *request, const char *member, const char *text);

/*
 * One of @words, whose place among them is *out; absent, *out stays. @mend names them all. 0 or
 * -EBADMSG, answered.
 */
int kf_api_word(struct kf_api_request *request, const char *member, const json_t *value,
		const char *const words[], size_t count, const char *mend, uint8_t *out);
/* kf_api_refuse_value() of a word that is none of those that @mend names. */
int kf_api_refuse_word(struct kf_api_request *request, const char *member, const char *mend,
		       const char *text);

/* ---- parameters of the query ----------------------------------------------------------------- */

/*
 * Refuses (400 unknown_parameter, bad_parameter) a query parameter that is not in @known (ends
 * with NULL), one given twice unless its name there ends with "*", one with a NUL or that is not
 * UTF-8. 0 or -EBADMSG, answered.
 */
int kf_api_parameters(struct kf_api_request *request, const char *const known[]);

/* The decoded parameter, or NULL where it is absent; lives as long as the request. */
const char *kf_api_parameter(const struct kf_api_request *request, const char *name);

/* The next one of that name, *@at being 0 before the first; NULL: there is none. */
const char *kf_api_parameter_next(const struct kf_api_request *request, const char *name,
				  size_t *at);

/* ?limit=: 1..@max, @fallback where it is absent. 0 or -EBADMSG, answered. */
int kf_api_parameter_limit(struct kf_api_request *request, unsigned int fallback, unsigned int max,
			   unsigned int *limit);

/* A parameter that is 1, or 0 like one that is absent. 0 or -EBADMSG, answered. */
int kf_api_parameter_flag(struct kf_api_request *request, const char *name, bool *set);

/*
 * Pages. The next one begins behind the cursor that this one answers with as `next` (null: it is
 * the last), which `after` gives back: *@text, or NULL. A cursor that is none is refused: -EBADMSG.
 */
#define KF_API_PAGE	100 /* entries where `limit` is absent, and */
#define KF_API_PAGE_MAX 1000
int kf_api_page(struct kf_api_request *request, const char **after, unsigned int *limit);
int kf_api_refuse_after(struct kf_api_request *request);
/* The same where the cursor is the number of the last entry; without one *after stays. */
int kf_api_page_number(struct kf_api_request *request, int64_t *after, unsigned int *limit);

/* ---- times and durations, as JSON; the texts are in timetext.h ------------------------------- */

/* RFC 3339 UTC with whole seconds, null for KF_WALL_NEVER and for 0 (not yet). New reference. */
json_t *kf_api_time(int64_t wall_ns);

/* The members of both, in this order; takes both references. NULL when out of memory. */
json_t *kf_api_join(json_t *object, json_t *more);

/*
 * Each reads @value (a string or an integer) of @member, or refuses as kf_api_refuse_value() does:
 * 0 or -EBADMSG, answered. Nanoseconds. duration: as kf_timetext_duration() reads it; seconds: also
 * an integer, for a member whose name says that it is in seconds; end: "never", a duration from
 * @now, or a point in time after @now, of which one after 2261 is never.
 */
int kf_api_duration(struct kf_api_request *request, const char *member, const json_t *value,
		    int64_t *ns);
int kf_api_seconds(struct kf_api_request *request, const char *member, const json_t *value,
		   int64_t *ns);
int kf_api_end(struct kf_api_request *request, const char *member, const json_t *value, int64_t now,
	       int64_t *wall_ns);

/*
 * ?since=: a duration back from @now, or a point in time; absent, *since stays. 0 or -EBADMSG,
 * answered.
 */
int kf_api_parameter_since(struct kf_api_request *request, int64_t now, int64_t *since);

/* ---- money ----------------------------------------------------------------------------------- */

/* An amount as money.h writes it; a string, so that no reader makes a fraction of it. */
json_t *kf_api_money(int64_t micro);

/*
 * A string (or an integer) as kf_money_parse() reads it, from 0 to @most; absent, *out stays.
 * Refuses as kf_api_refuse_value() does.
 */
int kf_api_amount(struct kf_api_request *request, const char *member, const json_t *value,
		  int64_t most, int64_t *out);
/* The same of what is put in or taken out: over 0, and up to KF_AMOUNT_TOP. */
int kf_api_sum(struct kf_api_request *request, const char *member, const json_t *value,
	       int64_t *out);

/* ---- addresses ------------------------------------------------------------------------------- */

/* As kf_cidr_parse() reads it; what can be meant in two ways is refused with both. */
int kf_api_cidr(struct kf_api_request *request, const char *member, const char *text,
		struct kf_cidr *cidr);

#endif
