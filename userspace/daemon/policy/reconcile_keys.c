// SPDX-License-Identifier: GPL-2.0-only
/*
 * The comparison of all keys, while programs use the maps and operators change keys:
 *
 *  CLOSE   places of keys that are gone, disabled or expire earlier;
 *  TAGS    those that lead to no such place are deleted, then a grace period: from here on nothing
 *          leads to a place of another owner;
 *  BLOCKS  of allow lists are read;
 *  PLACE   stretch by stretch: missing blocks are added, then places are written, each closed while
 *          it changes its owner, then blocks that are not wanted are deleted, then missing tags are
 *          added: only now new keys can be found, and they are complete;
 *  SHARE   the older secrets of keys in a grace, whose rate counts at the newest one's place.
 *
 * Over maps that are new the first three have nothing to do. A crash between any two slices leaves
 * a state from which the same steps lead on.
 */
#include "policy/reconcile_keys.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "cleanup.h"
#include "policy/policy.h"
#include "policy/reconcile.h"
#include "why.h"
#include "base/work.h"

#define TAGS_AT_ONCE 1024

/* ---- allow lists are counted ----------------------------------------------------------------- */

void kf_policy_reconcile_keys_count(struct kf_policy_reconcile_keys *keys, uint32_t slot,
				    uint32_t entries)
{
	struct kf_policy *policy = keys->policy;

	if (keys->marks[slot] & KF_RECONCILE_COUNTED)
		return;
	keys->marks[slot] |= KF_RECONCILE_COUNTED;
	policy->allow_entries += entries;
	policy->allow_uncounted -=
		entries < policy->allow_uncounted ? entries : policy->allow_uncounted;
}

void kf_policy_reconcile_keys_counted(struct kf_policy *policy, uint32_t slot)
{
	if (policy->keys)
		policy->keys->marks[slot] |= KF_RECONCILE_COUNTED;
}

/* ---- places ---------------------------------------------------------------------------------- */

bool kf_policy_reconcile_keys_owns(const struct kf_policy_reconcile_keys *keys, uint32_t slot,
				   const uint8_t tag[static 16])
{
	const struct kf_slot *has = kf_maps_slot(keys->maps, slot);

	return has->status != KF_KEY_FREE && !memcmp(has->tag, tag, sizeof(has->tag));
}

static bool leads_to(struct kf_policy_reconcile_keys *keys, const uint8_t tag[static 16],
		     uint32_t slot)
{
	uint32_t found;

	return !kf_maps_get(keys->maps, KF_MAP_kf_tags, tag, &found) && found == slot;
}

int kf_policy_reconcile_keys_evict(struct kf_policy_reconcile_keys *keys, uint32_t slot)
{
	const struct kf_slot *has = kf_maps_slot(keys->maps, slot);
	int err;

	if (has->status == KF_KEY_FREE)
		return 0;
	kf_maps_slot_status(keys->maps, slot, KF_KEY_DELETED);
	keys->marks[slot] &= (uint8_t) ~(KF_RECONCILE_STALE | KF_RECONCILE_TAGGED);
	if (!leads_to(keys, has->tag, slot))
		return 0;
	err = kf_maps_delete(keys->maps, KF_MAP_kf_tags, has->tag);
	keys->dirty = true;
	return err == -ENOENT ? 0 : err;
}

/* After it no program uses a place that one of the deleted tags led it to. */
void kf_policy_reconcile_keys_quiesce(struct kf_policy_reconcile_keys *keys)
{
	if (keys->dirty)
		kf_maps_quiesce();
	keys->dirty = false;
}

/* ---- tags ------------------------------------------------------------------------------------ */

struct tags {
	struct kf_policy_reconcile_keys *keys;
	uint8_t (*stale)[16];
	size_t count, room;
};

static void tags_end(struct tags *tags)
{
	free(tags->stale);
}

static int check_tag(void *context, const void *key, const void *value)
{
	struct tags *tags = context;
	struct kf_policy_reconcile_keys *keys = tags->keys;
	uint32_t slot;

	memcpy(&slot, value, sizeof(slot));
	if (slot < keys->slots && kf_policy_reconcile_keys_owns(keys, slot, key) &&
	    !(keys->marks[slot] & KF_RECONCILE_STALE)) {
		keys->marks[slot] |= KF_RECONCILE_TAGGED;
		return 0;
	}
	if (tags->count == tags->room) {
		size_t room = tags->room ? 2 * tags->room : 64;
		void *stale = reallocarray(tags->stale, room, sizeof(*tags->stale));

		if (!stale)
			return -ENOMEM;
		tags->stale = stale;
		tags->room = room;
	}
	memcpy(tags->stale[tags->count++], key, sizeof(*tags->stale));
	return 0;
}

