// SPDX-License-Identifier: GPL-2.0-only
/* keyfilterctl model: the models that are known, which patterns stand for, and their prices. */
#include "call.h"

static const struct kf_output_column list[] = {
	{ "NAME", .member = "name" },
	{ "INPUT", .member = "input" },
	{ "CACHED", .member = "cached" },
	{ "CACHE WRITE", .member = "cache_write" },
	{ "OUTPUT", .member = "output" },
	{ "REQUEST", .member = "request" },
	{ "CONTEXT", .member = "context" },
	{ "MAX OUTPUT", .member = "max_output" },
	{ 0 },
};

static const struct kf_output_column record[] = {
	{ "Name", .member = "name" },
	{ "Input", .member = "input", .absent = "no price" },
	{ "Cached input", .member = "cached", .absent = "as input" },
	{ "Cache write", .member = "cache_write", .absent = "as input" },
	{ "Output", .member = "output", .absent = "no price" },
	{ "A request", .member = "request", .absent = "nothing" },
	{ "Context", .member = "context", .absent = "not known" },
	{ "Longest output", .member = "max_output", .absent = "not known" },
	{ 0 },
};

#define PRICE(option, set, words)                                                                  \
	{                                                                                          \
		.name = (option), .placeholder = "PRICE|none", .member = (set),                    \
		.type = KF_OPTION_WORD, .help = (words)                                            \
	}

static const struct kf_option set_options[] = {
	PRICE("input", "input", "of 1,000,000 tokens of the prompt, such as 2.5"),
	PRICE("cached", "cached", "of those that came from a cache; as --input unless given"),
	PRICE("cache-write", "cache_write", "of those that went into one; as --input unless given"),
	PRICE("output", "output", "of 1,000,000 tokens of the answer"),
	PRICE("request", "request", "of each request beside; not multiplied by a group's"),
	{ .name = "context",
	  .placeholder = "N|none",
	  .member = "context",
	  .type = KF_OPTION_LIMIT,
	  .help = "tokens of prompt and answer together, at most" },
	{ .name = "max-output",
	  .placeholder = "N|none",
	  .member = "max_output",
	  .type = KF_OPTION_LIMIT,
	  .help = "tokens of an answer whose request sets no limit, at most" },
	{ 0 },
};

static const struct kf_option list_options[] = {
	{ .name = "group",
	  .placeholder = "G",
	  .member = "group",
	  .help = "those that this group may call, known or not, at its prices" },
	{ 0 },
};

static const struct kf_command commands[] = {
	{ .verb = "set",
	  .operand = "NAME",
	  .operand_member = "name",
	  .options = set_options,
	  .method = "POST",
	  .path = "/v1/models",
	  .record = record,
	  .help = "Makes a model known, so that patterns such as qwen* stand for it, too; sets "
		  "what "
		  "is given of it." },
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
	  .rows = list,
	  .member = "models",
	  .help = "Lists the models that are known." },
	{ 0 },
};

const struct kf_noun kf_noun_model = { "model", "what patterns of models stand for, and prices",
				       commands };
