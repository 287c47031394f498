// SPDX-License-Identifier: GPL-2.0-only
#include "api/request.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include <microhttpd.h>

#include "api/account.h"
#include "api/key.h"
#include "api/model.h"
#include "api/route.h"
#include "base/work.h"
#include "cleanup.h"
#include "policy/key.h"
#include "policy/key_batch.h"
#include "policy/model.h"
#include "policy/policy.h"
#include "why.h"

#define QUANTITY_MAX 100000

/* ---- create ---------------------------------------------------------------------------------- */

/* A creation under way. Few keys are made at once, many in slices of the loop's spare time. */
struct creation {
	struct kf_work_item item;
	struct kf_api_request *request;
	struct kf_key_batch *batch;
	struct kf_policy *policy;
	uint32_t models;    /* taken; 0: released, or none */
	json_t *model_list; /* the same as it is shown: the thread that answers has no store */
	struct kf_cidr allow[KF_KEY_ALLOW_MAX];
	uint32_t allow_count;
	struct kf_key_labels labels;
	struct kf_why why;
	json_t *array;
};

static void creation_free(struct creation *creation)
{
	kf_policy_key_batch_close(creation->batch);
	if (creation->models)
		kf_policy_model_release(creation->policy, creation->models);
	json_decref(creation->model_list);
	json_decref(creation->array);
	free(creation);
}
KF_CLEANUP_DEFINE(struct creation, creation_free)

/* Nothing has used the key yet, so the wish has everything that there is to show. */
static int append_made(void *context, const struct kf_key_row *row, const char *text)
{
	struct creation *creation = context;
	struct kf_key key = { .row = *row,
			      .allow_count = creation->allow_count,
			      .labels = creation->labels };
	json_t *object;

	memcpy(key.allow, creation->allow, sizeof(key.allow));
	object = kf_api_key_json(&key, creation->model_list);
	if (!object || (*text && json_object_set_new(object, "key", json_string(text)))) {
		json_decref(object);
		return -ENOMEM;
	}
	return json_array_append_new(creation->array, object) ? -ENOMEM : 0;
}

static int answer_made(struct kf_api_request *request)
{
	_cleanup_(creation_freep) struct creation *creation = request->work;
	int err;

	request->work = NULL;
	err = kf_policy_key_batch_each(creation->batch, append_made, creation);
	return err ? err
		   : kf_api_reply(request, MHD_HTTP_CREATED,
				  json_pack("{s:o}", "keys", TAKE_PTR(creation->array)));
}

static int make_some(struct kf_work_item *item)
{
	struct creation *creation = (struct creation *)item;

	return kf_policy_key_batch_step(creation->batch, &creation->why);
}

static void end_creation(struct kf_work_item *item, int result)
{
	_cleanup_(creation_freep) struct creation *creation = (struct creation *)item;
	struct kf_api_request *request = creation->request;

	if (!result) {
		creation->models = 0; /* its keys have it */
		request->work = TAKE_PTR(creation);
		kf_api_done_by(request, answer_made);
		return;
	}
	if (result == -ECANCELED)
		result = kf_api_refuse(request, MHD_HTTP_SERVICE_UNAVAILABLE, "ending",
				       "ask again when it runs",
				       "keyfilterd is ending, and none of the keys is made");
	else
		result = kf_api_key_refuse(request, result, &creation->why);
	kf_api_done(request, result);
}

