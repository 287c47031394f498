// SPDX-License-Identifier: GPL-2.0-only
/* kf_slots, memory-mapped: the record of a key, and what of its rate is used up. */
#include <stddef.h>
#include <string.h>

#include "clock.h"
#include "maps/open.h"

const struct kf_slot *kf_maps_slot(const struct kf_maps *maps, uint32_t slot)
{
	return slot < maps->spec[KF_MAP_kf_slots].max_entries ? &maps->slots[slot] : NULL;
}

void kf_maps_slot_status(struct kf_maps *maps, uint32_t slot, enum kf_key_status status)
{
	__atomic_store_n(&maps->slots[slot].status, (__u32)status, __ATOMIC_RELEASE);
}

void kf_maps_slot_expires(struct kf_maps *maps, uint32_t slot, uint64_t expires_ns)
{
	__atomic_store_n(&maps->slots[slot].expires_ns, expires_ns, __ATOMIC_RELEASE);
}

void kf_maps_slot_flags(struct kf_maps *maps, uint32_t slot, uint32_t flags)
{
	__atomic_store_n(&maps->slots[slot].flags, flags, __ATOMIC_RELEASE);
}

void kf_maps_slot_group(struct kf_maps *maps, uint32_t slot, uint32_t group)
{
	__atomic_store_n(&maps->slots[slot].group, group, __ATOMIC_RELEASE);
}

void kf_maps_slot_models(struct kf_maps *maps, uint32_t slot, uint32_t models)
{
	__atomic_store_n(&maps->slots[slot].models, models, __ATOMIC_RELEASE);
}

void kf_maps_slot_wallet(struct kf_maps *maps, uint32_t slot, uint32_t wallet)
{
	__atomic_store_n(&maps->slots[slot].wallet, wallet, __ATOMIC_RELEASE);
}

/* The slot at whose time the requests of @slot count. */
static struct kf_slot *rate_home(struct kf_maps *maps, const struct kf_slot *slot)
{
	uint32_t home = slot->rate_slot;

	return &maps->slots[home < maps->spec[KF_MAP_kf_slots].max_entries ? home : 0];
}

/*
 * What is used up, in requests, stays used up when one takes @to instead of @from nanoseconds; but
 * never more than @most, further ahead than which no admitted request brings the time.
 */
static void scale_arrival(struct kf_slot *slot, uint64_t from, uint64_t to, uint64_t most)
{
	uint64_t now = kf_clock_boot();
	__u64 tat = __atomic_load_n(&slot->rate_tat_ns, __ATOMIC_RELAXED), scaled;

	do {
		unsigned __int128 ahead;

		if (tat <= now)
			return;
		ahead = (unsigned __int128)(tat - now) * to / from;
		scaled = now + (ahead < most ? (uint64_t)ahead : most);
	} while (!__atomic_compare_exchange_n(&slot->rate_tat_ns, &tat, scaled, false,
					      __ATOMIC_RELAXED, __ATOMIC_RELAXED));
}

static void raise_arrival(struct kf_slot *slot, const struct kf_slot *from)
{
	__u64 least = __atomic_load_n(&from->rate_tat_ns, __ATOMIC_RELAXED);
	__u64 tat = __atomic_load_n(&slot->rate_tat_ns, __ATOMIC_RELAXED);

	while (tat < least && !__atomic_compare_exchange_n(&slot->rate_tat_ns, &tat, least, false,
							   __ATOMIC_RELAXED, __ATOMIC_RELAXED))
		;
}

/* Raised before, so that the new home does not begin afresh; and after, for what came meanwhile. */
void kf_maps_slot_rate_home(struct kf_maps *maps, uint32_t slot, uint32_t home)
{
	struct kf_slot *moved = &maps->slots[slot], *to = &maps->slots[home];
	const struct kf_slot *from = rate_home(maps, moved);

	if (moved->rate_slot == home)
		return;
	raise_arrival(to, from);
	__atomic_store_n(&moved->rate_slot, home, __ATOMIC_RELEASE);
	raise_arrival(to, from);
}

