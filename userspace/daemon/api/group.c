// SPDX-License-Identifier: GPL-2.0-only
#include "api/request.h"

#include <errno.h>
#include <string.h>

#include <keyfilter/http1_state.h>
#include <microhttpd.h>

#include "api/model.h"
#include "api/route.h"
#include "cleanup.h"
#include "policy/group.h"
#include "policy/model.h"
#include "policy/policy.h"
#include "why.h"

static const char *const protocols[] = {
	[KF_PROTOCOL_OPENAI] = "openai",
	[KF_PROTOCOL_ANTHROPIC] = "anthropic",
	[KF_PROTOCOL_GEMINI] = "gemini",
};
_Static_assert(KF_API_COUNT(protocols) == KF_PROTOCOL_COUNT, "a protocol without a name");

/* ---- rows to JSON ---------------------------------------------------------------------------- */

static json_t *protocols_json(uint32_t mask)
{
	_cleanup_json_ json_t *list = json_array();

	for (size_t i = 0; i < KF_API_COUNT(protocols); i++)
		if ((mask & 1u << i) && json_array_append_new(list, json_string(protocols[i])))
			return NULL;
	return TAKE_PTR(list);
}

static json_t *group_json(struct kf_store *store, const struct kf_group_row *row)
{
	char revision[KF_API_REVISION_SIZE];

	return json_pack("{s:s, s:o, s:o, s:o, s:s}", "name", row->name, "protocols",
			 protocols_json(row->protocols), "models",
			 kf_api_model_json(store, row->models), "multiplier",
			 kf_api_money(row->multiplier), "revision",
			 kf_api_revision(row->revision, revision));
}

/* Counts its keys, too. That takes long where they are many, so only reading threads do it. */
static json_t *counted_json(struct kf_store *store, const struct kf_group_row *row)
{
	uint64_t keys;

	if (kf_store_group_keys(store, row->index, UINT32_MAX, &keys))
		return NULL;
	return kf_api_join(group_json(store, row), json_pack("{s:I}", "keys", (json_int_t)keys));
}

/* ---- JSON to rows ---------------------------------------------------------------------------- */

static uint32_t protocol_bit(const json_t *value)
{
	const char *name = json_string_value(value);

	for (size_t i = 0; name && i < KF_API_COUNT(protocols); i++)
		if (!strcmp(name, protocols[i]))
			return 1u << i;
	return 0;
}

static int read_protocols(struct kf_api_request *request, const json_t *list, uint32_t *out)
{
	static const char mend[] = "name some of openai, anthropic, gemini";
	uint32_t mask = 0;
	const json_t *value;
	size_t i;

	if (!list)
		return 0;
	json_array_foreach(list, i, value) {
		uint32_t bit = protocol_bit(value);

		if (!bit)
			return kf_api_refuse_word(request, "protocols", mend,
						  json_string_value(value) ?: "something else");
		mask |= bit;
	}
	if (!mask)
		return kf_api_refuse_value(request, "protocols", mend,
					   "there must be one at least");
	*out = mask;
	return 0;
}

/* No group may be named "none": the tool's --group none puts a key into no group. */
static int read_name(struct kf_api_request *request, const json_t *value, struct kf_group_row *row)
{
	static const char letters[] =
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-";
	const char *name = json_string_value(value);
	size_t len = strlen(name);

	if (!len || len >= sizeof(row->name) || name[strspn(name, letters)] ||
	    !strcmp(name, "none"))
		return kf_api_refuse_value(
			request, "name",
			"give 1 to 63 of A-Z, a-z, 0-9, dot, underscore, dash, but not none",
			"'%.70s' is not a group's name", name);
	memcpy(row->name, name, len + 1);
	return kf_api_no_secret(request, "name", name);
}

/* ---- handlers -------------------------------------------------------------------------------- */

static int handle_create(struct kf_api_request *request)
{
	struct kf_group_row row = { .protocols = KF_PROTOCOLS_ALL,
				    .multiplier = KF_MULTIPLIER_ONE };
	json_t *name, *list, *models, *multiplier;
	const struct kf_api_member members[] = {
		{ "name", KF_API_STRING | KF_API_REQUIRED, &name },
		{ "protocols", KF_API_ARRAY, &list },
		{ "models", KF_API_ARRAY, &models },
		{ "multiplier", KF_API_STRING | KF_API_INTEGER, &multiplier },
	};
	char names[KF_MODEL_SET_SIZE];
	struct kf_why why = { 0 };
	int err = kf_api_members(request, members, KF_API_COUNT(members));

	if (!err)
		err = read_name(request, name, &row);
	if (!err)
		err = read_protocols(request, list, &row.protocols);
	if (!err)
		err = kf_api_amount(request, "multiplier", multiplier, KF_MULTIPLIER_TOP,
				    &row.multiplier);
	if (!err)
		err = kf_api_model_read(request, models, names);
	if (!err)
		err = kf_api_model_take_set(request, names, &row.models);
	if (err)
		return err;
	err = kf_policy_group_add(request->daemon->policy, &row, &why);
	if (err) {
		kf_policy_model_release(request->daemon->policy, row.models);
		return kf_api_refuse_error(request, err, &why);
	}
	return kf_api_reply_revision(request, MHD_HTTP_CREATED,
				     group_json(request->daemon->store, &row), row.revision);
}

