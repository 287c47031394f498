/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * api.h - the admin socket: HTTP/1.1 with JSON on a Unix stream socket, and what its handlers use.
 *
 * api.c owns the server, the routing table and the connections; each api_NOUN.c holds the handlers
 * of one noun, called after the peer was authorised and the body read whole and parsed. A handler
 * answers exactly once, by returning what kf_api_reply() or kf_api_refuse() returned. Requests,
 * their body and the strings in them belong to api.c and live until the answer is out. Times that
 * cross the API are RFC 3339 UTC; inside they are nanoseconds since the epoch, as in store.h.
 *
 * Threads. Whatever changes something runs in the loop's thread, and reading must not delay it:
 *
 *   - one thread only accepts, asks the kernel who has connected, and hands the connection on, so
 *     that the queue of the listening socket is never full of readers for longer than it takes to
 *     look at them;
 *   - the connections of peers that may write are served in the loop's thread, those of all others
 *     by a thread of their own, with places of their own, of which one user gets half;
 *   - every GET is carried out by one of three reading threads, each with a read-only connection
 *     to the store (WAL: readers and the writer do not wait for each other) and one snapshot of it
 *     for each request. Requests of peers that may write come first; of the others one request a
 *     user is carried out at a time, and they never have the last thread. What has not begun
 *     within admin_timeout is refused (503), what takes too long is ended;
 *   - what only the loop knows, a reading thread asks it for (ask.h); the maps may be read by any
 *     thread, the last events too (events.h).
 *
 * So a handler of a GET gets a struct kf_daemon of its reading thread, in which the members of the
 * loop are NULL and the store can only be read (daemon.h); all other handlers get the loop's, and
 * must not block beyond the store and the maps.
 */
#ifndef KEYFILTER_DAEMON_API_H
#define KEYFILTER_DAEMON_API_H

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

/* ---- the server (main.c) -------------------------------------------------------------------- */

struct kf_api;

/*
 * Opens @daemon->run_dir/admin.sock (or takes it from systemd) and serves it from @daemon->loop.
 * Mode 0660 root:keyfilter where that group exists, else 0600. 0 or -errno, logged.
 */
int kf_api_open(struct kf_daemon *daemon);
void kf_api_close(struct kf_daemon *daemon);

/* ---- one request ---------------------------------------------------------------------------- */

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

	/* the answer; set by kf_api_reply, kf_api_refuse, kf_api_answer and kf_api_follow only */
	int status;
	struct MHD_Response *response;
	bool follow;
	bool waited; /* for what a start does not know yet: it is not put off again */
	void *work;  /* a handler's own, of a change that takes long */
};

/*
 * Answers the request through one of the functions below. Returns 0, or -errno: then, where nothing
 * was answered, api.c answers 500 and names the error.
 */
typedef int (*kf_api_fn)(struct kf_api_request *request);

/* ---- answers -------------------------------------------------------------------------------- */

/* Answers @status with @body, whose reference is taken. 0, or -ENOMEM where @body is NULL. */
int kf_api_reply(struct kf_api_request *request, int status, json_t *body);

#define KF_API_REVISION_SIZE 17 /* 16 hexadecimal digits + NUL */

/* A revision as JSON and ETag have it. Returns @text. */
const char *kf_api_revision(uint64_t revision, char text[static KF_API_REVISION_SIZE]);

/* kf_api_reply() of an object of this revision: it goes with it as a strong ETag (RFC 9110 8.8.3).
 */
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

/* The same from one text "cause; mend", as struct kf_why has it. */
int kf_api_refuse_why(struct kf_api_request *request, int status, const char *code,
		      const char *why);

/*
 * The same for what failed with @err (-errno) and a kf_why: chooses status and code. -EAGAIN is
 * returned without an answer, and the request carried out once more when kf_policy_load() or the
 * removal of what a batch of keys has left has come to its end.
 */
int kf_api_refuse_error(struct kf_api_request *request, int err, const char *why);

/* 404 not_found: there is no @noun called request->name; the mend names `keyfilterctl @noun list`.
 */
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

