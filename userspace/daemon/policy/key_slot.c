// SPDX-License-Identifier: GPL-2.0-only
#include "policy/key_slot.h"

#include <errno.h>
#include <string.h>

#include "policy/account.h"
#include "policy/reconcile_keys.h"
#include "why.h"

static int collect_credential(void *context, const struct kf_credential_row *row)
{
	struct kf_key_state *state = context;

	if (state->credential_count == KF_KEY_CREDENTIALS_MAX)
		return -E2BIG;
	state->credentials[state->credential_count++] = *row;
	return 0;
}

int kf_policy_key_slot_state(struct kf_policy *policy, const struct kf_key_row *row,
			     struct kf_key_state *state)
{
	const struct kf_hold *hold = kf_policy_hold_find(policy->holds, row->seq);
	int err;

	state->row = *row;
	state->hold = hold ? *hold : (struct kf_hold){ .key = row->seq };
	memcpy(state->hold.id, row->id, sizeof(state->hold.id));
	state->credential_count = 0;
	err = kf_store_key_allow_get(policy->store, row->seq, state->allow, &state->allow_count);
	if (err)
		return err;
	kf_policy_key_list_set(&state->list, state->allow, state->allow_count);
	if (state->hold.what & KF_HOLD_ALLOW) {
		kf_policy_key_list_set(&state->list, hold->allow, hold->allow_count);
		state->list.any = false;
	}
	return kf_store_credential_each(policy->store, row->seq, collect_credential, state);
}

void kf_policy_key_slot_wanted(struct kf_policy *policy, const struct kf_key_row *row,
			       const struct kf_hold *hold, bool allowlist,
			       const struct kf_credential_row *credential, struct kf_slot *slot)
{
	const struct kf_clock now = kf_policy_time(policy);
	struct kf_slot_row wanted = {
		.slot = credential->slot,
		.key = row->seq,
		.disabled = row->disabled,
		.allowlist = allowlist,
		.expires = credential->until < row->expires ? credential->until : row->expires,
		.rpm = row->rpm,
		.rpm_burst = row->rpm_burst,
		.rate_slot = credential->slot,
		.group = row->group,
		.models = row->models,
		.wallet = row->wallet,
		.account_wallet = row->account_wallet,
		.quota = row->quota,
		.spent = row->spent,
	};

	memcpy(wanted.tag, credential->tag, sizeof(wanted.tag));
	kf_policy_hold_narrow(hold, &wanted);
	kf_policy_compile_slot(&now, &wanted, slot);
}

void kf_policy_key_slot_wallet(struct kf_policy *policy, const struct kf_key_row *row, bool fresh)
{
	const struct kf_slot_row wanted = {
		.wallet = row->wallet,
		.account_wallet = row->account_wallet,
		.quota = row->quota,
		.spent = row->spent,
	};

	kf_policy_account_key(policy, &wanted, fresh);
}

/* The current credential is the last; its slot, where the rates of all count, is written first. */
void kf_policy_key_slot_write_all(struct kf_policy *policy, const struct kf_key_row *row,
				  bool allowlist, const struct kf_key_state *state)
{
	const struct kf_hold *hold = kf_policy_hold_find(policy->holds, row->seq);
	struct kf_slot slot;

	kf_policy_key_slot_wallet(policy, row, false);
	for (uint32_t i = state->credential_count; i-- > 0;) {
		kf_policy_key_slot_wanted(policy, row, hold, allowlist, &state->credentials[i],
					  &slot);
		kf_maps_slot_write(policy->maps, state->credentials[i].slot, &slot);
	}
}

uint32_t kf_policy_key_slot_allow_entries(const struct kf_cidr *allow, uint32_t count)
{
	struct kf_key_prefix prefixes[KF_POLICY_ALLOW_MAX];
	uint32_t entries = 0;

	for (uint32_t i = 0; i < count; i++)
		entries += kf_policy_compile_allow(0, &allow[i], prefixes);
	return entries;
}

int kf_policy_key_slot_allow_room(const struct kf_policy *policy, uint64_t more)
{
	uint32_t room = kf_maps_entries(policy->maps, KF_MAP_kf_key_allow);

	return more && policy->allow_entries + policy->allow_uncounted + more > room ? -ENOSPC : 0;
}

