// SPDX-License-Identifier: GPL-2.0-only
#include "api/status.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <microhttpd.h>

#include "api/iface.h"
#include "api/request.h"
#include "api/route.h"
#include "attach/iface.h"
#include "base/ask.h"
#include "cleanup.h"
#include "clock.h"
#include "log.h"
#include "maps/maps.h"
#include "policy/policy.h"
#include "policy/reconcile_keys.h"
#include "traffic/cut.h"
#include "traffic/flows.h"
#include "traffic/penalty.h"

#define NEARLY_FULL 90 /* per cent */

/* What the status counts; the answer and the search for trouble use one reading of it. */
struct numbers {
	uint64_t services;
	uint64_t sources;
	uint64_t penalised;
	struct kf_key_counts keys;
	uint64_t flows_live, flows_max;
	uint64_t keys_max, sources_max;
	bool cannot_cut;
	bool loading;
	unsigned int loaded; /* per cent of the keys that are in the kernel */
	int store_failing;   /* -errno of its writes; 0: none */
	bool store_unsure;
	char store_words[256];
	json_t *differences; /* texts: in what store and kernel differ */
};

static void numbers_end(struct numbers *numbers)
{
	json_decref(numbers->differences);
}

static void on_difference(void *context, const char *text)
{
	json_array_append_new(context, json_string(text));
}

static int ask_loop(struct kf_daemon *daemon, void *context)
{
	struct numbers *numbers = context;
	const char *words;

	numbers->store_failing = kf_store_failing(daemon->store, &words);
	numbers->store_unsure = kf_store_is_unsure(daemon->store);
	snprintf(numbers->store_words, sizeof(numbers->store_words), "%s", words);
	numbers->loading = daemon->policy->loading;
	numbers->loaded = kf_policy_reconcile_keys_done(daemon->policy);
	numbers->flows_live = kf_traffic_flows_live(daemon->flows);
	kf_policy_mend_describe(daemon->policy, on_difference, numbers->differences);
	numbers->cannot_cut = kf_traffic_cut_is_unable(daemon->cut);
	return 0;
}

static int count_service(void *context, const struct kf_service_row *row)
{
	++*(uint64_t *)context;
	return 0;
}

static int count(struct kf_daemon *daemon, struct numbers *numbers)
{
	struct kf_maps *maps = daemon->maps;
	int err;

	*numbers = (struct numbers){
		.differences = json_array(),
		.penalised = kf_traffic_penalty_count(maps),
		.flows_max = kf_maps_entries(maps, KF_MAP_kf_flows),
		.keys_max = kf_maps_entries(maps, KF_MAP_kf_slots),
		.sources_max = kf_maps_entries(maps, KF_MAP_kf_prefixes),
	};
	err = kf_ask(daemon, ask_loop, numbers);
	if (!err)
		err = kf_store_service_each(daemon->store, count_service, &numbers->services);
	if (!err)
		err = kf_store_source_count(daemon->store, &numbers->sources);
	return err ? err
		   : kf_store_key_count(daemon->store, kf_policy_time(daemon->policy).wall_ns,
					&numbers->keys);
}

/* ---- what is wrong --------------------------------------------------------------------------- */