static int begin_creation(struct kf_api_request *request, const struct kf_key_wish *wish,
			  uint32_t count)
{
	_cleanup_(creation_freep) struct creation *creation = calloc(1, sizeof(*creation));
	int more;

	if (!creation)
		return -ENOMEM;
	creation->item = (struct kf_work_item){ .step = make_some, .done = end_creation };
	creation->request = request;
	creation->policy = request->daemon->policy;
	creation->models = wish->models;
	creation->model_list = kf_api_model_json(request->daemon->store, wish->models);
	creation->array = json_array();
	creation->allow_count = wish->allow_count;
	creation->labels = *wish->labels;
	memcpy(creation->allow, wish->allow, wish->allow_count * sizeof(*wish->allow));
	more = kf_policy_key_batch_open(&creation->batch, request->daemon->policy, wish, count,
					&creation->why);
	if (!more && count > KF_KEY_BATCH_SMALL) {
		kf_work_add(request->daemon->work, &TAKE_PTR(creation)->item);
		return KF_API_LATER;
	}
	more = more ? more : 1;
	while (more > 0)
		more = kf_policy_key_batch_step(creation->batch, &creation->why);
	if (more)
		return kf_api_key_refuse(request, more, &creation->why);
	creation->models = 0; /* its keys have it */
	request->work = TAKE_PTR(creation);
	return answer_made(request);
}

static int read_quantity(struct kf_api_request *request, const json_t *value, uint32_t *quantity)
{
	json_int_t n = value ? json_integer_value(value) : 1;

	if (n < 1 || n > QUANTITY_MAX)
		return kf_api_refuse_value(request, "quantity", "give 1 to 100000",
					   "it is %" JSON_INTEGER_FORMAT, n);
	*quantity = (uint32_t)n;
	return 0;
}

static int handle_create(struct kf_api_request *request)
{
	json_t *name, *text, *quantity, *owner, *labels, *group, *models, *account, *quota,
		*expires, *allow, *rpm, *burst;
	const struct kf_api_member members[] = {
		{ "name", KF_API_STRING | KF_API_REQUIRED, &name },
		{ "key", KF_API_STRING, &text },
		{ "quantity", KF_API_INTEGER, &quantity },
		{ "owner", KF_API_STRING | KF_API_NULL, &owner },
		{ "labels", KF_API_OBJECT, &labels },
		{ "group", KF_API_STRING | KF_API_NULL, &group },
		{ "models", KF_API_ARRAY, &models },
		{ "account", KF_API_STRING, &account },
		{ "quota", KF_API_STRING | KF_API_INTEGER, &quota },
		{ "expires", KF_API_STRING | KF_API_INTEGER, &expires },
		{ "allow_ips", KF_API_ARRAY, &allow },
		{ "rpm", KF_API_INTEGER | KF_API_NULL, &rpm },
		{ "burst", KF_API_INTEGER | KF_API_NULL, &burst },
	};
	struct kf_cidr cidrs[KF_KEY_ALLOW_MAX];
	struct kf_key_labels marks = { 0 };
	struct kf_account_row draws_on = { 0 };
	struct kf_key_wish wish = { .expires = KF_WALL_NEVER,
				    .allow = cidrs,
				    .labels = &marks,
				    .account = &draws_on,
				    .quota = KF_NO_QUOTA };
	char names[KF_MODEL_SET_SIZE];
	struct kf_group_row in;
	uint32_t count = 1;
	int err;

	err = kf_api_members(request, members, KF_API_COUNT(members));
	if (!err)
		err = read_quantity(request, quantity, &count);
	if (!err)
		err = kf_api_key_read_text(request, text, count, &wish.text);
	if (!err)
		err = kf_api_key_read_name(request, name, count, &wish.name);
	if (!err)
		err = kf_api_key_read_owner(request, owner, &wish.owner);
	if (!err)
		err = kf_api_key_read_labels(request, labels, &marks);
	if (!err)
		err = kf_api_key_read_expires(request, expires, &wish.expires);
	if (!err)
		err = kf_api_key_read_allow(request, "allow_ips", allow, cidrs, &wish.allow_count);
	if (!err)
		err = kf_api_key_read_rate(request, rpm, burst, false, &wish.rpm, &wish.rpm_burst);
	if (!err)
		err = kf_api_key_read_group(request, group, &in);
	if (!err)
		err = kf_api_account_read(request, account, &draws_on);
	if (!err)
		err = kf_api_account_read_limit(request, "quota", quota, &wish.quota);
	if (!err)
		err = kf_api_model_read(request, models, names);
	if (!err)
		err = kf_api_model_take_set(request, names, &wish.models);
	if (err)
		return err;
	wish.set_quota = wish.quota != KF_NO_QUOTA;
	wish.group = in.index;
	wish.group_name = in.name;
	return begin_creation(request, &wish, count);
}

