/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * count.h - what is told about a packet: one counter, and for refusals an event.
 *
 * Counters are per CPU and written by the CPU that owns them, so a plain increment does. Events
 * pass a token bucket per CPU; what the bucket or a full ring swallows is counted, never silently
 * lost.
 */
#ifndef KEYFILTER_COUNT_H
#define KEYFILTER_COUNT_H

#include "maps.bpf.h"
#include "packet.h"

static __always_inline struct kf_counters *kf_counters_of(__u32 service)
{
	return bpf_map_lookup_elem(&kf_counters, &service);
}

static __always_inline void kf_count_packet(__u32 service, __u32 reason)
{
	struct kf_counters *counters = kf_counters_of(service);

	KF_LAUNDER(reason); /* the register that is checked is the one that is used */
	if (counters && reason < KF_REASON_MAX)
		counters->packets[reason]++;
}

static __always_inline void kf_count_requests(__u32 service, __u32 admitted, __u32 refused)
{
	struct kf_counters *counters = kf_counters_of(service);

	if (!counters)
		return;
	counters->requests_admitted += admitted;
	counters->requests_refused += refused;
}

/* Takes a token; the bucket holds what one second brings. */
static __always_inline bool kf_event_permitted(struct kf_event_rate *bucket, __u64 rate, __u64 now)
{
	__u64 elapsed = now - bucket->refilled_ns;
	__u64 interval;

	if (!rate)
		return false;
	interval = KF_NSEC_PER_SEC / rate;
	if (elapsed >= KF_NSEC_PER_SEC) {
		bucket->tokens = rate;
		bucket->refilled_ns = now;
	} else if (interval && elapsed >= interval) {
		__u64 earned = elapsed / interval;

		bucket->tokens = bucket->tokens + earned > rate ? rate : bucket->tokens + earned;
		bucket->refilled_ns += earned * interval;
	}
	if (!bucket->tokens)
		return false;
	bucket->tokens--;
	return true;
}

/* Noinline: the cold side of a refusal. */
static __noinline int kf_event_send(const struct kf_packet *p, const struct kf_config *config,
				    __u32 ifindex, __u32 slot, __u32 what)
{
	__u32 zero = 0;
	__u64 now = bpf_ktime_get_coarse_ns(); /* a read of memory: this runs for every refusal */
	struct kf_event_rate *bucket = bpf_map_lookup_elem(&kf_event_rate, &zero);
	struct kf_event *event;

	if (!bucket)
		return 0;
	if (!kf_event_permitted(bucket, config->event_rate, now)) {
		bucket->suppressed++;
		return 0;
	}
	event = bpf_ringbuf_reserve(&kf_events, sizeof(*event), 0);
	if (!event) {
		bucket->lost++;
		return 0;
	}
	event->time_ns = bpf_ktime_get_boot_ns();
	__builtin_memcpy(event->client, p->key.client, 16);
	__builtin_memcpy(event->server, p->key.server, 16);
	event->client_port = p->key.client_port;
	event->server_port = p->key.server_port;
	event->ifindex = ifindex;
	event->slot = slot;
	event->reason = what;
	event->detail = what >> 8;
	event->service = p->service;
	event->monitor = what >> 16;
	bpf_ringbuf_submit(event, 0);
	return 0;
}

/* @reason is one of the classes REFUSE and DROP. */
static __always_inline void kf_event_refusal(const struct kf_packet *p,
					     const struct kf_config *config, __u32 ifindex,
					     __u32 slot, __u32 reason, bool monitor)
{
	kf_event_send(p, config, ifindex, slot,
		      reason | (__u32)p->detail << 8 | (__u32)monitor << 16);
}

#endif /* KEYFILTER_COUNT_H */
