// SPDX-License-Identifier: GPL-2.0-only
/* A key's secrets: a new one, and the end of the older ones. */
#include "policy/key_change.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "cleanup.h"
#include "why.h"

/* The older credentials get their end, or go. What was counted on those that go stays the key's. */
static int store_older(struct kf_policy *policy, struct kf_key_state *state, int64_t until)
{
	int err = 0;

	for (uint32_t i = 0; !err && i < state->credential_count; i++) {
		struct kf_credential_row *old = &state->credentials[i];

		if (old->until > until)
			old->until = until;
		if (until) {
			err = kf_store_credential_until(policy->store, old->slot, old->until);
			continue;
		}
		kf_policy_key_slot_keep_counts(policy, old, &state->row);
		err = kf_store_credential_remove(policy->store, old->slot);
	}
	return err;
}

/* @until: when the older credentials end; 0: at once. */
static int store_rotation(struct kf_policy *policy, struct kf_key_state *state,
			  const struct kf_credential_row *fresh, int64_t until)
{
	int err = store_older(policy, state, until);

	if (!err)
		err = kf_store_credential_add(policy->store, fresh);
	return err ? err : kf_store_key_update(policy->store, &state->row);
}

static void end_older(struct kf_policy *policy, const struct kf_key_state *state, int64_t until)
{
	if (until)
		kf_policy_key_change_expires(policy, state, &state->row);
	else
		kf_policy_key_slot_status(policy, state, KF_KEY_DELETED);
}

/* ---- the new secret in the kernel ------------------------------------------------------------ */

/* A rotation on its way. */
struct rotation {
	struct kf_policy *policy;
	struct kf_key_state state;
	struct kf_credential_row fresh;
	int64_t until; /* when the older credentials end; 0: at once */
	bool in_place; /* fresh has the place of the current credential, which goes */
	bool loaded;   /* fresh is in the kernel, closed */
	struct kf_why *why;
};

/*
 * Whole and closed, its tag with it: opening it is one store then, which cannot fail. A crash
 * before it is durable leaves a tag that leads to a closed slot, and the next start takes both
 * away.
 */
static int load_closed(struct rotation *r)
{
	struct kf_maps *maps = r->policy->maps;
	int err = kf_policy_key_slot_fill(r->policy, &r->state.row, r->state.allow,
					  r->state.allow_count, &r->fresh);

	kf_maps_slot_status(maps, r->fresh.slot, KF_KEY_DELETED);
	if (!err)
		err = kf_maps_put(maps, KF_MAP_kf_tags, r->fresh.tag, &r->fresh.slot);
	r->loaded = true;
	return err;
}

/* The place of the current credential, which is refused and gone from the store. */
static int load_in_place(struct rotation *r)
{
	const struct kf_credential_row *old = &r->state.credentials[r->state.credential_count - 1];
	struct kf_maps *maps = r->policy->maps;
	int err = kf_maps_delete(maps, KF_MAP_kf_tags, old->tag);

	if (err && err != -ENOENT)
		return err;
	kf_maps_slot_retag(maps, r->fresh.slot, r->fresh.tag);
	return kf_maps_put(maps, KF_MAP_kf_tags, r->fresh.tag, &r->fresh.slot);
}

static void drop_older(struct rotation *r)
{
	uint32_t count = r->state.credential_count;

	for (uint32_t i = 0; i < count; i++)
		if (!r->in_place || i + 1 < count)
			kf_policy_key_slot_drop(r->policy, &r->state.credentials[i], r->state.allow,
						r->state.allow_count);
}

/* The new secret goes on at the rate that the older ones have used up, and shares it with them. */
static void open_fresh(struct rotation *r)
{
	struct kf_policy *policy = r->policy;
	const struct kf_hold *hold = kf_policy_hold_find(policy->holds, r->state.row.seq);
	struct kf_slot slot;

	for (uint32_t i = 0; i < r->state.credential_count; i++)
		kf_maps_slot_rate_home(policy->maps, r->state.credentials[i].slot, r->fresh.slot);
	kf_policy_key_slot_wanted(policy, &r->state.row, hold, !r->state.list.any, &r->fresh,
				  &slot);
	kf_maps_slot_write(policy->maps, r->fresh.slot, &slot);
}