/* ---- list, show ------------------------------------------------------------------------------ */

/* A page of keys: one more than asked for is read, to know whether there are more. */
struct page {
	struct kf_policy *policy;
	struct kf_store *store;
	json_t *array;
	uint32_t limit;
	int64_t last;
	bool more;
};

static int append_listed(void *context, const struct kf_key_row *row)
{
	struct page *page = context;
	_cleanup_json_ json_t *models = NULL;
	struct kf_key key;
	int err;

	if (json_array_size(page->array) == page->limit) {
		page->more = true;
		return 0;
	}
	err = kf_policy_key_view(page->policy, row, &key);
	if (err)
		return err;
	page->last = row->seq;
	models = kf_api_model_json(page->store, row->models);
	return json_array_append_new(page->array, kf_api_key_json(&key, models)) ? -ENOMEM : 0;
}

static int list_keys(struct kf_api_request *request, struct kf_key_query *query, struct page *page)
{
	struct kf_store *store = request->daemon->store;
	char cursor[24];
	uint64_t total;
	int err;

	page->limit = query->limit++;
	err = kf_store_key_list(store, query, append_listed, page);
	total = json_array_size(page->array);
	/* a first page that has all of them is its own total; counting reads every name again */
	if (!err && (page->more || query->after))
		err = kf_store_key_total(store, query, &total);
	if (err)
		return kf_api_refuse_internal(request, err, "reading the keys");
	snprintf(cursor, sizeof(cursor), "%" PRId64, page->last);
	return kf_api_reply(request, MHD_HTTP_OK,
			    json_pack("{s:O, s:s?, s:I}", "keys", page->array, "next",
				      page->more ? cursor : NULL, "total", (json_int_t)total));
}

static int handle_list(struct kf_api_request *request)
{
	static const char *const known[] = { "status", "group", "account", "owner", "label*",
					     "search", "order", "after",   "limit", NULL };
	_cleanup_json_ json_t *array = json_array();
	struct page page = { .policy = request->daemon->policy,
			     .store = request->daemon->store,
			     .array = array };
	struct kf_key_query query = { .now = kf_policy_time(request->daemon->policy).wall_ns };
	int err;

	err = kf_api_parameters(request, known);
	if (!err)
		err = kf_api_no_members(request);
	if (!err)
		err = kf_api_key_read_query(request, &query);
	return err ? err : list_keys(request, &query, &page);
}

static int handle_show(struct kf_api_request *request)
{
	int err = kf_api_no_members(request);

	if (!err)
		err = kf_api_key_match(request);
	return err ? err : kf_api_key_answer(request, MHD_HTTP_OK, NULL);
}

/* POST, so that the secret stands in no URI, and only those that may write can ask. */
static int handle_find(struct kf_api_request *request)
{
	_cleanup_json_ json_t *models = NULL;
	json_t *text, *object;
	const struct kf_api_member members[] = {
		{ "key", KF_API_STRING | KF_API_REQUIRED, &text },
	};
	struct kf_key key;
	int64_t until;
	int err = kf_api_members(request, members, KF_API_COUNT(members));

	if (err)
		return err;
	err = kf_policy_key_find(request->daemon->policy, json_string_value(text), &key, &until);
	if (err == -ENOENT)
		return kf_api_refuse(
			request, MHD_HTTP_NOT_FOUND, "not_found",
			"see that it is whole, 51 characters that begin with sk- unless it "
			"was imported; one that was deleted, or rotated and over its grace, is not "
			"known",
			"no key has this secret");
	if (err)
		return kf_api_refuse_internal(request, err, "reading the key");
	models = kf_api_model_json(request->daemon->store, key.row.models);
	object = kf_api_join(kf_api_key_json(&key, models),
			     json_pack("{s:o}", "secret_until", kf_api_time(until)));
	return kf_api_reply_revision(request, MHD_HTTP_OK, object, key.row.revision);
}

