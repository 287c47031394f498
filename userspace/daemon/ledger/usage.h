/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * usage.h - what a request has used becomes money, once.
 */
#ifndef KEYFILTER_DAEMON_LEDGER_USAGE_H
#define KEYFILTER_DAEMON_LEDGER_USAGE_H

#include "store/store.h"

/* Has @model a price by which its requests can be booked: one for input, or for a request? */
bool kf_ledger_usage_is_priced(const struct kf_model_row *model);

/*
 * What @counts cost: each kind of tokens at its price, cached and written ones at that of input
 * where they have none, together with @multiplier, and the price of a request; exact, and rounded
 * up once. 0; -ENODATA: the model has no price for what was used; -ERANGE: over KF_AMOUNT_TOP.
 */
int kf_ledger_usage_cost(const struct kf_model_row *model, int64_t multiplier,
			 const struct kf_usage_counts *counts, int64_t *cost);

/*
 * Was the request of @usage booked before? 0: no; 1: yes, with the same figures, and usage->cost is
 * what it was then; -EEXIST: with other figures; or as store.h has it.
 */
int kf_ledger_usage_repeated(struct kf_store *store, struct kf_usage_row *usage);
/*
 * Books @usage, whose cost is known, to the key of @row, which has its ID, in the caller's
 * transaction; row->spent follows. 0; or as kf_ledger_usage_repeated() where it was booked before.
 */
int kf_ledger_usage_book(struct kf_store *store, struct kf_key_row *row,
			 struct kf_usage_row *usage);

#endif
