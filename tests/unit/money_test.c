// SPDX-License-Identifier: GPL-2.0-only
/* Amounts of money in text: exact in both directions. Links userspace/lib. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>

#include "money.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static void amounts_are_read(void **state)
{
	static const struct {
		const char *text;
		int64_t micro;
	} cases[] = {
		{ "0", 0 },
		{ "1", 1000000 },
		{ "007", 7000000 },
		{ "0.5", 500000 },
		{ "2.500", 2500000 },
		{ "0.000001", 1 },
		{ "0.100000000", 100000 },
		{ "1000000000", 1000000000000000 },
		{ "999999999.999999", 999999999999999 },
	};
	int64_t micro;

	for (size_t i = 0; i < COUNT(cases); i++) {
		assert_int_equal(kf_money_parse(cases[i].text, &micro), 0);
		assert_int_equal(micro, cases[i].micro);
	}
}

static void other_texts_are_refused(void **state)
{
	static const struct {
		const char *text;
		int err;
	} cases[] = {
		{ "", -EINVAL },
		{ ".5", -EINVAL },
		{ "5.", -EINVAL },
		{ "-1", -EINVAL },
		{ "+1", -EINVAL },
		{ " 1", -EINVAL },
		{ "1 ", -EINVAL },
		{ "1,5", -EINVAL },
		{ "1.5.0", -EINVAL },
		{ "1e3", -EINVAL },
		{ "0x10", -EINVAL },
		{ "0.0000001", -EDOM },
		{ "1.0000000000000000000000000001", -EDOM },
		{ "1000000000.000001", -ERANGE },
		{ "1000000001", -ERANGE },
		{ "99999999999999999999999999999999", -ERANGE },
	};
	int64_t micro = 42;

	for (size_t i = 0; i < COUNT(cases); i++)
		if (kf_money_parse(cases[i].text, &micro) != cases[i].err)
			fail_msg("'%s'", cases[i].text);
	assert_int_equal(micro, 42);
}

static void amounts_are_written(void **state)
{
	static const struct {
		int64_t micro;
		const char *text;
	} cases[] = {
		{ 0, "0" },
		{ 1, "0.000001" },
		{ -1, "-0.000001" },
		{ 1000000, "1" },
		{ 10000000, "10" },
		{ 2500000, "2.5" },
		{ -1230000, "-1.23" },
		{ INT64_MAX, "9223372036854.775807" },
		{ INT64_MIN, "-9223372036854.775808" },
	};
	char text[KF_MONEY_SIZE];

	for (size_t i = 0; i < COUNT(cases); i++)
		assert_string_equal(kf_money_format(cases[i].micro, text), cases[i].text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(amounts_are_read),
		cmocka_unit_test(other_texts_are_refused),
		cmocka_unit_test(amounts_are_written),
	};

	return cmocka_run_group_tests_name("money", tests, NULL, NULL);
}
