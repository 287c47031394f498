/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * penalty.h - stage 3: is a source penalised, so that it is not listened to for a while?
 *
 * A source (kf_source_unit(): an IPv4 address, an IPv6 /64) that fails or succeeds on its
 * established connections gets a place in its set of kf_penalties, found by a keyed hash; how
 * penalty_count.h says.
 */
#ifndef KEYFILTER_PENALTY_H
#define KEYFILTER_PENALTY_H

#include <keyfilter/penaltystate.h>
#include <keyfilter/sourcehash.h>

#include "maps.bpf.h"
#include "packet.h"
#include "source.h"

KF_ABI_AT(struct kf_penalty, window, 16); /* one word with failures, */
KF_ABI_AT(struct kf_penalty, failures, 20);
KF_ABI_AT(struct kf_penalty, successes, 24); /* and one with the rest */

/* The time at the start of a tick; private to each loaded object, as kf_scratch. */
struct kf_tick {
	__u64 jiffies;
	__u64 boot_ns;
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct kf_tick);
} kf_tick SEC(".maps");

/* @field as it is at this moment: other CPUs and the controller write it. */
#define KF_PENALTY_READ(field) (*(const volatile __typeof__(field) *)&(field))

static __always_inline __u64 kf_penalty_counts(const struct kf_penalty *penalty)
{
	return *(const volatile __u64 *)&penalty->window;
}

static __always_inline struct kf_penalty_set *kf_penalty_set_of(const struct kf_config *config,
								__u64 unit)
{
	__u32 index = kf_source_hash(config->flow_secret, unit) & config->penalty_mask;

	return bpf_map_lookup_elem(&kf_penalties, &index);
}

static __always_inline struct kf_penalty *kf_penalty_in(struct kf_penalty_set *set, __u64 unit)
{
#pragma unroll
	for (int i = 0; i < KF_PENALTY_WAYS; i++) {
		if (KF_PENALTY_READ(set->ways[i].unit) == unit)
			return &set->ways[i];
	}
	return NULL;
}

/* Not what stands in free places, nor in one that is being given away. */
static __always_inline bool kf_penalty_is_source(__u64 unit)
{
	return unit && unit != KF_PENALTY_GIVING;
}

/* The place of the source that @client belongs to, NULL where it has none. */
static __always_inline struct kf_penalty *kf_penalty_find(const struct kf_config *config,
							  const __u8 *client)
{
	__u64 unit = kf_source_unit_load(client);
	struct kf_penalty_set *set = kf_penalty_set_of(config, unit);

	return set && kf_penalty_is_source(unit) ? kf_penalty_in(set, unit) : NULL;
}

/*
 * CLOCK_BOOTTIME as this CPU saw it first in this tick (1 to 10 ms): to read it for each packet
 * would cost more than all the rest of a drop does.
 */
static __always_inline __u64 kf_penalty_now(void)
{
	__u64 jiffies = bpf_jiffies64();
	struct kf_tick *tick;
	__u32 zero = 0;

	tick = bpf_map_lookup_elem(&kf_tick, &zero);
	if (!tick)
		return bpf_ktime_get_boot_ns();
	if (tick->jiffies != jiffies) {
		tick->jiffies = jiffies;
		tick->boot_ns = bpf_ktime_get_boot_ns();
	}
	return tick->boot_ns;
}

/* A penalty lasts up to a tick longer than its time. */
static __always_inline bool kf_penalty_in_force(const struct kf_penalty *penalty)
{
	__u64 until = KF_PENALTY_READ(penalty->until_ns);

	return until && kf_penalty_now() < until;
}

#endif /* KEYFILTER_PENALTY_H */
