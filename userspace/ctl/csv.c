// SPDX-License-Identifier: GPL-2.0-only
#include "csv.h"

#include <string.h>

#include "json.h"

/*
 * Would a spreadsheet take it for a formula? A negative amount is none. Source: OWASP, CSV
 * Injection.
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
	const char *const *columns = context;
	json_t *row;
	size_t i;

	json_array_foreach(rows, i, row) {
		for (size_t c = 0; columns[c]; c++) {
			if (c)
				putchar(',');
			put_value(json_object_get(row, columns[c]));
		}
		fputs("\r\n", stdout);
	}
}

int kf_csv_print(struct kf_call *call, const char *member, const char *const *columns)
{
	for (size_t c = 0; columns[c]; c++)
		printf("%s%s", c ? "," : "", columns[c]);
	fputs("\r\n", stdout);
	return kf_call_each_page(call, member, print_lines, (void *)columns);
}
