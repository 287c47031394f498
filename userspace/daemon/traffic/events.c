// SPDX-License-Identifier: GPL-2.0-only
#include "traffic/events.h"

#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include <bpf/libbpf.h>
#include <keyfilter/detail.h>

#include "cidr.h"
#include "cleanup.h"
#include "traffic/cut.h"
#include "endpoint.h"
#include "policy/key.h"
#include "maps/maps.h"
#include "policy/compile.h"
#include "policy/policy.h"
#include "timetext.h"
#include "why.h"

#define AT_A_TIME	256 /* events, before the loop may do something else */
#define REQUEST_ID_TEXT (sizeof("req_") + KF_ANSWER_ID_DIGITS)

struct kf_events {
	struct kf_policy *policy;
	struct ring_buffer *ring;
	unsigned int taken;   /* by the dispatch that is running */
	pthread_mutex_t lock; /* of what follows, for all but the loop's own reading */
	uint64_t next_seq;
	struct kf_events_entry kept[KF_EVENTS_KEPT]; /* by seq modulo KF_EVENTS_KEPT */
	char services[KF_SERVICES_MAX][64];	     /* names, by index; the loop's */
};

static void keep(struct kf_events *events, struct kf_events_entry *entry)
{
	pthread_mutex_lock(&events->lock);
	entry->seq = events->next_seq++;
	events->kept[entry->seq % KF_EVENTS_KEPT] = *entry;
	pthread_mutex_unlock(&events->lock);
}

/* The kernel takes any bytes as a name, JSON does not. */
static void set_iface(struct kf_events_entry *entry, const char *dev)
{
	snprintf(entry->iface, sizeof(entry->iface), "%s", dev);
	for (char *c = entry->iface; *c; c++)
		if (*c & 0x80)
			*c = '?';
}

static void look_up(struct kf_events *events, struct kf_events_entry *entry)
{
	const struct kf_event *event = &entry->event;
	const struct kf_clock clock = kf_clock_now();
	char dev[IF_NAMESIZE];

	entry->wall_ns = kf_policy_compile_wall(&clock, event->time_ns);
	memcpy(entry->service, events->services[event->service], sizeof(entry->service));
	if (kf_policy_key_id_of_slot(events->policy, event->slot, entry->key_id))
		*entry->key_id = '\0';
	set_iface(entry, if_indextoname(event->ifindex, dev) ? dev : "");
}

/* libbpf calls this for each record; a negative return ends its loop with the record consumed. */
static int on_record(void *context, void *data, size_t size)
{
	struct kf_events *events = context;
	struct kf_events_entry entry = { 0 };

	if (size < sizeof(entry.event))
		return 0; /* of an older layout, which maps.c does not let through */
	memcpy(&entry.event, data, sizeof(entry.event));
	if (entry.event.kind == KF_EVENT_PENALTY)
		events->policy->revoked |= KF_CUT_SOURCES; /* sooner than the watch sees it */
	look_up(events, &entry);
	keep(events, &entry);
	return ++events->taken < AT_A_TIME ? 0 : -EAGAIN;
}

int kf_traffic_events_dispatch(struct kf_events *events)
{
	int err;

	events->taken = 0;
	err = ring_buffer__consume(events->ring);
	return err < 0 && err != -EAGAIN ? err : (int)events->taken;
}

void kf_traffic_events_add_penalty_end(struct kf_events *events, const uint8_t addr[static 16],
				       uint8_t service, int64_t wall_ns)
{
	struct kf_events_entry entry = {
		.penalty_ended = true,
		.wall_ns = wall_ns,
		.event = {
			.slot = KF_SLOT_NONE,
			.reason = KF_REASON_SOURCE_PENALISED,
			.service = service,
			.kind = KF_EVENT_PENALTY,
		},
	};

	memcpy(entry.event.client, addr, sizeof(entry.event.client));
	memcpy(entry.service, events->services[service], sizeof(entry.service));
	keep(events, &entry);
}

void kf_traffic_events_add_penalty_ends(struct kf_events *events, uint32_t count, int64_t wall_ns)
{
	struct kf_events_entry entry = {
		.penalty_ended = true,
		.others = count,
		.wall_ns = wall_ns,
		.event = {
			.slot = KF_SLOT_NONE,
			.reason = KF_REASON_SOURCE_PENALISED,
			.kind = KF_EVENT_PENALTY,
		},
	};

	keep(events, &entry);
}

void kf_traffic_events_add_cut(struct kf_events *events, const struct kf_event *event)
{
	struct kf_events_entry entry = { .event = *event };

	look_up(events, &entry);
	keep(events, &entry);
}

void kf_traffic_events_add_filter(struct kf_events *events, const char *dev, bool restored)
{
	struct kf_events_entry entry = {
		.filter = restored ? "filter_restored" : "filter_lost",
		.wall_ns = kf_clock_now().wall_ns,
		.event = { .slot = KF_SLOT_NONE },
	};

	set_iface(&entry, dev);
	keep(events, &entry);
}

static int remember_name(void *context, const struct kf_service_row *row)
{
	struct kf_events *events = context;

	if (row->index < KF_SERVICES_MAX)
		memcpy(events->services[row->index], row->name, sizeof(row->name));
	return 0;
}