struct listing {
	struct kf_store *store;
	json_t *array;
};

static int append_group(void *context, const struct kf_group_row *row)
{
	struct listing *listing = context;

	return json_array_append_new(listing->array, counted_json(listing->store, row)) ? -ENOMEM
											: 0;
}

static int handle_list(struct kf_api_request *request)
{
	static const char *const none[] = { NULL };
	_cleanup_json_ json_t *array = json_array();
	struct listing listing = { .store = request->daemon->store, .array = array };
	int err = kf_api_parameters(request, none);

	if (!err)
		err = kf_api_no_members(request);
	if (!err)
		err = kf_store_group_each(listing.store, append_group, &listing);
	return err ? err : kf_api_reply(request, MHD_HTTP_OK, json_pack("{s:O}", "groups", array));
}

/* Reads the row that the path names; answers 404 where there is none, 412 where it was changed. */
static int find_group(struct kf_api_request *request, struct kf_group_row *row)
{
	int err = kf_store_group_get(request->daemon->store, request->name, row);

	if (err == -ENOENT)
		return kf_api_refuse_missing(request, "group");
	return err ? err : kf_api_match(request, "group", row->revision);
}

static int handle_show(struct kf_api_request *request)
{
	struct kf_group_row row;
	int err = kf_api_no_members(request);

	if (!err)
		err = find_group(request, &row);
	return err ? err
		   : kf_api_reply_revision(request, MHD_HTTP_OK,
					   counted_json(request->daemon->store, &row),
					   row.revision);
}

static int handle_edit(struct kf_api_request *request)
{
	struct kf_group_row row;
	struct kf_why why = { 0 };
	json_t *list, *models, *multiplier;
	const struct kf_api_member members[] = {
		{ "protocols", KF_API_ARRAY, &list },
		{ "models", KF_API_ARRAY, &models },
		{ "multiplier", KF_API_STRING | KF_API_INTEGER, &multiplier },
	};
	char names[KF_MODEL_SET_SIZE];
	int err = kf_api_members(request, members, KF_API_COUNT(members));

	if (!err)
		err = find_group(request, &row);
	if (!err)
		err = read_protocols(request, list, &row.protocols);
	if (!err)
		err = kf_api_amount(request, "multiplier", multiplier, KF_MULTIPLIER_TOP,
				    &row.multiplier);
	if (!err)
		err = kf_api_model_read(request, models, names);
	if (!err && models)
		err = kf_api_model_take_set(request, names, &row.models);
	if (err)
		return err;
	err = kf_policy_group_edit(request->daemon->policy, &row, &why);
	if (err) {
		kf_policy_model_release(request->daemon->policy, row.models);
		return kf_api_refuse_error(request, err, &why);
	}
	err = kf_store_group_get(request->daemon->store, row.name, &row); /* a new revision */
	return err ? err
		   : kf_api_reply_revision(request, MHD_HTTP_OK,
					   group_json(request->daemon->store, &row), row.revision);
}

static int handle_delete(struct kf_api_request *request)
{
	struct kf_group_row row;
	struct kf_why why = { 0 };
	int err = kf_api_no_members(request);

	if (!err)
		err = find_group(request, &row);
	if (err)
		return err;
	err = kf_policy_group_remove(request->daemon->policy, row.name, &why);
	if (err)
		return kf_api_refuse_error(request, err, &why);
	return kf_api_reply(request, MHD_HTTP_OK,
			    json_pack("{s:s, s:s}", "name", row.name, "state", "deleted"));
}

const struct kf_api_route kf_api_group_routes[] = {
	{ "GET", "/v1/groups", handle_list, false },
	{ "POST", "/v1/groups", handle_create, false },
	{ "GET", "/v1/groups/{}", handle_show, true },
	{ "PATCH", "/v1/groups/{}", handle_edit, true },
	{ "DELETE", "/v1/groups/{}", handle_delete, true },
	{ 0 },
};
