// SPDX-License-Identifier: GPL-2.0-only
#include "api/request.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include <keyfilter/http1.h>
#include <microhttpd.h>

#include "api/route.h"
#include "attach/attach.h"
#include "attach/iface.h"
#include "cleanup.h"
#include "endpoint.h"
#include "policy/policy.h"
#include "policy/service.h"
#include "timetext.h"
#include "traffic/events.h"

static const char *const modes[] = {
	[KF_MODE_ENFORCE] = "enforce",
	[KF_MODE_MONITOR] = "monitor",
};

static const char *const refusals[] = {
	[KF_REFUSE_REPLY] = "reply",
	[KF_REFUSE_RESET] = "reset",
	[KF_REFUSE_DROP] = "drop",
};

static const struct {
	const char *name;
	uint32_t mask;
} key_sources[] = {
	{ "bearer", KF_KEY_BEARER },   { "x-api-key", KF_KEY_X_API_KEY },
	{ "api-key", KF_KEY_API_KEY }, { "x-goog-api-key", KF_KEY_X_GOOG },
	{ "query", KF_KEY_QUERY },     { "sec-websocket-protocol", KF_KEY_WEBSOCKET },
};

/* ---- rows to JSON ---------------------------------------------------------------------------- */

static json_t *key_sources_json(uint32_t mask)
{
	_cleanup_json_ json_t *list = json_array();

	for (size_t i = 0; i < KF_API_COUNT(key_sources); i++)
		if ((mask & key_sources[i].mask) &&
		    json_array_append_new(list, json_string(key_sources[i].name)))
			return NULL;
	return TAKE_PTR(list);
}

static json_t *methods_json(const char *methods)
{
	_cleanup_json_ json_t *list = json_array();

	while (*methods) {
		size_t len = strcspn(methods, " ");

		if (json_array_append_new(list, json_stringn(methods, len)))
			return NULL;
		methods += len + (methods[len] == ' ');
	}
	return TAKE_PTR(list);
}

/* Members that are numbers, as rows have them; times are in seconds. */
static json_t *numbers_json(const struct kf_service_row *row)
{
	return json_pack("{s:I, s:I, s:I, s:I, s:I, s:I}", "penalty_failures",
			 (json_int_t)row->penalty_failures, "penalty_window_s",
			 (json_int_t)row->penalty_window, "penalty_time_s",
			 (json_int_t)row->penalty_time, "penalty_time_max_s",
			 (json_int_t)row->penalty_time_max, "syn_rate", (json_int_t)row->syn_rate,
			 "syn_burst", (json_int_t)row->syn_burst);
}

static json_t *service_json(const struct kf_service_row *row)
{
	struct kf_endpoint listen = { .any = row->any, .port = row->port };
	char text[KF_ENDPOINT_TEXT], revision[KF_API_REVISION_SIZE];
	json_t *json;

	memcpy(listen.addr, row->addr, sizeof(listen.addr));
	json = json_pack("{s:s, s:s, s:s, s:s, s:o, s:b, s:o, s:s}", "name", row->name, "listen",
			 kf_endpoint_format(&listen, text), "mode", modes[row->mode], "refuse",
			 refusals[row->refuse], "keys_from", key_sources_json(row->key_sources),
			 "websocket", !!(row->flags & KF_SERVICE_WEBSOCKET), "methods",
			 methods_json(row->methods), "revision",
			 kf_api_revision(row->revision, revision));
	return kf_api_join(json, numbers_json(row));
}

static int append_service(void *context, const struct kf_service_row *row)
{
	return json_array_append_new(context, service_json(row)) ? -ENOMEM : 0;
}

/* ---- JSON to rows ---------------------------------------------------------------------------- */

/* The members of a request about a service; NULL where absent. */
struct wish {
	json_t *name, *listen, *mode, *refuse, *keys_from, *websocket, *methods;
	json_t *penalty_failures, *penalty_window, *penalty_time, *penalty_time_max;
	json_t *syn_rate, *syn_burst;
};