/* Names of what was removed stay until their index is used again: the ring may still have events.
 */
void kf_traffic_events_reload(struct kf_events *events)
{
	kf_store_service_each(events->policy->store, remember_name, events);
}

int kf_traffic_events_open(struct kf_events **out, struct kf_policy *policy, struct kf_why *why)
{
	_cleanup_free_ struct kf_events *events = calloc(1, sizeof(*events));
	int fd = kf_maps_fd(policy->maps, KF_MAP_kf_events);

	if (!events)
		return kf_why_set(why, -ENOMEM, "no memory for events; free some");
	events->policy = policy;
	events->next_seq = 1;
	pthread_mutex_init(&events->lock, NULL);
	events->ring = ring_buffer__new(fd, on_record, events, NULL);
	if (!events->ring)
		return kf_why_set(why, -errno, "cannot map the events ring: %s; %s",
				  strerror(errno), "see the limits of memory");
	kf_traffic_events_reload(events);
	*out = TAKE_PTR(events);
	return 0;
}

void kf_traffic_events_close(struct kf_events *events)
{
	if (!events)
		return;
	ring_buffer__free(events->ring);
	pthread_mutex_destroy(&events->lock);
	free(events);
}

int kf_traffic_events_fd(const struct kf_events *events)
{
	return ring_buffer__epoll_fd(events->ring);
}

/* ---- reading --------------------------------------------------------------------------------- */

static uint64_t oldest_before(uint64_t next_seq)
{
	return next_seq > KF_EVENTS_KEPT ? next_seq - KF_EVENTS_KEPT : 1;
}

uint64_t kf_traffic_events_next_seq(struct kf_events *events)
{
	uint64_t next;

	pthread_mutex_lock(&events->lock);
	next = events->next_seq;
	pthread_mutex_unlock(&events->lock);
	return next;
}

uint64_t kf_traffic_events_oldest_seq(struct kf_events *events)
{
	return oldest_before(kf_traffic_events_next_seq(events));
}

const struct kf_events_entry *kf_traffic_events_get(const struct kf_events *events, uint64_t seq)
{
	if (seq < oldest_before(events->next_seq) || seq >= events->next_seq)
		return NULL;
	return &events->kept[seq % KF_EVENTS_KEPT];
}

bool kf_traffic_events_copy(struct kf_events *events, uint64_t seq, struct kf_events_entry *out)
{
	const struct kf_events_entry *entry;

	pthread_mutex_lock(&events->lock);
	entry = kf_traffic_events_get(events, seq);
	if (entry)
		*out = *entry;
	pthread_mutex_unlock(&events->lock);
	return entry;
}

bool kf_traffic_events_reason_occurs(unsigned int reason)
{
	switch (reason) {
	case KF_REASON_PROTOCOL_NOT_ALLOWED:
	case KF_REASON_MODEL_NOT_ALLOWED:
	case KF_REASON_KEY_EXHAUSTED:
	case KF_REASON_ACCOUNT_EXHAUSTED:
	case KF_REASON_BODY_NOT_READABLE:
		return false;
	default:
		return reason < KF_REASON_COUNT;
	}
}

const char *kf_traffic_events_reason_name(unsigned int reason)
{
	static const char *const names[] = {
#define X(symbol, name, class, status) [KF_REASON_##symbol] = name,
		KF_REASONS(X)
#undef X
	};

	return reason < KF_REASON_COUNT ? names[reason] : "unknown";
}

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

/* Of the connection; what the controller tells has none. */
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

/* What an event has told: a refusal, when to try again; a penalty, how long it is. */
static json_t *numbers_json(const struct kf_events_entry *entry)
{
	bool penalty = entry->event.kind == KF_EVENT_PENALTY;
	uint32_t seconds = entry->event.retry_after;

	return json_pack("{s:o, s:o, s:o}", "retry_after_s",
			 positive_or_null(penalty ? 0 : seconds), "penalty_s",
			 positive_or_null(penalty ? seconds : 0), "count",
			 positive_or_null(entry->others));
}

json_t *kf_traffic_events_json(const struct kf_events_entry *entry)
{
	const struct kf_event *event = &entry->event;
	char time[KF_TIMETEXT_SIZE], id[REQUEST_ID_TEXT], source[KF_CIDR_TEXT];
	const char *detail = event->detail ? kf_detail_name(event->detail) : NULL;
	_cleanup_json_ json_t *json = json_pack(
		"{s:I, s:s, s:s, s:s?, s:s?, s:s?, s:s?, s:s?, s:b}", "seq", (json_int_t)entry->seq,
		"time", kf_timetext_format_micros(entry->wall_ns, time), "event", kind_name(entry),
		"service", text_or_null(entry->service), "reason",
		entry->filter ? NULL : kf_traffic_events_reason_name(event->reason), "detail",
		detail, "request_id", request_id(event, id), "source", source_of(entry, source),
		"monitor", event->monitor);
	_cleanup_json_ json_t *numbers = numbers_json(entry), *packet = packet_json(entry);

	if (!json || !numbers || !packet || json_object_update(json, numbers) ||
	    json_object_update(json, packet))
		return NULL;
	return TAKE_PTR(json);
}
