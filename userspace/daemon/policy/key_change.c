// SPDX-License-Identifier: GPL-2.0-only
/* Disabling, enabling and deleting a key, and what all its changes share. */
#include "policy/key_change.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cleanup.h"
#include "clock.h"
#include "log.h"
#include "policy/group.h"
#include "policy/model.h"
#include "policy/reconcile_keys.h"
#include "why.h"

int kf_policy_key_change_find(struct kf_policy *policy, const char *id, struct kf_key_state *state,
			      struct kf_why *why)
{
	struct kf_key_row row;
	int err = kf_store_key_get(policy->store, id, &row);

	if (!err)
		err = kf_policy_key_slot_state(policy, &row, state);
	if (err == -ENOENT)
		return kf_why_set(why, err, "there is no key %s; see keyfilterctl key list", id);
	if (err)
		return kf_why_set(why, err,
				  "cannot read key %s: %s; see to the disk of the state directory",
				  id, kf_store_error(policy->store));
	err = kf_policy_reconcile_settle(policy, state);
	return err ? kf_policy_key_change_explain_maps(err, false, why) : 0;
}

int kf_policy_key_change_explain_store(struct kf_policy *policy, int err, struct kf_why *why)
{
	bool unsure = kf_store_is_unsure(policy->store);

	return kf_why_set(why, err, "cannot store the key: %s; %s, %s",
			  kf_store_error(policy->store),
			  unsure ? "it is not known whether the change is stored; until it is, the "
				   "kernel goes by what refuses more"
				 : "it is as before",
			  kf_store_mend(err));
}

static int explain_closed(struct kf_policy *policy, int err, const char *id, struct kf_why *why)
{
	bool unsure = kf_store_is_unsure(policy->store);

	return kf_why_set(
		why, err,
		"the kernel refuses what was revoked of %s, but it is %s: %s; %s and do it again",
		id,
		unsure ? "not known whether that is stored"
		       : "not durable and a restart would admit it again",
		kf_store_error(policy->store), kf_store_mend(err));
}

/*
 * The kernel refuses, and goes on so whatever else is changed: see hold.h. Without memory for that
 * the key is as the slot now says until the next change of it, which is logged.
 */
int kf_policy_key_change_hold(struct kf_policy *policy, int err, const struct kf_hold *more,
			      struct kf_why *why)
{
	if (kf_policy_hold_add(policy->holds, more))
		kf_log_error(
			"no memory to remember that key %s is to stay closed; disable it again",
			more->id);
	return explain_closed(policy, err, more->id, why);
}

int kf_policy_key_change_explain_loading(struct kf_why *why)
{
	return kf_why_set(why, -EAGAIN,
			  "keyfilterd has just started and does not know yet which places are "
			  "free; try again in a moment");
}

int kf_policy_key_change_explain_maps(int err, bool stored, struct kf_why *why)
{
	return kf_why_set(why, err,
			  "the kernel did not take it: %s; %s; if memory is short, free some",
			  strerror(-err),
			  stored ? "it is stored, and tried again until the kernel has it"
				 : "it is as before");
}

/*
 * @fewer: entries that go in exchange. There is room for what remains, so for less there always is.
 */
int kf_policy_key_change_check_room(const struct kf_policy *policy,
				    const struct kf_key_state *state, uint32_t slots,
				    const struct kf_cidr *allow, uint32_t allow_count,
				    uint64_t fewer, struct kf_why *why)
{
	uint64_t entries = slots * (uint64_t)kf_policy_key_slot_allow_entries(allow, allow_count);

	if (entries <= fewer)
		return 0;
	if (policy->loading)
		return kf_policy_key_change_explain_loading(why);
	if (!kf_policy_key_slot_allow_room(policy, entries - fewer))
		return 0;
	return kf_why_set(why, -ENOSPC,
			  "there is no room for the allow list of %s; give fewer blocks (an IPv6 "
			  "block around ::ffff:0:0/96 needs many), or raise keys_max and start "
			  "again after `keyfilterd --unload`",
			  state->row.id);
}

void kf_policy_key_change_expires(struct kf_policy *policy, const struct kf_key_state *state,
				  const struct kf_key_row *row)
{
	const struct kf_hold *hold = kf_policy_hold_find(policy->holds, row->seq);
	struct kf_slot slot;

	for (uint32_t i = 0; i < state->credential_count; i++) {
		const struct kf_credential_row *credential = &state->credentials[i];

		kf_policy_key_slot_wanted(policy, row, hold, false, credential, &slot);
		kf_maps_slot_expires(policy->maps, credential->slot, slot.expires_ns);
	}
}

