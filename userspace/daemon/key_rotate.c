// SPDX-License-Identifier: GPL-2.0-only
/* A key's secrets: a new one, and the end of the older ones. */
#include "key_change.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "cleanup.h"
#include "why.h"

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
		kf_key_change_expires(reconcile, state, &state->row);
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
		return kf_key_change_explain_store(reconcile, err, why);
	end_older(reconcile, state, until);
	err = kf_store_commit(reconcile->store);
	return err ? kf_key_change_explain_closed(reconcile, err, state->row.id, why) : 0;
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
	int err = kf_key_change_find(reconcile, id, &state, why);

	if (err)
		return err;
	if (grace_ns && __builtin_add_overflow(kf_reconcile_now().wall_ns, grace_ns, &until))
		return kf_why_set(why, -EINVAL, "the grace is too long; give at most 100 years");
	if (until && state.credential_count == KF_KEY_CREDENTIALS_MAX)
		return kf_why_set(why, -ENOSPC,
				  "%s has %d secrets in their grace; give `grace` 0 to end them, "
				  "or wait",
				  id, KF_KEY_CREDENTIALS_MAX - 1);
	err = kf_key_change_check_room(reconcile, &state, 1, state.allow, state.allow_count, why);
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
	return err ? kf_key_change_explain_maps(err, why) : 0;
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
		err = kf_store_key_counts(reconcile->store, &row);
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
