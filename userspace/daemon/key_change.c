// SPDX-License-Identifier: GPL-2.0-only
/* What changes a key that exists. The order of store and kernel is the argument; see each. */
#include "key.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "cleanup.h"
#include "cut.h"
#include "key_slot.h"
#include "why.h"

static uint64_t monotonic_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000ull + (uint64_t)t.tv_nsec;
}

static int find(struct kf_reconcile *reconcile, const char *id, struct kf_key_state *state,
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

static int explain_store(struct kf_reconcile *reconcile, int err, struct kf_why *why)
{
	return kf_why_set(why, err,
			  "cannot store the key: %s; it is as before, see to the disk of the "
			  "state directory",
			  kf_store_error(reconcile->store));
}

static int explain_closed(struct kf_reconcile *reconcile, int err, const char *id,
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
	int err = find(reconcile, id, &state, why);

	if (err)
		return err;
	kf_key_slot_status(reconcile, &state, KF_KEY_DISABLED);
	times->kernel_ns = monotonic_ns() - begun;
	state.row.disabled = true;
	err = kf_store_key_update(reconcile->store, &state.row);
	times->durable_ns = monotonic_ns() - begun;
	return err ? explain_closed(reconcile, err, id, why) : 0;
}

/* Store, then kernel: it is admitted only once a restart would admit it, too. */
int kf_key_enable(struct kf_reconcile *reconcile, const char *id, struct kf_why *why)
{
	struct kf_key_state state;
	int err = find(reconcile, id, &state, why);

	if (err)
		return err;
	state.row.disabled = false;
	err = kf_store_key_update(reconcile->store, &state.row);
	if (err)
		return explain_store(reconcile, err, why);
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
	int err = find(reconcile, id, &state, why);

	if (err)
		return err;
	kf_key_slot_status(reconcile, &state, KF_KEY_DELETED);
	times->kernel_ns = monotonic_ns() - begun;
	err = kf_store_key_remove(reconcile->store, state.row.seq);
	times->durable_ns = monotonic_ns() - begun;
	if (err)
		return explain_closed(reconcile, err, id, why);
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

static void write_expires(struct kf_reconcile *reconcile, const struct kf_key_state *state,
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
		write_expires(reconcile, old, row);
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

	write_expires(reconcile, old, row);
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

static int explain_maps(int err, struct kf_why *why)
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
static int check_room(const struct kf_reconcile *reconcile, const struct kf_key_state *state,
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
int kf_key_edit(struct kf_reconcile *reconcile, const char *id, const struct kf_key_edit *edit,
		struct kf_why *why)
{
	_cleanup_(kf_store_rollbackp) struct kf_store *open = reconcile->store;
	struct kf_key_state old;
	struct kf_key_row row;
	int err = find(reconcile, id, &old, why);

	if (!err && edit->set_allow)
		err = check_room(reconcile, &old, old.credential_count, edit->allow,
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
		return explain_store(reconcile, err, why);
	err = narrow(reconcile, &old, &row, edit);
	if (err)
		return explain_maps(err, why);
	err = kf_store_commit(reconcile->store);
	if (err)
		return explain_closed(reconcile, err, id, why);
	count_entries(reconcile, &old, edit);
	err = widen(reconcile, &old, &row, edit);
	return err ? explain_maps(err, why) : 0;
}

/* ---- rotate ---------------------------------------------------------------------------------- */

/* The older credentials get their end, or go. What was counted on those that go stays the key's. */
static int store_older(struct kf_reconcile *reconcile, struct kf_key_state *state, int64_t until)
{
	int err = 0;

	for (uint32_t i = 0; !err && i < state->credential_count; i++) {
		struct kf_credential_row *old = &state->credentials[i];

		if (old->until > until)
			old->until = until;
		if (until) {
			err = kf_store_credential_until(reconcile->store, old->slot, old->until);
			continue;
		}
		kf_key_slot_keep_counts(reconcile, old->slot, &state->row);
		err = kf_store_credential_remove(reconcile->store, old->slot);
	}
	return err;
}

/* @until: when the older credentials end; 0: at once. */
static int store_rotation(struct kf_reconcile *reconcile, struct kf_key_state *state,
			  const struct kf_credential_row *fresh, int64_t until)
{
	int err = store_older(reconcile, state, until);

	if (!err)
		err = kf_store_credential_add(reconcile->store, fresh);
	return err ? err : kf_store_key_update(reconcile->store, &state->row);
}

static void end_older(struct kf_reconcile *reconcile, const struct kf_key_state *state,
		      int64_t until)
{
	if (until)
		write_expires(reconcile, state, &state->row);
	else
		kf_key_slot_status(reconcile, state, KF_KEY_DELETED);
}

/* The new secret goes on at the rate that the older ones have used up, and shares it with them. */
static int load_fresh(struct kf_reconcile *reconcile, const struct kf_key_state *state,
		      const struct kf_credential_row *fresh, int64_t until)
{
	int err = kf_key_slot_fill(reconcile, &state->row, state->allow, state->allow_count, fresh);

	for (uint32_t i = 0; i < state->credential_count; i++) {
		const struct kf_credential_row *old = &state->credentials[i];

		if (!err)
			kf_maps_slot_rate_home(reconcile->maps, old->slot, fresh->slot);
		if (!until)
			kf_key_slot_drop(reconcile, old, state->allow, state->allow_count);
	}
	return err ? err : kf_maps_put(reconcile->maps, KF_MAP_kf_tags, fresh->tag, &fresh->slot);
}

/*
 * The end of the older secrets is a revocation: kernel, then store. The new one is a grant: store,
 * then kernel. One transaction has both, and the kernel's halves stand around its commit.
 */
static int rotate(struct kf_reconcile *reconcile, struct kf_key_state *state,
		  const struct kf_credential_row *fresh, int64_t until, struct kf_why *why)
{
	_cleanup_(kf_store_rollbackp) struct kf_store *open = reconcile->store;
	int err = kf_store_begin(reconcile->store);

	if (!err)
		err = store_rotation(reconcile, state, fresh, until);
	if (err)
		return explain_store(reconcile, err, why);
	end_older(reconcile, state, until);
	err = kf_store_commit(reconcile->store);
	return err ? explain_closed(reconcile, err, state->row.id, why) : 0;
}

static int make_credential(struct kf_reconcile *reconcile, struct kf_key_state *state,
			   struct kf_credential_row *fresh, char text[static KF_KEY_TEXT_SIZE],
			   struct kf_why *why)
{
	memset(fresh, 0, sizeof(*fresh));
	if (kf_key_text(text))
		return kf_why_set(why, -EIO, "getrandom failed; see the kernel log");
	if (kf_slotpool_take(reconcile->slots, &fresh->slot))
		return kf_why_set(why, -ENOSPC,
				  "there is no place for another secret; delete a key, or "
				  "raise keys_max");
	fresh->key = state->row.seq;
	fresh->until = KF_WALL_NEVER;
	kf_key_tag(reconcile->secret, text, fresh->tag);
	kf_key_mask_of(text, &state->row.mask);
	return 0;
}

int kf_key_rotate(struct kf_reconcile *reconcile, const char *id, uint64_t grace_ns,
		  char text[static KF_KEY_TEXT_SIZE], struct kf_why *why)
{
	struct kf_credential_row fresh;
	struct kf_key_state state;
	int64_t until = 0;
	int err = find(reconcile, id, &state, why);

	if (err)
		return err;
	if (grace_ns && __builtin_add_overflow(kf_reconcile_now().wall_ns, grace_ns, &until))
		return kf_why_set(why, -EINVAL, "the grace is too long; give at most some years");
	if (until && state.credential_count == KF_KEY_CREDENTIALS_MAX)
		return kf_why_set(why, -ENOSPC,
				  "%s has %d secrets in their grace; rotate with --grace 0s, "
				  "or wait",
				  id, KF_KEY_CREDENTIALS_MAX - 1);
	err = check_room(reconcile, &state, 1, state.allow, state.allow_count, why);
	if (!err)
		err = make_credential(reconcile, &state, &fresh, text, why);
	if (err)
		return err;
	err = rotate(reconcile, &state, &fresh, until, why);
	if (err) {
		kf_slotpool_return(reconcile->slots, fresh.slot);
		explicit_bzero(text, KF_KEY_TEXT_SIZE);
		return err;
	}
	err = load_fresh(reconcile, &state, &fresh, until);
	return err ? explain_maps(err, why) : 0;
}

/* ---- end of grace ---------------------------------------------------------------------------- */

struct over {
	struct kf_credential_row *rows;
	uint32_t count;
};

static int collect_over(void *context, const struct kf_credential_row *row)
{
	struct over *over = context;

	over->rows[over->count++] = *row;
	return 0;
}

/* The kernel refuses it by its time already, so the order serves only the slot: as in delete. */
static int forget(struct kf_reconcile *reconcile, const struct kf_credential_row *credential)
{
	_cleanup_(kf_store_rollbackp) struct kf_store *open = reconcile->store;
	struct kf_key_state state;
	struct kf_key_row row;
	int err = kf_store_key_of_slot(reconcile->store, credential->slot, &row);

	if (!err)
		err = kf_key_slot_state(reconcile, &row, &state);
	if (!err)
		err = kf_store_begin(reconcile->store);
	if (err)
		return err;
	kf_key_slot_keep_counts(reconcile, credential->slot, &row);
	err = kf_store_credential_remove(reconcile->store, credential->slot);
	if (!err)
		err = kf_store_key_update(reconcile->store, &row);
	if (!err)
		err = kf_store_commit(reconcile->store);
	if (!err)
		kf_key_slot_drop(reconcile, credential, state.allow, state.allow_count);
	return err;
}

int kf_key_expire(struct kf_reconcile *reconcile, uint32_t limit)
{
	_cleanup_free_ struct kf_credential_row *rows = calloc(limit, sizeof(*rows));
	struct over over = { .rows = rows };
	int err;

	if (!rows)
		return -ENOMEM;
	err = kf_store_credential_expired(reconcile->store, kf_reconcile_now().wall_ns, limit,
					  collect_over, &over);
	for (uint32_t i = 0; !err && i < over.count; i++)
		err = forget(reconcile, &rows[i]);
	return err;
}
