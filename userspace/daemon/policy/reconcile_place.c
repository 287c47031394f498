// SPDX-License-Identifier: GPL-2.0-only
/* The phases of a comparison that go over the places, stretch by stretch: see reconcile_keys.c. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "maps/diff.h"
#include "policy/account.h"
#include "policy/policy.h"
#include "policy/reconcile_keys.h"

struct wanted {
	struct kf_slot_row row;
	bool present;
};

/* The places from first to last, as the store has them now. */
struct stretch {
	struct kf_policy_reconcile_keys *keys;
	uint32_t first, last;
	struct wanted wanted[KF_RECONCILE_STRETCH];
	struct kf_mapdiff blocks;
};

/* ---- what is wanted -------------------------------------------------------------------------- */

static int want_slot(void *context, const struct kf_slot_row *row)
{
	struct stretch *stretch = context;
	struct wanted *wanted = &stretch->wanted[row->slot - stretch->first];

	wanted->row = *row;
	wanted->present = true;
	kf_policy_hold_narrow(kf_policy_hold_find(stretch->keys->policy->holds, row->key),
			      &wanted->row);
	return 0;
}

static int read_rows(struct stretch *stretch)
{
	struct kf_store *store = stretch->keys->policy->store;

	return kf_store_slot_each(store, stretch->first, stretch->last, want_slot, stretch);
}

static int want_block(struct stretch *stretch, uint32_t slot, const struct kf_cidr *cidr)
{
	struct kf_key_prefix prefixes[KF_POLICY_ALLOW_MAX];
	uint32_t count = kf_policy_compile_allow(slot, cidr, prefixes);
	const uint8_t one = 1;
	int err = 0;

	for (uint32_t i = 0; !err && i < count; i++)
		err = kf_maps_diff_want(&stretch->blocks, &prefixes[i], &one);
	return err;
}

/* A key that is held to a narrower list has that one instead. */
static const struct kf_hold *held_list(const struct stretch *stretch, int64_t key)
{
	const struct kf_hold *hold = kf_policy_hold_find(stretch->keys->policy->holds, key);

	return hold && (hold->what & KF_HOLD_ALLOW) ? hold : NULL;
}

/* What is stored is counted whether it is in force or not: it has to fit once it is. */
struct counts {
	struct stretch *stretch;
	uint32_t entries[KF_RECONCILE_STRETCH];
};

static int want_allow(void *context, uint32_t slot, int64_t key, const struct kf_cidr *cidr)
{
	struct kf_key_prefix prefixes[KF_POLICY_ALLOW_MAX];
	struct counts *counts = context;
	struct stretch *stretch = counts->stretch;

	counts->entries[slot - stretch->first] += kf_policy_compile_allow(slot, cidr, prefixes);
	return held_list(stretch, key) ? 0 : want_block(stretch, slot, cidr);
}

static int want_held(struct stretch *stretch, uint32_t i)
{
	const struct wanted *wanted = &stretch->wanted[i];
	const struct kf_hold *hold = wanted->present ? held_list(stretch, wanted->row.key) : NULL;
	int err = 0;

	for (uint32_t j = 0; !err && hold && j < hold->allow_count; j++)
		err = want_block(stretch, stretch->first + i, &hold->allow[j]);
	return err;
}

static int read_blocks_of(struct stretch *stretch)
{
	struct kf_policy_reconcile_keys *keys = stretch->keys;
	struct counts counts = { .stretch = stretch };
	const uint8_t one = 1;
	int err = kf_store_slot_allow_each(keys->policy->store, stretch->first, stretch->last,
					   want_allow, &counts);
	size_t at = kf_policy_reconcile_keys_block_of(keys, stretch->first);

	for (uint32_t i = 0; !err && i <= stretch->last - stretch->first; i++) {
		kf_policy_reconcile_keys_count(keys, stretch->first + i, counts.entries[i]);
		err = kf_policy_hold_count(keys->policy->holds) ? want_held(stretch, i) : 0;
	}
	for (; !err && at < keys->block_count && keys->blocks[at].slot <= stretch->last; at++)
		err = kf_maps_diff_have(&stretch->blocks, &keys->blocks[at], &one);
	return err;
}

/* ---- close ----------------------------------------------------------------------------------- */

