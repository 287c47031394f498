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

#include <glob.h>

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
			assert_true(c->run || c->render || c->record || c->rows || c->done);
			assert_int_equal(!!c->rows, !!c->member);
			assert_int_equal(!!c->operand,
					 !!c->operand_member || strstr(c->path, "{}"));
			assert_true(!c->done || c->operand);
		}
	}
}

/* ---- what errors and documents name ---------------------------------------------------------- */

/* Options of other tools that are named, and of keyfilterd. */
static const char *const others[] = {
	"net",	   "all",    "now",	"unix-socket", "state-dir",
	"run-dir", "config", "pin-dir", "unload",      "check-config"
};

static const struct kf_noun *noun_called(const char *word)
{
	for (size_t n = 0; nouns[n]; n++)
		if (!strcmp(nouns[n]->name, word))
			return nouns[n];
	return NULL;
}

static bool has_verb(const struct kf_noun *noun, const char *verb)
{
	for (const struct kf_command *c = noun->commands; c->help; c++)
		if (c->verb && !strcmp(c->verb, verb))
			return true;
	return false;
}

static bool has_option(const char *name)
{
	for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++)
		if (!strcmp(others[i], name))
			return true;
	if (!strcmp(kf_args_match->name, name))
		return true;
	for (const struct kf_option *o = kf_args_global; o->name; o++)
		if (!strcmp(o->name, name))
			return true;
	for (size_t n = 0; nouns[n]; n++)
		for (const struct kf_command *c = nouns[n]->commands; c->help; c++)
			for (const struct kf_option *o = c->options; o && o->name; o++)
				if (!strcmp(o->name, name))
					return true;
	return false;
}

/* The string literals of @text, a C source; those that stand together are joined. To be freed. */
static char *literals_of(const char *text)
{
	char *joined = NULL;
	size_t size;
	FILE *out = open_memstream(&joined, &size);

	while (*text) {
		if (!strncmp(text, "/*", 2)) {
			text = strstr(text, "*/") + 2;
		} else if (!strncmp(text, "//", 2)) {
			text += strcspn(text, "\n");
		} else if (*text == '\'') {
			text += text[1] == '\\' ? 4 : 3;
		} else if (*text != '"') {
			if (!strchr(" \t\n", *text))
				fputc('\n', out);
			text++;
		} else {
			for (text++; *text != '"'; text++) {
				if (*text == '\\')
					text++;
				fputc(*text, out);
			}
			text++;
		}
	}
	fclose(out);
	return joined;
}

/* NOUN VERB at @at, if it begins with a noun; @tool: `keyfilterctl` stands before it. */
static unsigned int check_command(const char *path, const char *at, bool tool)
{
	char noun[32] = "", verb[32] = "";
	const struct kf_noun *found;

	sscanf(at, "%31[a-z] %31[a-z]", noun, verb);
	found = noun_called(noun);
	if (tool && *noun && !found && strcmp(noun, "help") != 0)
		fail_msg("%s: there is no noun in \"keyfilterctl %.60s\"", path, at);
	if (!found)
		return 0;
	if (*verb && found->commands->verb && !has_verb(found, verb))
		fail_msg("%s: there is no verb in \"%.60s\"", path, at);
	return 1;
}

static unsigned int check_named(const char *path, const char *text)
{
	static const char tool[] = "keyfilterctl ";
	unsigned int count = 0;
	char name[32];

	for (const char *at = text; (at = strstr(at, tool)); at += strlen(tool))
		count += check_command(path, at + strlen(tool), true);
	for (const char *at = text; (at = strchr(at, '`')); at++)
		count += check_command(path, at + 1, false);
	for (const char *at = text; (at = strstr(at, "--")); at += 2) {
		if (sscanf(at + 2, "%31[a-z-]", name) != 1 || name[0] == '-' ||
		    (at > text && !strchr(" `\n([", at[-1])))
			continue;
		count++;
		if (!has_option(name))
			fail_msg("%s: there is no option \"%.40s\"", path, at);
	}
	return count;
}

/* A command or an option that a message tells the operator to use is there. */
static void test_named(void **state)
{
	static const char *const patterns[] = { "userspace/*/*.c", "userspace/daemon/*/*.c",
						"README.md", "scripts/keyfilterd.conf" };
	unsigned int count = 0;
	char where[512];

	for (size_t i = 0; i < sizeof(patterns) / sizeof(patterns[0]); i++) {
		glob_t found;

		snprintf(where, sizeof(where), "%.*s../../%s",
			 (int)(sizeof(__FILE__) - sizeof("ctl_docs_test.c")), __FILE__,
			 patterns[i]);
		assert_int_equal(glob(where, 0, NULL, &found), 0);
		for (size_t j = 0; j < found.gl_pathc; j++) {
			const char *path = found.gl_pathv[j];
			char *text = read_repository(path + strlen(where) - strlen(patterns[i]));
			bool source = !strcmp(path + strlen(path) - 2, ".c");
			char *said = source ? literals_of(text) : strdup(text);

			count += check_named(path, said);
			free(said);
			free(text);
		}
		globfree(&found);
	}
	assert_true(count > 60);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_completion_table),
		cmocka_unit_test(test_completion_places),
		cmocka_unit_test(test_manual),
		cmocka_unit_test(test_table),
		cmocka_unit_test(test_named),
	};

	return cmocka_run_group_tests_name("ctl_docs", tests, NULL, NULL);
}
