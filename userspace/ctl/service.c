// SPDX-License-Identifier: GPL-2.0-only
/* keyfilterctl service: what is protected, and how. */
#include "call.h"
#include "json.h"

static const struct kf_output_column record[] = {
	{ "Name", .member = "name" },
	{ "Listen", .member = "listen" },
	{ "Mode", .member = "mode" },
	{ "Refuse by", .member = "refuse" },
	{ "Keys from", .member = "keys_from" },
	{ "WebSocket", .member = "websocket" },
	{ "Methods", .member = "methods", .absent = "" },
	{ "Penalty", .member = "penalty", .absent = "" },
	{ "SYN rate", .member = "syns", .absent = "" },
	{ "Revision", .member = "revision" },
	{ 0 },
};

static const struct kf_output_column list[] = {
	{ "NAME", .member = "name" },
	{ "LISTEN", .member = "listen" },
	{ "MODE", .member = "mode" },
	{ "REFUSE", .member = "refuse" },
	{ "WEBSOCKET", .member = "websocket" },
	{ "PENALTY", .member = "penalty_short" },
	{ "SYNS", .member = "syns_short" },
	{ "KEYS FROM", .member = "keys_from" },
	{ 0 },
};

/* 3600 -> "1h": exact, as an option would be given. */
static const char *span(long long seconds, char text[static 24])
{
	static const struct {
		long long seconds;
		char name;
	} units[] = { { 86400, 'd' }, { 3600, 'h' }, { 60, 'm' } };

	for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++) {
		if (seconds <= 0 || seconds % units[i].seconds)
			continue;
		snprintf(text, 24, "%lld%c", seconds / units[i].seconds, units[i].name);
		return text;
	}
	snprintf(text, 24, "%llds", seconds);
	return text;
}

static void add_penalty(json_t *view)
{
	char window[24], first[24], longest[24];
	long long failures = kf_json_integer(view, "penalty_failures", -1);

	span(kf_json_integer(view, "penalty_window_s", 0), window);
	span(kf_json_integer(view, "penalty_time_s", 0), first);
	span(kf_json_integer(view, "penalty_time_max_s", 0), longest);
	if (failures < 0)
		return;
	json_object_set_new(view, "penalty_short",
			    failures ? json_sprintf("%lld in %s", failures, window)
				     : json_string("never"));
	json_object_set_new(view, "penalty",
			    failures ? json_sprintf("%lld failures in %s: dropped for %s, doubled "
						    "each time up to %s",
						    failures, window, first, longest)
				     : json_string("never"));
}

static void add_syns(json_t *view)
{
	long long rate = kf_json_integer(view, "syn_rate", -1);
	long long burst = kf_json_integer(view, "syn_burst", 0);

	if (rate < 0)
		return;
	json_object_set_new(view, "syns_short",
			    rate ? json_sprintf("%lld/s", rate) : json_string("any"));
	json_object_set_new(view, "syns",
			    rate ? json_sprintf("%lld a second of each source, %lld at once", rate,
						burst ? burst : rate)
				 : json_string("no limit"));
}

/* The service with what is told of it in words. */
static json_t *make_view(const json_t *service)
{
	json_t *view = json_copy((json_t *)service);

	if (!view)
		kf_output_no_memory();
	add_penalty(view);
	add_syns(view);
	return view;
}

static int render_one(struct kf_call *call, const json_t *answer)
{
	_cleanup_json_ json_t *view = make_view(answer);

	kf_output_record(stdout, record, view);
	return KF_EXIT_DONE;
}

static int render_list(struct kf_call *call, const json_t *answer)
{
	struct kf_output_table table = { .columns = list };
	_cleanup_json_ json_t *views = json_array();
	const json_t *service;
	size_t i;

	json_array_foreach(json_object_get(answer, "services"), i, service)
		json_array_append_new(views, make_view(service));
	kf_output_rows(stdout, &table, views);
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
	  .help = "bearer, x-api-key, api-key, x-goog-api-key, query or sec-websocket-protocol "
		  "(a new one: all)" },
	{ .name = "websocket",
	  .placeholder = "yes|no",
	  .member = "websocket",
	  .type = KF_OPTION_YESNO,
	  .help = "whether Upgrade: websocket passes (a new one: no)" },
	{ .name = "method",
	  .placeholder = "NAME",
	  .member = "methods",
	  .type = KF_OPTION_LIST,
	  .help = "taken beside GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS (a new one: none)" },
	{ .name = "no-method",
	  .member = "methods",
	  .type = KF_OPTION_NONE,
	  .help = "none beside those; empties the list" },
	{ .name = "penalty-failures",
	  .placeholder = "N",
	  .member = "penalty_failures",
	  .type = KF_OPTION_NUMBER,
	  .help = "refusals of one source until it is dropped, half as many more for each good "
		  "request, ten times at most; 0: never (a new one: 100)" },
	{ .name = "penalty-window",
	  .placeholder = "T",
	  .member = "penalty_window_s",
	  .help = "in which they are counted (a new one: 60s)" },
	{ .name = "penalty-time",
	  .placeholder = "T",
	  .member = "penalty_time_s",
	  .help = "of its first penalty; each further one takes twice as long (a new one: 60s)" },
	{ .name = "penalty-time-max",
	  .placeholder = "T",
	  .member = "penalty_time_max_s",
	  .help = "of the longest penalty (a new one: 1h)" },
	{ .name = "syn-rate",
	  .placeholder = "N",
	  .member = "syn_rate",
	  .type = KF_OPTION_NUMBER,
	  .help = "new connections a second of one source; 0: no limit (a new one: 0)" },
	{ .name = "syn-burst",
	  .placeholder = "N",
	  .member = "syn_burst",
	  .type = KF_OPTION_NUMBER,
	  .help = "so many of them at once; 0: as many as a second (a new one: 0)" },
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
	  .matches = true,
	  .method = "PATCH",
	  .path = "/v1/services/{}",
	  .render = render_one,
	  .help = "Changes what is given; --keys-from and --method replace their whole lists." },
	{ .verb = "remove",
	  .operand = "NAME",
	  .matches = true,
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
