// SPDX-License-Identifier: GPL-2.0-only
/*
 * Brings kf_slots, kf_tags and kf_key_allow to what the store says, while programs use them.
 *
 *  1. close: slots of keys that are gone, disabled or expire earlier;
 *  2. tags that lead to no such slot are deleted: from here on nothing leads to a slot of another
 *     owner;
 *  3. allow-list entries that are missing are added;
 *  4. slots are written, each closed while it changes its owner. Flags say now which keys have an
 *     allow list, after its entries are there. Then the secrets of a key that has several are
 *     made to share its rate;
 *  5. allow-list entries that are not wanted are deleted, after no slot needs them;
 *  6. missing tags are added: only now new keys can be found, and they are complete.
 *
 * A crash between any two steps leaves a state from which the same steps lead on.
 */
#include <string.h>

#include "cleanup.h"
#include "maps/diff.h"
#include "policy/policy.h"
#include "policy/reconcile.h"
#include "why.h"

#define TAGS_AT_ONCE 65536

struct wanted {
	struct kf_slot_row row;
	bool present;
	bool tagged; /* kf_tags leads to it already */
};

struct keys {
	struct kf_policy *policy;
	struct kf_maps *maps;
	struct kf_why *why;
	uint32_t slots;
	struct kf_slotpool *pool; /* those that no key has are free */
	uint64_t allow_entries;
	struct wanted *wanted; /* by slot */
	struct kf_mapdiff allow;
	char *stale; /* tags to delete */
	size_t stale_count;
	size_t stale_room;
};

static void keys_end(struct keys *keys)
{
	kf_maps_slotpool_close(keys->pool);
	free(keys->wanted);
	free(keys->stale);
	kf_maps_diff_end(&keys->allow);
}

/* ---- what is wanted -------------------------------------------------------------------------- */

static int want_slot(void *context, const struct kf_slot_row *row)
{
	struct keys *keys = context;

	if (row->slot >= keys->slots)
		return kf_why_set(keys->why, -ENOSPC,
				  "the store has a key in place %u, keys_max is %u; "
				  "raise keys_max to %u or more",
				  row->slot, keys->slots, row->slot + 1);
	if (keys->wanted[row->slot].present)
		return kf_why_set(keys->why, -EEXIST,
				  "the store is corrupt, it has two keys in place %u; restore it "
				  "from a backup",
				  row->slot);
	keys->wanted[row->slot].row = *row;
	keys->wanted[row->slot].present = true;
	kf_policy_hold_narrow(kf_policy_hold_find(keys->policy->holds, row->key),
			      &keys->wanted[row->slot].row);
	kf_maps_slotpool_mark(keys->pool, row->slot);
	return 0;
}

/* Of a batch that is not whole: not wanted, but nobody else's. */
static int keep_place(void *context, const struct kf_credential_row *row)
{
	struct keys *keys = context;

	if (row->slot < keys->slots && !keys->wanted[row->slot].present)
		kf_maps_slotpool_mark(keys->pool, row->slot);
	return 0;
}

static int keep_places(struct keys *keys)
{
	struct kf_store *store = keys->policy->store;
	struct kf_key_batch_range range;
	int err = kf_store_batch_get(store, &range);

	return err ?: kf_store_batch_each(store, &range, UINT32_MAX, keep_place, keys);
}

static int want_block(struct keys *keys, uint32_t slot, const struct kf_cidr *cidr)
{
	struct kf_key_prefix prefixes[KF_POLICY_ALLOW_MAX];
	uint32_t count = kf_policy_compile_allow(slot, cidr, prefixes);
	const uint8_t one = 1;
	int err = 0;

	for (uint32_t i = 0; !err && i < count; i++)
		err = kf_maps_diff_want(&keys->allow, &prefixes[i], &one);
	return err;
}

/* A key that is held to a narrower list has that one instead. */
static const struct kf_hold *held_list(const struct keys *keys, int64_t key)
{
	const struct kf_hold *hold = kf_policy_hold_find(keys->policy->holds, key);

	return hold && (hold->what & KF_HOLD_ALLOW) ? hold : NULL;
}

