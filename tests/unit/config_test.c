// SPDX-License-Identifier: GPL-2.0-only
/*
 * The configuration reader, and times and durations as texts.
 */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/config.h"
#include "timetext.h"

/* Reads @len bytes of @text as a file over @settings; the file's name is cut off *why. */
static int read_bytes(const char *text, size_t len, struct kf_config_settings *settings,
		      struct kf_config_why *why)
{
	char path[] = "/tmp/keyfilter-config-XXXXXX";
	int fd = mkstemp(path), err;
	const char *colon;

	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, len), len);
	close(fd);
	memset(why, 0, sizeof(*why));
	err = kf_config_read(settings, path, why);
	unlink(path);
	colon = strchr(why->text, ':');
	if (colon)
		memmove(why->text, colon + 1, strlen(colon));
	return err;
}

static int read_text(const char *text, struct kf_config_settings *settings,
		     struct kf_config_why *why)
{
	return read_bytes(text, strlen(text), settings, why);
}

static void test_defaults_are_in_range(void **state)
{
	struct kf_config_settings settings;

	memset(&settings, 0xff, sizeof(settings));
	kf_config_defaults(&settings);
	for (const struct kf_config_setting *s = kf_config_table; s->name; s++) {
		uint32_t value = *(uint32_t *)((char *)&settings + s->offset);

		assert_int_equal(value, s->fallback);
		assert_in_range(value, s->min, s->max);
		if (s->type == KF_CONFIG_POWER)
			assert_int_equal(value & (value - 1), 0);
	}
}

/* A member that the table forgot would have no default, and nobody would see it. */
static void test_every_member_has_a_setting(void **state)
{
	unsigned char covered[sizeof(struct kf_config_settings)] = { 0 };

	for (const struct kf_config_setting *s = kf_config_table; s->name; s++) {
		assert_int_equal(covered[s->offset], 0);
		memset(covered + s->offset, 1, sizeof(uint32_t));
	}
	for (size_t i = 0; i < sizeof(covered); i++)
		assert_int_equal(covered[i], 1);
}

static void test_reads_values_comments_and_units(void **state)
{
	struct kf_config_settings settings;
	struct kf_config_why why;

	kf_config_defaults(&settings);
	assert_int_equal(read_text("# a comment\n"
				   "\n"
				   "keys_max 5000\n"
				   "  \tflow_idle\t 2h # trailing\r\n"
				   "embryos 4096\n"
				   "head_timeout 7s",
				   &settings, &why),
			 0);
	assert_int_equal(settings.keys_max, 5000);
	assert_int_equal(settings.flow_idle, 7200);
	assert_int_equal(settings.embryos, 4096);
	assert_int_equal(settings.head_timeout, 7);
	assert_int_equal(settings.sources_max, 1u << 20);
}

static void test_refuses(void **state)
{
	static const struct {
		const char *text, *why;
	} cases[] = {
		{ "nonsense 1\n", "1: unknown setting 'nonsense'" },
		{ "\nKEYS_MAX 1\n", "2: unknown setting 'KEYS_MAX'" },
		{ "keys_max\n", "1: keys_max has no value" },
		{ "keys_max 1 2\n", "1: more than one value for keys_max" },
		{ "keys_max 0\n", "1: keys_max cannot be '0'" },
		{ "keys_max -1\n", "1: keys_max cannot be '-1'" },
		{ "keys_max 1e6\n", "1: keys_max cannot be '1e6'" },
		{ "keys_max 0x10\n", "1: keys_max cannot be '0x10'" },
		{ "keys_max 16777217\n", "1: keys_max cannot be '16777217'" },
		{ "keys_max 4294967297\n", "1: keys_max cannot be '4294967297'" },
		{ "keys_max 99999999999999999999999\n", "1: keys_max cannot be '9999" },
		{ "embryos 1000000\n", "1: embryos cannot be '1000000'" },
		{ "flow_idle 5s\n", "1: flow_idle cannot be '5s'" },
		{ "flow_idle 2w\n", "1: flow_idle cannot be '2w'" },
		{ "flow_idle 99999999d\n", "1: flow_idle cannot be '99999999d'" },
		{ "keys_max=10\n", "1: 'keys_max=10' has an equals sign; write `keys_max 10`" },
		{ "keys_max = 10\n", "1: there is an equals sign behind keys_max; write" },
		{ "keys_max=\n", "1: 'keys_max=' has an equals sign; write `keys_max VALUE`" },
		{ "keys_max =10\n", "1: there is an equals sign behind keys_max; write" },
		{ "head_timeout 7\n", "1: head_timeout: '7' has no unit; write 7s for seconds" },
		{ "flow_idle 5s\n", "1: flow_idle cannot be '5s'; give a time from 1m to 30d" },
		{ "keys_max 5\n# x\nkeys_max 5\n", "3: keys_max was set on line 1 already" },
	};
	struct kf_config_settings settings, before;
	struct kf_config_why why;

	kf_config_defaults(&settings);
	before = settings;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		assert_int_equal(read_text(cases[i].text, &settings, &why), -EINVAL);
		if (strncmp(why.text, cases[i].why, strlen(cases[i].why)))
			fail_msg("case %zu: '%s' is not '%s...'", i, why.text, cases[i].why);
		assert_non_null(strstr(why.text, "; ")); /* the mend */
		assert_memory_equal(&settings, &before, sizeof(settings));
	}
}

