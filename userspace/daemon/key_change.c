// SPDX-License-Identifier: GPL-2.0-only
/* What changes a key that exists. The order of store and kernel is the argument; see each. */
#include "key_change.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "cleanup.h"
#include "cut.h"
#include "why.h"

static uint64_t monotonic_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000ull + (uint64_t)t.tv_nsec;
}

int kf_key_change_find(struct kf_reconcile *reconcile, const char *id, struct kf_key_state *state,
		       struct kf_why *why)
{
	struct kf_key_row row;
	int err = kf_store_key_get(reconcile->store, id, &row);

	if (!err)
		err = kf_key_slot_state(reconcile, &row, state);
	if (err == -ENOENT)
		return kf_why_set(why, err, "there is no key %s; see keyfilterctl key list", id);
	if (err)
		return kf_why_set(why, err,
				  "cannot read key %s: %s; see to the disk of the state "
				  "directory",
				  id, kf_store_error(reconcile->store));
	return 0;
}

int kf_key_change_explain_store(struct kf_reconcile *reconcile, int err, struct kf_why *why)
{
	return kf_why_set(why, err,
			  "cannot store the key: %s; it is as before, see to the disk of the "
			  "state directory",
			  kf_store_error(reconcile->store));
}

int kf_key_change_explain_closed(struct kf_reconcile *reconcile, int err, const char *id,
				 struct kf_why *why)
{
	return kf_why_set(why, err,
			  "the kernel refuses what was revoked of %s, but it is not durable "
			  "and a restart would admit it again: %s; see to the disk and do it again",
			  id, kf_store_error(reconcile->store));
}

/* ---- disable, enable ------------------------------------------------------------------------- */

/*
 * Kernel, then store. A crash in between leaves a kernel that refuses, until the next start reads
 * from the store that nobody was told of a revocation.
 */
int kf_key_disable(struct kf_reconcile *reconcile, const char *id, struct kf_key_times *times,
		   struct kf_why *why)
{
	uint64_t begun = monotonic_ns();
	struct kf_key_state state;
	int err = kf_key_change_find(reconcile, id, &state, why);

	if (err)
		return err;
	kf_key_slot_status(reconcile, &state, KF_KEY_DISABLED);
	times->kernel_ns = monotonic_ns() - begun;
	state.row.disabled = true;
	err = kf_store_key_update(reconcile->store, &state.row);
	times->durable_ns = monotonic_ns() - begun;
	return err ? kf_key_change_explain_closed(reconcile, err, id, why) : 0;
}

/* Store, then kernel: it is admitted only once a restart would admit it, too. */
int kf_key_enable(struct kf_reconcile *reconcile, const char *id, struct kf_why *why)
{
	struct kf_key_state state;
	int err = kf_key_change_find(reconcile, id, &state, why);

	if (err)
		return err;
	state.row.disabled = false;
	err = kf_store_key_update(reconcile->store, &state.row);
	if (err)
		return kf_key_change_explain_store(reconcile, err, why);
	kf_key_slot_status(reconcile, &state, KF_KEY_ENABLED);
	return 0;
}

/* ---- delete ---------------------------------------------------------------------------------- */

/*
 * Kernel, then store, then the tags. The credentials leave the store before their tags leave
 * kf_tags, and the slots are free after that: a crash in between leaves tags that lead to deleted
 * slots, which the next start removes before it gives a slot away.
 */
int kf_key_delete(struct kf_reconcile *reconcile, const char *id, struct kf_key_times *times,
		  struct kf_why *why)
{
	uint64_t begun = monotonic_ns();
	struct kf_key_state state;
	int err = kf_key_change_find(reconcile, id, &state, why);

	if (err)
		return err;
	kf_key_slot_status(reconcile, &state, KF_KEY_DELETED);
	times->kernel_ns = monotonic_ns() - begun;
	err = kf_store_key_remove(reconcile->store, state.row.seq);
	times->durable_ns = monotonic_ns() - begun;
	if (err)
		return kf_key_change_explain_closed(reconcile, err, id, why);
	for (uint32_t i = 0; i < state.credential_count; i++)
		kf_key_slot_drop(reconcile, &state.credentials[i], state.allow, state.allow_count);
	return 0;
}

/* ---- edit ------------------------------------------------------------------------------------ */