static void complain(json_t *list, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

static void complain(json_t *list, const char *fmt, ...)
{
	char text[1024];
	va_list args;

	va_start(args, fmt);
	vsnprintf(text, sizeof(text), fmt, args);
	va_end(args);
	json_array_append_new(list, json_string(text));
}

bool kf_api_status_is_nearly_full(uint64_t used, uint64_t max)
{
	return max && used * 100 >= max * NEARLY_FULL;
}

static void check_room(json_t *list, const char *what, uint64_t used, uint64_t max,
		       const char *setting)
{
	if (kf_api_status_is_nearly_full(used, max))
		complain(list,
			 "%s: %llu of %llu places are taken; raise %s and restart after "
			 "`keyfilterd --unload`",
			 what, (unsigned long long)used, (unsigned long long)max, setting);
}

static int check_iface(json_t *list, struct kf_daemon *daemon, const struct kf_iface_row *row)
{
	struct kf_attach_iface_view view;

	kf_attach_iface_view(daemon, row, &view);
	if (view.state == KF_IFACE_MISSING && !*view.error)
		complain(list, "%s: the interface is missing, so nothing is filtered there; %s",
			 row->dev, "it is attached when it comes back, or detach it");
	else if (view.state == KF_IFACE_FAILED)
		complain(list, "%s: nothing is filtered there: %s", row->dev, view.error);
	else if (*view.error)
		complain(list, "%s: %s", row->dev, view.error);
	return 0;
}

struct trouble {
	struct kf_daemon *daemon;
	json_t *list;
	unsigned int ifaces;
};

static int on_iface(void *context, const struct kf_iface_row *row)
{
	struct trouble *trouble = context;

	trouble->ifaces++;
	return check_iface(trouble->list, trouble->daemon, row);
}

/*
 * Without the JIT programs are interpreted, which is slow. Only root reads the file; it may be
 * missing.
 */
static void check_jit(json_t *list)
{
	_cleanup_fclose_ FILE *file = fopen("/proc/sys/net/core/bpf_jit_enable", "re");

	if (file && fgetc(file) == '0')
		complain(list, "the kernel's BPF JIT is off, so every packet costs more; sysctl "
			       "net.core.bpf_jit_enable=1");
}

/*
 * Where a service is to reply but cannot, its refused clients get a reset, or else nothing. The
 * request is never let through.
 */
static int check_answers(void *context, const struct kf_service_row *row)
{
	struct trouble *trouble = context;
	struct kf_counters counters;
	int err = kf_maps_counters(trouble->daemon->maps, row->index, &counters);

	if (err)
		return err;
	if (counters.replies_reset)
		complain(trouble->list,
			 "%s: %llu refused clients got a reset instead of a reply since the maps "
			 "were made, for their packet could not be made into one: the kernel had "
			 "no memory, or somebody took the answers out of kf_answers; free memory, "
			 "and restart keyfilterd, which writes them",
			 row->name, (unsigned long long)counters.replies_reset);
	if (counters.replies_failed)
		complain(trouble->list,
			 "%s: %llu refused clients were told nothing since the maps were made and "
			 "wait for their own time-out, for not even a reset could be made of their "
			 "packet: it had long IPv6 extension headers, or the kernel had no memory; "
			 "keep such headers off this path, or free memory",
			 row->name, (unsigned long long)counters.replies_failed);
	return 0;
}

/* Revocations are in force meanwhile, but nothing is made durable. */
static void check_store(json_t *list, const struct numbers *numbers)
{
	if (!numbers->store_failing)
		return;
	complain(list, "nothing can be stored: %s%s; %s", numbers->store_words,
		 numbers->store_unsure ? ", and it is not known whether the last change is stored"
				       : "",
		 kf_store_mend(numbers->store_failing));
}

/* Interfaces are not attached before all keys are in the kernel: says so, too. */
static void check_loading(json_t *list, const struct numbers *numbers)
{
	if (numbers->loading)
		complain(list,
			 "keyfilterd is starting: %u %% of the keys have been compared with the "
			 "kernel, where the filter goes on as before, if it ran; what is revoked "
			 "now is in force at once, new keys and interfaces wait until it is done",
			 numbers->loaded);
}

static json_t *find_trouble(struct kf_daemon *daemon, const struct numbers *numbers)
{
	_cleanup_json_ json_t *list = json_array();
	struct trouble trouble = { daemon, list, 0 };

	check_loading(list, numbers);
	check_store(list, numbers);
	json_array_extend(list, numbers->differences);
	if (kf_store_iface_each(daemon->store, on_iface, &trouble))
		complain(
			list,
			"the interfaces cannot be read: %s; see to the disk of the state directory",
			kf_store_error(daemon->store));
	else if (!trouble.ifaces)
		complain(list, "no interface is attached, so nothing is filtered; attach one: "
			       "`keyfilterctl iface attach DEV`");
	if (!numbers->services)
		complain(list, "there is no service, so nothing is filtered; add one: "
			       "`keyfilterctl service add NAME --listen ADDR:PORT`");
	if (kf_store_service_each(daemon->store, check_answers, &trouble))
		complain(list, "the counters of the services cannot be read; restart keyfilterd");
	check_room(list, "connections", numbers->flows_live, numbers->flows_max, "flows_max");
	check_room(list, "keys", numbers->keys.total, numbers->keys_max, "keys_max");
	check_room(list, "sources", numbers->sources, numbers->sources_max, "sources_max");
	if (numbers->cannot_cut)
		complain(list, "this kernel cannot end TCP sockets, so silent requests of revoked "
			       "keys and denied sources end at their next packet only; boot one "
			       "with CONFIG_INET_DIAG_DESTROY");
	check_jit(list);
	return TAKE_PTR(list);
}

/* ---- handlers -------------------------------------------------------------------------------- */

static uint64_t uptime_seconds(const struct kf_daemon *daemon)
{
	return (kf_clock_boot() - daemon->started_ns) / 1000000000u;
}

static json_t *process_json(const struct kf_daemon *daemon, const struct numbers *n)
{
	return json_pack("{s:s, s:s, s:i, s:i, s:I, s:s, s:s, s:s}", "version", KF_VERSION, "state",
			 n->loading ? "starting" : "running", "abi", (int)KF_ABI_VERSION, "pid",
			 (int)getpid(), "uptime_s", (json_int_t)uptime_seconds(daemon), "state_dir",
			 daemon->state_dir, "run_dir", daemon->run_dir, "pin_dir", daemon->pin_dir);
}

static json_t *numbers_json(const struct numbers *n)
{
	json_t *keys = json_pack(
		"{s:I, s:I, s:I, s:I, s:I}", "total", (json_int_t)n->keys.total, "enabled",
		(json_int_t)n->keys.enabled, "disabled", (json_int_t)n->keys.disabled, "expired",
		(json_int_t)n->keys.expired, "exhausted", (json_int_t)n->keys.exhausted);
	json_t *flows = json_pack("{s:I, s:I}", "live", (json_int_t)n->flows_live, "max",
				  (json_int_t)n->flows_max);

	return json_pack("{s:I, s:o, s:I, s:I, s:o, s:I, s:I}", "services", (json_int_t)n->services,
			 "keys", keys, "sources", (json_int_t)n->sources, "penalised",
			 (json_int_t)n->penalised, "flows", flows, "keys_max",
			 (json_int_t)n->keys_max, "sources_max", (json_int_t)n->sources_max);
}

static int handle_show(struct kf_api_request *request)
{
	static const char *const none[] = { NULL };
	struct kf_daemon *daemon = request->daemon;
	_cleanup_(numbers_end) struct numbers n = { 0 };
	int err = kf_api_parameters(request, none);
	json_t *json;

	if (!err)
		err = kf_api_no_members(request);
	if (!err)
		err = count(daemon, &n);
	if (err)
		return err;
	json = kf_api_join(process_json(daemon, &n), numbers_json(&n));
	json = kf_api_join(json, json_pack("{s:o, s:o}", "ifaces", kf_api_iface_json_all(daemon),
					   "degraded", find_trouble(daemon, &n)));
	return kf_api_reply(request, MHD_HTTP_OK, json);
}

/* The loop ends once the answer is out (http.c); main.c does what was asked. */
static int handle_unload(struct kf_api_request *request)
{
	int err = kf_api_no_members(request);

	if (err)
		return err;
	kf_log_notice("asked to unload: taking the filter off all interfaces, then ending");
	request->daemon->unload = true;
	return kf_api_reply(request, MHD_HTTP_OK,
			    json_pack("{s:s, s:i}", "state", "unloading", "pid", (int)getpid()));
}

const struct kf_api_route kf_api_status_routes[] = {
	{ "GET", "/v1/status", handle_show, false },
	{ "POST", "/v1/unload", handle_unload, false },
	{ 0 },
};
