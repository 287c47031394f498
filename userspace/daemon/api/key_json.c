// SPDX-License-Identifier: GPL-2.0-only
/* A key as JSON, and the answers that requests about one key share. */
#include "api/account.h"
#include "api/key.h"

#include <errno.h>

#include <microhttpd.h>

#include "api/model.h"
#include "cleanup.h"
#include "policy/compile.h"
#include "policy/policy.h"
#include "why.h"

static const char *status_of(const struct kf_key *key)
{
	const struct kf_key_row *row = &key->row;

	if (row->disabled || key->expired)
		return row->disabled ? "disabled" : "expired";
	if (row->account_exhausted || (row->wallet && row->spent >= row->quota))
		return "exhausted";
	return "enabled";
}

static json_t *allow_json(const struct kf_key *key)
{
	json_t *array = json_array();
	char text[KF_CIDR_TEXT];

	for (uint32_t i = 0; array && i < key->allow_count; i++) {
		kf_cidr_format(&key->allow[i], text);
		json_array_append_new(array, json_string(text));
	}
	return array;
}

static json_t *limit_json(uint32_t limit)
{
	return limit ? json_integer(limit) : json_null();
}

/* What requests with it have done. */
static json_t *use_json(const struct kf_key *key)
{
	return json_pack("{s:I, s:I, s:o, s:o, s:o}", "requests_admitted",
			 (json_int_t)key->requests_admitted, "requests_refused",
			 (json_int_t)key->requests_refused, "last_used_at",
			 kf_api_time(key->last_used), "grace_until", kf_api_time(key->grace_until),
			 "grace_last_used_at", kf_api_time(key->grace_used));
}

static json_t *labels_json(const struct kf_key *key)
{
	json_t *object = json_object();

	for (uint32_t i = 0; object && i < key->labels.count; i++)
		json_object_set_new(object, key->labels.list[i].name,
				    json_string(key->labels.list[i].value));
	return object;
}

/* What it is found by. */
static json_t *about_json(const struct kf_key *key)
{
	return json_pack("{s:s?, s:o}", "owner", *key->row.owner ? key->row.owner : NULL, "labels",
			 labels_json(key));
}

/* What it may be used for. */
static json_t *limits_json(const struct kf_key *key, json_t *models)
{
	const struct kf_key_row *row = &key->row;

	return json_pack("{s:s?, s:o, s:o, s:o, s:o, s:o}", "group",
			 row->group ? row->group_name : NULL, "models", json_incref(models),
			 "expires_at", kf_api_time(row->expires), "allow_ips", allow_json(key),
			 "rpm", limit_json(row->rpm), "burst",
			 limit_json(kf_policy_compile_burst(row->rpm, row->rpm_burst)));
}

/* What it may spend, and has spent. */
static json_t *money_json(const struct kf_key *key)
{
	const struct kf_key_row *row = &key->row;

	return json_pack("{s:s, s:o, s:o, s:o}", "account",
			 row->account ? row->account_name : KF_API_ACCOUNT_DEFAULT, "quota",
			 row->wallet ? kf_api_money(row->quota) : json_null(), "spent",
			 kf_api_money(row->spent), "left",
			 kf_api_account_left(row->wallet, row->quota, row->spent));
}

json_t *kf_api_key_json(const struct kf_key *key, json_t *models)
{
	char masked[16], revision[KF_API_REVISION_SIZE];
	json_t *json;

	kf_policy_key_masked(&key->row.mask, masked);
	json = json_pack("{s:s, s:s, s:s, s:s, s:o}", "id", key->row.id, "name", key->row.name,
			 "masked", masked, "status", status_of(key), "created_at",
			 kf_api_time(key->row.created));
	json = kf_api_join(kf_api_join(json, about_json(key)), limits_json(key, models));
	json = kf_api_join(kf_api_join(json, money_json(key)), use_json(key));
	return kf_api_join(
		json, json_pack("{s:s}", "revision", kf_api_revision(key->row.revision, revision)));
}

int kf_api_key_answer(struct kf_api_request *request, int status, const char *text)
{
	struct kf_key key;
	_cleanup_json_ json_t *models = NULL;
	json_t *object;
	int err = kf_policy_key_get(request->daemon->policy, request->name, &key);

	if (err == -ENOENT)
		return kf_api_refuse_missing(request, "key");
	if (err)
		return kf_api_refuse_internal(request, err, "reading the key");
	models = kf_api_model_json(request->daemon->store, key.row.models);
	object = kf_api_key_json(&key, models);
	if (object && text)
		json_object_set_new(object, "key", json_string(text));
	return kf_api_reply_revision(request, status, object, key.row.revision);
}

int kf_api_key_match(struct kf_api_request *request)
{
	struct kf_key_row row;
	int err;

	if (!request->if_match)
		return 0;
	err = kf_store_key_get(request->daemon->store, request->name, &row);
	if (err == -ENOENT)
		return kf_api_refuse_missing(request, "key");
	if (err)
		return kf_api_refuse_internal(request, err, "reading the key");
	return kf_api_match(request, "key", row.revision);
}

int kf_api_key_refuse(struct kf_api_request *request, int err, const struct kf_why *why)
{
	if (err == -ENOENT)
		return kf_api_refuse_missing(request, "key");
	return kf_api_refuse_error(request, err, why);
}