/* An IPv6 block does not speak about IPv4, even if it is around all of it. */
static bool is_covered(const struct kf_cidr *cidr, const struct kf_cidr *by, uint32_t count)
{
	for (uint32_t i = 0; i < count; i++)
		if (kf_cidr_covers(&by[i], cidr) && kf_cidr_is_v4(&by[i]) == kf_cidr_is_v4(cidr))
			return true;
	return false;
}

static void set_flag(struct kf_reconcile *reconcile, uint32_t slot, bool allowlist)
{
	kf_maps_slot_flags(reconcile->maps, slot, allowlist ? KF_KEY_HAS_ALLOWLIST : 0);
}

/*
 * Before it is durable: all that closes. Blocks nest or are apart, so what was admitted and still
 * is consists of new blocks inside old ones and old blocks inside new ones: the former are added
 * first, the latter stay, and nothing of it is refused meanwhile.
 */
static int narrow_allow(struct kf_reconcile *reconcile, uint32_t slot,
			const struct kf_key_state *old, const struct kf_key_edit *edit)
{
	int err = 0;

	if (!edit->allow_count)
		return 0;
	for (uint32_t i = 0; !err && i < edit->allow_count; i++)
		if (!old->allow_count || is_covered(&edit->allow[i], old->allow, old->allow_count))
			err = kf_key_slot_allow_put(reconcile, slot, &edit->allow[i]);
	if (err)
		return err;
	if (!old->allow_count)
		set_flag(reconcile, slot, true); /* the entries are there: from none to some */
	for (uint32_t i = 0; !err && i < old->allow_count; i++)
		if (!is_covered(&old->allow[i], edit->allow, edit->allow_count))
			err = kf_key_slot_allow_delete(reconcile, slot, &old->allow[i], edit->allow,
						       edit->allow_count);
	return err;
}

/* After it is durable: all that opens; then what is left of the old list, now of no effect. */
static int widen_allow(struct kf_reconcile *reconcile, uint32_t slot,
		       const struct kf_key_state *old, const struct kf_key_edit *edit)
{
	int err = 0;

	if (!edit->allow_count)
		set_flag(reconcile, slot,
			 false); /* from some to none: the flag before the entries */
	for (uint32_t i = 0; !err && i < edit->allow_count; i++)
		err = kf_key_slot_allow_put(reconcile, slot, &edit->allow[i]);
	for (uint32_t i = 0; !err && i < old->allow_count; i++)
		err = kf_key_slot_allow_delete(reconcile, slot, &old->allow[i], edit->allow,
					       edit->allow_count);
	return err;
}

void kf_key_change_expires(struct kf_reconcile *reconcile, const struct kf_key_state *state,
			   const struct kf_key_row *row)
{
	struct kf_slot slot;

	for (uint32_t i = 0; i < state->credential_count; i++) {
		const struct kf_credential_row *credential = &state->credentials[i];

		kf_key_slot_wanted(row, false, credential, &slot);
		kf_maps_slot_expires(reconcile->maps, credential->slot, slot.expires_ns);
	}
}

/* The current credential, at whose slot all count, is the last, and the first to be written. */
static void write_rate(struct kf_reconcile *reconcile, const struct kf_key_state *state,
		       uint32_t rpm, uint32_t rpm_burst)
{
	__u64 interval, burst;

	kf_policy_rate(rpm, rpm_burst, &interval, &burst);
	for (uint32_t i = state->credential_count; i-- > 0;)
		kf_maps_slot_rate(reconcile->maps, state->credentials[i].slot, interval, burst);
}

/* What both the old rate and the new one allow: no more a minute, and no more at once. */
static void narrow_rate(struct kf_reconcile *reconcile, const struct kf_key_state *state,
			const struct kf_key_row *row)
{
	const struct kf_key_row *old = &state->row;
	uint32_t old_burst = kf_policy_burst(old->rpm, old->rpm_burst);
	uint32_t burst = kf_policy_burst(row->rpm, row->rpm_burst);

	if (!row->rpm)
		return; /* it was limited, or not: that stays until none is durable */
	if (!old->rpm)
		write_rate(reconcile, state, row->rpm, burst);
	else
		write_rate(reconcile, state, row->rpm < old->rpm ? row->rpm : old->rpm,
			   burst < old_burst ? burst : old_burst);
}

static int narrow(struct kf_reconcile *reconcile, const struct kf_key_state *old,
		  const struct kf_key_row *row, const struct kf_key_edit *edit)
{
	int err = 0;

	if (row->expires < old->row.expires) {
		kf_key_change_expires(reconcile, old, row);
		reconcile->revoked |= KF_CUT_KEYS;
	}
	narrow_rate(reconcile, old, row);
	for (uint32_t i = 0; edit->set_allow && !err && i < old->credential_count; i++)
		err = narrow_allow(reconcile, old->credentials[i].slot, old, edit);
	return err;
}

