// SPDX-License-Identifier: GPL-2.0-only
/*
 * Do the sample configuration and keyfilterd.conf(5) say what the daemon's table of settings says?
 * Links userspace/daemon/config.o and timetext.o.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <ctype.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/config.h"

/* A file of the repository, found from where this one was compiled. */
static FILE *open_repository(const char *path)
{
	char name[512];
	FILE *file;

	snprintf(name, sizeof(name), "%.*s../../%s",
		 (int)(sizeof(__FILE__) - sizeof("config_docs_test.c")), __FILE__, path);
	file = fopen(name, "r");
	assert_non_null(file);
	return file;
}

static char *read_repository(const char *path)
{
	FILE *file = open_repository(path);
	char *text = NULL;
	size_t size = 0;

	assert_true(getdelim(&text, &size, '\0', file) > 0);
	fclose(file);
	return text;
}

/* The sample with its settings in force: each must be known, and say the default. */
static void test_sample(void **state)
{
	char line[256], path[] = "/tmp/config_docs_test.XXXXXX";
	struct kf_config_settings defaults, read;
	FILE *sample = open_repository("scripts/keyfilterd.conf");
	FILE *copy = fdopen(mkstemp(path), "w");
	struct kf_config_why why = { "" };
	size_t count = 0, settings = 0;

	while (fgets(line, sizeof(line), sample)) {
		bool setting = line[0] == '#' && islower((unsigned char)line[1]);

		count += setting;
		fputs(line + setting, copy);
	}
	fclose(copy);
	fclose(sample);
	kf_config_defaults(&defaults);
	memset(&read, 0xff, sizeof(read));
	if (kf_config_read(&read, path, &why))
		fail_msg("%s", why.text);
	unlink(path);
	for (const struct kf_config_setting *s = kf_config_table; s->name; s++)
		settings++;
	assert_int_equal(count, settings);
	assert_memory_equal(&read, &defaults, sizeof(read));
}

static void test_manual(void **state)
{
	char *manual = read_repository("scripts/man/keyfilterd.conf.5"), item[64], value[32];

	for (const struct kf_config_setting *s = kf_config_table; s->name; s++) {
		const char *at, *found;

		snprintf(item, sizeof(item), "\n.It Cm %s Ar ", s->name);
		at = strstr(manual, item);
		if (!at)
			fail_msg("keyfilterd.conf.5 lacks %s", s->name);
		if (s->type == KF_CONFIG_TIME)
			continue;
		snprintf(value, sizeof(value), " %u unless given", s->fallback);
		found = strstr(at, value);
		if (!found || found > strstr(at, "unless given"))
			fail_msg("keyfilterd.conf.5 does not say%s for %s", value, s->name);
	}
	free(manual);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_sample),
		cmocka_unit_test(test_manual),
	};

	return cmocka_run_group_tests_name("config_docs", tests, NULL, NULL);
}
