// SPDX-License-Identifier: GPL-2.0-only
/*
 * ctl/output.c and ctl/when.c: what a terminal gets to see. Links userspace/ctl/output.o, when.o
 * and userspace/lib.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <locale.h>
#include <stdlib.h>
#include <string.h>

#include "../../userspace/ctl/output.h"
#include "../../userspace/ctl/when.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static void test_escape(void **state)
{
	static const struct {
		const char *text, *escaped;
	} cases[] = {
		{ "", "" },
		{ "plain ~", "plain ~" },
		{ "m\xc3\xbcller \xe2\x82\xac \xf0\x9f\x98\x80",
		  "m\xc3\xbcller \xe2\x82\xac \xf0\x9f\x98\x80" },
		{ "a\\b", "a\\\\b" },
		{ "\t\n\r\x1b\x7f", "\\x09\\x0a\\x0d\\x1b\\x7f" },
		{ "\xc2\x9b", "\\u009b" },     /* C1: CSI in one character */
		{ "\xe2\x80\xae", "\\u202e" }, /* right to left override */
		{ "\xe2\x81\xa6", "\\u2066" },
		{ "\xe2\x80\xa8", "\\u2028" }, /* line separator */
		{ "\xef\xbb\xbf", "\\ufeff" },
		{ "\xf3\xa0\x81\x81", "\\U000e0041" }, /* a tag that nobody sees */
		{ "\xff\x80", "\\xff\\x80" },
		{ "\xc3", "\\xc3" }, /* ends too early */
		{ "\xe2\x82", "\\xe2\\x82" },
		{ "\xc0\xaf", "\\xc0\\xaf" }, /* overlong */
		{ "\xe0\x80\xaf", "\\xe0\\x80\\xaf" },
		{ "\xed\xa0\x80", "\\xed\\xa0\\x80" },		/* a surrogate */
		{ "\xf4\x90\x80\x80", "\\xf4\\x90\\x80\\x80" }, /* past U+10FFFF */
		{ "\xc3\x1b", "\\xc3\\x1b" }, /* a broken sequence hides nothing */
	};

	for (size_t i = 0; i < COUNT(cases); i++) {
		char *escaped = kf_output_escape(cases[i].text);

		assert_string_equal(escaped, cases[i].escaped);
		free(escaped);
	}
}

static void test_width(void **state)
{
	assert_int_equal(kf_output_width(""), 0);
	assert_int_equal(kf_output_width("abc"), 3);
	assert_int_equal(kf_output_width("m\xc3\xbcller"), 6);
	assert_int_equal(kf_output_width("\xe6\xbc\xa2"), 2);
	assert_int_equal(kf_output_width("e\xcc\x81"), 1); /* an accent that joins its letter */
}

static void test_local(void **state)
{
	static const char *const wrong[] = { "",
					     "2026-11-23",
					     "2026-11-23T10:00:00",
					     "2026-11-23T10:00:00+01:00",
					     "2026-11-23T10:00:00.x",
					     "2026-11-23T10:00:00Z ",
					     "2026-11-23T10:00:00.1234567890Z" };
	char text[KF_WHEN_SIZE] = "untouched";

	for (size_t i = 0; i < COUNT(wrong); i++)
		assert_int_equal(kf_when_local(wrong[i], text), -EINVAL);
	assert_string_equal(text, "untouched");

	setenv("TZ", "XXX-5:30", 1);
	tzset();
	assert_int_equal(kf_when_local("2026-11-23T20:00:00Z", text), 0);
	assert_string_equal(text, "2026-11-24T01:30:00+05:30");
	assert_int_equal(kf_when_local("2026-11-23T20:00:00.000001Z", text), 0);
	assert_string_equal(text, "2026-11-24T01:30:00.000001+05:30");
	setenv("TZ", "XXX3", 1);
	tzset();
	assert_int_equal(kf_when_local("2026-01-01T00:00:00Z", text), 0);
	assert_string_equal(text, "2025-12-31T21:00:00-03:00");
	unsetenv("TZ");
	tzset();
}

static void test_relative(void **state)
{
	static const struct {
		time_t now;
		const char *text;
	} cases[] = {
		{ 1000000000, "now" },
		{ 1000000001, "1 s ago" },
		{ 1000000119, "119 s ago" },
		{ 1000000120, "2 min ago" },
		{ 999999000, "in 16 min" },
		{ 999990000, "in 2 h" },
		{ 1000172800, "2 d ago" },
		{ 1000000000 - 86400 * 30, "in 30 d" },
		{ 1000000000 + 86400ll * 800, "2 y ago" },
	};
	char text[KF_WHEN_SIZE];

	for (size_t i = 0; i < COUNT(cases); i++) {
		assert_int_equal(kf_when_relative("2001-09-09T01:46:40Z", cases[i].now, text), 0);
		assert_string_equal(text, cases[i].text);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_escape),
		cmocka_unit_test(test_width),
		cmocka_unit_test(test_local),
		cmocka_unit_test(test_relative),
	};

	setlocale(LC_CTYPE, "C.UTF-8");
	return cmocka_run_group_tests_name("output", tests, NULL, NULL);
}
