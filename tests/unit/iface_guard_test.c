// SPDX-License-Identifier: GPL-2.0-only
/* When an interface that lost its programs is attached again. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "attach/iface_guard.h"

#define S 1000000000ull

static void test_iface_guard_first(void **state)
{
	struct kf_attach_iface_guard guard = { 0 };

	assert_false(kf_attach_iface_guard_is_due(&guard, 5 * S));
	kf_attach_iface_guard_lose(&guard, 5 * S);
	assert_true(kf_attach_iface_guard_is_due(&guard, 5 * S)); /* at once */
	assert_int_equal(kf_attach_iface_guard_wait(&guard, 5 * S), 0);
	assert_false(kf_attach_iface_guard_is_fight(&guard, 5 * S));
	kf_attach_iface_guard_restore(&guard);
	assert_false(kf_attach_iface_guard_is_due(&guard, 6 * S));
}

static void test_iface_guard_fight(void **state)
{
	static const unsigned int waits[] = { 0, 1, 2, 4, 8, 16, 32, 60, 60, 60 };
	struct kf_attach_iface_guard guard = { 0 };
	uint64_t now = 1000 * S;

	for (size_t i = 0; i < sizeof(waits) / sizeof(waits[0]); i++) {
		kf_attach_iface_guard_lose(&guard, now);
		assert_int_equal(kf_attach_iface_guard_wait(&guard, now), waits[i]);
		assert_true(kf_attach_iface_guard_is_due(&guard, now + waits[i] * S));
		assert_int_equal(kf_attach_iface_guard_is_due(&guard, now + waits[i] * S - 1), 0);
		assert_int_equal(kf_attach_iface_guard_is_fight(&guard, now), i > 0);
		now += waits[i] * S + 1;
		kf_attach_iface_guard_restore(&guard);
	}
	now += KF_IFACE_GUARD_CALM_S * S;
	assert_false(kf_attach_iface_guard_is_fight(&guard, now));
	kf_attach_iface_guard_lose(&guard, now); /* long after: as the first time */
	assert_true(kf_attach_iface_guard_is_due(&guard, now));
}

/* What cannot be attached is tried again, for ever and not often. */
static void test_iface_guard_failures(void **state)
{
	static const unsigned int waits[] = { 1, 2, 4, 8, 16, 32, 60, 60, 60 };
	struct kf_attach_iface_guard guard = { 0 };
	uint64_t now = 1;

	for (size_t i = 0; i < sizeof(waits) / sizeof(waits[0]); i++) {
		kf_attach_iface_guard_fail(&guard, now);
		assert_int_equal(kf_attach_iface_guard_wait(&guard, now), waits[i]);
		now += waits[i] * S;
		assert_true(kf_attach_iface_guard_is_due(&guard, now));
	}
	kf_attach_iface_guard_restore(&guard);
	assert_false(kf_attach_iface_guard_is_due(&guard, now));
	assert_false(kf_attach_iface_guard_is_fight(&guard, now)); /* nobody took anything off */
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_iface_guard_first),
		cmocka_unit_test(test_iface_guard_fight),
		cmocka_unit_test(test_iface_guard_failures),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
