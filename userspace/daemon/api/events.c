// SPDX-License-Identifier: GPL-2.0-only
#include "api/api.h"

#include <errno.h>
#include <string.h>

#include <microhttpd.h>

#include "cleanup.h"
#include "traffic/events.h"

/* Those that are pushed out by newer ones meanwhile are left out. */
static json_t *list_events(struct kf_events *events)
{
	_cleanup_json_ json_t *list = json_array();
	uint64_t end = kf_traffic_events_next_seq(events);
	struct kf_events_entry entry;

	for (uint64_t seq = kf_traffic_events_oldest_seq(events); seq < end; seq++)
		if (kf_traffic_events_copy(events, seq, &entry) &&
		    json_array_append_new(list, kf_traffic_events_json(&entry)))
			return NULL;
	return TAKE_PTR(list);
}

int kf_api_events_list(struct kf_api_request *request)
{
	static const char *const known[] = { "follow", NULL };
	const char *follow;
	int err = kf_api_parameters(request, known) ?: kf_api_no_members(request);

	if (err)
		return err;
	follow = kf_api_parameter(request, "follow");
	if (!follow || !strcmp(follow, "0"))
		return kf_api_reply(
			request, MHD_HTTP_OK,
			json_pack("{s:o}", "events", list_events(request->daemon->events)));
	if (strcmp(follow, "1"))
		return kf_api_refuse(request, MHD_HTTP_BAD_REQUEST, "bad_parameter",
				     "give 1 or leave it out", "`follow` cannot be '%.40s'",
				     follow);
	return kf_api_follow(request);
}