/* ---- the parts of a change ------------------------------------------------------------------- */

void kf_policy_key_change_close(struct kf_policy *policy, enum kf_key_action action,
				const struct kf_key_state *state)
{
	if (action == KF_KEY_ACTION_DISABLE)
		kf_policy_key_slot_status(policy, state, KF_KEY_DISABLED);
	if (action == KF_KEY_ACTION_DELETE)
		kf_policy_key_slot_status(policy, state, KF_KEY_DELETED);
}

int kf_policy_key_change_store(struct kf_policy *policy, enum kf_key_action action,
			       struct kf_key_state *state)
{
	if (action == KF_KEY_ACTION_DELETE)
		return kf_store_key_remove(policy->store, state->row.seq);
	state->row.disabled = action == KF_KEY_ACTION_DISABLE;
	return kf_store_key_update(policy->store, &state->row);
}

int kf_policy_key_change_fail(struct kf_policy *policy, enum kf_key_action action, int err,
			      struct kf_key_state *state, struct kf_why *why)
{
	if (action == KF_KEY_ACTION_ENABLE)
		return kf_policy_key_change_explain_store(policy, err, why);
	state->hold.what = action == KF_KEY_ACTION_DELETE ? KF_HOLD_DELETED : KF_HOLD_DISABLED;
	return kf_policy_key_change_hold(policy, err, &state->hold, why);
}

/* What was held of the key is taken back with it: from here on it is as it is stored. */
static void open_again(struct kf_policy *policy, const struct kf_key_state *state)
{
	struct kf_key_list stored;
	int err = 0;

	kf_policy_hold_drop(policy->holds, state->row.seq, ~0u);
	kf_policy_key_list_set(&stored, state->allow, state->allow_count);
	for (uint32_t i = 0; !err && i < state->credential_count; i++)
		err = kf_policy_key_list_apply(policy, state->credentials[i].slot, &state->list,
					       &stored);
	if (err)
		kf_policy_mend_note(policy, KF_MEND_KEYS, err);
	kf_policy_key_slot_write_all(policy, &state->row, state->allow_count, state);
}

static void forget(struct kf_policy *policy, const struct kf_key_state *state)
{
	for (uint32_t i = 0; i < state->credential_count; i++)
		kf_policy_key_slot_drop(policy, &state->credentials[i], state->allow,
					state->allow_count);
	kf_policy_hold_drop(policy->holds, state->row.seq, ~0u);
	kf_policy_model_release(policy, state->row.models);
}

void kf_policy_key_change_end(struct kf_policy *policy, enum kf_key_action action,
			      const struct kf_key_state *state)
{
	switch (action) {
	case KF_KEY_ACTION_ENABLE:
		open_again(policy, state);
		break;
	case KF_KEY_ACTION_DELETE:
		forget(policy, state);
		break;
	default:
		kf_policy_hold_drop(policy->holds, state->row.seq,
				    KF_HOLD_DISABLED | KF_HOLD_DELETED);
		kf_policy_key_slot_write_all(policy, &state->row, state->allow_count, state);
	}
}

/* ---- of one key ------------------------------------------------------------------------------ */

static int change_key(struct kf_policy *policy, enum kf_key_action action, const char *id,
		      struct kf_key_times *times, struct kf_why *why)
{
	uint64_t begun = kf_clock_monotonic();
	struct kf_key_state state;
	int err = kf_policy_key_change_find(policy, id, &state, why);

	if (err)
		return err;
	kf_policy_key_change_close(policy, action, &state);
	times->kernel_ns = kf_clock_monotonic() - begun;
	err = kf_policy_key_change_store(policy, action, &state);
	times->durable_ns = kf_clock_monotonic() - begun;
	if (err)
		return kf_policy_key_change_fail(policy, action, err, &state, why);
	kf_policy_key_change_end(policy, action, &state);
	return 0;
}

int kf_policy_key_disable(struct kf_policy *policy, const char *id, struct kf_key_times *times,
			  struct kf_why *why)
{
	return change_key(policy, KF_KEY_ACTION_DISABLE, id, times, why);
}

int kf_policy_key_enable(struct kf_policy *policy, const char *id, struct kf_why *why)
{
	struct kf_key_times times;

	return change_key(policy, KF_KEY_ACTION_ENABLE, id, &times, why);
}

int kf_policy_key_delete(struct kf_policy *policy, const char *id, struct kf_key_times *times,
			 struct kf_why *why)
{
	return change_key(policy, KF_KEY_ACTION_DELETE, id, times, why);
}