/*
 * Where there was no room beside the older ones, it is in the places that they leave. Their rate is
 * still read from their slots, which no other key gets before this is over.
 */
static int load_late(struct rotation *r)
{
	if (r->loaded)
		return 0;
	return r->in_place ? load_in_place(r) : load_closed(r);
}

/* ---- rotate ---------------------------------------------------------------------------------- */

/*
 * The end of the older secrets is a revocation: kernel, then store. The new one is a grant: store,
 * then kernel. One transaction has both, and the kernel's halves stand around its commit.
 */
static int store_and_end(struct rotation *r)
{
	_cleanup_(kf_store_rollbackp) struct kf_store *open = r->policy->store;
	struct kf_hold hold = r->state.hold;
	int err = kf_store_begin(open);

	if (!err)
		err = store_rotation(r->policy, &r->state, &r->fresh, r->until);
	if (err)
		return kf_policy_key_change_explain_store(r->policy, err, r->why);
	end_older(r->policy, &r->state, r->until);
	err = kf_store_commit(open);
	if (!err) {
		kf_policy_hold_drop(r->policy->holds, r->state.row.seq, KF_HOLD_SECRETS);
		return 0;
	}
	hold.what = KF_HOLD_SECRETS;
	hold.until = r->until;
	return kf_policy_key_change_hold(r->policy, err, &hold, r->why);
}

static void give_back(struct rotation *r)
{
	if (r->loaded)
		kf_policy_key_slot_drop(r->policy, &r->fresh, r->state.allow, r->state.allow_count);
	else if (!r->in_place)
		kf_maps_slotpool_untake(r->policy->slots, r->fresh.slot);
}

static int rotate(struct rotation *r)
{
	struct kf_policy *policy = r->policy;
	bool early = !r->in_place && !kf_policy_key_slot_allow_room(
					     policy, kf_policy_key_slot_allow_entries(
							     r->state.allow, r->state.allow_count));
	int err = early ? load_closed(r) : 0;

	err = err ? kf_policy_key_change_explain_maps(err, false, r->why) : store_and_end(r);
	if (err) {
		give_back(r);
		return err;
	}
	if (!r->until)
		drop_older(r);
	err = load_late(r);
	open_fresh(r);
	if (!err)
		return 0;
	kf_policy_mend_note(policy, KF_MEND_KEYS, err);
	return kf_policy_key_change_explain_maps(err, true, r->why);
}

/* A running flow knows its key by the first bytes of the tag. */
static bool looks_alike(const struct rotation *r)
{
	const struct kf_key_state *state = &r->state;

	return r->in_place &&
	       !memcmp(r->fresh.tag, state->credentials[state->credential_count - 1].tag,
		       sizeof(uint16_t));
}

static int make_text(struct rotation *r, char text[static KF_KEY_TEXT_SIZE])
{
	do {
		if (kf_policy_key_text(text))
			return kf_why_set(r->why, -EIO, "getrandom failed; see the kernel log");
		kf_policy_key_tag(r->policy->secret, text, r->fresh.tag);
	} while (looks_alike(r));
	kf_policy_key_mask_of(text, &r->state.row.mask);
	return 0;
}

/* With every place taken, a secret without a grace leaves its own to the next. */
static int make_credential(struct rotation *r, char text[static KF_KEY_TEXT_SIZE])
{
	struct kf_key_state *state = &r->state;

	r->fresh.key = state->row.seq;
	r->fresh.until = KF_WALL_NEVER;
	if (kf_maps_slotpool_take(r->policy->slots, &r->fresh.slot)) {
		if (r->policy->loading && r->until)
			return kf_policy_key_change_explain_loading(r->why);
		if (r->until || !state->credential_count)
			return kf_why_set(r->why, -ENOSPC,
					  "there is no place for another secret; give `grace` 0, "
					  "delete a key, or raise keys_max and start again after "
					  "`keyfilterd --unload`");
		r->in_place = true;
		r->fresh.slot = state->credentials[state->credential_count - 1].slot;
	}
	return make_text(r, text);
}

