// SPDX-License-Identifier: GPL-2.0-only
/* What tokens cost: exact, and rounded up once. Links the daemon's objects. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>

#include "ledger/usage.h"

#define NONE KF_NO_PRICE

static const struct {
	int64_t price[KF_PRICES]; /* input, cached, cache write, output, request */
	int64_t multiplier;
	struct kf_usage_counts counts; /* prompt, cached, cache write, completion */
	int err;
	int64_t cost;
} cases[] = {
	{ { 2500000, NONE, NONE, 10000000, NONE }, 1000000, { 1, 0, 0, 1 }, 0, 13 },
	{ { 2500000, NONE, NONE, 10000000, NONE }, 1000000, { 2, 0, 0, 1 }, 0, 15 },
	{ { 2500000, NONE, NONE, 10000000, NONE }, 1000000, { 0, 0, 0, 0 }, 0, 0 },
	{ { 1, NONE, NONE, 1, NONE }, 1000000, { 1, 0, 0, 0 }, 0, 1 },
	{ { 1, NONE, NONE, 1, NONE }, 1000000, { 500000, 0, 0, 500000 }, 0, 1 }, /* once */
	{ { 1, NONE, NONE, 1, NONE }, 1000000, { 500000, 0, 0, 500001 }, 0, 2 },
	{ { 1, NONE, NONE, 1, NONE }, 0, { 500000, 0, 0, 500001 }, 0, 0 },
	{ { 1000000, 0, 2000000, NONE, NONE }, 1000000, { 10, 4, 3, 0 }, 0, 9 },
	{ { 1000000, NONE, NONE, NONE, NONE }, 1000000, { 10, 4, 3, 0 }, 0, 10 },
	{ { 1000000, NONE, NONE, NONE, 7 }, 2000000, { 10, 0, 0, 0 }, 0, 27 },
	{ { NONE, 1000000, NONE, NONE, NONE }, 1000000, { 4, 4, 0, 0 }, 0, 4 },
	{ { NONE, 1000000, NONE, NONE, NONE }, 1000000, { 5, 4, 0, 0 }, -ENODATA, 0 },
	{ { 1000000, NONE, NONE, NONE, NONE }, 1000000, { 5, 0, 0, 1 }, -ENODATA, 0 },
	{ { NONE, NONE, NONE, NONE, 5 }, 1000000, { 0, 0, 0, 0 }, 0, 5 },
	{ { 333333, NONE, NONE, NONE, NONE }, 1500000, { 3, 0, 0, 0 }, 0, 2 },
	{ { KF_PRICE_TOP, NONE, NONE, KF_PRICE_TOP, NONE },
	  KF_MULTIPLIER_TOP,
	  { 1000000000, 0, 0, 1000000000 },
	  -ERANGE,
	  0 },
	{ { KF_PRICE_TOP, NONE, NONE, NONE, NONE },
	  1000000,
	  { 1000000, 0, 0, 0 },
	  0,
	  KF_AMOUNT_TOP },
	{ { KF_PRICE_TOP, NONE, NONE, NONE, NONE }, 1000000, { 1000001, 0, 0, 0 }, -ERANGE, 0 },
};

static void costs_are_exact(void **state)
{
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct kf_model_row model = { .name = "m" };
		int64_t cost = 0;

		for (int price = 0; price < KF_PRICES; price++)
			model.price[price] = cases[i].price[price];
		assert_int_equal(
			kf_ledger_usage_cost(&model, cases[i].multiplier, &cases[i].counts, &cost),
			cases[i].err);
		assert_int_equal(cost, cases[i].cost);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(costs_are_exact) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
