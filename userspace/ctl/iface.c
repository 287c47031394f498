// SPDX-License-Identifier: GPL-2.0-only
/* keyfilterctl iface: the network interfaces that the filter sits on. */
#include "call.h"
#include "json.h"

static const struct kf_output_column list[] = {
	{ "DEV", .member = "dev" },	{ "INDEX", .member = "ifindex" },
	{ "MODE", .member = "mode" },	{ "STATE", .member = "state" },
	{ "ERROR", .member = "error" }, { 0 },
};

static int render_attached(struct kf_call *call, const json_t *answer)
{
	const char *dev = kf_json_string(answer, "dev");
	const char *mode = kf_json_string(answer, "mode");
	const char *state = kf_json_string(answer, "state");
	const char *error = kf_json_string(answer, "error");

	kf_output_line(stdout, "%s %s (%s): %lld connections adopted, %lld reset%s%s",
		       dev ? dev : call->args->operand, state ? state : "attached",
		       mode ? mode : "?", (long long)kf_json_integer(answer, "adopted", 0),
		       (long long)kf_json_integer(answer, "reset", 0), error ? "; " : "",
		       error ? error : "");
	return KF_EXIT_DONE;
}

static const struct kf_option attach_options[] = {
	{ .name = "mode",
	  .placeholder = "native|generic|tc",
	  .member = "mode",
	  .help = "exactly this one, never another; native unless given" },
	{ .name = "existing",
	  .placeholder = "adopt|reset",
	  .member = "existing",
	  .help = "what becomes of connections that exist already; adopt unless given" },
	{ 0 },
};

static const struct kf_command commands[] = {
	{ .verb = "attach",
	  .operand = "DEV",
	  .operand_member = "dev",
	  .options = attach_options,
	  .method = "POST",
	  .path = "/v1/ifaces",
	  .render = render_attached,
	  .help = "Puts the filter on an interface, beside other XDP programs." },
	{ .verb = "detach",
	  .operand = "DEV",
	  .method = "DELETE",
	  .path = "/v1/ifaces/{}",
	  .done = "detached",
	  .help = "Takes the filter off and leaves nothing behind." },
	{ .verb = "list",
	  .method = "GET",
	  .path = "/v1/ifaces",
	  .rows = list,
	  .member = "ifaces",
	  .help = "Lists the interfaces and how the filter sits on each." },
	{ 0 },
};

const struct kf_noun kf_noun_iface = { "iface", "the interfaces that the filter sits on",
				       commands };
