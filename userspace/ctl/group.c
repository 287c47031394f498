// SPDX-License-Identifier: GPL-2.0-only
/* keyfilterctl group: what the keys that are in it may use. */
#include "call.h"

static const struct kf_output_column record[] = {
	{ "Name", .member = "name" },
	{ "Protocols", .member = "protocols" },
	{ "Models", .member = "models", .absent = "all" },
	{ "Multiplier", .member = "multiplier" },
	{ "Keys", .member = "keys", .absent = "" },
	{ "Revision", .member = "revision" },
	{ 0 },
};

static const struct kf_output_column list[] = {
	{ "NAME", .member = "name" },
	{ "PROTOCOLS", .member = "protocols" },
	{ "MULTIPLIER", .member = "multiplier" },
	{ "MODELS", .member = "models", .absent = "all" },
	{ "KEYS", .member = "keys" },
	{ 0 },
};

#define PROTOCOLS(words)                                                                           \
	{                                                                                          \
		.name = "protocol", .placeholder = "openai|anthropic|gemini",                      \
		.member = "protocols", .type = KF_OPTION_LIST, .help = (words)                     \
	}

#define MULTIPLIER                                                                                 \
	{                                                                                          \
		.name = "multiplier", .placeholder = "X", .member = "multiplier",                  \
		.help = "of the models' prices for tokens, such as 0.8; 1 unless given"            \
	}

static const struct kf_option create_options[] = {
	PROTOCOLS("its keys may use only those given; all unless given"),
	KF_OPTION_MODEL("its keys may call only those given, names or patterns such as qwen*"),
	MULTIPLIER,
	{ 0 },
};

static const struct kf_option edit_options[] = {
	PROTOCOLS("its keys may use only those given, from their next request on"),
	KF_OPTION_MODEL("its keys may call only those given; replaces the whole list"),
	KF_OPTION_ANY_MODEL,
	MULTIPLIER,
	{ 0 },
};

static const struct kf_command commands[] = {
	{ .verb = "create",
	  .operand = "NAME",
	  .operand_member = "name",
	  .options = create_options,
	  .method = "POST",
	  .path = "/v1/groups",
	  .record = record,
	  .help = "Makes a group; keys come into it by key create or key edit --group." },
	{ .verb = "edit",
	  .operand = "NAME",
	  .options = edit_options,
	  .changes = true,
	  .matches = true,
	  .method = "PATCH",
	  .path = "/v1/groups/{}",
	  .record = record,
	  .help = "Changes what is given, for all its keys at once." },
	{ .verb = "delete",
	  .operand = "NAME",
	  .matches = true,
	  .method = "DELETE",
	  .path = "/v1/groups/{}",
	  .done = "deleted",
	  .help = "Deletes a group that no key is in." },
	{ .verb = "list",
	  .method = "GET",
	  .path = "/v1/groups",
	  .rows = list,
	  .member = "groups",
	  .help = "Lists the groups." },
	{ .verb = "show",
	  .operand = "NAME",
	  .method = "GET",
	  .path = "/v1/groups/{}",
	  .record = record,
	  .help = "Shows one group." },
	{ 0 },
};

const struct kf_noun kf_noun_group = { "group", "what the keys in it may use", commands };
