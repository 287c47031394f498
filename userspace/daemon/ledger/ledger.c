// SPDX-License-Identifier: GPL-2.0-only
#include "ledger/ledger.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

static int add_entry(struct kf_store *store, struct kf_ledger_row *entry, const char *note)
{
	snprintf(entry->note, sizeof(entry->note), "%s", note);
	return kf_store_ledger_add(store, entry);
}

/* ---- accounts -------------------------------------------------------------------------------- */

int kf_ledger_account(struct kf_store *store, struct kf_account_row *row, uint32_t most,
		      const char *note)
{
	int64_t first = row->granted;
	int err;

	if (first < 0 || first > KF_AMOUNT_TOP)
		return -EDOM;
	err = kf_store_wallet_take(store, most, &row->wallet);
	if (!err)
		err = kf_store_account_add(store, row);
	if (!err && first)
		err = add_entry(store,
				&(struct kf_ledger_row){ .time = row->created,
							 .kind = KF_LEDGER_GRANT,
							 .account = row->id,
							 .amount = first },
				note);
	return err;
}

int kf_ledger_grant(struct kf_store *store, struct kf_account_row *row, int64_t amount,
		    int64_t time, const char *note)
{
	struct kf_account_row changed = *row;
	int err;

	if (__builtin_add_overflow(row->granted, amount, &changed.granted) || changed.granted < 0 ||
	    changed.granted > KF_AMOUNT_TOP)
		return -EDOM;
	err = kf_store_account_update(store, &changed);
	if (!err)
		err = add_entry(store,
				&(struct kf_ledger_row){ .time = time,
							 .kind = KF_LEDGER_GRANT,
							 .account = row->id,
							 .amount = amount },
				note);
	if (!err)
		*row = changed;
	return err;
}

/* ---- keys ------------------------------------------------------------------------------------ */

int kf_ledger_quota_before(struct kf_store *store, struct kf_key_row *row, int64_t quota,
			   uint32_t most)
{
	int err = 0;

	if (quota < KF_NO_QUOTA || quota > KF_AMOUNT_TOP)
		return -EDOM;
	if (quota == KF_NO_QUOTA)
		row->wallet = 0;
	else if (!row->wallet)
		err = kf_store_wallet_take(store, most, &row->wallet);
	row->quota = quota;
	return err;
}

int kf_ledger_quota_after(struct kf_store *store, const struct kf_key_row *old,
			  const struct kf_key_row *row, int64_t time, const char *note)
{
	struct kf_ledger_row entry = {
		.time = time,
		.kind = KF_LEDGER_QUOTA,
		.account = row->account,
		.total = row->wallet ? row->quota : KF_NO_QUOTA,
		.amount = (row->wallet ? row->quota : 0) - (old->wallet ? old->quota : 0),
	};
	int err = 0;

	memcpy(entry.key, row->id, sizeof(row->id));
	if (old->wallet && !row->wallet)
		err = kf_store_wallet_drop(store, old->wallet);
	return err ? err : add_entry(store, &entry, note);
}

int kf_ledger_charge(struct kf_store *store, struct kf_key_row *row, int64_t amount, int64_t time,
		     const char *note)
{
	struct kf_ledger_row entry = {
		.time = time,
		.kind = KF_LEDGER_CHARGE,
		.account = row->account,
		.amount = amount,
	};
	int err;

	if (amount < 0 || amount > KF_AMOUNT_TOP)
		return -EDOM;
	memcpy(entry.key, row->id, sizeof(row->id));
	err = kf_store_key_spend(store, row, amount);
	if (!err)
		err = add_entry(store, &entry, note);
	if (!err)
		row->spent += amount;
	return err;
}

int64_t kf_ledger_left(int64_t granted, int64_t spent)
{
	int64_t left;

	return __builtin_sub_overflow(granted, spent, &left) ? INT64_MIN : left;
}
