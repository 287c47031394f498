// SPDX-License-Identifier: GPL-2.0-only
#include "api/model.h"

#include <errno.h>
#include <stdio.h>
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
	if (kf_api_has_control(name))
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

/* ---- handlers -------------------------------------------------------------------------------- */

static const char *const price_names[KF_PRICES] = {
	[KF_PRICE_INPUT] = "input",
	[KF_PRICE_CACHED] = "cached",
	[KF_PRICE_CACHE_WRITE] = "cache_write",
	[KF_PRICE_OUTPUT] = "output",
	[KF_PRICE_REQUEST] = "request",
};

static json_t *price_json(int64_t price)
{
	return price == KF_NO_PRICE ? json_null() : kf_api_money(price);
}

static json_t *model_json(const struct kf_model_row *row)
{
	_cleanup_json_ json_t *object = json_pack("{s:s}", "name", row->name);

	for (int i = 0; object && i < KF_PRICES; i++)
		if (json_object_set_new(object, price_names[i], price_json(row->price[i])))
			return NULL;
	if (!object)
		return NULL;
	json_object_set_new(object, "context",
			    row->context ? json_integer(row->context) : json_null());
	json_object_set_new(object, "max_output",
			    row->max_output ? json_integer(row->max_output) : json_null());
	return TAKE_PTR(object);
}

/* null: there is no such price from now on. */
static int read_price(struct kf_api_request *request, const char *member, const json_t *value,
		      int64_t *price)
{
	if (!json_is_null(value))
		return kf_api_amount(request, member, value, KF_PRICE_TOP, price);
	*price = KF_NO_PRICE;
	return 0;
}

static int read_model_name(struct kf_api_request *request, const char *name,
			   struct kf_model_row *row)
{
	const char *fault = name_fault(name, false);

	if (fault)
		return kf_api_refuse_value(request, "name",
					   "give the model's name, 1 to 255 bytes without a '*'",
					   "'%.60s' %s", name, fault);
	snprintf(row->name, sizeof(row->name), "%s", name);
	return kf_api_no_secret(request, "name", name);
}

/* What is known of the model already stays, but for what is given; *known tells. */
static int read_known(struct kf_api_request *request, struct kf_model_row *row, bool *known)
{
	int err = kf_store_model_get(request->daemon->store, row->name, row);

	*known = !err;
	for (int i = 0; err == -ENOENT && i < KF_PRICES; i++)
		row->price[i] = KF_NO_PRICE;
	return err == -ENOENT ? 0 : err;
}

static int handle_set(struct kf_api_request *request)
{
	json_t *name, *prices[KF_PRICES], *context, *max_output;
	const struct kf_api_member members[] = {
		{ "name", KF_API_STRING | KF_API_REQUIRED, &name },
#define PRICE(price)                                                                               \
	{ price_names[price], KF_API_STRING | KF_API_INTEGER | KF_API_NULL, &prices[price] }
		PRICE(KF_PRICE_INPUT),
		PRICE(KF_PRICE_CACHED),
		PRICE(KF_PRICE_CACHE_WRITE),
		PRICE(KF_PRICE_OUTPUT),
		PRICE(KF_PRICE_REQUEST),
#undef PRICE
		{ "context", KF_API_INTEGER | KF_API_NULL, &context },
		{ "max_output", KF_API_INTEGER | KF_API_NULL, &max_output },
	};
	struct kf_model_row row = { 0 };
	struct kf_why why = { 0 };
	bool known = false;
	int err = kf_api_members(request, members, KF_API_COUNT(members));

	if (!err)
		err = read_model_name(request, json_string_value(name), &row);
	if (!err)
		err = read_known(request, &row, &known);
	for (int i = 0; !err && i < KF_PRICES; i++)
		err = read_price(request, price_names[i], prices[i], &row.price[i]);
	if (!err)
		err = kf_api_number(request, "context", context, 1, KF_MODEL_TOKENS_TOP, NULL,
				    &row.context);
	if (!err)
		err = kf_api_number(request, "max_output", max_output, 1, KF_MODEL_TOKENS_TOP, NULL,
				    &row.max_output);
	if (err)
		return err;
	err = known ? kf_policy_model_edit(request->daemon->policy, &row, &why)
		    : kf_policy_model_add(request->daemon->policy, &row, &why);
	if (err)
		return kf_api_refuse_error(request, err, &why);
	return kf_api_reply(request, known ? MHD_HTTP_OK : MHD_HTTP_CREATED, model_json(&row));
}

static int append_model(void *context, const struct kf_model_row *row)
{
	return json_array_append_new(context, model_json(row)) ? -ENOMEM : 0;
}

/* What a group may call, known or not, and at which price, its multiplier counted in. */
struct market {
	struct kf_store *store;
	json_t *list;
	int64_t multiplier;
};

static int append_offer(void *context, const struct kf_model_row *row)
{
	struct market *market = context;
	struct kf_model_row offer = *row;

	for (int i = 0; i < KF_PRICES; i++)
		if (i != KF_PRICE_REQUEST && offer.price[i] != KF_NO_PRICE)
			offer.price[i] = kf_policy_model_price(offer.price[i], market->multiplier);
	return append_model(market->list, &offer);
}

static int append_named(void *context, const char *name)
{
	struct kf_model_row row = { .price = { [0 ... KF_PRICES - 1] = KF_NO_PRICE } };
	struct market *market = context;
	int err;

	snprintf(row.name, sizeof(row.name), "%s", name);
	err = kf_store_model_get(market->store, name, &row);
	return err && err != -ENOENT ? err : append_offer(context, &row);
}

static int list_market(struct kf_api_request *request, const char *name, struct market *market)
{
	_cleanup_free_ struct kf_model_set_row *row = malloc(sizeof(*row));
	struct kf_group_row group;
	int err = kf_store_group_get(market->store, name, &group);

	if (err == -ENOENT)
		return kf_api_refuse(request, MHD_HTTP_BAD_REQUEST, "bad_parameter",
				     "see `keyfilterctl group list`", "there is no group '%.63s'",
				     name);
	if (err || !row)
		return err ? err : -ENOMEM;
	market->multiplier = group.multiplier;
	if (!group.models)
		return kf_store_model_rows(market->store, append_offer, market);
	err = kf_store_model_set_get(market->store, group.models, row);
	return err ? err : kf_policy_model_resolve(market->store, row->names, append_named, market);
}

static int handle_list(struct kf_api_request *request)
{
	static const char *const known[] = { "group", NULL };
	_cleanup_json_ json_t *list = json_array();
	struct market market = { .store = request->daemon->store, .list = list };
	int err = kf_api_parameters(request, known) ?: kf_api_no_members(request);
	const char *group;

	if (err)
		return err;
	group = kf_api_parameter(request, "group");
	err = group ? list_market(request, group, &market)
		    : kf_store_model_rows(market.store, append_model, list);
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