/* Each part of a phase: 1: there is more; 0: the phase is over; -errno. */
static int check_some_tags(struct kf_policy_reconcile_keys *keys)
{
	_cleanup_(tags_end) struct tags tags = { .keys = keys };
	int more = kf_maps_slice(keys->maps, KF_MAP_kf_tags, &keys->tag_cursor, TAGS_AT_ONCE,
				 check_tag, &tags);
	int err = more < 0 ? more : 0;

	if (!err && tags.count) {
		keys->dirty = true;
		err = kf_maps_delete_many(keys->maps, KF_MAP_kf_tags, tags.stale,
					  (uint32_t)tags.count);
	}
	if (!err && !more)
		kf_policy_reconcile_keys_quiesce(keys);
	return err ? err : more;
}

/* ---- blocks ---------------------------------------------------------------------------------- */

static int keep_block(void *context, const void *key, const void *value)
{
	struct kf_policy_reconcile_keys *keys = context;

	if (keys->block_count == keys->block_room) {
		size_t room = keys->block_room ? 2 * keys->block_room : 256;
		void *blocks = reallocarray(keys->blocks, room, sizeof(*keys->blocks));

		if (!blocks)
			return -ENOMEM;
		keys->blocks = blocks;
		keys->block_room = room;
	}
	memcpy(&keys->blocks[keys->block_count++], key, sizeof(*keys->blocks));
	return 0;
}

static int compare_blocks(const void *a, const void *b)
{
	const struct kf_key_prefix *x = a, *y = b;

	return x->slot < y->slot ? -1 : x->slot > y->slot;
}

static int read_some_blocks(struct kf_policy_reconcile_keys *keys)
{
	int more;

	if (keys->have_blocks)
		return 0;
	more = kf_maps_slice(keys->maps, KF_MAP_kf_key_allow, &keys->block_cursor, TAGS_AT_ONCE,
			     keep_block, keys);
	if (more)
		return more;
	if (keys->block_count)
		qsort(keys->blocks, keys->block_count, sizeof(*keys->blocks), compare_blocks);
	keys->have_blocks = true;
	return 0;
}

int kf_policy_reconcile_keys_read_blocks(struct kf_policy_reconcile_keys *keys)
{
	int more = keys->fresh ? 0 : 1;

	while (more > 0)
		more = read_some_blocks(keys);
	return more;
}