static int read_members(struct kf_api_request *request, struct wish *wish, bool is_new)
{
	const unsigned int seconds = KF_API_STRING | KF_API_INTEGER;
	const struct kf_api_member members[] = {
		{ "name", KF_API_STRING | KF_API_REQUIRED, &wish->name },
		{ "listen", KF_API_STRING | (is_new ? KF_API_REQUIRED : 0), &wish->listen },
		{ "mode", KF_API_STRING, &wish->mode },
		{ "refuse", KF_API_STRING, &wish->refuse },
		{ "keys_from", KF_API_ARRAY, &wish->keys_from },
		{ "websocket", KF_API_BOOLEAN, &wish->websocket },
		{ "methods", KF_API_ARRAY, &wish->methods },
		{ "penalty_failures", KF_API_INTEGER, &wish->penalty_failures },
		{ "penalty_window_s", seconds, &wish->penalty_window },
		{ "penalty_time_s", seconds, &wish->penalty_time },
		{ "penalty_time_max_s", seconds, &wish->penalty_time_max },
		{ "syn_rate", KF_API_INTEGER, &wish->syn_rate },
		{ "syn_burst", KF_API_INTEGER, &wish->syn_burst },
	};
	size_t first = is_new ? 0 : 1; /* a service cannot be renamed */

	return kf_api_members(request, members + first, KF_API_COUNT(members) - first);
}

static int read_listen(struct kf_api_request *request, const json_t *value,
		       struct kf_service_row *row)
{
	struct kf_endpoint listen;

	if (!value)
		return 0;
	if (kf_endpoint_parse(json_string_value(value), &listen))
		return kf_api_refuse_value(
			request, "listen", "give 203.0.113.5:8000, [2001:db8::1]:8000 or *:8000",
			"'%.60s' is not an address and a port", json_string_value(value));
	row->any = listen.any;
	row->port = listen.port;
	memcpy(row->addr, listen.addr, sizeof(row->addr));
	return 0;
}

static uint32_t key_source_mask(const json_t *value)
{
	const char *name = json_string_value(value);

	for (size_t i = 0; name && i < KF_API_COUNT(key_sources); i++)
		if (!strcmp(name, key_sources[i].name))
			return key_sources[i].mask;
	return 0;
}

static int read_keys_from(struct kf_api_request *request, const json_t *list, uint32_t *out)
{
	static const char mend[] = "name some of bearer, x-api-key, api-key, x-goog-api-key, "
				   "query, sec-websocket-protocol";
	uint32_t mask = 0;
	const json_t *value;
	size_t i;

	if (!list)
		return 0;
	json_array_foreach(list, i, value) {
		uint32_t one = key_source_mask(value);

		if (!one)
			return kf_api_refuse_word(request, "keys_from", mend,
						  json_string_value(value) ?: "something else");
		mask |= one;
	}
	if (!mask)
		return kf_api_refuse_value(request, "keys_from", mend,
					   "there must be one at least");
	*out = mask;
	return 0;
}

/*
 * Why @name is no method that a service can add; NULL: it can. Methods that the reader of requests
 * knows need not be added. Three are refused whatever a service says: CONNECT makes a tunnel, TRACE
 * echoes keys, PRI begins HTTP/2.
 */
static const char *method_fault(const char *name)
{
	static const char *const known[] = { "GET",   "HEAD",	"POST",	  "PUT",
					     "PATCH", "DELETE", "OPTIONS" };
	static const char *const never[] = { "CONNECT", "TRACE", "PRI" };
	size_t len = strlen(name);

	for (size_t i = 0; i < len; i++)
		if (!kf_http1_char_is((__u8)name[i], KF_CHAR_TOKEN))
			return "is no method";
	if (!len || len > KF_METHOD_LEN_MAX)
		return "has not 1 to 16 letters";
	for (size_t i = 0; i < KF_API_COUNT(known); i++)
		if (!strcmp(name, known[i]))
			return "is taken by every service";
	for (size_t i = 0; i < KF_API_COUNT(never); i++)
		if (!strcmp(name, never[i]))
			return "is never taken";
	return NULL;
}

static bool has_method(const char *methods, const char *name)
{
	size_t len = strlen(name);

	for (const char *at = methods; *at; at += strcspn(at, " "), at += *at == ' ')
		if (strcspn(at, " ") == len && !memcmp(at, name, len))
			return true;
	return false;
}

static int read_methods(struct kf_api_request *request, const json_t *list,
			struct kf_service_row *row)
{
	static const char mend[] =
		"give up to 4 methods as clients send them, such as QUERY or PROPFIND, or none";
	char methods[KF_METHODS_TEXT] = "";
	size_t i, len = 0;
	const json_t *value;