/* ---- change ---------------------------------------------------------------------------------- */

typedef int (*revoke_fn)(struct kf_policy *policy, const char *id, struct kf_key_times *times,
			 struct kf_why *why);

static int answer_revoked(struct kf_api_request *request, revoke_fn fn, const char *status)
{
	struct kf_key_times times = { 0 };
	struct kf_why why = { 0 };
	int err = kf_api_no_members(request);

	if (!err)
		err = kf_api_key_match(request);
	if (err)
		return err;
	err = fn(request->daemon->policy, request->name, &times, &why);
	if (err)
		return kf_api_key_refuse(request, err, &why);
	return kf_api_reply(request, MHD_HTTP_OK,
			    json_pack("{s:s, s:s, s:f, s:f}", "id", request->name, "status", status,
				      "kernel_us", (double)times.kernel_ns / 1e3, "durable_ms",
				      (double)times.durable_ns / 1e6));
}

static int handle_delete(struct kf_api_request *request)
{
	return answer_revoked(request, kf_policy_key_delete, "deleted");
}

static int handle_disable(struct kf_api_request *request)
{
	return answer_revoked(request, kf_policy_key_disable, "disabled");
}

static int handle_enable(struct kf_api_request *request)
{
	struct kf_why why = { 0 };
	int err = kf_api_no_members(request);

	if (!err)
		err = kf_api_key_match(request);
	if (err)
		return err;
	err = kf_policy_key_enable(request->daemon->policy, request->name, &why);
	return err ? kf_api_key_refuse(request, err, &why)
		   : kf_api_key_answer(request, MHD_HTTP_OK, NULL);
}

static int handle_rotate(struct kf_api_request *request)
{
	json_t *grace;
	const struct kf_api_member members[] = {
		{ "grace", KF_API_STRING | KF_API_INTEGER, &grace },
	};
	char text[KF_KEY_TEXT_SIZE];
	struct kf_why why = { 0 };
	int64_t grace_ns = KF_KEY_GRACE_NS;
	int err = kf_api_members(request, members, KF_API_COUNT(members));

	if (!err && grace)
		err = kf_api_duration(request, "grace", grace, &grace_ns);
	if (!err)
		err = kf_api_key_match(request);
	if (err)
		return err;
	err = kf_policy_key_rotate(request->daemon->policy, request->name, (uint64_t)grace_ns, text,
				   &why);
	if (err)
		return kf_api_key_refuse(request, err, &why);
	err = kf_api_key_answer(request, MHD_HTTP_OK, text);
	explicit_bzero(text, sizeof(text));
	return err;
}

const struct kf_api_route kf_api_key_routes[] = {
	{ "GET", "/v1/keys", handle_list, false },
	{ "POST", "/v1/keys", handle_create, false },
	{ "GET", "/v1/keys/{}", handle_show, true },
	{ "PATCH", "/v1/keys/{}", kf_api_key_edit, true },
	{ "DELETE", "/v1/keys/{}", handle_delete, true },
	{ "POST", "/v1/keys/{}/enable", handle_enable, true },
	{ "POST", "/v1/keys/{}/disable", handle_disable, true },
	{ "POST", "/v1/keys/{}/rotate", handle_rotate, true },
	{ "POST", "/v1/keys/{}/topup", kf_api_key_topup, true },
	{ "POST", "/v1/keys/bulk", kf_api_key_many, false },
	{ "POST", "/v1/keys/find", handle_find, false },
	{ 0 },
};