/* One bad line in the end leaves the good ones before it without effect. */
static void test_all_or_nothing(void **state)
{
	struct kf_config_settings settings;
	struct kf_config_why why;

	kf_config_defaults(&settings);
	assert_int_equal(read_text("keys_max 5\nkeys_min 5\n", &settings, &why), -EINVAL);
	assert_int_equal(settings.keys_max, 1u << 20);
}

static void test_hostile_bytes(void **state)
{
	static const char nul[] = "keys_max 5\0 7\n";
	struct kf_config_settings settings;
	struct kf_config_why why;
	char line[4096];

	kf_config_defaults(&settings);
	memset(line, 'a', sizeof(line));
	line[sizeof(line) - 1] = '\n';
	assert_int_equal(read_bytes(line, sizeof(line), &settings, &why), -EINVAL);
	assert_int_equal(read_bytes(nul, sizeof(nul) - 1, &settings, &why), -EINVAL);
	assert_int_equal(settings.keys_max, 1u << 20);
	assert_int_equal(read_bytes("", 0, &settings, &why), 0);
}

static void test_missing_and_unreadable(void **state)
{
	struct kf_config_settings settings;
	struct kf_config_why why;

	kf_config_defaults(&settings);
	assert_int_equal(kf_config_read(&settings, "/nonexistent/keyfilterd.conf", &why), -ENOENT);
	assert_int_equal(kf_config_read(&settings, "/", &why), -EISDIR);
	assert_non_null(strstr(why.text, "; "));
}

/* The sample is the documentation: every setting, with its true default. */
static void test_sample_shows_the_defaults(void **state)
{
	struct kf_config_settings settings, defaults;
	struct kf_config_why why;
	char line[256], text[8192] = "";
	size_t len = 0;
	FILE *file = fopen("scripts/keyfilterd.conf", "r");

	if (!file)
		skip(); /* run from elsewhere than the top of the source */
	while (fgets(line, sizeof(line), file))
		if (line[0] == '#' && line[1] >= 'a' && line[1] <= 'z')
			len += (size_t)snprintf(text + len, sizeof(text) - len, "%s", line + 1);
	fclose(file);

	kf_config_defaults(&defaults);
	memset(&settings, 0, sizeof(settings)); /* what the sample leaves out stays zero */
	assert_int_equal(read_text(text, &settings, &why), 0);
	assert_memory_equal(&settings, &defaults, sizeof(settings));
}

/* ---- times ----------------------------------------------------------------------------------- */

static void test_durations(void **state)
{
	static const struct {
		const char *text;
		int64_t seconds; /* or -errno */
	} cases[] = {
		{ "0", 0 },
		{ "90", -EINVAL },
		{ "00", 0 },
		{ "90s", 90 },
		{ "15m", 900 },
		{ "12h", 43200 },
		{ "30d", 2592000 },
		{ "36500d", 3153600000 },
		{ "36501d", -ERANGE },
		{ "", -EINVAL },
		{ "s", -EINVAL },
		{ "-1s", -EINVAL },
		{ "+1s", -EINVAL },
		{ " 1s", -EINVAL },
		{ "1 s", -EINVAL },
		{ "1s ", -EINVAL },
		{ "1.5h", -EINVAL },
		{ "1w", -EINVAL },
		{ "1S", -EINVAL },
		{ "1ss", -EINVAL },
		{ "1h30m", -EINVAL },
		{ "3153600001s", -ERANGE },
		{ "99999999999999999999d", -ERANGE },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		int64_t ns = 42;
		int err = kf_timetext_duration(cases[i].text, &ns);

		if (cases[i].seconds < 0 ? err != cases[i].seconds || ns != 42
					 : err || ns != cases[i].seconds * KF_TIMETEXT_SECOND)
			fail_msg("'%s': %d, %lld ns", cases[i].text, err, (long long)ns);
	}
}

