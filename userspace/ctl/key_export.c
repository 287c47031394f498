// SPDX-License-Identifier: GPL-2.0-only
#include "key_export.h"

#include <string.h>

#include "json.h"

static const char *const members[] = {
	"id",
	"name",
	"masked",
	"status",
	"owner",
	"labels",
	"group",
	"models",
	"account",
	"quota",
	"spent",
	"left",
	"created_at",
	"expires_at",
	"allow_ips",
	"rpm",
	"burst",
	"requests_admitted",
	"requests_refused",
	"last_used_at",
	"grace_until",
	"revision",
};

#define MEMBERS (sizeof(members) / sizeof(members[0]))

/* ---- JSON ------------------------------------------------------------------------------------ */

static void print_objects(void *context, const json_t *rows)
{
	bool *begun = context;
	json_t *key;
	size_t i;

	json_array_foreach(rows, i, key) {
		_cleanup_free_ char *text = json_dumps(key, JSON_COMPACT);

		if (!text)
			kf_output_no_memory();
		printf("%s%s", *begun ? ",\n" : "[\n", text);
		*begun = true;
	}
}

/* ---- CSV ------------------------------------------------------------------------------------- */

/*
 * A text that a spreadsheet would take for a formula has a ' before it; amounts and dates do not
 * begin so, but for a '-' before digits. See OWASP, CSV Injection.
 */
static bool is_formula(const char *text)
{
	return strchr("=+-@\t", *text) && text[strspn(text, "-.0123456789")];
}

/* Quoted where it has to be; a quote is two. */
static void put_field(const char *text)
{
	const char *guard = is_formula(text) ? "'" : "";

	if (!text[strcspn(text, "\",\r\n")]) {
		printf("%s%s", guard, text);
		return;
	}
	printf("\"%s", guard);
	for (; *text; text++) {
		if (*text == '"')
			putchar('"');
		putchar(*text);
	}
	putchar('"');
}

/* Lists have a blank between two entries, labels are NAME=VALUE. */
static void put_value(const json_t *value)
{
	_cleanup_free_ char *text = NULL;
	size_t size = 0, i;
	const char *name;
	json_t *entry;
	FILE *out = open_memstream(&text, &size);

	if (!out)
		kf_output_no_memory();
	if (json_is_string(value))
		fputs(json_string_value(value), out);
	else if (json_is_integer(value))
		fprintf(out, "%lld", json_integer_value(value));
	json_array_foreach(value, i, entry)
		fprintf(out, "%s%s", i ? " " : "", json_string_value(entry));
	i = 0;
	json_object_foreach((json_t *)value, name, entry)
		fprintf(out, "%s%s=%s", i++ ? " " : "", name, json_string_value(entry));
	if (fclose(out) != 0)
		kf_output_no_memory();
	put_field(text);
}

static void print_lines(void *context, const json_t *rows)
{
	json_t *key;
	size_t i;

	json_array_foreach(rows, i, key) {
		for (size_t m = 0; m < MEMBERS; m++) {
			if (m)
				putchar(',');
			put_value(json_object_get(key, members[m]));
		}
		fputs("\r\n", stdout);
	}
}

static int export_csv(struct kf_call *call)
{
	for (size_t m = 0; m < MEMBERS; m++)
		printf("%s%s", m ? "," : "", members[m]);
	fputs("\r\n", stdout);
	return kf_call_each_page(call, "keys", print_lines, NULL);
}

int kf_key_export(struct kf_call *call)
{
	bool begun = false;
	int ret;

	if (kf_args_value(call->args, "csv"))
		return export_csv(call);
	ret = kf_call_each_page(call, "keys", print_objects, &begun);
	if (ret == KF_EXIT_DONE)
		puts(begun ? "\n]" : "[]");
	return ret;
}
