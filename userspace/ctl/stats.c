// SPDX-License-Identifier: GPL-2.0-only
/* keyfilterctl stats: what was done with requests and packets, and why. */
#include "call.h"
#include "json.h"

/* The reasons that occurred, with the number of their packets. */
static void print_packets(const json_t *packets)
{
	const char *reason;
	json_t *count;

	json_object_foreach((json_t *)packets, reason, count)
		if (json_integer_value(count) != 0)
			kf_output_line(stdout, "  %-20s %14lld", reason,
				       (long long)json_integer_value(count));
}

/* What became of refusals and of their sources; only what occurred. */
static void print_told(const json_t *service)
{
	static const struct {
		const char *member;
		const char *text;
	} lines[] = {
		{ "replies", "refusals told by an HTTP error" },
		{ "resets", "refusals told by a reset, as the service says" },
		{ "replies_reset", "refusals told by a reset: no reply could be made" },
		{ "replies_failed", "refusals not told: not even a reset could be sent" },
		{ "flows_cut", "connections cut" },
		{ "penalties", "penalties raised" },
	};

	for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++)
		if (kf_json_integer(service, lines[i].member, 0) != 0)
			kf_output_line(stdout, "  %-20s %14lld  %s", lines[i].member,
				       (long long)kf_json_integer(service, lines[i].member, 0),
				       lines[i].text);
}

static void print_service(const json_t *service)
{
	const char *name = kf_json_string(service, "name");
	const char *mode = kf_json_string(service, "mode");

	kf_output_line(stdout, "%s (%s): %lld requests admitted, %lld refused", name ? name : "?",
		       mode ? mode : "?",
		       (long long)kf_json_integer(service, "requests_admitted", 0),
		       (long long)kf_json_integer(service, "requests_refused", 0));
	print_told(service);
	print_packets(json_object_get(service, "packets"));
}

/* Packets that were dropped and are no service's, as far as is known; only what occurred. */
static void print_unread(const json_t *unread)
{
	static const struct {
		const char *member;
		const char *text;
	} lines[] = {
		{ "headers", "their headers cannot be read up to the ports" },
		{ "routed", "source-routed, to the port of a service" },
	};

	for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++)
		if (kf_json_integer(unread, lines[i].member, 0) != 0)
			kf_output_line(stdout, "packets to no known service, dropped: %lld, %s",
				       (long long)kf_json_integer(unread, lines[i].member, 0),
				       lines[i].text);
}

static int render(struct kf_call *call, const json_t *answer)
{
	const json_t *services = json_object_get(answer, "services");
	const json_t *events = json_object_get(answer, "events");
	json_t *service;
	size_t i;

	json_array_foreach(services, i, service)
		print_service(service);
	if (json_array_size(services) == 0)
		kf_output_line(stdout, "There is no service; add one: keyfilterctl service add");
	print_unread(json_object_get(answer, "unread"));
	kf_output_line(stdout, "events: %lld left out by their rate limit, %lld lost",
		       (long long)kf_json_integer(events, "suppressed", 0),
		       (long long)kf_json_integer(events, "lost", 0));
	return KF_EXIT_DONE;
}

static const struct kf_command commands[] = {
	{ .method = "GET",
	  .path = "/v1/stats",
	  .render = render,
	  .help = "Counts requests by verdict, how refusals were told, cuts, penalties, and "
		  "packets by reason, a service at a time." },
	{ 0 },
};

const struct kf_noun kf_noun_stats = { "stats", "counters", commands };
