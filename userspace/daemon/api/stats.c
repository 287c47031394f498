// SPDX-License-Identifier: GPL-2.0-only
#include "api/request.h"

#include <errno.h>

#include <microhttpd.h>

#include "api/route.h"
#include "cleanup.h"
#include "maps/maps.h"
#include "store/store.h"
#include "traffic/events.h"

static const char *mode_name(uint8_t mode)
{
	return mode == KF_MODE_MONITOR ? "monitor" : "enforce";
}

/* Lists every reason, also those with 0 packets. */
static json_t *packets_json(const struct kf_counters *counters)
{
	_cleanup_json_ json_t *packets = json_object();

	for (unsigned int reason = 0; reason < KF_REASON_COUNT; reason++)
		if (kf_traffic_events_reason_occurs(reason) &&
		    json_object_set_new(packets, kf_traffic_events_reason_name(reason),
					json_integer((json_int_t)counters->packets[reason])))
			return NULL;
	return TAKE_PTR(packets);
}

struct services {
	struct kf_daemon *daemon;
	json_t *array;
};

/* How refused clients were told, and what else was ended. */
static json_t *told_json(const struct kf_counters *counters)
{
	return json_pack("{s:I, s:I, s:I, s:I, s:I, s:I}", "replies", (json_int_t)counters->replies,
			 "resets", (json_int_t)counters->resets, "replies_reset",
			 (json_int_t)counters->replies_reset, "replies_failed",
			 (json_int_t)counters->replies_failed, "flows_cut",
			 (json_int_t)counters->flows_cut, "penalties",
			 (json_int_t)counters->penalties);
}

static int append_service(void *context, const struct kf_service_row *row)
{
	struct services *services = context;
	_cleanup_json_ json_t *value = NULL, *told = NULL;
	struct kf_counters counters;
	int err = kf_maps_counters(services->daemon->maps, row->index, &counters);

	if (err)
		return err;
	value = json_pack(
		"{s:s, s:s, s:I, s:I, s:o}", "name", row->name, "mode", mode_name(row->mode),
		"requests_admitted", (json_int_t)counters.requests_admitted, "requests_refused",
		(json_int_t)counters.requests_refused, "packets", packets_json(&counters));
	told = told_json(&counters);
	if (!value || !told || json_object_update(value, told))
		return -ENOMEM;
	return json_array_append(services->array, value) ? -ENOMEM : 0;
}

static int handle_show(struct kf_api_request *request)
{
	static const char *const none[] = { NULL };
	_cleanup_json_ json_t *array = json_array();
	struct services services = { request->daemon, array };
	struct kf_unread unread;
	uint64_t suppressed, lost;
	int err = kf_api_parameters(request, none);

	if (!err)
		err = kf_api_no_members(request);
	if (!err)
		err = kf_store_service_each(request->daemon->store, append_service, &services);
	if (!err)
		err = kf_maps_event_losses(request->daemon->maps, &suppressed, &lost);
	if (!err)
		err = kf_maps_unread(request->daemon->maps, &unread);
	if (err)
		return err;
	return kf_api_reply(request, MHD_HTTP_OK,
			    json_pack("{s:o, s:{s:I, s:I}, s:{s:I, s:I}}", "services",
				      TAKE_PTR(array), "events", "suppressed",
				      (json_int_t)suppressed, "lost", (json_int_t)lost, "unread",
				      "headers", (json_int_t)unread.packets[KF_UNREAD_HEADERS],
				      "routed", (json_int_t)unread.packets[KF_UNREAD_ROUTED]));
}

const struct kf_api_route kf_api_stats_routes[] = {
	{ "GET", "/v1/stats", handle_show, false },
	{ 0 },
};
