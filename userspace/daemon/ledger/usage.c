// SPDX-License-Identifier: GPL-2.0-only
#include "ledger/usage.h"

#include <errno.h>
#include <string.h>

#include "ledger/ledger.h"

/* ---- what it costs --------------------------------------------------------------------------- */

/* @price of 1,000,000 tokens; a sum of a hundred of them is far below the end of 128 bits. */
static unsigned __int128 price_of(int64_t tokens, int64_t price)
{
	return (unsigned __int128)tokens * (unsigned __int128)price;
}

/* What is not counted costs nothing, whatever its price. False: there is none, and it is needed. */
static bool add_price(unsigned __int128 *sum, int64_t tokens, int64_t price)
{
	if (!tokens)
		return true;
	if (price == KF_NO_PRICE)
		return false;
	*sum += price_of(tokens, price);
	return true;
}

bool kf_ledger_usage_is_priced(const struct kf_model_row *model)
{
	return model->price[KF_PRICE_INPUT] != KF_NO_PRICE ||
	       model->price[KF_PRICE_REQUEST] != KF_NO_PRICE;
}

int kf_ledger_usage_cost(const struct kf_model_row *model, int64_t multiplier,
			 const struct kf_usage_counts *counts, int64_t *cost)
{
	const int64_t *price = model->price;
	int64_t input = price[KF_PRICE_INPUT];
	int64_t cached = price[KF_PRICE_CACHED] == KF_NO_PRICE ? input : price[KF_PRICE_CACHED];
	int64_t write =
		price[KF_PRICE_CACHE_WRITE] == KF_NO_PRICE ? input : price[KF_PRICE_CACHE_WRITE];
	int64_t plain = counts->prompt - counts->cached - counts->cache_write;
	const unsigned __int128 unit = (unsigned __int128)1000000 * KF_MULTIPLIER_ONE;
	unsigned __int128 sum = 0;

	if (!add_price(&sum, plain, input) || !add_price(&sum, counts->cached, cached) ||
	    !add_price(&sum, counts->cache_write, write) ||
	    !add_price(&sum, counts->completion, price[KF_PRICE_OUTPUT]))
		return -ENODATA;
	sum *= (unsigned __int128)multiplier;
	if (price[KF_PRICE_REQUEST] != KF_NO_PRICE)
		sum += unit * (unsigned __int128)price[KF_PRICE_REQUEST];
	sum = (sum + unit - 1) / unit;
	if (sum > KF_AMOUNT_TOP)
		return -ERANGE;
	*cost = (int64_t)sum;
	return 0;
}

/* ---- booking --------------------------------------------------------------------------------- */

static bool is_same(const struct kf_usage_row *a, const struct kf_usage_row *b)
{
	return !strcmp(a->model, b->model) && a->counts.prompt == b->counts.prompt &&
	       a->counts.cached == b->counts.cached &&
	       a->counts.cache_write == b->counts.cache_write &&
	       a->counts.completion == b->counts.completion;
}

int kf_ledger_usage_repeated(struct kf_store *store, struct kf_usage_row *usage)
{
	struct kf_usage_row before;
	int err = kf_store_usage_find(store, usage->key, usage->request, &before);

	if (err)
		return err == -ENOENT ? 0 : err;
	if (!is_same(usage, &before))
		return -EEXIST;
	usage->cost = before.cost;
	return 1;
}

int kf_ledger_usage_book(struct kf_store *store, struct kf_key_row *row, struct kf_usage_row *usage)
{
	int err = kf_store_usage_add(store, usage);

	if (err == -EEXIST)
		return kf_ledger_usage_repeated(store, usage);
	if (!err && usage->cost)
		err = kf_ledger_charge(store, row, usage->cost, usage->time, usage->request);
	return err;
}
