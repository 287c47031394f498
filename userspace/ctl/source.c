// SPDX-License-Identifier: GPL-2.0-only
/* keyfilterctl source: client addresses that are denied or allowed. */
#include "call.h"
#include "json.h"

static const struct kf_output_column list_columns[] = {
	{ "ACTION", .member = "action" },
	{ "SINCE", .member = "created_at", .format = KF_OUTPUT_TIME },
	{ "UNTIL", .member = "expires_at", .format = KF_OUTPUT_TIME, .absent = "removed" },
	{ "CIDR", .member = "cidr" },
	{ 0 },
};

static const struct kf_output_column record[] = {
	{ "CIDR", .member = "cidr" },
	{ "Action", .member = "action" },
	{ "Since", .member = "created_at", .format = KF_OUTPUT_SINCE },
	{ "Until", .member = "expires_at", .format = KF_OUTPUT_SINCE, .absent = "removed" },
	{ 0 },
};

static int render_one(struct kf_call *call, const json_t *answer)
{
	kf_output_record(stdout, record, answer);
	return KF_EXIT_DONE;
}

static int deny(struct kf_call *call)
{
	json_object_set_new(call->body, "action", json_string("deny"));
	return kf_call_run(call);
}

static int allow(struct kf_call *call)
{
	json_object_set_new(call->body, "action", json_string("allow"));
	return kf_call_run(call);
}

static int list(struct kf_call *call)
{
	return kf_call_pages(call, "sources", list_columns);
}

static const struct kf_option ttl_options[] = {
	{ .name = "ttl",
	  .placeholder = "T",
	  .member = "ttl",
	  .help = "for so long (90s, 15m, 12h, 30d); else until it is removed" },
	{ 0 },
};

static const struct kf_option list_options[] = {
	{ .name = "limit",
	  .placeholder = "N",
	  .member = "limit",
	  .type = KF_OPTION_NUMBER,
	  .help = "at most so many" },
	{ .name = "after",
	  .placeholder = "CURSOR",
	  .member = "after",
	  .help = "go on where an earlier list ended" },
	{ 0 },
};

static const struct kf_command commands[] = {
	{ .verb = "deny",
	  .operand = "CIDR",
	  .operand_member = "cidr",
	  .options = ttl_options,
	  .method = "POST",
	  .path = "/v1/sources",
	  .render = render_one,
	  .run = deny,
	  .help = "Drops what comes from these addresses." },
	{ .verb = "allow",
	  .operand = "CIDR",
	  .operand_member = "cidr",
	  .options = ttl_options,
	  .method = "POST",
	  .path = "/v1/sources",
	  .render = render_one,
	  .run = allow,
	  .help = "Exempts these addresses from denials; their keys are judged all the same." },
	{ .verb = "remove",
	  .operand = "CIDR",
	  .method = "DELETE",
	  .path = "/v1/sources/{}",
	  .done = "removed",
	  .help = "Forgets both, a denial and an allowance." },
	{ .verb = "list",
	  .options = list_options,
	  .method = "GET",
	  .path = "/v1/sources",
	  .run = list,
	  .help = "Lists what is denied and allowed." },
	{ 0 },
};

const struct kf_noun kf_noun_source = { "source", "client addresses, denied or allowed", commands };
