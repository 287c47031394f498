// SPDX-License-Identifier: GPL-2.0-only
/*
 * One key out of turn. While all keys are compared, the kernel may have another key in the place of
 * this one, this one's tag may lead to a place that is not its own any more, or it may not be there
 * yet. Before it is changed, its places are made right, so that the change may go by them.
 */
#include <errno.h>
#include <string.h>

#include "policy/key_list.h"
#include "policy/key_slot.h"
#include "policy/mend.h"
#include "policy/policy.h"
#include "policy/reconcile_keys.h"

/* The tag leads elsewhere: the key had that place in the kernel, and has this one in the store. */
static int displace(struct kf_policy_reconcile_keys *keys, uint32_t at,
		    const uint8_t tag[static 16])
{
	int err;

	if (at < keys->slots && kf_policy_reconcile_keys_owns(keys, at, tag))
		return kf_policy_reconcile_keys_evict(keys, at);
	err = kf_maps_delete(keys->maps, KF_MAP_kf_tags, tag);
	return err == -ENOENT ? 0 : err;
}

/* What the former owner was allowed must not be this one's. */
static int delete_blocks(struct kf_policy_reconcile_keys *keys, uint32_t slot)
{
	int err = 0;

	for (size_t at = kf_policy_reconcile_keys_block_of(keys, slot);
	     !err && at < keys->block_count && keys->blocks[at].slot == slot; at++) {
		err = kf_maps_delete(keys->maps, KF_MAP_kf_key_allow, &keys->blocks[at]);
		if (err == -ENOENT)
			err = 0;
	}
	return err;
}

static int put_blocks(struct kf_policy_reconcile_keys *keys, const struct kf_key_state *state,
		      uint32_t slot)
{
	const struct kf_hold *hold = kf_policy_hold_find(keys->policy->holds, state->row.seq);
	bool held = hold && (hold->what & KF_HOLD_ALLOW);
	const struct kf_cidr *list = held ? hold->allow : state->allow;
	uint32_t count = held ? hold->allow_count : state->allow_count;
	int err = 0;

	for (uint32_t i = 0; !err && i < count; i++)
		err = kf_policy_key_list_put(keys->policy, slot, &list[i]);
	return err;
}

/* The place is another's, or free. */
static int make_way(struct kf_policy_reconcile_keys *keys, uint32_t slot)
{
	int err = kf_policy_reconcile_keys_read_blocks(keys);

	if (!err)
		err = kf_policy_reconcile_keys_evict(keys, slot);
	return err ? err : delete_blocks(keys, slot);
}

static int settle(struct kf_policy_reconcile_keys *keys, const struct kf_key_state *state,
		  const struct kf_credential_row *credential)
{
	struct kf_policy *policy = keys->policy;
	const struct kf_hold *hold = kf_policy_hold_find(policy->holds, state->row.seq);
	uint32_t slot = credential->slot, at = KF_SLOT_NONE;
	bool owned = kf_policy_reconcile_keys_owns(keys, slot, credential->tag);
	struct kf_slot want;
	int err = 0;

	kf_policy_reconcile_keys_count(
		keys, slot, kf_policy_key_slot_allow_entries(state->allow, state->allow_count));
	kf_maps_get(keys->maps, KF_MAP_kf_tags, credential->tag, &at);
	if (at != KF_SLOT_NONE && at != slot)
		err = displace(keys, at, credential->tag);
	if (!err && !owned)
		err = make_way(keys, slot);
	if (err)
		return err;
	kf_policy_reconcile_keys_quiesce(keys);
	if (!owned)
		err = put_blocks(keys, state, slot);
	kf_policy_key_slot_wanted(policy, &state->row, hold, state->allow_count, credential, &want);
	kf_maps_slot_write(keys->maps, slot, &want);
	keys->marks[slot] &= (uint8_t)~KF_RECONCILE_STALE;
	if (!err && at != slot)
		err = kf_maps_put(keys->maps, KF_MAP_kf_tags, credential->tag, &slot);
	if (err)
		kf_policy_mend_note(policy, KF_MEND_KEYS, err);
	else
		keys->marks[slot] |= KF_RECONCILE_TAGGED;
	return 0;
}

/* The current credential is the last; its place, where the rates of all count, is written first. */
int kf_policy_reconcile_settle(struct kf_policy *policy, const struct kf_key_state *state)
{
	struct kf_policy_reconcile_keys *keys = policy->keys;
	uint32_t count = state->credential_count;
	int err = 0;

	if (!keys || !count)
		return 0;
	for (uint32_t i = 0; i < count; i++)
		if (state->credentials[i].slot >= keys->slots)
			return -EUCLEAN;
	for (uint32_t i = count; !err && i-- > 0;)
		err = settle(keys, state, &state->credentials[i]);
	for (uint32_t i = 0; !err && i < count; i++)
		kf_maps_slot_rate_home(keys->maps, state->credentials[i].slot,
				       state->credentials[count - 1].slot);
	return err;
}