/*
 * The kernel reads two members and the time, which change one after the other. In between the key
 * is limited, too, unless it was not or will not be; and no request is refused that neither the old
 * rate nor the new one refuses: a larger burst comes first, a smaller one last. The time is held to
 * what the new rate knows once more at the end, for what came meanwhile, and wherever a crash had
 * left it; not so by a slot that counts at a home of another rate, as a crash may leave it: what is
 * used up there is scaled first, with the home.
 */
void kf_maps_slot_rate(struct kf_maps *maps, uint32_t slot, uint64_t rate_interval_ns,
		       uint64_t rate_burst_ns)
{
	struct kf_slot *to = &maps->slots[slot], *home = rate_home(maps, to);
	uint64_t most = rate_burst_ns + rate_interval_ns, before = to->rate_interval_ns;
	bool settled = home == to || home->rate_interval_ns == rate_interval_ns;

	if (rate_interval_ns && rate_burst_ns > to->rate_burst_ns)
		__atomic_store_n(&to->rate_burst_ns, rate_burst_ns, __ATOMIC_RELEASE);
	if (home == to && before && rate_interval_ns && before != rate_interval_ns)
		scale_arrival(home, before, rate_interval_ns, most);
	else if (rate_interval_ns && settled)
		scale_arrival(home, 1, 1, most);
	if (before != rate_interval_ns)
		__atomic_store_n(&to->rate_interval_ns, rate_interval_ns, __ATOMIC_RELEASE);
	if (to->rate_burst_ns != rate_burst_ns)
		__atomic_store_n(&to->rate_burst_ns, rate_burst_ns, __ATOMIC_RELEASE);
	if (rate_interval_ns && settled)
		scale_arrival(home, 1, 1, most);
}

/* Its own record: what closes is stored before what opens. */
static void adjust_slot(struct kf_maps *maps, uint32_t index, const struct kf_slot *want)
{
	const struct kf_slot *slot = &maps->slots[index];

	if (want->status != KF_KEY_ENABLED && slot->status != want->status)
		kf_maps_slot_status(maps, index, want->status);
	if (slot->expires_ns != want->expires_ns)
		kf_maps_slot_expires(maps, index, want->expires_ns);
	if (slot->flags != want->flags)
		kf_maps_slot_flags(maps, index, want->flags);
	if (slot->group != want->group)
		kf_maps_slot_group(maps, index, want->group);
	if (slot->models != want->models)
		kf_maps_slot_models(maps, index, want->models);
	if (slot->wallet != want->wallet)
		kf_maps_slot_wallet(maps, index, want->wallet);
	kf_maps_slot_rate(maps, index, want->rate_interval_ns, want->rate_burst_ns);
	if (slot->status != want->status)
		kf_maps_slot_status(maps, index, want->status);
}

void kf_maps_slot_write(struct kf_maps *maps, uint32_t slot, const struct kf_slot *want)
{
	struct kf_slot *to = &maps->slots[slot];

	if (to->status != KF_KEY_FREE && !memcmp(to->tag, want->tag, sizeof(to->tag))) {
		adjust_slot(maps, slot, want);
		return;
	}
	kf_maps_slot_status(maps, slot, KF_KEY_FREE);
	/* Nothing below may become visible before the store above. */
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	memcpy(to->tag, want->tag, sizeof(to->tag));
	to->flags = want->flags;
	to->expires_ns = want->expires_ns;
	to->rate_interval_ns = want->rate_interval_ns;
	to->rate_burst_ns = want->rate_burst_ns;
	to->rate_slot = want->rate_slot;
	to->group = want->group;
	to->models = want->models;
	to->wallet = want->wallet;
	memset(&to->requests_admitted, 0,
	       sizeof(*to) - offsetof(struct kf_slot, requests_admitted));
	kf_maps_slot_status(maps, slot, want->status);
}

void kf_maps_slot_retag(struct kf_maps *maps, uint32_t slot, const uint8_t tag[static 16])
{
	struct kf_slot *to = &maps->slots[slot];

	kf_maps_slot_status(maps, slot, KF_KEY_FREE);
	kf_maps_quiesce();
	memcpy(to->tag, tag, sizeof(to->tag));
	to->requests_admitted = to->requests_refused = to->last_used_ns = 0;
	kf_maps_slot_status(maps, slot, KF_KEY_DELETED);
}
