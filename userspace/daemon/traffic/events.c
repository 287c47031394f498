// SPDX-License-Identifier: GPL-2.0-only
#include "traffic/events.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include <bpf/libbpf.h>

#include "cleanup.h"
#include "clock.h"
#include "maps/maps.h"
#include "policy/compile.h"
#include "policy/key.h"
#include "policy/policy.h"
#include "why.h"

#define AT_A_TIME 256 /* events, before the loop may do something else */

struct kf_events {
	struct kf_policy *policy;
	struct ring_buffer *ring;
	unsigned int taken;	    /* by the dispatch that is running */
	kf_events_listen_fn listen; /* or NULL */
	void *listener;
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

void kf_traffic_events_listen(struct kf_events *events, kf_events_listen_fn fn, void *context)
{
	events->listen = fn;
	events->listener = context;
}

static void tell(struct kf_events *events)
{
	if (events->listen)
		events->listen(events->listener);
}

static void keep_and_tell(struct kf_events *events, struct kf_events_entry *entry)
{
	keep(events, entry);
	tell(events);
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
		kf_policy_revoke(events->policy,
				 KF_REVOKED_SOURCES); /* sooner than the watch sees it */
	look_up(events, &entry);
	keep(events, &entry);
	return ++events->taken < AT_A_TIME ? 0 : -EAGAIN;
}

int kf_traffic_events_dispatch(struct kf_events *events)
{
	int err;

	events->taken = 0;
	err = ring_buffer__consume(events->ring);
	if (events->taken)
		tell(events);
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
	keep_and_tell(events, &entry);
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

	keep_and_tell(events, &entry);
}

void kf_traffic_events_add_cut(struct kf_events *events, const struct kf_event *event)
{
	struct kf_events_entry entry = { .event = *event };

	look_up(events, &entry);
	keep_and_tell(events, &entry);
}

void kf_traffic_events_add_filter(struct kf_events *events, const char *dev, bool restored)
{
	struct kf_events_entry entry = {
		.filter = restored ? "filter_restored" : "filter_lost",
		.wall_ns = kf_clock_now().wall_ns,
		.event = { .slot = KF_SLOT_NONE },
	};

	set_iface(&entry, dev);
	keep_and_tell(events, &entry);
}

static int remember_name(void *context, const struct kf_service_row *row)
{
	struct kf_events *events = context;

	if (row->index < KF_SERVICES_MAX)
		memcpy(events->services[row->index], row->name, sizeof(row->name));
	return 0;
}

/*
 * Names of what was removed stay until their index is used again: the ring may still have events.
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
	return reason < KF_REASON_COUNT;
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
