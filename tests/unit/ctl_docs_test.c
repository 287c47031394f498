// SPDX-License-Identifier: GPL-2.0-only
/*
 * Is the command table of keyfilterctl in order, and do the completion and the manual say what it
 * says? Links userspace/ctl (but main.o) and userspace/lib.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

/* The tool's main(), under a name that leaves room for this one's. */
int keyfilterctl_main(int argc, char **argv);
#define main keyfilterctl_main
#include "../../userspace/ctl/main.c"
#undef main

/* ---- the table, the completion, the manual --------------------------------------------------- */

/* A file of the repository, found from where this one was compiled. To be freed. */
static char *read_repository(const char *path)
{
	char *text = NULL, name[512];
	size_t size = 0;
	FILE *file;

	snprintf(name, sizeof(name), "%.*s../../%s",
		 (int)(sizeof(__FILE__) - sizeof("ctl_docs_test.c")), __FILE__, path);
	file = fopen(name, "r");
	assert_non_null(file);
	assert_true(getdelim(&text, &size, '\0', file) > 0);
	fclose(file);
	return text;
}

static void test_completion_table(void **state)
{
	char *script = read_repository("scripts/completion/keyfilterctl.bash"), *table;
	size_t size;
	FILE *out = open_memstream(&table, &size);

	fputs("_keyfilterctl_table='\n", out);
	for (size_t n = 0; nouns[n]; n++) {
		for (const struct kf_command *c = nouns[n]->commands; c->help; c++) {
			kf_help_synopsis(out, nouns[n], c, 0, 0);
			fputc('\n', out);
		}
	}
	fputs("'\n", out);
	fclose(out);
	if (!strstr(script, table))
		fail_msg("scripts/completion/keyfilterctl.bash should hold:\n%s", table);
	free(table);
	free(script);
}

/* The places that the help of --keys-from names are those that the completion offers. */
static void test_completion_places(void **state)
{
	char *script = read_repository("scripts/completion/keyfilterctl.bash"), *help = NULL;
	char offered[256] = " ", *at = strstr(script, "PLACE) printf '%s\\n' "), *rest;

	assert_non_null(at);
	sscanf(at + strlen("PLACE) printf '%s\\n'"), "%254[^;]", offered + 1);
	for (size_t n = 0; nouns[n]; n++)
		for (const struct kf_command *c = nouns[n]->commands; c->help; c++)
			for (const struct kf_option *o = c->options; o && o->name; o++)
				if (!help && !strcmp(o->name, "keys-from"))
					help = strdup(o->help);
	assert_non_null(help);
	if (strchr(help, '('))
		*strchr(help, '(') = '\0';
	for (char *word = strtok_r(help, " ,", &rest); word; word = strtok_r(NULL, " ,", &rest)) {
		char wanted[64];

		snprintf(wanted, sizeof(wanted), " %s ", word);
		if (strcmp(word, "or") && !strstr(offered, wanted))
			fail_msg("the completion does not offer --keys-from %s", word);
	}
	free(help);
	free(script);
}

/* Each command has an item of its own in the manual, and each option stands in it. */
static void check_manual(const char *manual, const struct kf_noun *noun,
			 const struct kf_command *command)
{
	char item[128], option[64];
	const char *at, *end, *found;

	snprintf(item, sizeof(item), "\n.It Cm %s%s%s", noun->name, command->verb ? " " : "",
		 command->verb ? command->verb : "");
	at = strstr(manual, item);
	if (!at)
		fail_msg("keyfilterctl.1 lacks%s", item);
	end = strstr(at + 1, "\n.It Cm ");
	if (command->matches) {
		found = strstr(at, "Fl -if-match");
		if (!found || (end && found > end))
			fail_msg("keyfilterctl.1 lacks --if-match of %s", item + 8);
	}
	for (const struct kf_option *o = command->options; o && o->name; o++) {
		snprintf(option, sizeof(option), "Fl -%s", o->name);
		found = strstr(at, option);
		if (!found || (end && found > end))
			fail_msg("keyfilterctl.1 lacks --%s of %s", o->name, item + 8);
	}
}

static void test_manual(void **state)
{
	char *manual = read_repository("scripts/man/keyfilterctl.1");

	for (size_t n = 0; nouns[n]; n++)
		for (const struct kf_command *c = nouns[n]->commands; c->help; c++)
			check_manual(manual, nouns[n], c);
	free(manual);
}

/* Every row can do something, and names an operand it uses. */
static void test_table(void **state)
{
	for (size_t n = 0; nouns[n]; n++) {
		for (const struct kf_command *c = nouns[n]->commands; c->help; c++) {
			assert_non_null(c->method);
			assert_non_null(c->path);
			assert_true(c->run || c->render || c->done);
			assert_int_equal(!!c->operand,
					 !!c->operand_member || strstr(c->path, "{}"));
			assert_true(!c->done || c->operand);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_completion_table),
		cmocka_unit_test(test_completion_places),
		cmocka_unit_test(test_manual),
		cmocka_unit_test(test_table),
	};

	return cmocka_run_group_tests_name("ctl_docs", tests, NULL, NULL);
}