/* What is stored is counted whether it is in force or not: it has to fit once it is. */
static int want_allow(void *context, uint32_t slot, int64_t key, const struct kf_cidr *cidr)
{
	struct kf_key_prefix prefixes[KF_POLICY_ALLOW_MAX];
	struct keys *keys = context;

	keys->allow_entries += kf_policy_compile_allow(slot, cidr, prefixes);
	return held_list(keys, key) ? 0 : want_block(keys, slot, cidr);
}

static int want_held(struct keys *keys)
{
	int err = 0;

	for (uint32_t i = 0; kf_policy_hold_count(keys->policy->holds) && i < keys->slots; i++) {
		const struct wanted *wanted = &keys->wanted[i];
		const struct kf_hold *hold =
			wanted->present ? held_list(keys, wanted->row.key) : NULL;

		for (uint32_t j = 0; !err && hold && j < hold->allow_count; j++)
			err = want_block(keys, i, &hold->allow[j]);
	}
	return err;
}

static int read_store(struct keys *keys)
{
	struct kf_store *store = keys->policy->store;
	int err;

	err = kf_store_slot_each(store, false, want_slot, keys);
	if (err == -ENOSPC || err == -EEXIST)
		return err; /* explained where it was found */
	if (!err)
		err = kf_store_slot_allow_each(store, want_allow, keys);
	if (!err)
		err = want_held(keys);
	if (!err)
		err = keep_places(keys);
	if (err)
		return kf_why_set(keys->why, err,
				  "cannot read the keys: %s; restore keyfilter.db from a backup, "
				  "or correct the row with sqlite3",
				  kf_store_error(store));
	return 0;
}

/* ---- the steps ------------------------------------------------------------------------------- */

static bool owns(const struct wanted *wanted, const struct kf_slot *slot)
{
	return wanted->present && !memcmp(wanted->row.tag, slot->tag, sizeof(slot->tag));
}

static void close_slots(struct keys *keys)
{
	for (uint32_t i = 0; i < keys->slots; i++) {
		const struct wanted *wanted = &keys->wanted[i];
		const struct kf_slot *slot = kf_maps_slot(keys->maps, i);
		uint64_t expires;

		if (slot->status == KF_KEY_FREE)
			continue;
		if (!owns(wanted, slot)) {
			kf_maps_slot_status(keys->maps, i, KF_KEY_DELETED);
			continue;
		}
		if (wanted->row.gone && slot->status != KF_KEY_DELETED)
			kf_maps_slot_status(keys->maps, i, KF_KEY_DELETED);
		else if (wanted->row.disabled && slot->status == KF_KEY_ENABLED)
			kf_maps_slot_status(keys->maps, i, KF_KEY_DISABLED);
		expires = kf_policy_compile_deadline(&keys->policy->clock, wanted->row.expires);
		if (expires < slot->expires_ns)
			kf_maps_slot_expires(keys->maps, i, expires);
	}
}

static int check_tag(void *context, const void *key, const void *value)
{
	struct keys *keys = context;
	uint32_t slot;

	memcpy(&slot, value, sizeof(slot));
	if (slot < keys->slots && keys->wanted[slot].present &&
	    !memcmp(keys->wanted[slot].row.tag, key, 16)) {
		keys->wanted[slot].tagged = true;
		return 0;
	}
	if (keys->stale_count == keys->stale_room) {
		size_t room = keys->stale_room ? 2 * keys->stale_room : 256;
		char *stale = reallocarray(keys->stale, room, 16);

		if (!stale)
			return -ENOMEM;
		keys->stale = stale;
		keys->stale_room = room;
	}
	memcpy(keys->stale + 16 * keys->stale_count++, key, 16);
	return 0;
}

static int delete_stale_tags(struct keys *keys)
{
	int err = kf_maps_each(keys->maps, KF_MAP_kf_tags, check_tag, keys);

	if (!err && keys->stale_count) {
		err = kf_maps_delete_many(keys->maps, KF_MAP_kf_tags, keys->stale,
					  (uint32_t)keys->stale_count);
		kf_maps_quiesce(); /* who found one of them before has let go of its slot */
	}
	return err;
}

