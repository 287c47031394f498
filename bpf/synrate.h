/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * synrate.h - how many SYNs a second one source may send to a service. Off unless the operator
 * turns it on.
 *
 * A SYN proves nothing about its address, so no state is made for it: kf_syns has a fixed number of
 * cells, each the theoretical arrival time of the generic cell rate algorithm (ITU-T I.371), and a
 * source has two of them, by two keyed hashes. It conforms while either cell does: a source that
 * shares one with another that floods still has the other. Only as much is put into a cell as the
 * lower one of the two asks for, so that the busy cell hurts no third source. Two services with
 * different limits do not share their cells.
 *
 * What forged SYNs can do: they use up the share of the source that they name, and while they go on
 * it opens no new connection here. It keeps those that it has, and is not penalised. That is why
 * this is off by default: it helps against real sources that open too many connections; against
 * forged ones the backend's SYN cookies do.
 */
#ifndef KEYFILTER_SYNRATE_H
#define KEYFILTER_SYNRATE_H

#include <keyfilter/sourcehash.h>

#include "maps.bpf.h"
#include "service.h"
#include "source.h"

#define KF_SYN_TRIES  32
#define KF_SYN_LOCKED 1ull /* the lowest bit of a cell: a nanosecond does not matter */

static __always_inline __u64 *kf_synrate_cell(__u32 index)
{
	return bpf_map_lookup_elem(&kf_syns, &index);
}

static __always_inline __u64 kf_synrate_tat(const __u64 *cell)
{
	return *(const volatile __u64 *)cell & ~KF_SYN_LOCKED;
}

static __always_inline bool kf_synrate_lock(__u64 *cell)
{
	for (int i = 0; i < KF_SYN_TRIES; i++) {
		__u64 tat = kf_synrate_tat(cell);

		if (__sync_val_compare_and_swap(cell, tat, tat | KF_SYN_LOCKED) == tat)
			return true;
	}
	return false;
}

/* Brings the cell to @tat, if it is behind that, and unlocks it. */
static __always_inline void kf_synrate_unlock(__u64 *cell, __u64 tat)
{
	__u64 old = kf_synrate_tat(cell);

	__sync_lock_test_and_set(cell, old > tat ? old : tat);
}

/* When the next SYN would be due, now or later, by the cell that is less behind with its work. */
static __always_inline __u64 kf_synrate_due(const __u64 *first, const __u64 *second, __u64 now)
{
	__u64 a = kf_synrate_tat(first), b = kf_synrate_tat(second);
	__u64 lower = a < b ? a : b;

	return lower > now ? lower : now;
}

/*
 * Both cells at once, so that no number of CPUs lets one SYN too many through; locked in the order
 * of their places. Where one of them stays locked until the tries are used up the SYN does not
 * conform.
 */
static __always_inline bool kf_synrate_take(__u64 *first, __u64 *second,
					    const struct kf_service *service, __u64 now)
{
	bool conforms;
	__u64 due;

	if (!kf_synrate_lock(first))
		return false;
	if (second != first && !kf_synrate_lock(second)) {
		kf_synrate_unlock(first, 0);
		return false;
	}
	due = kf_synrate_due(first, second, now);
	conforms = due - now <= service->syn_burst_ns;
	due = conforms ? (due + service->syn_interval_ns) & ~KF_SYN_LOCKED : 0;
	if (second != first)
		kf_synrate_unlock(second, due);
	kf_synrate_unlock(first, due);
	return conforms;
}

/* May one more SYN of the source that @client belongs to pass? */
static __always_inline bool kf_synrate_conforms(const struct kf_config *config,
						const struct kf_service *service,
						const __u8 *client)
{
	__u64 interval = service->syn_interval_ns, now, hash;
	__u64 *first, *second;
	__u32 low, high;

	if (!interval)
		return true;
	hash = kf_source_hash(config->flow_secret,
			      kf_source_unit_load(client) ^ interval << 20 ^ service->syn_burst_ns);
	low = hash & config->syn_mask;
	high = hash >> 32 & config->syn_mask;
	first = kf_synrate_cell(low < high ? low : high);
	second = kf_synrate_cell(low < high ? high : low);
	if (!first || !second)
		return true;
	now = bpf_ktime_get_boot_ns();
	/* a source that floods is turned away before a cell is locked that others need */
	if (kf_synrate_due(first, second, now) - now > service->syn_burst_ns)
		return false;
	return kf_synrate_take(first, second, service, now);
}

/* Is @p a SYN of a source that has sent too many? Allowed ones may send as many as they like. */
__noinline int kf_synrate_exceeds(const struct kf_packet *p)
{
	struct kf_config *config = kf_config_get();
	struct kf_service *service;

	if (!p || !config || (p->tcp_flags & KF_TCP_ACK))
		return 0;
	service = kf_service_at(p->service);
	return service && service->syn_interval_ns &&
	       !kf_synrate_conforms(config, service, p->key.client) &&
	       !kf_source_is_allowed(p, config);
}

#endif /* KEYFILTER_SYNRATE_H */
