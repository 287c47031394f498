// SPDX-License-Identifier: GPL-2.0-only
/*
 * What handlers use to read a request and to answer it. The check that finds a fault gives the
 * answer; the -EBADMSG that it returns tells its callers to stop.
 */
#include "api/request.h"

#include <ctype.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <microhttpd.h>

#include "api/uri.h"
#include "cleanup.h"
#include "json.h"
#include "log.h"
#include "secrettext.h"
#include "why.h"

#define TEXT_MAX 1024

/* ---- answers --------------------------------------------------------------------------------- */

int kf_api_answer(struct kf_api_request *request, int status, struct MHD_Response *response)
{
	if (!response)
		return -ENOMEM;
	if (request->response)
		MHD_destroy_response(request->response);
	request->status = status;
	request->response = response;
	return 0;
}

int kf_api_follow(struct kf_api_request *request)
{
	request->follow = true;
	return 0;
}

void kf_api_done(struct kf_api_request *request, int err)
{
	request->done(request, err);
}

void kf_api_done_by(struct kf_api_request *request, kf_api_fn fn)
{
	request->done_by(request, fn);
}

int kf_api_reply(struct kf_api_request *request, int status, json_t *body)
{
	_cleanup_json_ json_t *owned = body;
	struct MHD_Response *response;
	char *text;
	size_t len;

	text = owned ? json_dumps(owned, JSON_REAL_PRECISION(12)) : NULL;
	if (!text)
		return -ENOMEM;
	len = strlen(text);
	text[len] = '\n'; /* replaces the NUL: the response is given its length */
	response = MHD_create_response_from_buffer(len + 1, text, MHD_RESPMEM_MUST_FREE);
	if (!response) {
		free(text);
		return -ENOMEM;
	}
	MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE, "application/json");
	MHD_add_response_header(response, MHD_HTTP_HEADER_CACHE_CONTROL, "no-store");
	return kf_api_answer(request, status, response);
}

/* Errors quote names and paths, possibly cut inside a character. JSON wants valid UTF-8. */
static void mend_utf8(char *text)
{
	json_t *value = json_string(text);

	for (unsigned char *c = (unsigned char *)text; !value && *c; c++)
		if (*c >= 0x80)
			*c = '?';
	json_decref(value);
}

/*
 * A key that was given in the place of an ID or a name must not come back, because answers are
 * logged and shown. Of a word that begins with "sk-" nothing else stays, even where it is too short
 * for a key. Other secrets are recognised by their whole shape only.
 */
static void mask_keys(char *text)
{
	for (char *at = text; (at = strstr(at, "sk-")); at += 3) {
		char *key = at + 3, *end = key;

		if (at > text && isalnum((unsigned char)at[-1]))
			continue;
		while (isalnum((unsigned char)*end))
			end++;
		if (end - key <= 3)
			continue;
		memcpy(key, "...", 3);
		memmove(key + 3, end, strlen(end) + 1);
	}
}

static void clean(char *text)
{
	mask_keys(text);
	kf_secrettext_mask(text);
	mend_utf8(text);
}

static int refuse(struct kf_api_request *request, int status, const char *code, const char *cause,
		  const char *mend)
{
	int err = kf_api_reply(request, status, kf_json_error(code, cause, mend));

	return err ? err : -EBADMSG;
}

int kf_api_refuse(struct kf_api_request *request, int status, const char *code, const char *mend,
		  const char *cause, ...)
{
	char text[TEXT_MAX];
	va_list args;

	va_start(args, cause);
	vsnprintf(text, sizeof(text), cause, args);
	va_end(args);
	clean(text);
	return refuse(request, status, code, text, mend);
}

int kf_api_refuse_why(struct kf_api_request *request, int status, const char *code,
		      const struct kf_why *why)
{
	char mend[TEXT_MAX];

	snprintf(mend, sizeof(mend), "%s", why->mend);
	clean(mend);
	return kf_api_refuse(request, status, code, *mend ? mend : "see the log of keyfilterd",
			     "%s", why->cause);
}

int kf_api_refuse_error(struct kf_api_request *request, int err, const struct kf_why *why)
{
	char text[TEXT_MAX];

	if (err == -EAGAIN && !request->waited)
		return err;
	switch (err) {
	case -EAGAIN:
		return kf_api_refuse_why(request, MHD_HTTP_SERVICE_UNAVAILABLE, "starting", why);
	case -EEXIST:
		return kf_api_refuse_why(request, MHD_HTTP_CONFLICT, "exists", why);
	case -ENOTEMPTY:
		return kf_api_refuse_why(request, MHD_HTTP_CONFLICT, "in_use", why);
	case -ENOENT:
		return kf_api_refuse_why(request, MHD_HTTP_NOT_FOUND, "not_found", why);
	case -EINVAL:
		return kf_api_refuse_why(request, MHD_HTTP_BAD_REQUEST, "bad_value", why);
	case -EBUSY:
		return kf_api_refuse_why(request, MHD_HTTP_SERVICE_UNAVAILABLE, "busy", why);
	case -ENOSPC:
	case -E2BIG:
		return kf_api_refuse_why(request, MHD_HTTP_INSUFFICIENT_STORAGE, "full", why);
	default:
		snprintf(text, sizeof(text), "%s", why->text);
		clean(text);
		kf_log_error("admin request failed: %s", text);
		return kf_api_refuse_why(request, MHD_HTTP_INTERNAL_SERVER_ERROR, "failed", why);
	}
}

