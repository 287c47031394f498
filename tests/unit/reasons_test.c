// SPDX-License-Identifier: GPL-2.0-only
/*
 * Nothing is promised that cannot occur: the reasons that stats, metrics and keyfilterctl(1) name
 * are those that the programs give, and every detail, event, state and flag that both sides know is
 * set by one of them. Reads the sources, and links userspace/daemon.
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

static const char *const details[] = {
#define X(symbol, name) "KF_DETAIL_" #symbol,
	KF_DETAILS(X)
#undef X
};

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

/* A detail of a body has the name of the fault that body.h gives (kf_content_detail()). */
static bool is_fault(const char *readers, const char *detail)
{
	static const char body[] = "KF_DETAIL_BODY_";
	char fault[64];

	if (strncmp(detail, body, sizeof(body) - 1) != 0)
		return false;
	snprintf(fault, sizeof(fault), "KF_BODY_FAULT_%s", detail + sizeof(body) - 1);
	return has_word(readers, fault);
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

static void details_are_those_that_programs_give(void **state)
{
	char *programs = read_repository("bpf/*.[ch]");
	char *readers = read_repository("include/keyfilter/[!ad]*.h"); /* not abi.h, detail.h */

	assert_true(sizeof(details) > sizeof(details[0]));
	for (size_t i = 1; i < sizeof(details) / sizeof(details[0]); i++) /* the first is none */
		if (!has_word(programs, details[i]) && !has_word(readers, details[i]) &&
		    !is_fault(readers, details[i]))
			fail_msg("%s: no program gives it", details[i]);
	free(readers);
	free(programs);
}

/* What abi.h names: no map's name or size, but a word that one side writes and the other reads. */
static void words_of_the_layout_are_used(void **state)
{
	static const char *const prefixes[] = { "KF_EVENT_",	"KF_UNREAD_", "KF_FLOW_",
						"KF_ANSWER_",	"KF_CONFIG_", "KF_SERVICE_",
						"KF_RESPONSE_", "KF_KEY_",    "KF_SOURCE_" };
	char *layout = read_repository("include/keyfilter/abi*.h");
	char *programs = read_repository("bpf/*.[ch]"), word[64];
	char *readers = read_repository("include/keyfilter/[!a]*.h");
	char *daemon = read_repository("userspace/daemon/*/*.[ch]");
	unsigned int count = 0;

	for (size_t i = 0; i < sizeof(prefixes) / sizeof(prefixes[0]); i++) {
		for (const char *at = layout; (at = strstr(at, prefixes[i])); at += strlen(word)) {
			if (sscanf(at, "%63[A-Z0-9_]", word) != 1 ||
			    word[strlen(word) - 1] == '_' || strstr(word, "_COUNT") ||
			    strstr(word, "_MAX") || strstr(word, "_ROWS"))
				continue;
			count++;
			if (!has_word(programs, word) && !has_word(readers, word) &&
			    !has_word(daemon, word))
				fail_msg("%s: nothing sets it, or looks at it", word);
		}
	}
	assert_true(count > 40);
	free(daemon);
	free(readers);
	free(programs);
	free(layout);
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
		cmocka_unit_test(details_are_those_that_programs_give),
		cmocka_unit_test(words_of_the_layout_are_used),
		cmocka_unit_test(manual_has_those_that_occur),
	};

	return cmocka_run_group_tests_name("reasons", tests, NULL, NULL);
}
