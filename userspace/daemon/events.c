// SPDX-License-Identifier: GPL-2.0-only
#include "events.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <bpf/libbpf.h>
#include <keyfilter/detail.h>

#include "cleanup.h"
#include "endpoint.h"
#include "key.h"
#include "maps.h"
#include "policy.h"
#include "reconcile.h"
#include "timetext.h"
#include "why.h"

#define AT_A_TIME 256 /* events, before the loop may do something else */

struct kf_events {
	struct kf_reconcile *reconcile;
	struct ring_buffer *ring;
	unsigned int taken; /* by the dispatch that is running */
	uint64_t next_seq;
	char services[KF_SERVICES_MAX][64];	     /* names, by index */
	struct kf_events_entry kept[KF_EVENTS_KEPT]; /* by seq modulo KF_EVENTS_KEPT */
};

static void look_up(struct kf_events *events, struct kf_events_entry *entry)
{
	const struct kf_event *event = &entry->event;
	const struct kf_clock clock = kf_reconcile_now();

	entry->wall_ns = kf_policy_wall(&clock, event->time_ns);
	memcpy(entry->service, events->services[event->service], sizeof(entry->service));
	if (kf_key_id_of_slot(events->reconcile, event->slot, entry->key_id))
		*entry->key_id = '\0';
	if (!if_indextoname(event->ifindex, entry->iface))
		*entry->iface = '\0';
	for (char *c = entry->iface; *c; c++)
		if (*c & 0x80)
			*c = '?'; /* the kernel takes any bytes as a name, JSON does not */
}

/* libbpf calls this for each record; a negative return ends its loop with the record consumed. */
static int on_record(void *context, void *data, size_t size)
{
	struct kf_events *events = context;
	struct kf_events_entry *entry = &events->kept[events->next_seq % KF_EVENTS_KEPT];

	if (size < sizeof(entry->event))
		return 0; /* of an older layout, which maps.c does not let through */
	*entry = (struct kf_events_entry){ .seq = events->next_seq };
	memcpy(&entry->event, data, sizeof(entry->event));
	look_up(events, entry);
	events->next_seq++;
	return ++events->taken < AT_A_TIME ? 0 : -EAGAIN;
}

int kf_events_dispatch(struct kf_events *events)
{
	int err;

	events->taken = 0;
	err = ring_buffer__consume(events->ring);
	return err < 0 && err != -EAGAIN ? err : (int)events->taken;
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
void kf_events_reload(struct kf_events *events)
{
	kf_store_service_each(events->reconcile->store, remember_name, events);
}

int kf_events_open(struct kf_events **out, struct kf_reconcile *reconcile, struct kf_why *why)
{
	_cleanup_free_ struct kf_events *events = calloc(1, sizeof(*events));
	int fd = kf_maps_fd(reconcile->maps, KF_MAP_kf_events);

	if (!events)
		return kf_why_set(why, -ENOMEM, "no memory for events; free some");
	events->reconcile = reconcile;
	events->next_seq = 1;
	events->ring = ring_buffer__new(fd, on_record, events, NULL);
	if (!events->ring)
		return kf_why_set(why, -errno, "cannot map the events ring: %s; %s",
				  strerror(errno), "see the limits of memory");
	kf_events_reload(events);
	*out = TAKE_PTR(events);
	return 0;
}

void kf_events_close(struct kf_events *events)
{
	if (!events)
		return;
	ring_buffer__free(events->ring);
	free(events);
}

int kf_events_fd(const struct kf_events *events)
{
	return ring_buffer__epoll_fd(events->ring);
}

/* ---- reading ------------------------------------------------------------------------------------
 */

uint64_t kf_events_next_seq(const struct kf_events *events)
{
	return events->next_seq;
}

uint64_t kf_events_oldest_seq(const struct kf_events *events)
{
	return events->next_seq > KF_EVENTS_KEPT ? events->next_seq - KF_EVENTS_KEPT : 1;
}

const struct kf_events_entry *kf_events_get(const struct kf_events *events, uint64_t seq)
{
	if (seq < kf_events_oldest_seq(events) || seq >= events->next_seq)
		return NULL;
	return &events->kept[seq % KF_EVENTS_KEPT];
}

const char *kf_events_reason_name(unsigned int reason)
{
	static const char *const names[] = {
#define X(symbol, name, class, status) [KF_REASON_##symbol] = name,
		KF_REASONS(X)
#undef X
	};

	return reason < KF_REASON_COUNT ? names[reason] : "unknown";
}

static const char *text_or_null(const char *text)
{
	return *text ? text : NULL;
}

json_t *kf_events_json(const struct kf_events_entry *entry)
{
	const struct kf_event *event = &entry->event;
	char time[KF_TIMETEXT_SIZE], client[KF_ENDPOINT_TEXT], server[KF_ENDPOINT_TEXT];
	const char *detail = event->detail ? kf_detail_name(event->detail) : NULL;

	return json_pack("{s:I, s:s, s:s?, s:s, s:s?, s:s, s:i, s:s, s:i, s:s?, s:s?, s:b}", "seq",
			 (json_int_t)entry->seq, "time",
			 kf_timetext_format_micros(entry->wall_ns, time), "service",
			 text_or_null(entry->service), "reason",
			 kf_events_reason_name(event->reason), "detail", detail, "client",
			 kf_endpoint_address(event->client, client), "client_port",
			 event->client_port, "server", kf_endpoint_address(event->server, server),
			 "server_port", event->server_port, "iface", text_or_null(entry->iface),
			 "key_id", text_or_null(entry->key_id), "monitor", event->monitor);
}