int kf_api_refuse_missing(struct kf_api_request *request, const char *noun)
{
	char mend[80];

	snprintf(mend, sizeof(mend), "`keyfilterctl %s list` shows what there is", noun);
	return kf_api_refuse(request, MHD_HTTP_NOT_FOUND, "not_found", mend, "no %s '%.200s'", noun,
			     request->name ?: "");
}

int kf_api_refuse_internal(struct kf_api_request *request, int err, const char *doing)
{
	if (err == -ETIMEDOUT)
		return err; /* a reading thread that took too long; http.c says so */
	kf_log_error("admin request failed: %s: %s", doing, strerror(-err));
	return kf_api_refuse(request, MHD_HTTP_INTERNAL_SERVER_ERROR, "internal",
			     "see the log of keyfilterd", "%s: %s", doing, strerror(-err));
}

int kf_api_refuse_value(struct kf_api_request *request, const char *member, const char *mend,
			const char *cause, ...)
{
	char text[TEXT_MAX];
	va_list args;

	va_start(args, cause);
	vsnprintf(text, sizeof(text), cause, args);
	va_end(args);
	return kf_api_refuse(request, MHD_HTTP_BAD_REQUEST, "bad_value", mend, "`%s`: %s", member,
			     text);
}

/* ---- members of the body --------------------------------------------------------------------- */

static unsigned int type_of(const json_t *value)
{
	switch (json_typeof(value)) {
	case JSON_STRING:
		return KF_API_STRING;
	case JSON_INTEGER:
		return KF_API_INTEGER;
	case JSON_TRUE:
	case JSON_FALSE:
		return KF_API_BOOLEAN;
	case JSON_ARRAY:
		return KF_API_ARRAY;
	case JSON_NULL:
		return KF_API_NULL;
	case JSON_OBJECT:
		return KF_API_OBJECT;
	case JSON_REAL:
		break;
	}
	return 0;
}

/* Appends @item to the list in @text, behind @between unless it is the first. */
static void list_item(char *text, size_t size, const char *between, const char *item)
{
	size_t len = strlen(text);

	snprintf(text + len, size - len, "%s%s", len ? between : "", item);
}

/* The same for a member or parameter: in backticks. */
static void list_name(char *text, size_t size, const char *name)
{
	char quoted[64];

	snprintf(quoted, sizeof(quoted), "`%s`", name);
	list_item(text, size, ", ", quoted);
}

static void list_types(unsigned int types, char *text, size_t size)
{
	static const struct {
		unsigned int type;
		const char *name;
	} names[] = {
		{ KF_API_STRING, "a string" },	     { KF_API_INTEGER, "an integer" },
		{ KF_API_BOOLEAN, "true or false" }, { KF_API_ARRAY, "an array" },
		{ KF_API_OBJECT, "an object" },	     { KF_API_NULL, "null" },
	};

	*text = '\0';
	for (size_t i = 0; i < KF_API_COUNT(names); i++)
		if (types & names[i].type)
			list_item(text, size, " or ", names[i].name);
}

static int refuse_unknown(struct kf_api_request *request, const char *name,
			  const struct kf_api_member *members, size_t count)
{
	char known[600] = "", mend[640];

	for (size_t i = 0; i < count; i++)
		list_name(known, sizeof(known), members[i].name);
	if (count)
		snprintf(mend, sizeof(mend), "known here: %s", known);
	else
		snprintf(mend, sizeof(mend), "this request takes no members: leave it out");
	return kf_api_refuse(request, MHD_HTTP_BAD_REQUEST, "unknown_member", mend,
			     "unknown member '%.100s'", name);
}

static int check_member(struct kf_api_request *request, const struct kf_api_member *member,
			const json_t *value)
{
	char types[96], mend[128];

	list_types(member->types, types, sizeof(types));
	snprintf(mend, sizeof(mend), "give %s", types);
	if (!value && (member->types & KF_API_REQUIRED))
		return kf_api_refuse(request, MHD_HTTP_BAD_REQUEST, "missing_member", mend,
				     "`%s` is missing", member->name);
	if (value && !(type_of(value) & member->types))
		return kf_api_refuse(request, MHD_HTTP_BAD_REQUEST, "wrong_type", mend,
				     "`%s` has the wrong type", member->name);
	return 0;
}

static const struct kf_api_member *find_member(const char *name,
					       const struct kf_api_member *members, size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (!strcmp(members[i].name, name))
			return &members[i];
	return NULL;
}

int kf_api_members_of(struct kf_api_request *request, const json_t *object,
		      const struct kf_api_member *members, size_t count)
{
	const char *name;
	json_t *value;
	int err;

	json_object_foreach((json_t *)object, name, value)
		if (!find_member(name, members, count))
			return refuse_unknown(request, name, members, count);

	for (size_t i = 0; i < count; i++) {
		value = json_object_get(object, members[i].name);
		err = check_member(request, &members[i], value);
		if (err)
			return err;
		*members[i].value = value;
	}
	return 0;
}

