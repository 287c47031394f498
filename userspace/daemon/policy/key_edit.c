// SPDX-License-Identifier: GPL-2.0-only
/* Editing a key. */
#include "policy/key_change.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "cleanup.h"
#include "ledger/ledger.h"
#include "policy/account.h"
#include "policy/group.h"
#include "policy/mend.h"
#include "policy/model.h"
#include "why.h"

/* An edit on its way: what is in force before, in between and after it. */
struct change {
	struct kf_policy *policy;
	const struct kf_policy_key_edit *edit;
	struct kf_key_state old;
	struct kf_key_row row;	   /* the new one */
	struct kf_hold left;	   /* what is held on after the edit */
	struct kf_slot_row before; /* of the key, without its secrets' ends */
	struct kf_slot_row after;
	struct kf_key_list meet;		 /* what old list and new one both admit */
	struct kf_key_list list;		 /* the new one */
	struct kf_key_labels old_labels, labels; /* where the edit speaks about labels */
};

static void set_slot_row(struct kf_slot_row *out, const struct kf_key_row *row,
			 const struct kf_hold *hold)
{
	*out = (struct kf_slot_row){
		.key = row->seq,
		.disabled = row->disabled,
		.expires = row->expires,
		.rpm = row->rpm,
		.rpm_burst = row->rpm_burst,
		.group = row->group,
		.models = row->models,
	};
	kf_policy_hold_narrow(hold, out);
}

/* The current credential is the last; its slot, where the rates of all count, is written first. */
static void write_rate(struct kf_policy *policy, const struct kf_key_state *state, uint32_t rpm,
		       uint32_t rpm_burst)
{
	__u64 interval, burst;

	kf_policy_compile_rate(rpm, rpm_burst, &interval, &burst);
	for (uint32_t i = state->credential_count; i-- > 0;)
		kf_maps_slot_rate(policy->maps, state->credentials[i].slot, interval, burst);
}

/* What both the old rate and the new one allow: no more a minute, and no more at once. */
static void narrow_rate(struct change *change, struct kf_hold *hold)
{
	const struct kf_slot_row *old = &change->before, *row = &change->after;
	uint32_t old_burst = kf_policy_compile_burst(old->rpm, old->rpm_burst);
	uint32_t burst = kf_policy_compile_burst(row->rpm, row->rpm_burst), rpm = row->rpm;

	if (!row->rpm)
		return; /* a limit that there was stays until its end is durable */
	if (old->rpm) {
		rpm = row->rpm < old->rpm ? row->rpm : old->rpm;
		burst = burst < old_burst ? burst : old_burst;
	}
	if (rpm == old->rpm && burst == old_burst)
		return;
	write_rate(change->policy, &change->old, rpm, burst);
	hold->what |= KF_HOLD_RATE;
	hold->rpm = rpm;
	hold->rpm_burst = burst;
}

/*
 * A group that takes something away is there before it is durable. What it has beside that begins
 * with it, a moment early, which is as asked.
 */
static void narrow_group(struct change *change, struct kf_hold *hold)
{
	const struct kf_policy *policy = change->policy;
	uint32_t old = change->before.group, group = change->after.group;

	if (old == group ||
	    !(kf_policy_group_protocols(policy, old) & ~kf_policy_group_protocols(policy, group)))
		return;
	for (uint32_t i = 0; i < change->old.credential_count; i++)
		kf_maps_slot_group(policy->maps, change->old.credentials[i].slot, group);
	hold->what |= KF_HOLD_GROUP;
	hold->group = group;
}

/* Likewise of a set of models; what is in it is not compared. */
static void narrow_models(struct change *change, struct kf_hold *hold)
{
	uint32_t models = change->after.models;

	if (!models || models == change->before.models)
		return;
	for (uint32_t i = 0; i < change->old.credential_count; i++)
		kf_maps_slot_models(change->policy->maps, change->old.credentials[i].slot, models);
	hold->what |= KF_HOLD_MODELS;
	hold->models = models;
}

static void narrow_expires(struct change *change, struct kf_hold *hold)
{
	struct kf_key_row row = change->old.row;

	if (change->after.expires >= change->before.expires)
		return;
	row.expires = change->after.expires;
	kf_policy_key_change_expires(change->policy, &change->old, &row);
	kf_policy_revoke(change->policy, KF_REVOKED_KEYS);
	hold->what |= KF_HOLD_EXPIRES;
	hold->expires = change->after.expires;
}

static int apply_list(struct change *change, const struct kf_key_list *from,
		      const struct kf_key_list *to)
{
	int err = 0;

	for (uint32_t i = 0; !err && i < change->old.credential_count; i++)
		err = kf_policy_key_list_apply(change->policy, change->old.credentials[i].slot,
					       from, to);
	return err;
}

/*
 * Before it is durable: all that closes. *hold: what that was, if it does not come to be durable.
 */
