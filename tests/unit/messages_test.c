// SPDX-License-Identifier: GPL-2.0-only
/*
 * Every failure that the daemon explains has a cause and a mend: "CAUSE; MEND", as why.h wants it.
 * Reads the sources.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <ctype.h>
#include <glob.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* To be freed; *@end of it is its NUL. */
static char *read_file(const char *path)
{
	char *text = NULL;
	size_t size = 0;
	FILE *file = fopen(path, "r");

	assert_non_null(file);
	assert_true(getdelim(&text, &size, '\0', file) > 0);
	fclose(file);
	return text;
}

/*
 * The string literals that stand together at @at or behind it, joined; false where the statement
 * ends before there is one. A macro between them is left out.
 */
static bool take_text(const char *at, char *text, size_t size)
{
	size_t len = 0;

	*text = '\0';
	at += strcspn(at, "\";");
	if (*at != '"')
		return false;
	while (*at == '"') {
		for (at++; *at && *at != '"'; at++) {
			if (*at == '\\')
				at++;
			if (len + 1 < size)
				text[len++] = *at;
		}
		text[len] = '\0';
		at++;
		while (isspace((unsigned char)*at) || isupper((unsigned char)*at) || *at == '_')
			at++;
	}
	return true;
}

static void check_call(const char *path, const char *at, unsigned int *count)
{
	static const char *const untrue[] = { "run keyfilterd as root", "run it as root",
					      "must run as root", "keyfilterctl(8)" };
	char text[2048];

	if (!take_text(at, text, sizeof(text)) || !strcmp(text, "%s"))
		return;
	++*count;
	if (!strstr(text, "; "))
		fail_msg("%s: no mend in \"%s\"", path, text);
	for (size_t i = 0; i < COUNT(untrue); i++)
		if (strstr(text, untrue[i]))
			fail_msg("%s: \"%s\" is said to root as well; see kf_why_mend()", path,
				 text);
}

static void failures_have_a_mend(void **state)
{
	char where[512];
	unsigned int count = 0;
	glob_t found;

	snprintf(where, sizeof(where), "%.*s../../userspace/daemon/*.c",
		 (int)(sizeof(__FILE__) - sizeof("messages_test.c")), __FILE__);
	assert_int_equal(glob(where, 0, NULL, &found), 0);
	snprintf(where, sizeof(where), "%.*s../../userspace/daemon/*/*.c",
		 (int)(sizeof(__FILE__) - sizeof("messages_test.c")), __FILE__);
	assert_int_equal(glob(where, GLOB_APPEND, NULL, &found), 0);
	for (size_t i = 0; i < found.gl_pathc; i++) {
		char *text = read_file(found.gl_pathv[i]);

		if (!strstr(found.gl_pathv[i], "/why.c"))
			for (const char *at = text; (at = strstr(at, "kf_why_set("));) {
				at += strlen("kf_why_set(");
				check_call(found.gl_pathv[i], at, &count);
			}
		free(text);
	}
	globfree(&found);
	assert_true(count > 100);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(failures_have_a_mend),
	};

	return cmocka_run_group_tests_name("messages", tests, NULL, NULL);
}