int kf_api_members(struct kf_api_request *request, const struct kf_api_member *members,
		   size_t count)
{
	return kf_api_members_of(request, request->body, members, count);
}

int kf_api_no_members(struct kf_api_request *request)
{
	return kf_api_members(request, NULL, 0);
}

/* ---- parameters of the query ----------------------------------------------------------------- */

/* Is @name the parameter that is @known, whose name may end with "*"? */
static bool is_known(const char *known, const char *name)
{
	size_t len = strlen(known);

	if (len && known[len - 1] == '*')
		len--;
	return strlen(name) == len && !memcmp(known, name, len);
}

static bool is_repeated(const char *known)
{
	return *known && known[strlen(known) - 1] == '*';
}

static int refuse_parameter(struct kf_api_request *request, const char *name,
			    const char *const known[])
{
	char list[300] = "", mend[340], name_of[40];

	for (; *known; known++) {
		snprintf(name_of, sizeof(name_of), "%.*s", (int)strcspn(*known, "*"), *known);
		list_name(list, sizeof(list), name_of);
	}
	if (*list)
		snprintf(mend, sizeof(mend), "known here: %s", list);
	else
		snprintf(mend, sizeof(mend), "this request takes none: leave it out");
	return kf_api_refuse(request, MHD_HTTP_BAD_REQUEST, "unknown_parameter", mend,
			     "unknown query parameter '%.100s'", name);
}

int kf_api_parameters(struct kf_api_request *request, const char *const known[])
{
	const struct kf_api_uri *uri = request->uri;

	for (size_t i = 0; i < uri->count; i++) {
		const char *name = uri->parameters[i].name;
		const char *const *match = known;

		while (*match && !is_known(*match, name))
			match++;
		if (!*match)
			return refuse_parameter(request, name, known);
		if (!is_repeated(*match) &&
		    kf_api_uri_parameter(uri, name) != uri->parameters[i].value)
			return kf_api_refuse(request, MHD_HTTP_BAD_REQUEST, "bad_parameter",
					     "give it once", "query parameter '%s' was given twice",
					     name);
	}
	return 0;
}

const char *kf_api_parameter(const struct kf_api_request *request, const char *name)
{
	return kf_api_uri_parameter(request->uri, name);
}

const char *kf_api_parameter_next(const struct kf_api_request *request, const char *name,
				  size_t *at)
{
	const struct kf_api_uri *uri = request->uri;

	while (*at < uri->count) {
		const struct kf_api_parameter *parameter = &uri->parameters[(*at)++];

		if (!strcmp(parameter->name, name))
			return parameter->value;
	}
	return NULL;
}

int kf_api_parameter_flag(struct kf_api_request *request, const char *name, bool *set)
{
	const char *text = kf_api_parameter(request, name);

	*set = text && !strcmp(text, "1");
	if (!text || *set || !strcmp(text, "0"))
		return 0;
	return kf_api_refuse(request, MHD_HTTP_BAD_REQUEST, "bad_parameter",
			     "give 1 or leave it out", "`%s` cannot be '%.40s'", name, text);
}

int kf_api_parameter_limit(struct kf_api_request *request, unsigned int fallback, unsigned int max,
			   unsigned int *limit)
{
	const char *text = kf_api_parameter(request, "limit");
	unsigned long value = 0;
	char mend[64];

	if (!text) {
		*limit = fallback;
		return 0;
	}
	for (const char *c = text; *c; c++) {
		value = isdigit((unsigned char)*c) ? value * 10 + (unsigned long)(*c - '0')
						   : max + 1ul;
		if (value > max)
			break;
	}
	if (value < 1 || value > max) {
		snprintf(mend, sizeof(mend), "give a number from 1 to %u", max);
		return kf_api_refuse(request, MHD_HTTP_BAD_REQUEST, "bad_parameter", mend,
				     "`limit` cannot be '%.40s'", text);
	}
	*limit = (unsigned int)value;
	return 0;
}

int kf_api_page(struct kf_api_request *request, const char **after, unsigned int *limit)
{
	*after = kf_api_parameter(request, "after");
	return kf_api_parameter_limit(request, KF_API_PAGE, KF_API_PAGE_MAX, limit);
}

int kf_api_refuse_after(struct kf_api_request *request)
{
	return kf_api_refuse(request, MHD_HTTP_BAD_REQUEST, "bad_parameter",
			     "give what the page before has as next", "`after` cannot be '%.80s'",
			     kf_api_parameter(request, "after"));
}

int kf_api_page_number(struct kf_api_request *request, int64_t *after, unsigned int *limit)
{
	const char *text;
	char *end;
	int err = kf_api_page(request, &text, limit);

	if (err || !text)
		return err;
	errno = 0;
	*after = strtoll(text, &end, 10);
	return !errno && *text >= '0' && *text <= '9' && !*end ? 0 : kf_api_refuse_after(request);
}
