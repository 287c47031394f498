// SPDX-License-Identifier: GPL-2.0-only
/* kf_penalties, memory-mapped, while the programs count and raise in it. */
#include "maps/open.h"

static struct kf_penalty *penalty_at(const struct kf_maps *maps, uint32_t place)
{
	if (place / KF_PENALTY_WAYS >= maps->spec[KF_MAP_kf_penalties].max_entries)
		return NULL;
	return &maps->penalties[place / KF_PENALTY_WAYS].ways[place % KF_PENALTY_WAYS];
}

/* A place that is given to another source meanwhile is seen as free: the next look finds it. */
bool kf_maps_penalty(const struct kf_maps *maps, uint32_t place, struct kf_penalty *out)
{
	const struct kf_penalty *penalty = penalty_at(maps, place);
	struct kf_penalty copy;

	copy.unit = penalty ? __atomic_load_n(&penalty->unit, __ATOMIC_ACQUIRE) : 0;
	if (!copy.unit || copy.unit == KF_PENALTY_GIVING)
		return false;
	copy.until_ns = __atomic_load_n(&penalty->until_ns, __ATOMIC_RELAXED);
	copy.window = __atomic_load_n(&penalty->window, __ATOMIC_RELAXED);
	copy.failures = __atomic_load_n(&penalty->failures, __ATOMIC_RELAXED);
	copy.successes = __atomic_load_n(&penalty->successes, __ATOMIC_RELAXED);
	copy.level = __atomic_load_n(&penalty->level, __ATOMIC_RELAXED);
	copy.service = __atomic_load_n(&penalty->service, __ATOMIC_RELAXED);
	copy.pad = 0;
	__atomic_thread_fence(__ATOMIC_ACQUIRE);
	if (__atomic_load_n(&penalty->unit, __ATOMIC_RELAXED) != copy.unit)
		return false;
	*out = copy;
	return true;
}

/*
 * The time last: a failure that is counted in between must not raise a penalty on the old counts.
 */
void kf_maps_penalty_forgive(struct kf_maps *maps, uint32_t place)
{
	struct kf_penalty *penalty = penalty_at(maps, place);

	if (!penalty)
		return;
	__atomic_store_n(&penalty->failures, 0, __ATOMIC_RELAXED);
	__atomic_store_n(&penalty->successes, 0, __ATOMIC_RELAXED);
	__atomic_store_n(&penalty->level, 0, __ATOMIC_RELAXED);
	__atomic_store_n(&penalty->until_ns, 0, __ATOMIC_RELEASE);
}
