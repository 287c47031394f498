/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * ledger.h - the only writer of money.
 *
 * Each function changes what an account or a key may spend, or has spent, and adds the entry that
 * says so, in the caller's transaction (kf_store_begin()): both are durable, or neither. Amounts
 * are micro-units, @time wall-clock nanoseconds, @note (may be "") what the operator gave as
 * reference. 0 or -errno as store.h has them; -EDOM: the sum would be over KF_AMOUNT_TOP or below
 * 0.
 */
#ifndef KEYFILTER_DAEMON_LEDGER_H
#define KEYFILTER_DAEMON_LEDGER_H

#include "store/store.h"

/* A new account; sets row->id, wallet (1 to @most) and revision. row->granted is its first grant.
 */
int kf_ledger_account(struct kf_store *store, struct kf_account_row *row, uint32_t most,
		      const char *note);
/* @row, as it is stored, is granted @amount more, which may be negative. */
int kf_ledger_grant(struct kf_store *store, struct kf_account_row *row, int64_t amount,
		    int64_t time, const char *note);

/*
 * The key of @row, a row that is stored, has the quota @quota from now on, KF_NO_QUOTA: none.
 * Before its row is written (kf_store_key_add(), kf_store_key_update()): a wallet is taken where it
 * has none; after: the entry is added, and the wallet is given back where it needs none any more.
 */
int kf_ledger_quota_before(struct kf_store *store, struct kf_key_row *row, int64_t quota,
			   uint32_t most);
int kf_ledger_quota_after(struct kf_store *store, const struct kf_key_row *old,
			  const struct kf_key_row *row, int64_t time, const char *note);

/* The key of @row has spent @amount; row->spent follows. */
int kf_ledger_charge(struct kf_store *store, struct kf_key_row *row, int64_t amount, int64_t time,
		     const char *note);

/* What may still be spent; below 0 where more was. */
int64_t kf_ledger_left(int64_t granted, int64_t spent);

#endif