	if (!list)
		return 0;
	if (json_array_size(list) > KF_METHODS_MAX)
		return kf_api_refuse_value(request, "methods", mend, "there are %zu",
					   json_array_size(list));
	json_array_foreach(list, i, value) {
		const char *name = json_string_value(value) ?: "";
		const char *fault = method_fault(name);

		if (!fault && has_method(methods, name))
			fault = "is there twice";
		if (fault)
			return kf_api_refuse_value(request, "methods", mend, "'%.40s' %s", name,
						   fault);
		len += (size_t)snprintf(methods + len, sizeof(methods) - len, "%s%s",
					len ? " " : "", name);
	}
	memcpy(row->methods, methods, sizeof(methods));
	return 0;
}

static int read_seconds(struct kf_api_request *request, const char *member, const json_t *value,
			uint32_t *out)
{
	int64_t ns;
	int err;

	if (!value)
		return 0;
	err = kf_api_seconds(request, member, value, &ns);
	if (err)
		return err;
	ns /= KF_TIMETEXT_SECOND;
	if (ns < 1 || ns > KF_PENALTY_SECONDS_TOP)
		return kf_api_refuse_value(request, member, "give 1s to 30d",
					   "it cannot be %" PRId64 " seconds", ns);
	*out = (uint32_t)ns;
	return 0;
}

static int read_penalties(struct kf_api_request *request, const struct wish *wish,
			  struct kf_service_row *row)
{
	const struct {
		const char *member;
		const json_t *value;
		uint32_t *out;
	} times[] = {
		{ "penalty_window_s", wish->penalty_window, &row->penalty_window },
		{ "penalty_time_s", wish->penalty_time, &row->penalty_time },
		{ "penalty_time_max_s", wish->penalty_time_max, &row->penalty_time_max },
	};
	int err = kf_api_number(request, "penalty_failures", wish->penalty_failures, 0,
				KF_PENALTY_FAILURES_TOP, NULL, &row->penalty_failures);

	for (size_t i = 0; !err && i < KF_API_COUNT(times); i++)
		err = read_seconds(request, times[i].member, times[i].value, times[i].out);
	if (err || row->penalty_time <= row->penalty_time_max)
		return err;
	return kf_api_refuse_value(
		request, wish->penalty_time ? "penalty_time_s" : "penalty_time_max_s",
		"give a `penalty_time_s` that is no longer than `penalty_time_max_s`, or both",
		"the first penalty of %us would be longer than the longest of %us",
		row->penalty_time, row->penalty_time_max);
}

/* A burst without a rate is refused: it would have no effect until some day a rate is set. */
static int read_syns(struct kf_api_request *request, const struct wish *wish,
		     struct kf_service_row *row)
{
	int err = kf_api_number(request, "syn_rate", wish->syn_rate, 0, KF_SYN_RATE_TOP, NULL,
				&row->syn_rate);

	if (!err && !row->syn_rate)
		row->syn_burst = 0;
	if (!err)
		err = kf_api_number(request, "syn_burst", wish->syn_burst, 0, KF_SYN_RATE_TOP, NULL,
				    &row->syn_burst);
	if (err || row->syn_rate || !row->syn_burst)
		return err;
	return kf_api_refuse_value(request, "syn_burst", "give `syn_rate`, too",
				   "it needs a rate, and there is none");
}

static int read_wish(struct kf_api_request *request, const struct wish *wish,
		     struct kf_service_row *row)
{
	int err = read_listen(request, wish->listen, row);

	if (!err)
		err = kf_api_word(request, "mode", wish->mode, modes, KF_API_COUNT(modes),
				  "give enforce or monitor", &row->mode);
	if (!err)
		err = kf_api_word(request, "refuse", wish->refuse, refusals, KF_API_COUNT(refusals),
				  "give reply, reset or drop", &row->refuse);
	if (!err)
		err = read_keys_from(request, wish->keys_from, &row->key_sources);
	if (!err)
		err = read_methods(request, wish->methods, row);
	if (!err)
		err = read_penalties(request, wish, row);
	if (!err)
		err = read_syns(request, wish, row);
	if (err || !wish->websocket)
		return err;
	row->flags &= ~KF_SERVICE_WEBSOCKET;
	if (json_is_true(wish->websocket))
		row->flags |= KF_SERVICE_WEBSOCKET;
	return 0;
}

static int read_name(struct kf_api_request *request, const json_t *value,
		     struct kf_service_row *row)
{
	static const char letters[] =
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-";
	const char *name = json_string_value(value);
	size_t len = strlen(name);

