// SPDX-License-Identifier: GPL-2.0-only
/* keyfilterctl source: client addresses that are denied, allowed or penalised. */
#include "call.h"
#include "json.h"

static const struct kf_output_column list_columns[] = {
	{ "ACTION", .member = "action" },
	{ "SINCE", .member = "created_at", .format = KF_OUTPUT_TIME },
	{ "ENDS", .member = "expires_at", .format = KF_OUTPUT_TIME, .absent = "never" },
	{ "CIDR", .member = "cidr" },
	{ 0 },
};

/* Without the counts: they begin anew with the penalty. */
static const struct kf_output_column penalty_columns[] = {
	{ "CIDR", .member = "cidr" },
	{ "SERVICE", .member = "service" },
	{ "LEVEL", .member = "level" },
	{ "SECONDS", .member = "remaining_s" },
	{ "UNTIL", .member = "until", .format = KF_OUTPUT_TIME },
	{ 0 },
};

static const struct kf_output_column failing_columns[] = {
	{ "CIDR", .member = "cidr" },
	{ "LEVEL", .member = "level" },
	{ "FAILURES", .member = "failures" },
	{ "ADMITTED", .member = "successes" },
	{ 0 },
};

static const struct kf_output_column record[] = {
	{ "CIDR", .member = "cidr" },
	{ "Action", .member = "action" },
	{ "Since", .member = "created_at", .format = KF_OUTPUT_SINCE },
	{ "Ends", .member = "expires_at", .format = KF_OUTPUT_SINCE, .absent = "never" },
	{ 0 },
};

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
	const struct kf_output_column *columns = list_columns;

	if (json_object_get(call->body, "penalised"))
		columns = penalty_columns;
	else if (json_object_get(call->body, "failing"))
		columns = failing_columns;
	return kf_call_pages(call, "sources", columns);
}

static int render_forgiven(struct kf_call *call, const json_t *answer)
{
	long long forgiven = kf_json_integer(answer, "forgiven", 0);

	if (!forgiven)
		kf_output_line(stdout, "%s: nothing is held against any source there",
			       call->args->operand);
	else
		kf_output_line(stdout, "%s: %lld source%s forgiven, %lld of them penalised",
			       call->args->operand, forgiven, forgiven == 1 ? "" : "s",
			       (long long)kf_json_integer(answer, "penalised", 0));
	return KF_EXIT_DONE;
}

static const struct kf_option ttl_options[] = {
	{ .name = "ttl",
	  .placeholder = "T",
	  .member = "ttl",
	  .help = "for so long (90s, 15m, 12h, 30d); else until it is removed" },
	{ 0 },
};

static const struct kf_option list_options[] = {
	{ .name = "penalised",
	  .member = "penalised",
	  .type = KF_OPTION_FLAG,
	  .help = "instead those that the kernel drops now because their requests failed" },
	{ .name = "failing",
	  .member = "failing",
	  .type = KF_OPTION_FLAG,
	  .help = "instead those with failures that have led to no penalty" },
	KF_OPTIONS_PAGE,
	{ 0 },
};

static const struct kf_command commands[] = {
	{ .verb = "deny",
	  .operand = "CIDR",
	  .operand_member = "cidr",
	  .options = ttl_options,
	  .method = "POST",
	  .path = "/v1/sources",
	  .record = record,
	  .run = deny,
	  .help = "Drops what comes from these addresses." },
	{ .verb = "allow",
	  .operand = "CIDR",
	  .operand_member = "cidr",
	  .options = ttl_options,
	  .method = "POST",
	  .path = "/v1/sources",
	  .record = record,
	  .run = allow,
	  .help = "Exempts these addresses from denials, penalties and SYN rates; their keys "
		  "are judged all the same." },
	{ .verb = "remove",
	  .operand = "CIDR",
	  .method = "DELETE",
	  .path = "/v1/sources/{}",
	  .done = "removed",
	  .help = "Forgets both, a denial and an allowance." },
	{ .verb = "forgive",
	  .operand = "CIDR",
	  .operand_member = "cidr",
	  .method = "POST",
	  .path = "/v1/sources/forgive",
	  .render = render_forgiven,
	  .help = "Ends the penalties of these addresses, and forgets their failures." },
	{ .verb = "list",
	  .options = list_options,
	  .method = "GET",
	  .path = "/v1/sources",
	  .run = list,
	  .help = "Lists what is denied and allowed, or the sources that fail." },
	{ 0 },
};

const struct kf_noun kf_noun_source = { "source", "client addresses: denied, allowed, penalised",
					commands };
