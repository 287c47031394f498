// SPDX-License-Identifier: GPL-2.0-only
/* keyfilterctl status, keyfilterctl version: the daemon itself. */
#include <string.h>

#include "call.h"
#include "json.h"
#include "when.h"

static long long number(const json_t *object, const char *member)
{
	return kf_json_integer(object, member, 0);
}

static const char *text(const json_t *object, const char *member)
{
	const char *value = kf_json_string(object, member);

	return value ? value : "-";
}

static void print_daemon(const json_t *answer)
{
	char up[KF_WHEN_SIZE];

	kf_when_span(number(answer, "uptime_s"), up);
	kf_output_line(stdout, "keyfilterd %s (layout %lld), process %lld, up for %s",
		       text(answer, "version"), number(answer, "abi"), number(answer, "pid"), up);
	kf_output_line(stdout, "state     %s", text(answer, "state_dir"));
	kf_output_line(stdout, "run       %s", text(answer, "run_dir"));
	kf_output_line(stdout, "pins      %s", text(answer, "pin_dir"));
}

static void print_load(const json_t *answer)
{
	const json_t *keys = json_object_get(answer, "keys");
	const json_t *flows = json_object_get(answer, "flows");

	kf_output_line(stdout, "services  %lld", number(answer, "services"));
	kf_output_line(
		stdout,
		"keys      %lld of %lld: %lld enabled, %lld disabled, %lld expired, %lld exhausted",
		number(keys, "total"), number(answer, "keys_max"), number(keys, "enabled"),
		number(keys, "disabled"), number(keys, "expired"), number(keys, "exhausted"));
	kf_output_line(stdout, "sources   %lld of %lld, %lld penalised", number(answer, "sources"),
		       number(answer, "sources_max"), number(answer, "penalised"));
	kf_output_line(stdout, "flows     about %lld of %lld", number(flows, "live"),
		       number(flows, "max"));
}

static void print_ifaces(const json_t *ifaces)
{
	json_t *iface;
	size_t i;

	json_array_foreach(ifaces, i, iface) {
		const char *error = kf_json_string(iface, "error");

		kf_output_line(stdout, "iface     %s %s (%s)%s%s", text(iface, "dev"),
			       text(iface, "state"), text(iface, "mode"), error ? ": " : "",
			       error ? error : "");
	}
	if (json_array_size(ifaces) == 0)
		kf_output_line(stdout, "iface     none: nothing is filtered until keyfilterctl "
				       "iface attach DEV");
}

static int render_status(struct kf_call *call, const json_t *answer)
{
	const json_t *degraded = json_object_get(answer, "degraded");
	json_t *what;
	size_t i;

	print_daemon(answer);
	print_load(answer);
	print_ifaces(json_object_get(answer, "ifaces"));
	json_array_foreach(degraded, i, what)
		kf_output_line(stdout, "degraded  %s",
			       json_string_value(what) ? json_string_value(what) : "?");
	if (json_array_size(degraded) == 0)
		kf_output_line(stdout, "health    good");
	return KF_EXIT_DONE;
}

/* Anything that is open or not as it should be: a script need not read the words. */
static enum kf_exit judge_status(const json_t *answer)
{
	const json_t *degraded = json_object_get(answer, "degraded");

	return json_is_array(degraded) && json_array_size(degraded) == 0 ? KF_EXIT_DONE
									 : KF_EXIT_TROUBLE;
}

/* The daemon's version, borrowed from @answer; NULL when it gave none, and @why says what was. */
static const char *ask_version(struct kf_call *call, json_t **answer, struct kf_client_why *why)
{
	_cleanup_reply_ struct kf_client_reply reply = { 0 };
	_cleanup_free_ char *path = kf_call_path(call);
	char fault[200];

	if (kf_client_call(call->client, "GET", path, NULL, &reply, why) < 0)
		return NULL;
	if (kf_json_read(reply.body, reply.len, answer, fault) == 0 &&
	    kf_json_string(*answer, "version"))
		return kf_json_string(*answer, "version");
	snprintf(why->text, sizeof(why->text), "%.100s answered %ld without a version",
		 call->args->socket, reply.status);
	return NULL;
}

/* The tool has a version without a daemon too: not reaching one is no failure here. */
static int version(struct kf_call *call)
{
	_cleanup_json_ json_t *answer = NULL;
	struct kf_client_why why;
	const char *theirs = ask_version(call, &answer, &why);

	if (call->args->json) {
		_cleanup_json_ json_t *both =
			json_pack("{s:s,s:s?}", "keyfilterctl", KF_VERSION, "keyfilterd", theirs);

		json_dumpf(both, stdout, JSON_COMPACT);
		putchar('\n');
		return KF_EXIT_DONE;
	}
	puts("keyfilterctl " KF_VERSION);
	kf_output_line(stdout, "keyfilterd %s%s",
		       theirs ? theirs : "unknown: ", theirs ? "" : why.text);
	return KF_EXIT_DONE;
}

static const struct kf_command status_commands[] = {
	{ .method = "GET",
	  .path = "/v1/status",
	  .render = render_status,
	  .judge = judge_status,
	  .help = "Shows the daemon, what it holds, and what is wrong with the mend for it; ends "
		  "with 3 if "
		  "anything is." },
	{ 0 },
};

static const struct kf_command version_commands[] = {
	{ .method = "GET",
	  .path = "/v1/status",
	  .run = version,
	  .help = "Shows the versions of the tool and, where it answers, the daemon." },
	{ 0 },
};

const struct kf_noun kf_noun_status = { "status", "the daemon and its health", status_commands };
const struct kf_noun kf_noun_version = { "version", "which build this is", version_commands };