/* ---- members of the body -------------------------------------------------------------------- */

enum kf_api_type {
	KF_API_STRING = 0x01,
	KF_API_INTEGER = 0x02,
	KF_API_BOOLEAN = 0x04,
	KF_API_ARRAY = 0x08,
	KF_API_NULL = 0x10,
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
 * 400 secret: "`@member`: ..." without the text, where @text looks like a key or another secret; 0
 * where it does not. For all that is stored, listed or logged.
 */
int kf_api_no_secret(struct kf_api_request *request, const char *member, const char *text);

/* ---- parameters of the query ----------------------------------------------------------------- */

/*
 * Refuses (400 unknown_parameter, bad_parameter) a query parameter that is not in @known (ends
 * with NULL), one given twice, one with a NUL or that is not UTF-8. 0 or -EBADMSG, answered.
 */
int kf_api_parameters(struct kf_api_request *request, const char *const known[]);

/* The decoded parameter, or NULL where it is absent; lives as long as the request. */
const char *kf_api_parameter(const struct kf_api_request *request, const char *name);

/* ?limit=: 1..@max, @fallback where it is absent. 0 or -EBADMSG, answered. */
int kf_api_parameter_limit(struct kf_api_request *request, unsigned int fallback, unsigned int max,
			   unsigned int *limit);

/* ---- times and durations, as JSON; the texts are in timetext.h ------------------------------- */

/* RFC 3339 UTC with whole seconds, null for KF_WALL_NEVER and for 0 (not yet). New reference. */
json_t *kf_api_time(int64_t wall_ns);

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

/* ---- addresses ------------------------------------------------------------------------------- */

/* As kf_cidr_parse() reads it; what can be meant in two ways is refused with both. */
int kf_api_cidr(struct kf_api_request *request, const char *member, const char *text,
		struct kf_cidr *cidr);

/* ---- handlers, one file a noun --------------------------------------------------------------- */

/* api_service.c */
int kf_api_service_create(struct kf_api_request *request);
int kf_api_service_list(struct kf_api_request *request);
int kf_api_service_show(struct kf_api_request *request);
int kf_api_service_edit(struct kf_api_request *request);
int kf_api_service_delete(struct kf_api_request *request);
/* api_iface.c */
int kf_api_iface_attach(struct kf_api_request *request);
int kf_api_iface_list(struct kf_api_request *request);
int kf_api_iface_show(struct kf_api_request *request);
int kf_api_iface_detach(struct kf_api_request *request);
/* api_source.c */
int kf_api_source_create(struct kf_api_request *request);
int kf_api_source_list(struct kf_api_request *request);
int kf_api_source_delete(struct kf_api_request *request);
int kf_api_source_forgive(struct kf_api_request *request); /* POST /v1/sources/forgive */
/* api_key.c */
int kf_api_key_create(struct kf_api_request *request);	/* POST /v1/keys */
int kf_api_key_list(struct kf_api_request *request);	/* GET /v1/keys */
int kf_api_key_show(struct kf_api_request *request);	/* GET /v1/keys/{} */
int kf_api_key_edit(struct kf_api_request *request);	/* PATCH /v1/keys/{} */
int kf_api_key_delete(struct kf_api_request *request);	/* DELETE /v1/keys/{} */
int kf_api_key_enable(struct kf_api_request *request);	/* POST /v1/keys/{}/enable */
int kf_api_key_disable(struct kf_api_request *request); /* POST /v1/keys/{}/disable */
int kf_api_key_rotate(struct kf_api_request *request);	/* POST /v1/keys/{}/rotate */
/* api_stats.c, api_events.c, api_status.c, metrics.c */
int kf_api_stats_show(struct kf_api_request *request);
int kf_api_events_list(struct kf_api_request *request); /* also ?follow=1 */
int kf_api_status_show(struct kf_api_request *request);
/* Is the table so full that it is time to say so? */
bool kf_api_status_is_nearly_full(uint64_t used, uint64_t max);
int kf_api_status_unload(struct kf_api_request *request); /* POST /v1/unload */
int kf_api_metrics_show(struct kf_api_request *request);

#endif