int kf_policy_key_slot_fill(struct kf_policy *policy, const struct kf_key_row *row,
			    const struct kf_cidr *allow, uint32_t allow_count,
			    const struct kf_credential_row *credential)
{
	const struct kf_hold *hold = kf_policy_hold_find(policy->holds, row->seq);
	bool held = hold && (hold->what & KF_HOLD_ALLOW);
	const struct kf_cidr *list = held ? hold->allow : allow;
	uint32_t count = held ? hold->allow_count : allow_count;
	struct kf_slot slot;
	int err = 0;

	policy->allow_entries += kf_policy_key_slot_allow_entries(allow, allow_count);
	kf_policy_reconcile_keys_counted(policy, credential->slot);
	for (uint32_t i = 0; !err && i < count; i++)
		err = kf_policy_key_list_put(policy, credential->slot, &list[i]);
	if (err)
		return err;
	kf_policy_key_slot_wanted(policy, row, hold, allow_count, credential, &slot);
	kf_maps_slot_write(policy->maps, credential->slot, &slot);
	return 0;
}

void kf_policy_key_slot_status(struct kf_policy *policy, const struct kf_key_state *state,
			       enum kf_key_status status)
{
	for (uint32_t i = 0; i < state->credential_count; i++)
		kf_maps_slot_status(policy->maps, state->credentials[i].slot, status);
	if (status != KF_KEY_ENABLED)
		kf_policy_revoke(policy, KF_REVOKED_KEYS);
}

static int drop_entries(struct kf_policy *policy, const struct kf_credential_row *credential,
			const struct kf_cidr *allow, uint32_t count)
{
	int err = 0;

	for (uint32_t i = 0; !err && i < count; i++)
		err = kf_policy_key_list_delete(policy, credential->slot, &allow[i], NULL, 0);
	return err;
}

/*
 * The tag first: while it leads here the slot must not be given away, and the allow list is not
 * needed any more, since the status refuses before the list is looked at. What fails keeps the slot
 * from the next key, which would inherit it.
 */
bool kf_policy_key_slot_clear(struct kf_policy *policy, const struct kf_credential_row *credential,
			      const struct kf_cidr *allow, uint32_t allow_count)
{
	const struct kf_hold *hold = kf_policy_hold_find(policy->holds, credential->key);
	struct kf_maps *maps = policy->maps;
	int err;

	kf_maps_slot_status(maps, credential->slot, KF_KEY_DELETED);
	kf_policy_revoke(policy, KF_REVOKED_KEYS);
	policy->allow_entries -= kf_policy_key_slot_allow_entries(allow, allow_count);
	err = kf_maps_delete(maps, KF_MAP_kf_tags, credential->tag);
	if (err == -ENOENT)
		err = 0;
	if (!err)
		err = drop_entries(policy, credential, allow, allow_count);
	if (!err && hold && (hold->what & KF_HOLD_ALLOW))
		err = drop_entries(policy, credential, hold->allow, hold->allow_count);
	if (err) {
		kf_policy_mend_note(policy, KF_MEND_KEYS, err);
		return false;
	}
	kf_maps_slot_status(maps, credential->slot, KF_KEY_FREE);
	return true;
}

void kf_policy_key_slot_drop(struct kf_policy *policy, const struct kf_credential_row *credential,
			     const struct kf_cidr *allow, uint32_t allow_count)
{
	if (kf_policy_key_slot_clear(policy, credential, allow, allow_count))
		kf_maps_slotpool_retire(policy->slots, credential->slot);
}

void kf_policy_key_slot_keep_counts(const struct kf_policy *policy,
				    const struct kf_credential_row *credential,
				    struct kf_key_row *row)
{
	const struct kf_slot *from = kf_maps_slot(policy->maps, credential->slot);
	int64_t used;

	if (!from || memcmp(from->tag, credential->tag, sizeof(from->tag)))
		return;
	used = kf_policy_compile_wall(&policy->clock, from->last_used_ns);
	row->past_admitted += from->requests_admitted;
	row->past_refused += from->requests_refused;
	if (used > row->past_used)
		row->past_used = used;
}
