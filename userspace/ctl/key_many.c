// SPDX-License-Identifier: GPL-2.0-only
/* keyfilterctl key enable, disable, delete, edit of all the keys that filters find. */
#include "key_many.h"

#include <string.h>

#include "json.h"

#define SHOWN 20 /* keys of a dry run */

static const struct kf_output_column columns[] = {
	{ "ID", .member = "id" },
	{ "STATUS", .member = "status" },
	{ "NAME", .member = "name" },
	{ 0 },
};

static int render_found(struct kf_call *call, const json_t *answer)
{
	struct kf_output_table table = { .columns = columns };
	const json_t *keys = json_object_get(answer, "keys");
	long long total = kf_json_integer(answer, "total", 0);

	kf_output_line(stdout, "%lld key%s would be concerned, and none is changed", total,
		       total == 1 ? "" : "s");
	kf_output_rows(stdout, &table, keys);
	if (total > (long long)json_array_size(keys))
		kf_output_line(stdout, "... and %lld more",
			       total - (long long)json_array_size(keys));
	return KF_EXIT_DONE;
}

static int render_changed(struct kf_call *call, const json_t *answer)
{
	long long found = kf_json_integer(answer, "found", 0);

	kf_output_line(stdout, "%lld of %lld key%s changed", kf_json_integer(answer, "changed", 0),
		       found, found == 1 ? "" : "s");
	return KF_EXIT_DONE;
}

/* The filters as the query of a list. */
static json_t *query_of(const json_t *where)
{
	json_t *query = json_deep_copy(where), *labels = json_object_get(where, "labels"), *value;
	json_t *list = json_array();
	const char *name;

	json_object_del(query, "all");
	json_object_del(query, "labels");
	json_object_foreach(labels, name, value)
		json_array_append_new(list, json_sprintf("%s=%s", name, json_string_value(value)));
	json_object_set_new(query, "label", list);
	json_object_set_new(query, "limit", json_integer(SHOWN));
	return query;
}

static int run(struct kf_call *call, const struct kf_command *command, json_t *body)
{
	struct kf_args args = *call->args;
	struct kf_call many = { .args = &args, .client = call->client, .body = body };
	int ret;

	args.command = command;
	ret = kf_call_run(&many);
	json_decref(body);
	return ret;
}

static int show(struct kf_call *call, const json_t *where)
{
	struct kf_command list = *call->args->command;

	list.method = "GET";
	list.path = "/v1/keys";
	list.render = render_found;
	list.record = NULL;
	return run(call, &list, query_of(where));
}

static int change(struct kf_call *call, const json_t *where)
{
	struct kf_command bulk = *call->args->command;
	json_t *set = json_deep_copy(call->body);
	json_t *body = json_pack("{s:s, s:O}", "action", bulk.verb, KF_FILTERS_MEMBER, where);

	json_object_del(set, KF_FILTERS_MEMBER);
	if (json_object_size(set))
		json_object_set(body, "set", set);
	json_decref(set);
	bulk.method = "POST";
	bulk.path = "/v1/keys/bulk";
	bulk.render = render_changed;
	bulk.record = NULL;
	return run(call, &bulk, body);
}

int kf_key_many(struct kf_call *call)
{
	const json_t *where = json_object_get(call->body, KF_FILTERS_MEMBER);

	if (!where)
		return kf_call_run(call);
	return kf_args_value(call->args, "dry-run") ? show(call, where) : change(call, where);
}
