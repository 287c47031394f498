// SPDX-License-Identifier: GPL-2.0-only
/* keyfilterctl model: the models that are known, which patterns stand for. */
#include "call.h"

static const struct kf_output_column list[] = {
	{ "NAME", .member = "name" },
	{ 0 },
};

static const struct kf_output_column record[] = {
	{ "Name", .member = "name" },
	{ 0 },
};

static int render_one(struct kf_call *call, const json_t *answer)
{
	kf_output_record(stdout, record, answer);
	return KF_EXIT_DONE;
}

static int render_list(struct kf_call *call, const json_t *answer)
{
	struct kf_output_table table = { .columns = list };

	kf_output_rows(stdout, &table, json_object_get(answer, "models"));
	return KF_EXIT_DONE;
}

static const struct kf_option list_options[] = {
	{ .name = "group",
	  .placeholder = "G",
	  .member = "group",
	  .help = "those that this group may call, known or not" },
	{ 0 },
};

static const struct kf_command commands[] = {
	{ .verb = "set",
	  .operand = "NAME",
	  .operand_member = "name",
	  .method = "POST",
	  .path = "/v1/models",
	  .render = render_one,
	  .help = "Makes a model known, so that patterns such as qwen* stand for it, too." },
	{ .verb = "delete",
	  .operand = "NAME",
	  .method = "DELETE",
	  .path = "/v1/models/{}",
	  .done = "deleted",
	  .help = "Forgets a model: patterns no longer stand for it, its name alone does." },
	{ .verb = "list",
	  .options = list_options,
	  .method = "GET",
	  .path = "/v1/models",
	  .render = render_list,
	  .help = "Lists the models that are known." },
	{ 0 },
};

const struct kf_noun kf_noun_model = { "model", "what patterns of models stand for", commands };