static int widen(struct kf_reconcile *reconcile, const struct kf_key_state *old,
		 const struct kf_key_row *row, const struct kf_key_edit *edit)
{
	int err = 0;

	kf_key_change_expires(reconcile, old, row);
	write_rate(reconcile, old, row->rpm, row->rpm_burst);
	for (uint32_t i = 0; edit->set_allow && !err && i < old->credential_count; i++)
		err = widen_allow(reconcile, old->credentials[i].slot, old, edit);
	return err;
}

static int store_edit(struct kf_reconcile *reconcile, const struct kf_key_row *row,
		      const struct kf_key_edit *edit)
{
	int err = kf_store_key_update(reconcile->store, row);

	if (!err && edit->set_allow)
		err = kf_store_key_allow_set(reconcile->store, row->seq, edit->allow,
					     edit->allow_count);
	return err;
}

int kf_key_change_explain_maps(int err, struct kf_why *why)
{
	return kf_why_set(why, err,
			  "the kernel did not take the allow list: %s; if memory is short, free "
			  "some, and restart keyfilterd",
			  strerror(-err));
}

static int edit_row(const struct kf_key_edit *edit, const struct kf_key_row *old,
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
	if (row->rpm_burst && !row->rpm)
		return kf_why_set(why, -EINVAL,
				  "a burst needs a rate, and %s has none; give the rate, too",
				  old->id);
	return 0;
}

/* Old and new entries are there together for a while, so there must be room for both. */
int kf_key_change_check_room(const struct kf_reconcile *reconcile, const struct kf_key_state *state,
			     uint32_t slots, const struct kf_cidr *allow, uint32_t allow_count,
			     struct kf_why *why)
{
	uint64_t entries = kf_key_slot_allow_entries(allow, allow_count);

	if (!kf_key_slot_allow_room(reconcile, slots * entries))
		return 0;
	return kf_why_set(why, -ENOSPC,
			  "there is no room for the allow list of %s; give fewer blocks (an "
			  "IPv6 block around ::ffff:0:0/96 needs many), or raise keys_max",
			  state->row.id);
}

static void count_entries(struct kf_reconcile *reconcile, const struct kf_key_state *old,
			  const struct kf_key_edit *edit)
{
	uint64_t before = kf_key_slot_allow_entries(old->allow, old->allow_count);
	uint64_t after = kf_key_slot_allow_entries(edit->allow, edit->allow_count);

	if (edit->set_allow)
		reconcile->allow_entries += old->credential_count * (after - before);
}

/*
 * In three steps: the kernel narrows (an earlier end, addresses that go, a lower rate), the store
 * has it all, the kernel widens. A crash after the first leaves the kernel narrower than both the
 * old and the new row; the next start mends it.
 */
int kf_key_edit(struct kf_reconcile *reconcile, const char *id, const struct kf_key_edit *asked,
		struct kf_why *why)
{
	_cleanup_(kf_store_rollbackp) struct kf_store *open = reconcile->store;
	struct kf_cidr list[KF_KEY_ALLOW_MAX];
	struct kf_key_edit whole = *asked, *edit = &whole;
	struct kf_key_state old;
	struct kf_key_row row;
	int err = kf_key_change_find(reconcile, id, &old, why);

	err = err ?: kf_key_change_allow(&old, edit, list, why);
	if (!err && edit->set_allow)
		err = kf_key_change_check_room(reconcile, &old, old.credential_count, edit->allow,
					       edit->allow_count, why);
	if (err)
		return err;
	err = edit_row(edit, &old.row, &row, why);
	if (err)
		return err;
	err = kf_store_begin(reconcile->store);
	if (!err)
		err = store_edit(reconcile, &row, edit);
	if (err)
		return kf_key_change_explain_store(reconcile, err, why);
	err = narrow(reconcile, &old, &row, edit);
	if (err)
		return kf_key_change_explain_maps(err, why);
	err = kf_store_commit(reconcile->store);
	if (err)
		return kf_key_change_explain_closed(reconcile, err, id, why);
	count_entries(reconcile, &old, edit);
	err = widen(reconcile, &old, &row, edit);
	return err ? kf_key_change_explain_maps(err, why) : 0;
}