	if (!len || len >= sizeof(row->name) || name[strspn(name, letters)])
		return kf_api_refuse_value(request, "name",
					   "give 1 to 63 of A-Z, a-z, 0-9, dot, underscore, dash",
					   "'%.70s' is not a service's name", name);
	memcpy(row->name, name, len + 1);
	return kf_api_no_secret(request, "name", name);
}

/* ---- handlers -------------------------------------------------------------------------------- */

static int handle_create(struct kf_api_request *request)
{
	struct kf_service_row row = {
		.key_sources = KF_KEY_ANY,
		.penalty_failures = KF_PENALTY_FAILURES,
		.penalty_window = KF_PENALTY_WINDOW,
		.penalty_time = KF_PENALTY_TIME,
		.penalty_time_max = KF_PENALTY_TIME_MAX,
	};
	struct kf_why why = { 0 };
	struct wish wish;
	int err = read_members(request, &wish, true);

	if (!err)
		err = read_name(request, wish.name, &row);
	if (!err)
		err = read_wish(request, &wish, &row);
	if (err)
		return err;
	err = kf_policy_service_add(request->daemon->policy, &row, &why);
	if (err)
		return kf_api_refuse_error(request, err, &why);
	kf_traffic_events_reload(request->daemon->events);
	kf_attach_iface_adopt(request->daemon);
	return kf_api_reply_revision(request, MHD_HTTP_CREATED, service_json(&row), row.revision);
}

static int handle_list(struct kf_api_request *request)
{
	static const char *const none[] = { NULL };
	_cleanup_json_ json_t *list = json_array();
	int err = kf_api_parameters(request, none);

	if (!err)
		err = kf_api_no_members(request);
	if (err)
		return err;
	err = kf_store_service_each(request->daemon->store, append_service, list);
	if (err)
		return err;
	return kf_api_reply(request, MHD_HTTP_OK, json_pack("{s:o}", "services", TAKE_PTR(list)));
}

/* Reads the row that the path names; answers 404 where there is none, 412 where it was changed. */
static int find_service(struct kf_api_request *request, struct kf_service_row *row)
{
	int err = kf_store_service_get(request->daemon->store, request->name, row);

	if (err == -ENOENT)
		return kf_api_refuse_missing(request, "service");
	return err ? err : kf_api_match(request, "service", row->revision);
}

static int handle_show(struct kf_api_request *request)
{
	struct kf_service_row row;
	int err = kf_api_no_members(request);

	if (!err)
		err = find_service(request, &row);
	return err ? err
		   : kf_api_reply_revision(request, MHD_HTTP_OK, service_json(&row), row.revision);
}

static int handle_edit(struct kf_api_request *request)
{
	struct kf_service_row row;
	struct kf_why why = { 0 };
	struct wish wish;
	int err = read_members(request, &wish, false);

	if (!err)
		err = find_service(request, &row);
	if (!err)
		err = read_wish(request, &wish, &row);
	if (err)
		return err;
	err = kf_policy_service_edit(request->daemon->policy, &row, &why);
	if (err)
		return kf_api_refuse_error(request, err, &why);
	if (wish.listen)
		kf_attach_iface_adopt(request->daemon);
	err = kf_store_service_get(request->daemon->store, row.name, &row); /* a new revision */
	return err ? err
		   : kf_api_reply_revision(request, MHD_HTTP_OK, service_json(&row), row.revision);
}

static int handle_delete(struct kf_api_request *request)
{
	struct kf_service_row row;
	struct kf_why why = { 0 };
	int err = kf_api_no_members(request);

	if (!err)
		err = find_service(request, &row);
	if (err)
		return err;
	err = kf_policy_service_remove(request->daemon->policy, row.name, &why);
	if (err)
		return kf_api_refuse_error(request, err, &why);
	return kf_api_reply(request, MHD_HTTP_OK,
			    json_pack("{s:s, s:s}", "name", row.name, "state", "removed"));
}

const struct kf_api_route kf_api_service_routes[] = {
	{ "GET", "/v1/services", handle_list, false },
	{ "POST", "/v1/services", handle_create, false },
	{ "GET", "/v1/services/{}", handle_show, true },
	{ "PATCH", "/v1/services/{}", handle_edit, true },
	{ "DELETE", "/v1/services/{}", handle_delete, true },
	{ 0 },
};