static void write_slot(struct keys *keys, uint32_t i)
{
	struct kf_slot want;

	if (keys->wanted[i].present) {
		kf_policy_compile_slot(&keys->policy->clock, &keys->wanted[i].row, &want);
		kf_maps_slot_write(keys->maps, i, &want);
	} else if (kf_maps_slot(keys->maps, i)->status != KF_KEY_FREE) {
		kf_maps_slot_status(keys->maps, i, KF_KEY_FREE);
	}
}

static bool is_rate_home(const struct keys *keys, uint32_t i)
{
	return keys->wanted[i].present && keys->wanted[i].row.rate_slot == i;
}

/* Those at which a key's secrets count come first: see kf_maps_slot_rate(). */
static void write_slots(struct keys *keys)
{
	for (uint32_t i = 0; i < keys->slots; i++)
		if (is_rate_home(keys, i))
			write_slot(keys, i);
	for (uint32_t i = 0; i < keys->slots; i++)
		if (!is_rate_home(keys, i))
			write_slot(keys, i);
}

/* Once all are written: what an older secret has used up goes to the newest one's slot. */
static void share_rates(struct keys *keys)
{
	for (uint32_t i = 0; i < keys->slots; i++) {
		const struct wanted *wanted = &keys->wanted[i];

		if (wanted->present && wanted->row.rate_slot < keys->slots)
			kf_maps_slot_rate_home(keys->maps, i, wanted->row.rate_slot);
	}
}

static int add_tags(struct keys *keys)
{
	_cleanup_free_ char *tags = malloc(TAGS_AT_ONCE * 16);
	_cleanup_free_ uint32_t *slots = malloc(TAGS_AT_ONCE * sizeof(*slots));
	uint32_t count = 0;
	int err = 0;

	if (!tags || !slots)
		return -ENOMEM;
	for (uint32_t i = 0; !err && i < keys->slots; i++) {
		if (keys->wanted[i].present && !keys->wanted[i].tagged) {
			memcpy(tags + 16 * (size_t)count, keys->wanted[i].row.tag, 16);
			slots[count++] = i;
		}
		if (count == TAGS_AT_ONCE || (count && i + 1 == keys->slots)) {
			err = kf_maps_put_many(keys->maps, KF_MAP_kf_tags, tags, slots, count);
			count = 0;
		}
	}
	return err;
}

static int apply(struct keys *keys)
{
	int err;

	close_slots(keys);
	err = delete_stale_tags(keys);
	if (!err)
		err = kf_maps_diff_read(&keys->allow);
	if (!err)
		err = kf_maps_diff_put(&keys->allow);
	if (err)
		return err;
	write_slots(keys);
	share_rates(keys);
	err = kf_maps_diff_delete(&keys->allow);
	return err ? err : add_tags(keys);
}

/* Of those that are free now, programs may still hold on to some. */
static void take_pool(struct keys *keys)
{
	struct kf_policy *policy = keys->policy;

	if (policy->slots)
		kf_maps_slotpool_rest(keys->pool);
	kf_maps_slotpool_close(policy->slots);
	policy->slots = TAKE_PTR(keys->pool);
	policy->allow_entries = keys->allow_entries;
}

int kf_policy_reconcile_keys(struct kf_policy *policy, struct kf_why *why)
{
	_cleanup_(keys_end) struct keys keys = {
		.policy = policy,
		.maps = policy->maps,
		.why = why,
		.slots = kf_maps_entries(policy->maps, KF_MAP_kf_slots),
	};
	int err;

	kf_maps_diff_begin(&keys.allow, policy->maps, KF_MAP_kf_key_allow,
			   sizeof(struct kf_key_prefix), sizeof(uint8_t));
	keys.wanted = calloc(keys.slots, sizeof(*keys.wanted));
	if (!keys.wanted || kf_maps_slotpool_open(&keys.pool, keys.slots))
		return kf_why_set(why, -ENOMEM, "out of memory; free some, or lower keys_max");
	err = read_store(&keys);
	if (err)
		return err;
	err = apply(&keys);
	if (err)
		return kf_why_set(why, err,
				  "cannot load the keys: %s; if memory is short, free some; "
				  "if allow lists have more blocks than keys_max, raise it",
				  strerror(-err));
	take_pool(&keys);
	return 0;
}
