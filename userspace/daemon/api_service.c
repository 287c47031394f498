// SPDX-License-Identifier: GPL-2.0-only
#include "api.h"

#include <errno.h>
#include <string.h>

#include <keyfilter/http1.h>
#include <microhttpd.h>

#include "attach.h"
#include "cleanup.h"
#include "endpoint.h"
#include "events.h"
#include "iface.h"
#include "reconcile.h"
#include "service.h"

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
	{ "query", KF_KEY_QUERY },
};

/* ---- rows to JSON
 * --------------------------------------------------------------------------------- */

static json_t *key_sources_json(uint32_t mask)
{
	_cleanup_json_ json_t *list = json_array();

	for (size_t i = 0; i < KF_API_COUNT(key_sources); i++)
		if ((mask & key_sources[i].mask) &&
		    json_array_append_new(list, json_string(key_sources[i].name)))
			return NULL;
	return TAKE_PTR(list);
}

static json_t *service_json(const struct kf_service_row *row)
{
	struct kf_endpoint listen = { .any = row->any, .port = row->port };
	char text[KF_ENDPOINT_TEXT];

	memcpy(listen.addr, row->addr, sizeof(listen.addr));
	return json_pack("{s:s, s:s, s:s, s:s, s:o, s:b}", "name", row->name, "listen",
			 kf_endpoint_format(&listen, text), "mode", modes[row->mode], "refuse",
			 refusals[row->refuse], "keys_from", key_sources_json(row->key_sources),
			 "websocket", !!(row->flags & KF_SERVICE_WEBSOCKET));
}

static int append_service(void *context, const struct kf_service_row *row)
{
	return json_array_append_new(context, service_json(row)) ? -ENOMEM : 0;
}

/* ---- JSON to rows
 * --------------------------------------------------------------------------------- */

/* What a request says of a service; each NULL where it says nothing. */
struct wish {
	json_t *name, *listen, *mode, *refuse, *keys_from, *websocket;
};

static int take_word(struct kf_api_request *request, const char *member, const json_t *value,
		     const char *const words[], size_t count, const char *mend, uint8_t *out)
{
	for (size_t i = 0; value && i < count; i++) {
		if (strcmp(json_string_value(value), words[i]))
			continue;
		*out = (uint8_t)i;
		return 0;
	}
	if (!value)
		return 0;
	return kf_api_refuse_value(request, member, mend, "'%.40s' is none of them",
				   json_string_value(value));
}