static int check_rotation(struct rotation *r)
{
	const struct kf_key_state *state = &r->state;
	uint64_t fewer = state->credential_count * (uint64_t)kf_policy_key_slot_allow_entries(
							   state->allow, state->allow_count);

	if (r->until && state->credential_count == KF_KEY_CREDENTIALS_MAX)
		return kf_why_set(
			r->why, -ENOSPC,
			"%s has %d secrets in their grace; give `grace` 0 to end them, or wait",
			state->row.id, KF_KEY_CREDENTIALS_MAX - 1);
	return kf_policy_key_change_check_room(r->policy, state, 1, state->allow,
					       state->allow_count, r->until ? 0 : fewer, r->why);
}

int kf_policy_key_rotate(struct kf_policy *policy, const char *id, uint64_t grace_ns,
			 char text[static KF_KEY_TEXT_SIZE], struct kf_why *why)
{
	struct rotation r = { .policy = policy, .why = why };
	int err = kf_policy_key_change_find(policy, id, &r.state, why);

	if (err)
		return err;
	if (grace_ns && __builtin_add_overflow(kf_policy_time(policy).wall_ns, grace_ns, &r.until))
		return kf_why_set(why, -EINVAL, "the grace is too long; give at most 100 years");
	err = check_rotation(&r);
	if (!err)
		err = make_credential(&r, text);
	if (!err)
		err = rotate(&r);
	if (err)
		explicit_bzero(text, KF_KEY_TEXT_SIZE);
	return err;
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

struct gone {
	struct kf_cidr allow[KF_KEY_ALLOW_MAX];
	uint32_t allow_count;
};

/* Out of the store; within the transaction. */
static int forget(struct kf_policy *policy, const struct kf_credential_row *credential,
		  struct gone *gone)
{
	struct kf_key_row row;
	int err = kf_store_key_of_slot(policy->store, credential->slot, &row);

	if (!err)
		err = kf_store_key_allow_get(policy->store, row.seq, gone->allow,
					     &gone->allow_count);
	if (err)
		return err;
	kf_policy_key_slot_keep_counts(policy, credential, &row);
	err = kf_store_credential_remove(policy->store, credential->slot);
	return err ? err : kf_store_key_counts(policy->store, &row);
}

/*
 * One transaction for all. The kernel refuses them by their time already, so the order serves only
 * the slots: as in delete.
 */
static int forget_all(struct kf_policy *policy, const struct over *over, struct gone *gone)
{
	_cleanup_(kf_store_rollbackp) struct kf_store *open = policy->store;
	int err = kf_store_begin(policy->store);

	for (uint32_t i = 0; !err && i < over->count; i++)
		err = forget(policy, &over->rows[i], &gone[i]);
	if (!err)
		err = kf_store_commit(policy->store);
	for (uint32_t i = 0; !err && i < over->count; i++)
		kf_policy_key_slot_drop(policy, &over->rows[i], gone[i].allow, gone[i].allow_count);
	return err;
}

int kf_policy_key_expire(struct kf_policy *policy, uint32_t limit)
{
	_cleanup_free_ struct kf_credential_row *rows = calloc(limit, sizeof(*rows));
	const struct kf_clock now = kf_policy_time(policy);
	_cleanup_free_ struct gone *gone = calloc(limit, sizeof(*gone));
	struct over over = { .rows = rows };
	int err;

	if (!rows || !gone)
		return -ENOMEM;
	err = kf_store_credential_expired(policy->store, now.wall_ns - now.doubt_ns, limit,
					  collect_over, &over);
	if (err || !over.count)
		return err;
	err = forget_all(policy, &over, gone);
	return err ? err : over.count == limit;
}
