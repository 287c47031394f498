// SPDX-License-Identifier: GPL-2.0-only
#include "api/events.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include <keyfilter/detail.h>
#include <microhttpd.h>

#include "api/request.h"
#include "api/route.h"
#include "cidr.h"
#include "cleanup.h"
#include "endpoint.h"
#include "timetext.h"
#include "traffic/events.h"

#define REQUEST_ID_TEXT (sizeof("req_") + KF_ANSWER_ID_DIGITS)

/* ---- as JSON --------------------------------------------------------------------------------- */

static const char *text_or_null(const char *text)
{
	return *text ? text : NULL;
}

static const char *kind_name(const struct kf_events_entry *entry)
{
	if (entry->filter)
		return entry->filter;
	switch (entry->event.kind) {
	case KF_EVENT_REFUSED:
		return "refused";
	case KF_EVENT_CUT:
		return "cut";
	case KF_EVENT_PENALTY:
		if (entry->others)
			return "penalties_ended";
		return entry->penalty_ended ? "penalty_ended" : "penalty_raised";
	default:
		return "unknown";
	}
}

/* What a penalty holds for: an IPv4 address or an IPv6 /64, as kf_source_unit() has it. */
static const char *source_of(const struct kf_events_entry *entry, char text[static KF_CIDR_TEXT])
{
	const struct kf_event *event = &entry->event;
	struct kf_cidr cidr = { .prefix_len = KF_CIDR_BITS };

	if (event->kind != KF_EVENT_PENALTY || entry->others)
		return NULL;
	memcpy(cidr.addr, event->client, sizeof(cidr.addr));
	if (!kf_cidr_is_v4(&cidr)) {
		cidr.prefix_len = 64;
		kf_cidr_mask(&cidr);
	}
	kf_cidr_format(&cidr, text);
	return text;
}

/* As the kernel writes it into the answer (bpf/answer.h). */
static const char *request_id(const struct kf_event *event, char text[static REQUEST_ID_TEXT])
{
	if (!event->request_id)
		return NULL;
	snprintf(text, REQUEST_ID_TEXT, "req_%0*" PRIx64, KF_ANSWER_ID_DIGITS,
		 (uint64_t)event->request_id);
	return text;
}

/* The members about the connection; null in events that the controller makes itself. */
static json_t *packet_json(const struct kf_events_entry *entry)
{
	const struct kf_event *event = &entry->event;
	char client[KF_ENDPOINT_TEXT], server[KF_ENDPOINT_TEXT];

	if (entry->penalty_ended || entry->filter)
		return json_pack("{s:n, s:n, s:n, s:n, s:s?, s:n}", "client", "client_port",
				 "server", "server_port", "iface",
				 entry->filter ? text_or_null(entry->iface) : NULL, "key_id");
	return json_pack("{s:s, s:i, s:s, s:i, s:s?, s:s?}", "client",
			 kf_endpoint_address(event->client, client), "client_port",
			 event->client_port, "server", kf_endpoint_address(event->server, server),
			 "server_port", event->server_port, "iface", text_or_null(entry->iface),
			 "key_id", text_or_null(entry->key_id));
}

static json_t *positive_or_null(uint32_t number)
{
	return number ? json_integer(number) : json_null();
}

/* Numbers that only some events have: a refusal's retry time, a penalty's length. */
static json_t *numbers_json(const struct kf_events_entry *entry)
{
	bool penalty = entry->event.kind == KF_EVENT_PENALTY;
	uint32_t seconds = entry->event.retry_after;

	return json_pack("{s:o, s:o, s:o}", "retry_after_s",
			 positive_or_null(penalty ? 0 : seconds), "penalty_s",
			 positive_or_null(penalty ? seconds : 0), "count",
			 positive_or_null(entry->others));
}

json_t *kf_api_events_json(const struct kf_events_entry *entry)
{
	const struct kf_event *event = &entry->event;
	char time[KF_TIMETEXT_SIZE], id[REQUEST_ID_TEXT], source[KF_CIDR_TEXT];
	const char *detail = event->detail ? kf_detail_name(event->detail) : NULL;
	json_t *json = json_pack(
		"{s:I, s:s, s:s, s:s?, s:s?, s:s?, s:s?, s:s?, s:b}", "seq", (json_int_t)entry->seq,
		"time", kf_timetext_format_micros(entry->wall_ns, time), "event", kind_name(entry),
		"service", text_or_null(entry->service), "reason",
		entry->filter ? NULL : kf_traffic_events_reason_name(event->reason), "detail",
		detail, "request_id", request_id(event, id), "source", source_of(entry, source),
		"monitor", event->monitor);

	return kf_api_join(kf_api_join(json, numbers_json(entry)), packet_json(entry));
}

/* ---- handlers -------------------------------------------------------------------------------- */

/* Leaves out events that newer ones push out while the list is made. */
static json_t *list_events(struct kf_events *events)
{
	_cleanup_json_ json_t *list = json_array();
	uint64_t end = kf_traffic_events_next_seq(events);
	struct kf_events_entry entry;

	for (uint64_t seq = kf_traffic_events_oldest_seq(events); seq < end; seq++)
		if (kf_traffic_events_copy(events, seq, &entry) &&
		    json_array_append_new(list, kf_api_events_json(&entry)))
			return NULL;
	return TAKE_PTR(list);
}

static int handle_list(struct kf_api_request *request)
{
	static const char *const known[] = { "follow", NULL };
	bool follow = false;
	int err = kf_api_parameters(request, known);

	if (!err)
		err = kf_api_no_members(request);
	if (!err)
		err = kf_api_parameter_flag(request, "follow", &follow);
	if (err)
		return err;
	if (!follow)
		return kf_api_reply(
			request, MHD_HTTP_OK,
			json_pack("{s:o}", "events", list_events(request->daemon->events)));
	return kf_api_follow(request);
}

const struct kf_api_route kf_api_events_routes[] = {
	{ "GET", "/v1/events", handle_list, false },
	{ 0 },
};
