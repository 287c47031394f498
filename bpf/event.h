/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * event.h - what the controller is told of refusals, cuts and penalties.
 *
 * Events pass a token bucket per CPU; what the bucket or a full ring swallows is counted, never
 * silently lost.
 */
#ifndef KEYFILTER_EVENT_H
#define KEYFILTER_EVENT_H

#include "maps.bpf.h"
#include "packet.h"

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

/* Noinline: the cold side of a refusal. @p is what @note is about. */
static __noinline void kf_event_send(const struct kf_packet *p, const struct kf_config *config,
				     const struct kf_note *note)
{
	__u32 zero = 0;
	__u64 now = bpf_ktime_get_coarse_ns(); /* a read of memory: this runs for every refusal */
	struct kf_event_rate *bucket = bpf_map_lookup_elem(&kf_event_rate, &zero);
	struct kf_event *event;

	if (!bucket)
		return;
	if (!kf_event_permitted(bucket, config->event_rate, now)) {
		bucket->suppressed++;
		return;
	}
	event = bpf_ringbuf_reserve(&kf_events, sizeof(*event), 0);
	if (!event) {
		bucket->lost++;
		return;
	}
	event->time_ns = bpf_ktime_get_boot_ns();
	__builtin_memcpy(event->client, p->key.client, 16);
	__builtin_memcpy(event->server, p->key.server, 16);
	event->client_port = p->key.client_port;
	event->server_port = p->key.server_port;
	event->ifindex = note->ifindex;
	event->slot = note->slot;
	event->reason = note->reason;
	event->detail = p->detail;
	event->service = p->service;
	event->monitor = note->monitor;
	event->request_id = note->request_id;
	event->retry_after = note->retry_after;
	event->kind = note->kind;
	__builtin_memset(event->pad, 0, sizeof(event->pad));
	bpf_ringbuf_submit(event, 0);
}

/* The source of @p is penalised from now on, for @seconds. */
static __always_inline void kf_event_penalty(const struct kf_packet *p,
					     const struct kf_config *config, __u32 ifindex,
					     __u32 seconds)
{
	struct kf_scratch *scratch = kf_scratch_get(KF_INGRESS);
	struct kf_note *note;

	if (!scratch)
		return;
	note = &scratch->note;
	note->request_id = 0;
	note->ifindex = ifindex;
	note->slot = KF_SLOT_NONE;
	note->retry_after = seconds;
	note->reason = KF_REASON_SOURCE_PENALISED;
	note->kind = KF_EVENT_PENALTY;
	note->monitor = 0;
	kf_event_send(p, config, note);
}

#endif /* KEYFILTER_EVENT_H */
