// SPDX-License-Identifier: GPL-2.0-only
#include "api/model.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <microhttpd.h>

#include "api/route.h"
#include "cleanup.h"
#include "policy/model.h"
#include "policy/policy.h"
#include "why.h"

/* ---- sets ------------------------------------------------------------------------------------ */

#define MEND_NAME                                                                                  \
	"give names of 1 to 255 bytes; a pattern ends with the one '*' that it has, such as qwen*"

/* What is wrong with a model's name; NULL: nothing. */
static const char *name_fault(const char *name, bool pattern)
{
	const char *star = strchr(name, '*');
	size_t len = strlen(name);

	if (!len || len >= KF_MODEL_NAME_SIZE)
		return "has not 1 to 255 bytes";
	for (const unsigned char *c = (const unsigned char *)name; *c; c++)
		if (*c < 0x20 || *c == 0x7f)
			return "has control characters";
	if (star && !pattern)
		return "is a pattern";
	return star && star[1] ? "has a '*' that is not its end" : NULL;
}

static int compare(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static void join(const char **names, size_t count, char out[static KF_MODEL_SET_SIZE])
{
	char *to = out;

	qsort(names, count, sizeof(*names), compare);
	for (size_t i = 0; i < count; i++) {
		if (i && !strcmp(names[i], names[i - 1]))
			continue;
		if (to != out)
			*to++ = '\n';
		to = stpcpy(to, names[i]);
	}
	*to = '\0';
}

int kf_api_model_read(struct kf_api_request *request, const json_t *value,
		      char names[static KF_MODEL_SET_SIZE])
{
	const char *each[KF_MODELS_IN_SET];
	size_t count = json_array_size(value);

	*names = '\0';
	if (count > KF_MODELS_IN_SET)
		return kf_api_refuse_value(request, "models", "give wider patterns",
					   "it has %zu names, at most %d are possible", count,
					   KF_MODELS_IN_SET);
	for (size_t i = 0; i < count; i++) {
		const char *name = json_string_value(json_array_get(value, i)) ?: "";
		const char *fault = name_fault(name, true);
		int err;

		if (fault)
			return kf_api_refuse_value(request, "models", MEND_NAME, "'%.60s' %s", name,
						   fault);
		err = kf_api_no_secret(request, "models", name);
		if (err)
			return err;
		each[i] = name;
	}
	join(each, count, names);
	return 0;
}

int kf_api_model_take_set(struct kf_api_request *request, const char *names, uint32_t *set)
{
	struct kf_why why = { 0 };
	int err = kf_policy_model_take(request->daemon->policy, names, set, &why);

	return err ? kf_api_refuse_error(request, err, &why) : 0;
}

static json_t *names_json(const char *names)
{
	_cleanup_json_ json_t *list = json_array();

	while (*names) {
		size_t len = strcspn(names, "\n");

		if (json_array_append_new(list, json_stringn(names, len)))
			return NULL;
		names += len + (names[len] == '\n');
	}
	return TAKE_PTR(list);
}

json_t *kf_api_model_json(struct kf_store *store, uint32_t set)
{
	_cleanup_free_ struct kf_model_set_row *row = malloc(sizeof(*row));

	if (!set)
		return json_array();
	if (!row || kf_store_model_set_get(store, set, row))
		return NULL;
	return names_json(row->names);
}

static int append_name(void *context, const char *name)
{
	return json_array_append_new(context, json_string(name)) ? -ENOMEM : 0;
}

json_t *kf_api_model_now_json(struct kf_store *store, uint32_t set)
{
	_cleanup_free_ struct kf_model_set_row *row = malloc(sizeof(*row));
	_cleanup_json_ json_t *list = json_array();

	if (!row || kf_store_model_set_get(store, set, row) ||
	    kf_policy_model_resolve(store, row->names, append_name, list))
		return NULL;
	return TAKE_PTR(list);
}

/* ---- handlers -------------------------------------------------------------------------------- */

static json_t *model_json(const char *name)
{
	return json_pack("{s:s}", "name", name);
}

/* To set what is known already changes nothing. */
static int handle_set(struct kf_api_request *request)
{
	json_t *value;
	const struct kf_api_member members[] = {
		{ "name", KF_API_STRING | KF_API_REQUIRED, &value },
	};
	struct kf_why why = { 0 };
	const char *name, *fault;
	int err = kf_api_members(request, members, KF_API_COUNT(members));

	if (err)
		return err;
	name = json_string_value(value);
	fault = name_fault(name, false);
	if (fault)
		return kf_api_refuse_value(request, "name",
					   "give the model's name, 1 to 255 bytes without a '*'",
					   "'%.60s' %s", name, fault);
	err = kf_api_no_secret(request, "name", name);
	if (err)
		return err;
	err = kf_policy_model_add(request->daemon->policy, name, &why);
	if (err == -EEXIST)
		return kf_api_reply(request, MHD_HTTP_OK, model_json(name));
	if (err)
		return kf_api_refuse_error(request, err, &why);
	return kf_api_reply(request, MHD_HTTP_CREATED, model_json(name));
}

static int append_model(void *context, const char *name)
{
	return json_array_append_new(context, model_json(name)) ? -ENOMEM : 0;
}

/* All that are known; of a group what it may call, known or not. */
static int handle_list(struct kf_api_request *request)
{
	static const char *const known[] = { "group", NULL };
	_cleanup_free_ struct kf_model_set_row *row = malloc(sizeof(*row));
	struct kf_store *store = request->daemon->store;
	_cleanup_json_ json_t *list = json_array();
	struct kf_group_row group = { 0 };
	const char *name;
	int err = kf_api_parameters(request, known) ?: kf_api_no_members(request);

	if (err)
		return err;
	if (!row)
		return -ENOMEM;
	name = kf_api_parameter(request, "group");
	err = name ? kf_store_group_get(store, name, &group) : 0;
	if (err == -ENOENT)
		return kf_api_refuse(request, MHD_HTTP_BAD_REQUEST, "bad_parameter",
				     "see `keyfilterctl group list`", "there is no group '%.63s'",
				     name);
	if (!err && group.models) {
		err = kf_store_model_set_get(store, group.models, row);
		if (!err)
			err = kf_policy_model_resolve(store, row->names, append_model, list);
	} else if (!err) {
		err = kf_store_model_each(store, "", append_model, list);
	}
	return err ? err : kf_api_reply(request, MHD_HTTP_OK, json_pack("{s:O}", "models", list));
}

static int handle_delete(struct kf_api_request *request)
{
	struct kf_why why = { 0 };
	int err = kf_api_no_members(request);

	if (err)
		return err;
	err = kf_policy_model_remove(request->daemon->policy, request->name, &why);
	if (err == -ENOENT)
		return kf_api_refuse_missing(request, "model");
	if (err)
		return kf_api_refuse_error(request, err, &why);
	return kf_api_reply(request, MHD_HTTP_OK,
			    json_pack("{s:s, s:s}", "name", request->name, "state", "deleted"));
}

const struct kf_api_route kf_api_model_routes[] = {
	{ "GET", "/v1/models", handle_list, false },
	{ "POST", "/v1/models", handle_set, false },
	{ "DELETE", "/v1/models/{}", handle_delete, false },
	{ 0 },
};