static int take_listen(struct kf_api_request *request, const json_t *value,
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

static int take_keys_from(struct kf_api_request *request, const json_t *list, uint32_t *out)
{
	static const char mend[] = "name some of bearer, x-api-key, api-key, x-goog-api-key, query";
	uint32_t mask = 0;
	const json_t *value;
	size_t i;

	if (!list)
		return 0;
	json_array_foreach(list, i, value) {
		uint32_t one = key_source_mask(value);

		if (!one)
			return kf_api_refuse_value(request, "keys_from", mend,
						   "'%.40s' is none of them",
						   json_string_value(value) ?: "something else");
		mask |= one;
	}
	if (!mask)
		return kf_api_refuse_value(request, "keys_from", mend,
					   "there must be one at least");
	*out = mask;
	return 0;
}

static int take_wish(struct kf_api_request *request, const struct wish *wish,
		     struct kf_service_row *row)
{
	int err = take_listen(request, wish->listen, row);

	err = err
		      ?: take_word(request, "mode", wish->mode, modes, KF_API_COUNT(modes),
				   "give enforce or monitor", &row->mode);
	err = err
		      ?: take_word(request, "refuse", wish->refuse, refusals,
				   KF_API_COUNT(refusals), "give reply, reset or drop",
				   &row->refuse);
	err = err ?: take_keys_from(request, wish->keys_from, &row->key_sources);
	if (err || !wish->websocket)
		return err;
	row->flags &= ~KF_SERVICE_WEBSOCKET;
	if (json_is_true(wish->websocket))
		row->flags |= KF_SERVICE_WEBSOCKET;
	return 0;
}

static int take_name(struct kf_api_request *request, const json_t *value,
		     struct kf_service_row *row)
{
	static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
				      "0123456789._-";
	const char *name = json_string_value(value);
	size_t len = strlen(name);

	if (!len || len >= sizeof(row->name) || name[strspn(name, letters)])
		return kf_api_refuse_value(request, "name",
					   "give 1 to 63 of A-Z, a-z, 0-9, dot, underscore, dash",
					   "'%.70s' is not a service's name", name);
	memcpy(row->name, name, len + 1);
	return 0;
}

/* ---- handlers
 * ------------------------------------------------------------------------------------- */

int kf_api_service_create(struct kf_api_request *request)
{
	struct kf_service_row row = { .key_sources = KF_KEY_ANY };
	struct kf_why why = { 0 };
	struct wish wish;
	const struct kf_api_member members[] = {
		{ "name", KF_API_STRING | KF_API_REQUIRED, &wish.name },
		{ "listen", KF_API_STRING | KF_API_REQUIRED, &wish.listen },
		{ "mode", KF_API_STRING, &wish.mode },
		{ "refuse", KF_API_STRING, &wish.refuse },
		{ "keys_from", KF_API_ARRAY, &wish.keys_from },
		{ "websocket", KF_API_BOOLEAN, &wish.websocket },
	};
	int err = kf_api_members(request, members, KF_API_COUNT(members));

	err = err ?: take_name(request, wish.name, &row);
	err = err ?: take_wish(request, &wish, &row);
	if (err)
		return err;
	err = kf_service_add(request->daemon->reconcile, &row, &why);
	if (err)
		return kf_api_refuse_error(request, err, why.text);
	kf_events_reload(request->daemon->events);
	kf_iface_adopt(request->daemon);
	return kf_api_reply(request, MHD_HTTP_CREATED, service_json(&row));
}

int kf_api_service_list(struct kf_api_request *request)
{
	static const char *const none[] = { NULL };
	_cleanup_json_ json_t *list = json_array();
	int err = kf_api_parameters(request, none) ?: kf_api_no_members(request);

	if (err)
		return err;
	err = kf_store_service_each(request->daemon->store, append_service, list);
	if (err)
		return err;
	return kf_api_reply(request, MHD_HTTP_OK, json_pack("{s:o}", "services", TAKE_PTR(list)));
}

/* The row that the path names, or the 404. */
static int find_service(struct kf_api_request *request, struct kf_service_row *row)
{
	int err = kf_store_service_get(request->daemon->store, request->name, row);

	return err == -ENOENT ? kf_api_refuse_missing(request, "service") : err;
}

int kf_api_service_show(struct kf_api_request *request)
{
	struct kf_service_row row;
	int err = kf_api_no_members(request) ?: find_service(request, &row);

	return err ?: kf_api_reply(request, MHD_HTTP_OK, service_json(&row));
}

int kf_api_service_edit(struct kf_api_request *request)
{
	struct kf_service_row row;
	struct kf_why why = { 0 };
	struct wish wish;
	const struct kf_api_member members[] = {
		{ "listen", KF_API_STRING, &wish.listen },
		{ "mode", KF_API_STRING, &wish.mode },
		{ "refuse", KF_API_STRING, &wish.refuse },
		{ "keys_from", KF_API_ARRAY, &wish.keys_from },
		{ "websocket", KF_API_BOOLEAN, &wish.websocket },
	};
	int err = kf_api_members(request, members, KF_API_COUNT(members));

	err = err ?: find_service(request, &row);
	err = err ?: take_wish(request, &wish, &row);
	if (err)
		return err;
	err = kf_service_edit(request->daemon->reconcile, &row, &why);
	if (err)
		return kf_api_refuse_error(request, err, why.text);
	if (wish.listen)
		kf_iface_adopt(request->daemon);
	return kf_api_reply(request, MHD_HTTP_OK, service_json(&row));
}

int kf_api_service_delete(struct kf_api_request *request)
{
	struct kf_service_row row;
	struct kf_why why = { 0 };
	int err = kf_api_no_members(request) ?: find_service(request, &row);

	if (err)
		return err;
	err = kf_service_remove(request->daemon->reconcile, row.name, &why);
	if (err)
		return kf_api_refuse_error(request, err, why.text);
	return kf_api_reply(request, MHD_HTTP_OK,
			    json_pack("{s:s, s:s}", "name", row.name, "state", "removed"));
}
