// SPDX-License-Identifier: GPL-2.0-only
/*
 * Nothing is promised that cannot occur: the reasons that stats, metrics and keyfilterctl(1) name
 * are those that the programs give. Reads the sources, and links userspace/daemon.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <glob.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <keyfilter/abi.h>

#include "traffic/events.h"

static const struct {
	const char *symbol, *name;
	enum kf_reason_class class;
} reasons[] = {
#define X(symbol, name, class, status) { "KF_REASON_" #symbol, name, KF_CLASS_##class },
	KF_REASONS(X)
#undef X
};

/* All files of the repository that @pattern names, one behind the other. To be freed. */
static char *read_repository(const char *pattern)
{
	char where[512], *text = NULL;
	size_t size;
	FILE *out = open_memstream(&text, &size);
	glob_t found;

	snprintf(where, sizeof(where), "%.*s../../%s",
		 (int)(sizeof(__FILE__) - sizeof("reasons_test.c")), __FILE__, pattern);
	assert_int_equal(glob(where, 0, NULL, &found), 0);
	for (size_t i = 0; i < found.gl_pathc; i++) {
		FILE *file = fopen(found.gl_pathv[i], "r");

		assert_non_null(file);
		for (int c; (c = fgetc(file)) != EOF;)
			fputc(c, out);
		fclose(file);
	}
	globfree(&found);
	fclose(out);
	return text;
}

/* @word with nothing around it that could belong to it. */
static bool has_word(const char *text, const char *word)
{
	size_t len = strlen(word);

	for (const char *at = text; (at = strstr(at, word)); at += len)
		if ((at == text ||
		     !strchr("_ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz", at[-1])) &&
		    !strchr("_ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz", at[len]))
			return true;
	return false;
}

static void reasons_are_those_that_programs_give(void **state)
{
	char *programs = read_repository("bpf/*.[ch]");

	for (unsigned int i = 0; i < KF_REASON_COUNT; i++)
		if (has_word(programs, reasons[i].symbol) != kf_traffic_events_reason_occurs(i))
			fail_msg("%s: %s", reasons[i].symbol,
				 kf_traffic_events_reason_occurs(i) ? "no program gives it"
								    : "a program gives it");
	assert_false(kf_traffic_events_reason_occurs(KF_REASON_COUNT));
	free(programs);
}

static void manual_has_those_that_occur(void **state)
{
	char *manual = read_repository("scripts/man/keyfilterctl.1");

	for (unsigned int i = 0; i < KF_REASON_COUNT; i++) {
		bool told = reasons[i].class != KF_CLASS_PASS && kf_traffic_events_reason_occurs(i);

		if (reasons[i].class != KF_CLASS_PASS && has_word(manual, reasons[i].name) != told)
			fail_msg("keyfilterctl.1 should%s name %s", told ? "" : " not",
				 reasons[i].name);
	}
	free(manual);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(reasons_are_those_that_programs_give),
		cmocka_unit_test(manual_has_those_that_occur),
	};

	return cmocka_run_group_tests_name("reasons", tests, NULL, NULL);
}
