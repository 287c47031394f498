// SPDX-License-Identifier: GPL-2.0-only
#include "policy/account.h"

#include <errno.h>

#include "cleanup.h"
#include "ledger/ledger.h"
#include "policy/policy.h"
#include "why.h"

uint32_t kf_policy_account_places(const struct kf_policy *policy)
{
	return kf_maps_entries(policy->maps, KF_MAP_kf_wallets) - 1;
}

/* ---- the kernel ------------------------------------------------------------------------------ */

static int write_wallet(void *context, const struct kf_account_row *row)
{
	struct kf_policy *policy = context;
	const struct kf_wallet want = {
		.limit = row->unlimited ? KF_UNLIMITED : kf_ledger_left(row->granted, row->spent),
		.reason = KF_REASON_ACCOUNT_EXHAUSTED,
	};

	kf_maps_wallet_write(policy->maps, row->wallet, &want);
	return 0;
}

void kf_policy_account_key(struct kf_policy *policy, const struct kf_slot_row *row, bool fresh)
{
	const struct kf_wallet want = {
		.limit = kf_ledger_left(row->quota, row->spent),
		.parent = row->account_wallet,
		.reason = KF_REASON_KEY_EXHAUSTED,
	};

	if (!row->wallet)
		return;
	if (fresh)
		kf_maps_wallet_clear(policy->maps, row->wallet);
	kf_maps_wallet_write(policy->maps, row->wallet, &want);
}

int kf_policy_account_apply(struct kf_policy *policy, int64_t id)
{
	struct kf_account_row row;
	int err = kf_store_account_at(policy->store, id, &row);

	return err ? err : write_wallet(policy, &row);
}

int kf_policy_account_reconcile(struct kf_policy *policy)
{
	return kf_store_account_each(policy->store, write_wallet, policy);
}

/* ---- changes --------------------------------------------------------------------------------- */

static int explain(struct kf_policy *policy, int err, const char *name, struct kf_why *why)
{
	switch (err) {
	case -EEXIST:
		return kf_why_set(why, err,
				  "there is an account %s already; give another name, or put money "
				  "into that one with `keyfilterctl account topup %s AMOUNT`",
				  name, name);
	case -ENOENT:
		return kf_why_set(why, err, "there is no account %s; see keyfilterctl account list",
				  name);
	case -EDOM:
		return kf_why_set(why, -EINVAL,
				  "account %s would have been granted less than nothing, or over "
				  "1000000000 in all; give another amount",
				  name);
	case -E2BIG:
		return kf_why_set(why, err,
				  "there is no place for account %s, %u accounts and keys with a "
				  "quota are there; delete some, or raise keys_max and start "
				  "again after `keyfilterd --unload`",
				  name, kf_policy_account_places(policy));
	default:
		return kf_why_set(why, err, "cannot store account %s: %s; %s, %s", name,
				  kf_store_error(policy->store),
				  kf_store_is_unsure(policy->store)
					  ? "it is not known whether the change is stored"
					  : "it is as before",
				  kf_store_mend(err));
	}
}

/* The kernel has whatever is durable, at once; of what is not known it hears when it is. */
static int finish(struct kf_policy *policy, int err, const struct kf_account_row *row, bool fresh,
		  struct kf_why *why)
{
	if (err)
		return explain(policy, err, row->name, why);
	if (fresh)
		kf_maps_wallet_clear(policy->maps, row->wallet);
	return write_wallet(policy, row);
}

int kf_policy_account_add(struct kf_policy *policy, struct kf_account_row *row, const char *note,
			  struct kf_why *why)
{
	_cleanup_(kf_store_rollbackp) struct kf_store *open = policy->store;
	int err = kf_store_begin(open);

	row->created = kf_policy_time(policy).wall_ns;
	if (!err)
		err = kf_ledger_account(open, row, kf_policy_account_places(policy), note);
	if (!err)
		err = kf_store_commit(open);
	return finish(policy, err, row, true, why);
}

int kf_policy_account_grant(struct kf_policy *policy, struct kf_account_row *row, int64_t amount,
			    const char *note, struct kf_why *why)
{
	_cleanup_(kf_store_rollbackp) struct kf_store *open = policy->store;
	struct kf_account_row changed = *row;
	int err = kf_store_begin(open);

	if (!err)
		err = kf_ledger_grant(open, &changed, amount, kf_policy_time(policy).wall_ns, note);
	if (!err)
		err = kf_store_commit(open);
	err = finish(policy, err, &changed, false, why);
	if (!err)
		*row = changed;
	return err;
}

int kf_policy_account_edit(struct kf_policy *policy, struct kf_account_row *row, bool unlimited,
			   struct kf_why *why)
{
	struct kf_account_row changed = *row;
	int err;

	changed.unlimited = unlimited;
	err = finish(policy, kf_store_account_update(policy->store, &changed), &changed, false,
		     why);
	if (!err)
		*row = changed;
	return err;
}