static void close_slot(struct kf_policy_reconcile_keys *keys, uint32_t i,
		       const struct wanted *wanted)
{
	const struct kf_slot *slot = kf_maps_slot(keys->maps, i);
	uint64_t expires;

	if (slot->status == KF_KEY_FREE)
		return;
	if (!wanted->present || !kf_policy_reconcile_keys_owns(keys, i, wanted->row.tag)) {
		kf_maps_slot_status(keys->maps, i, KF_KEY_DELETED);
		keys->marks[i] |= KF_RECONCILE_STALE;
		return;
	}
	if (wanted->row.gone && slot->status != KF_KEY_DELETED)
		kf_maps_slot_status(keys->maps, i, KF_KEY_DELETED);
	else if (wanted->row.disabled && slot->status == KF_KEY_ENABLED)
		kf_maps_slot_status(keys->maps, i, KF_KEY_DISABLED);
	expires = kf_policy_compile_deadline(&keys->policy->clock, wanted->row.expires);
	if (expires < slot->expires_ns)
		kf_maps_slot_expires(keys->maps, i, expires);
}

static struct stretch next_stretch(struct kf_policy_reconcile_keys *keys)
{
	uint32_t left = keys->slots - keys->at, most = keys->policy->keys_at_once;
	uint32_t count = left < most ? left : most;

	return (struct stretch){ .keys = keys, .first = keys->at, .last = keys->at + count - 1 };
}

int kf_policy_reconcile_place_close(struct kf_policy_reconcile_keys *keys)
{
	struct stretch stretch = next_stretch(keys);
	int err = read_rows(&stretch);

	if (err)
		return err;
	for (uint32_t i = stretch.first; i <= stretch.last; i++)
		close_slot(keys, i, &stretch.wanted[i - stretch.first]);
	keys->at = stretch.last + 1;
	return keys->at < keys->slots;
}

/* ---- place ----------------------------------------------------------------------------------- */

static int put_off(struct kf_policy_reconcile_keys *keys, uint32_t slot)
{
	if (keys->later_count == keys->later_room) {
		uint32_t room = keys->later_room ? 2 * keys->later_room : 64;
		void *later = reallocarray(keys->later, room, sizeof(*keys->later));

		if (!later)
			return -ENOMEM;
		keys->later = later;
		keys->later_room = room;
	}
	keys->later[keys->later_count++] = slot;
	return 0;
}

static bool is_home(const struct wanted *wanted)
{
	return wanted->row.rate_slot == wanted->row.slot;
}

/*
 * Nothing may stand in the way: what did is gone since TAGS, unless the maps were changed by
 * others.
 */
static int clear_way(struct stretch *stretch)
{
	struct kf_policy_reconcile_keys *keys = stretch->keys;
	int err = 0;

	for (uint32_t i = stretch->first; !err && i <= stretch->last; i++) {
		const struct wanted *wanted = &stretch->wanted[i - stretch->first];

		if (!wanted->present || !kf_policy_reconcile_keys_owns(keys, i, wanted->row.tag))
			err = kf_policy_reconcile_keys_evict(keys, i);
	}
	if (!err)
		kf_policy_reconcile_keys_quiesce(keys);
	return err;
}

/* The place is no key's any more: free, and at once where it was so before the comparison. */
static void release(struct kf_policy_reconcile_keys *keys, uint32_t i)
{
	struct kf_slotpool *pool = keys->policy->slots;
	bool had = kf_maps_slot(keys->maps, i)->status != KF_KEY_FREE;

	if (had)
		kf_maps_slot_status(keys->maps, i, KF_KEY_FREE);
	if ((keys->marks[i] & KF_RECONCILE_KEPT) || !kf_maps_slotpool_is_taken(pool, i))
		return;
	if (had || !keys->policy->loading)
		kf_maps_slotpool_retire(pool, i);
	else
		kf_maps_slotpool_untake(pool, i);
}

static void write_slot(struct kf_policy_reconcile_keys *keys, const struct wanted *wanted)
{
	struct kf_slot want;

	kf_policy_account_key(keys->policy, &wanted->row, false);
	kf_policy_compile_slot(&keys->policy->clock, &wanted->row, &want);
	kf_maps_slot_write(keys->maps, wanted->row.slot, &want);
}

/* Does what the place admits count at its own rate_tat_ns, in the map and as it is wanted? */
static bool counts_at_home(const struct kf_policy_reconcile_keys *keys, const struct wanted *wanted)
{
	return is_home(wanted) &&
	       kf_maps_slot(keys->maps, wanted->row.slot)->rate_slot == wanted->row.slot;
}

