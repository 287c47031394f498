// SPDX-License-Identifier: GPL-2.0-only
/* keyfilterctl service: what is protected, and how. */
#include "call.h"

static const struct kf_output_column record[] = {
	{ "Name", .member = "name" },
	{ "Listen", .member = "listen" },
	{ "Mode", .member = "mode" },
	{ "Refuse by", .member = "refuse" },
	{ "Keys from", .member = "keys_from" },
	{ "WebSocket", .member = "websocket" },
	{ 0 },
};

static const struct kf_output_column list[] = {
	{ "NAME", .member = "name" },
	{ "LISTEN", .member = "listen" },
	{ "MODE", .member = "mode" },
	{ "REFUSE", .member = "refuse" },
	{ "WEBSOCKET", .member = "websocket" },
	{ "KEYS FROM", .member = "keys_from" },
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

	kf_output_rows(stdout, &table, json_object_get(answer, "services"));
	return KF_EXIT_DONE;
}

static const struct kf_option options[] = {
	{ .name = "listen",
	  .placeholder = "ADDR:PORT",
	  .member = "listen",
	  .help = "203.0.113.5:8000, [2001:db8::1]:8000 or *:8000" },
	{ .name = "mode",
	  .placeholder = "enforce|monitor",
	  .member = "mode",
	  .help = "refuse, or only judge and count (a new one: enforce)" },
	{ .name = "refuse",
	  .placeholder = "reply|reset|drop",
	  .member = "refuse",
	  .help = "how a refusal looks to the client (a new one: reply)" },
	{ .name = "keys-from",
	  .placeholder = "PLACE",
	  .member = "keys_from",
	  .type = KF_OPTION_LIST,
	  .help = "bearer, x-api-key, api-key, x-goog-api-key or query (a new one: all)" },
	{ .name = "websocket",
	  .placeholder = "yes|no",
	  .member = "websocket",
	  .type = KF_OPTION_YESNO,
	  .help = "whether Upgrade: websocket passes (a new one: no)" },
	{ 0 },
};

static const struct kf_command commands[] = {
	{ .verb = "add",
	  .operand = "NAME",
	  .operand_member = "name",
	  .options = options,
	  .required = "listen",
	  .method = "POST",
	  .path = "/v1/services",
	  .render = render_one,
	  .help = "Protects an address and port from now on." },
	{ .verb = "edit",
	  .operand = "NAME",
	  .options = options,
	  .changes = true,
	  .method = "PATCH",
	  .path = "/v1/services/{}",
	  .render = render_one,
	  .help = "Changes what is given; --keys-from replaces the whole list." },
	{ .verb = "remove",
	  .operand = "NAME",
	  .method = "DELETE",
	  .path = "/v1/services/{}",
	  .done = "removed",
	  .help = "Protects it no longer: its traffic passes untouched." },
	{ .verb = "list",
	  .method = "GET",
	  .path = "/v1/services",
	  .render = render_list,
	  .help = "Lists the services." },
	{ .verb = "show",
	  .operand = "NAME",
	  .method = "GET",
	  .path = "/v1/services/{}",
	  .render = render_one,
	  .help = "Shows one service." },
	{ 0 },
};

const struct kf_noun kf_noun_service = { "service", "what is protected, and how", commands };