static int narrow(struct change *change, struct kf_hold *hold)
{
	narrow_expires(change, hold);
	narrow_rate(change, hold);
	narrow_group(change, hold);
	narrow_models(change, hold);
	if (!change->edit->set_allow || kf_policy_key_list_equal(&change->old.list, &change->meet))
		return 0;
	hold->what |= KF_HOLD_ALLOW;
	hold->allow = change->meet.blocks;
	hold->allow_count = change->meet.count;
	return apply_list(change, &change->old.list, &change->meet);
}

/*
 * After it is durable: what opens of the list, and what is left of the old one, now of no effect.
 */
static int widen(struct change *change)
{
	return change->edit->set_allow ? apply_list(change, &change->meet, &change->list) : 0;
}

/*
 * The kernel's part once more as it was before: of the store nothing has changed, or not any more.
 */
static void restore(struct change *change)
{
	const struct kf_key_state *old = &change->old;
	int err = 0;

	if (change->edit->set_allow)
		err = apply_list(change, &change->meet, &old->list);
	if (!err)
		err = apply_list(change, &change->list, &old->list);
	if (err)
		kf_policy_mend_note(change->policy, KF_MEND_KEYS, err);
	kf_policy_key_slot_write_all(change->policy, &old->row, old->allow_count, old);
}

/* The key, and of its lists those that the edit speaks about. */
static int store_key(struct change *change, const struct kf_key_row *before,
		     const struct kf_key_row *row, const struct kf_cidr *allow,
		     uint32_t allow_count, const struct kf_key_labels *labels)
{
	struct kf_store *store = change->policy->store;
	int err = kf_store_key_update(store, row);

	if (!err && (change->edit->set_quota || change->edit->add_quota))
		err = kf_ledger_quota_after(store, before, row,
					    kf_policy_time(change->policy).wall_ns, "");
	if (!err && change->edit->set_allow)
		err = kf_store_key_allow_set(store, row->seq, allow, allow_count);
	if (!err && change->edit->label_count)
		err = kf_store_key_labels_set(store, row->seq, labels->list, labels->count);
	return err;
}

/* The store as it was before, so that an edit that was answered with an error is none. */
static int store_back(struct change *change)
{
	_cleanup_(kf_store_rollbackp) struct kf_store *open = change->policy->store;
	const struct kf_key_state *old = &change->old;
	int err = kf_store_begin(open);

	if (!err)
		err = store_key(change, &change->row, &old->row, old->allow, old->allow_count,
				&change->old_labels);
	return err ? err : kf_store_commit(open);
}

static void edit_account(const struct kf_policy_key_edit *edit, struct kf_key_row *row)
{
	row->account = edit->account ? edit->account->id : KF_ACCOUNT_DEFAULT;
	row->account_wallet = edit->account ? edit->account->wallet : 0;
	snprintf(row->account_name, sizeof(row->account_name), "%s",
		 edit->account ? edit->account->name : "");
}

static int edit_quota(const struct kf_policy_key_edit *edit, const struct kf_key_row *old,
		      struct kf_key_row *row, struct kf_why *why)
{
	if (edit->set_quota)
		row->quota = edit->quota;
	if (!edit->add_quota)
		return 0;
	if (!old->wallet)
		return kf_why_set(why, -EINVAL,
				  "%s has no quota that could grow; give it one with `keyfilterctl "
				  "key edit %s --quota AMOUNT`",
				  old->id, old->id);
	row->quota = old->quota + edit->quota;
	if (row->quota < 0 || row->quota > KF_AMOUNT_TOP)
		return kf_why_set(why, -EINVAL,
				  "the quota of %s would be less than nothing, or over 1000000000; "
				  "give another amount",
				  old->id);
	return 0;
}

static int edit_row(const struct kf_policy_key_edit *edit, const struct kf_key_row *old,
		    struct kf_key_row *row, struct kf_why *why)
{
	*row = *old;
	if (edit->name)
		snprintf(row->name, sizeof(row->name), "%s", edit->name);
	if (edit->set_expires)
		row->expires = edit->expires;
	if (edit->set_rpm)
		row->rpm = edit->rpm;
	if (edit->set_burst)
		row->rpm_burst = edit->rpm_burst;
	else if (!row->rpm)
		row->rpm_burst = 0;
	if (edit->set_group)
		row->group = edit->group;
	if (edit->set_models)
		row->models = edit->models;
	if (edit->owner)
		snprintf(row->owner, sizeof(row->owner), "%s", edit->owner);
	if (edit->set_account)
		edit_account(edit, row);
	if (edit_quota(edit, old, row, why))
		return -EINVAL;
	if (row->rpm_burst && !row->rpm)
		return kf_why_set(why, -EINVAL,
				  "a burst needs a rate, and %s has none; give the rate, too",
				  old->id);
	return 0;
}

static uint64_t entries_of(const struct kf_key_state *state)
{
	return state->credential_count *
	       (uint64_t)kf_policy_key_slot_allow_entries(state->allow, state->allow_count);
}

static void count_entries(struct change *change)
{
	uint64_t after =
		kf_policy_key_slot_allow_entries(change->edit->allow, change->edit->allow_count);

	if (change->edit->set_allow)
		change->policy->allow_entries +=
			change->old.credential_count * after - entries_of(&change->old);
}