static int write_slots(struct stretch *stretch)
{
	struct kf_policy_reconcile_keys *keys = stretch->keys;
	int err = 0;

	for (uint32_t i = stretch->first; !err && i <= stretch->last; i++) {
		const struct wanted *wanted = &stretch->wanted[i - stretch->first];

		if (!wanted->present)
			release(keys, i);
		else if (is_home(wanted))
			write_slot(keys, wanted);
		if (wanted->present && !counts_at_home(keys, wanted))
			err = put_off(keys, i);
	}
	return err;
}

static int add_tags(struct stretch *stretch)
{
	struct kf_policy_reconcile_keys *keys = stretch->keys;
	uint8_t tags[KF_RECONCILE_STRETCH][16];
	uint32_t slots[KF_RECONCILE_STRETCH], count = 0;
	int err;

	for (uint32_t i = stretch->first; i <= stretch->last; i++) {
		const struct wanted *wanted = &stretch->wanted[i - stretch->first];

		if (!wanted->present || !is_home(wanted) || (keys->marks[i] & KF_RECONCILE_TAGGED))
			continue;
		memcpy(tags[count], wanted->row.tag, sizeof(tags[count]));
		slots[count++] = i;
	}
	err = kf_maps_put_many(keys->maps, KF_MAP_kf_tags, tags, slots, count);
	for (uint32_t i = 0; !err && i < count; i++)
		keys->marks[slots[i]] |= KF_RECONCILE_TAGGED;
	return err;
}

static void begin_blocks(struct stretch *stretch)
{
	kf_maps_diff_begin(&stretch->blocks, stretch->keys->maps, KF_MAP_kf_key_allow,
			   sizeof(struct kf_key_prefix), sizeof(uint8_t));
}

/*
 * Deletes the blocks that are not wanted of all stretches to come, at once: a table that is full of
 * the blocks of another store would have no room for those of this one.
 */
static int make_room(struct stretch *now)
{
	struct kf_policy_reconcile_keys *keys = now->keys;
	uint32_t at = keys->at;
	int err = 0;

	while (!err && keys->at < keys->slots) {
		struct stretch stretch = next_stretch(keys);

		begin_blocks(&stretch);
		err = read_rows(&stretch);
		if (!err)
			err = read_blocks_of(&stretch);
		if (!err)
			err = kf_maps_diff_delete(&stretch.blocks);
		kf_maps_diff_end(&stretch.blocks);
		keys->at = stretch.last + 1;
	}
	keys->at = at;
	return err;
}

static int put_blocks(struct stretch *stretch)
{
	int err = kf_maps_diff_put(&stretch->blocks);

	if (err != -ENOSPC && err != -E2BIG)
		return err;
	err = make_room(stretch);
	return err ? err : kf_maps_diff_put(&stretch->blocks);
}

static int place(struct stretch *stretch)
{
	int err = read_rows(stretch);

	if (!err)
		err = read_blocks_of(stretch);
	if (!err)
		err = clear_way(stretch);
	if (!err)
		err = put_blocks(stretch);
	if (!err)
		err = write_slots(stretch);
	if (!err)
		err = kf_maps_diff_delete(&stretch->blocks);
	return err ? err : add_tags(stretch);
}

int kf_policy_reconcile_place_some(struct kf_policy_reconcile_keys *keys)
{
	struct stretch stretch = next_stretch(keys);
	int err;

	begin_blocks(&stretch);
	err = place(&stretch);
	kf_maps_diff_end(&stretch.blocks);
	keys->at = stretch.last + 1;
	return err ? err : keys->at < keys->slots;
}

/* ---- share ----------------------------------------------------------------------------------- */

/* What an older secret has used up goes to the newest one's place. */
int kf_policy_reconcile_place_share(struct kf_policy_reconcile_keys *keys)
{
	struct stretch stretch = { .keys = keys };
	const struct wanted *wanted = &stretch.wanted[0];
	uint32_t slot;
	int err;

	if (keys->at == keys->later_count)
		return 0;
	slot = stretch.first = stretch.last = keys->later[keys->at++];
	err = read_rows(&stretch);
	if (err || !wanted->present)
		return err ? err : 1;
	write_slot(keys, wanted);
	if (wanted->row.rate_slot < keys->slots)
		kf_maps_slot_rate_home(keys->maps, slot, wanted->row.rate_slot);
	if (!(keys->marks[slot] & KF_RECONCILE_TAGGED))
		err = kf_maps_put(keys->maps, KF_MAP_kf_tags, wanted->row.tag, &slot);
	keys->marks[slot] |= KF_RECONCILE_TAGGED;
	return err ? err : 1;
}