static void test_times_parse(void **state)
{
	static const struct {
		const char *text;
		int err;
		int64_t ns;
	} cases[] = {
		{ "1970-01-01T00:00:00Z", 0, 0 },
		{ "2026-11-23T10:00:00Z", 0, 1795428000000000000 },
		{ "2026-11-23t10:00:00z", 0, 1795428000000000000 },
		{ "2026-11-23 10:00:00Z", 0, 1795428000000000000 },
		{ "2026-11-23T12:30:00+02:30", 0, 1795428000000000000 },
		{ "2026-11-23T02:00:00-08:00", 0, 1795428000000000000 },
		{ "2026-11-23T10:00:00.5Z", 0, 1795428000500000000 },
		{ "2026-11-23T10:00:00.0000000001Z", 0, 1795428000000000001 },
		{ "2024-02-29T00:00:00Z", 0, 1709164800000000000 },
		{ "2016-12-31T23:59:60Z", 0, 1483228800000000000 },
		{ "1969-12-31T23:59:59Z", -ERANGE, 0 },
		{ "1970-01-01T00:00:00+00:01", -ERANGE, 0 },
		{ "2262-01-01T00:00:00Z", -EOVERFLOW, 0 },
		{ "9999-12-31T23:59:59Z", -EOVERFLOW, 0 },
		{ "2026-02-29T00:00:00Z", -EINVAL, 0 },
		{ "2026-04-31T00:00:00Z", -EINVAL, 0 },
		{ "2026-13-01T00:00:00Z", -EINVAL, 0 },
		{ "2026-00-01T00:00:00Z", -EINVAL, 0 },
		{ "2026-01-00T00:00:00Z", -EINVAL, 0 },
		{ "2026-01-01T24:00:00Z", -EINVAL, 0 },
		{ "2026-01-01T00:60:00Z", -EINVAL, 0 },
		{ "2026-01-01T00:00:61Z", -EINVAL, 0 },
		{ "2026-01-01T00:00:00", -EINVAL, 0 },
		{ "2026-01-01", -EINVAL, 0 },
		{ "2026-01-01T00:00:00.Z", -EINVAL, 0 },
		{ "2026-01-01T00:00:00Zx", -EINVAL, 0 },
		{ "2026-01-01T00:00:00+2:00", -EINVAL, 0 },
		{ "2026-01-01T00:00:00+24:00", -EINVAL, 0 },
		{ "26-01-01T00:00:00Z", -EINVAL, 0 },
		{ "", -EINVAL, 0 },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		int64_t ns = 42;
		int err = kf_timetext_parse(cases[i].text, &ns);

		if (err != cases[i].err || ns != (err ? 42 : cases[i].ns))
			fail_msg("'%s': %d, %lld", cases[i].text, err, (long long)ns);
	}
}

static void test_times_format(void **state)
{
	char text[KF_TIMETEXT_SIZE];

	assert_string_equal(kf_timetext_format(1795428000999999999, text), "2026-11-23T10:00:00Z");
	assert_string_equal(kf_timetext_format_micros(1795428000000123456, text),
			    "2026-11-23T10:00:00.000123Z");
	assert_string_equal(kf_timetext_format_micros(-1, text), "1969-12-31T23:59:59.999999Z");
	assert_string_equal(kf_timetext_format(INT64_MAX, text), "2262-04-11T23:47:16Z");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_defaults_are_in_range),
		cmocka_unit_test(test_every_member_has_a_setting),
		cmocka_unit_test(test_reads_values_comments_and_units),
		cmocka_unit_test(test_refuses),
		cmocka_unit_test(test_all_or_nothing),
		cmocka_unit_test(test_hostile_bytes),
		cmocka_unit_test(test_missing_and_unreadable),
		cmocka_unit_test(test_sample_shows_the_defaults),
		cmocka_unit_test(test_durations),
		cmocka_unit_test(test_times_parse),
		cmocka_unit_test(test_times_format),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