/* What of the key is held the edit speaks about, and so it ends. */
static unsigned int spoken_of(const struct kf_policy_key_edit *edit)
{
	return (edit->set_expires ? KF_HOLD_EXPIRES : 0) | (edit->set_allow ? KF_HOLD_ALLOW : 0) |
	       (edit->set_rpm || edit->set_burst ? KF_HOLD_RATE : 0) |
	       (edit->set_group ? KF_HOLD_GROUP : 0) | (edit->set_models ? KF_HOLD_MODELS : 0);
}

static void plan(struct change *change)
{
	const struct kf_policy_key_edit *edit = change->edit;

	change->left = change->old.hold;
	change->left.what &= ~spoken_of(edit);
	set_slot_row(&change->before, &change->old.row, &change->old.hold);
	set_slot_row(&change->after, &change->row, &change->left);
	if (edit->set_allow)
		kf_policy_key_list_set(&change->list, edit->allow, edit->allow_count);
	else
		change->list = change->old.list;
	kf_policy_key_list_meet(&change->old.list, &change->list, &change->meet);
}

/* Of a key that gets its first quota, or loses it. */
static int take_wallet(struct change *change)
{
	if (!change->edit->set_quota)
		return 0;
	return kf_ledger_quota_before(change->policy->store, &change->row, change->row.quota,
				      kf_policy_account_places(change->policy));
}

static int explain_places(struct change *change, int err, struct kf_why *why)
{
	return kf_why_set(why, err,
			  "there is no place for another quota, %u of these and accounts are "
			  "there; delete some, or raise keys_max and start again after "
			  "`keyfilterd --unload`",
			  kf_policy_account_places(change->policy));
}

/*
 * In three steps: the kernel narrows (an earlier end, addresses that go, a lower rate), the store
 * has it all, the kernel widens. A crash after the first leaves the kernel narrower than both the
 * old and the new row; the next start mends it. Where the store fails in between, the kernel stays
 * narrow and is held so; where the kernel fails, both are brought back.
 */
static int carry_out(struct change *change, struct kf_why *why)
{
	_cleanup_(kf_store_rollbackp) struct kf_store *open = change->policy->store;
	struct kf_hold hold = change->old.hold;
	int err = kf_store_begin(open);

	hold.what = 0;
	if (!err)
		err = take_wallet(change);
	if (err == -E2BIG)
		return explain_places(change, err, why);
	if (!err)
		err = store_key(change, &change->old.row, &change->row, change->edit->allow,
				change->edit->allow_count, &change->labels);
	if (err)
		return kf_policy_key_change_explain_store(change->policy, err, why);
	err = narrow(change, &hold);
	if (err) {
		kf_store_rollback(open);
		restore(change);
		return kf_policy_key_change_explain_maps(err, false, why);
	}
	err = kf_store_commit(open);
	if (err && hold.what)
		return kf_policy_key_change_hold(change->policy, err, &hold, why);
	return err ? kf_policy_key_change_explain_store(change->policy, err, why) : 0;
}

static int edit_key(struct change *change, struct kf_why *why)
{
	struct kf_policy *policy = change->policy;
	int err = carry_out(change, why);

	if (err)
		return err;
	/* not before the kernel has the new list: what is held is the old one */
	err = widen(change);
	if (!err) {
		kf_policy_hold_drop(policy->holds, change->row.seq, spoken_of(change->edit));
		if (change->row.wallet && !change->old.row.wallet)
			kf_policy_key_slot_wallet(policy, &change->row, true);
		kf_policy_key_slot_write_all(policy, &change->row, !change->list.any, &change->old);
		count_entries(change);
		if (change->row.models != change->old.row.models)
			kf_policy_model_release(policy, change->old.row.models);
		return 0;
	}
	if (!store_back(change)) {
		restore(change);
		return kf_policy_key_change_explain_maps(err, false, why);
	}
	kf_policy_hold_drop(policy->holds, change->row.seq, spoken_of(change->edit));
	count_entries(change);
	kf_policy_mend_note(policy, KF_MEND_KEYS, err);
	return kf_policy_key_change_explain_maps(err, true, why);
}

int kf_policy_key_edit(struct kf_policy *policy, const char *id,
		       const struct kf_policy_key_edit *asked, struct kf_why *why)
{
	struct kf_cidr list[KF_KEY_ALLOW_MAX];
	struct kf_policy_key_edit whole = *asked, *edit = &whole;
	struct change change = { .policy = policy, .edit = edit };
	int err = kf_policy_key_change_find(policy, id, &change.old, why);

	if (!err)
		err = kf_policy_key_change_allow(&change.old, edit, list, why);
	if (!err && edit->set_allow)
		err = kf_policy_key_change_check_room(
			policy, &change.old, change.old.credential_count, edit->allow,
			edit->allow_count, entries_of(&change.old), why);
	if (!err && edit->label_count)
		err = kf_policy_key_change_labels(policy, &change.old.row, edit, &change.old_labels,
						  &change.labels, why);
	if (!err)
		err = edit_row(edit, &change.old.row, &change.row, why);
	if (err)
		return err;
	plan(&change);
	return edit_key(&change, why);
}