size_t kf_policy_reconcile_keys_block_of(const struct kf_policy_reconcile_keys *keys, uint32_t slot)
{
	size_t low = 0, high = keys->block_count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (keys->blocks[middle].slot < slot)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

/* ---- all of it ------------------------------------------------------------------------------- */

static void free_keys(struct kf_policy_reconcile_keys *keys)
{
	free(keys->marks);
	free(keys->blocks);
	free(keys->later);
	free(keys);
}
KF_CLEANUP_DEFINE(struct kf_policy_reconcile_keys, free_keys)

/* Running requests are looked at once more, by what is right now. */
void kf_policy_reconcile_keys_end(struct kf_policy *policy)
{
	if (!policy->keys)
		return;
	free_keys(policy->keys);
	policy->keys = NULL;
	kf_policy_revoke(policy, KF_REVOKED_KEYS);
	policy->allow_entries += policy->allow_uncounted;
	policy->allow_uncounted = 0;
}

static int explain_reading(struct kf_policy *policy, int err, struct kf_why *why)
{
	return kf_why_set(why, err,
			  "cannot read the keys: %s; restore keyfilter.db from a backup, or "
			  "correct the row with sqlite3",
			  kf_store_error(policy->store));
}

/* The store was read anew, and may hold what cannot be. */
static int explain(struct kf_policy *policy, int err, struct kf_why *why)
{
	if (err == -EUCLEAN || err == -EIO)
		return explain_reading(policy, err, why);
	return kf_why_set(why, err,
			  "cannot load the keys: %s; if memory is short, free some; if allow lists "
			  "have more blocks than keys_max, raise it",
			  strerror(-err));
}

static int keep_place(void *context, const struct kf_credential_row *row)
{
	struct kf_policy_reconcile_keys *keys = context;

	if (row->slot < keys->slots)
		keys->marks[row->slot] |= KF_RECONCILE_KEPT;
	return 0;
}

static int look_ahead(struct kf_policy_reconcile_keys *keys, struct kf_why *why)
{
	struct kf_policy *policy = keys->policy;
	struct kf_key_batch_range range;
	int64_t last = -1;
	int err = kf_store_slot_last(policy->store, &last);

	if (!err)
		err = kf_store_batch_get(policy->store, &range);
	if (!err)
		err = kf_store_batch_each(policy->store, &range, UINT32_MAX, keep_place, keys);
	if (err)
		return explain_reading(policy, err, why);
	if (last < (int64_t)keys->slots)
		return 0;
	return kf_why_set(
		why, -ENOSPC,
		"the store has a key in place %lld, keys_max is %u; raise keys_max to %lld or more",
		(long long)last, keys->slots, (long long)last + 1);
}

int kf_policy_reconcile_keys_begin(struct kf_policy *policy, struct kf_why *why)
{
	_cleanup_(free_keysp) struct kf_policy_reconcile_keys *keys = calloc(1, sizeof(*keys));
	int err;

	if (!keys)
		return kf_why_set(why, -ENOMEM, "out of memory; free some");
	keys->policy = policy;
	keys->maps = policy->maps;
	keys->slots = kf_maps_entries(policy->maps, KF_MAP_kf_slots);
	keys->fresh = policy->loading && kf_maps_are_fresh(policy->maps);
	keys->phase = keys->fresh ? KF_RECONCILE_PLACE : KF_RECONCILE_CLOSE;
	keys->marks = calloc(keys->slots, sizeof(*keys->marks));
	if (!keys->marks || (!policy->slots && kf_maps_slotpool_open(&policy->slots, keys->slots)))
		return kf_why_set(why, -ENOMEM, "out of memory; free some, or lower keys_max");
	err = look_ahead(keys, why);
	if (err)
		return err;
	kf_policy_reconcile_keys_end(policy);
	if (policy->loading)
		kf_maps_slotpool_take_all(policy->slots); /* until it is seen that they are free */
	policy->allow_uncounted = policy->allow_entries;
	policy->allow_entries = 0;
	policy->keys = TAKE_PTR(keys);
	return 0;
}

static int part_of_phase(struct kf_policy_reconcile_keys *keys)
{
	switch (keys->phase) {
	case KF_RECONCILE_CLOSE:
		return kf_policy_reconcile_place_close(keys);
	case KF_RECONCILE_TAGS:
		return check_some_tags(keys);
	case KF_RECONCILE_BLOCKS:
		return read_some_blocks(keys);
	case KF_RECONCILE_PLACE:
		return kf_policy_reconcile_place_some(keys);
	default:
		return kf_policy_reconcile_place_share(keys);
	}
}

static int next_phase(struct kf_policy_reconcile_keys *keys)
{
	keys->at = 0;
	return ++keys->phase != KF_RECONCILE_DONE;
}

int kf_policy_reconcile_keys_step(struct kf_policy *policy, struct kf_why *why)
{
	struct kf_work_slice slice = kf_work_slice();
	struct kf_policy_reconcile_keys *keys = policy->keys;
	int more;

	if (!keys)
		return 0;
	do {
		more = part_of_phase(keys);
		if (!more)
			more = next_phase(keys);
	} while (more > 0 && policy->keys_at_once == KF_RECONCILE_STRETCH &&
		 !kf_work_slice_is_over(&slice));
	if (more > 0)
		return 1;
	if (!more)
		policy->allow_uncounted = 0; /* all are counted */
	kf_policy_reconcile_keys_end(policy);
	return more < 0 ? explain(policy, more, why) : 0;
}

int kf_policy_reconcile_keys(struct kf_policy *policy, struct kf_why *why)
{
	int more = kf_policy_reconcile_keys_begin(policy, why);

	if (more)
		return more;
	do
		more = kf_policy_reconcile_keys_step(policy, why);
	while (more > 0);
	return more;
}

unsigned int kf_policy_reconcile_keys_done(const struct kf_policy *policy)
{
	const struct kf_policy_reconcile_keys *keys = policy->keys;

	if (!keys)
		return 100;
	switch (keys->phase) {
	case KF_RECONCILE_CLOSE:
		return (unsigned int)(40ull * keys->at / keys->slots);
	case KF_RECONCILE_TAGS:
	case KF_RECONCILE_BLOCKS:
		return 40;
	case KF_RECONCILE_PLACE:
		return (keys->fresh ? 0 : 45) +
		       (unsigned int)((keys->fresh ? 99ull : 54ull) * keys->at / keys->slots);
	default:
		return 99;
	}
}
