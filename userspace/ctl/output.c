// SPDX-License-Identifier: GPL-2.0-only
#include "output.h"

#include <stdarg.h>
#include <stdint.h>
#include <string.h>
#include <time.h>
#include <wchar.h>

#include "cleanup.h"
#include "command.h"
#include "when.h"

void kf_output_no_memory(void)
{
	fputs("keyfilterctl: out of memory; free some\n", stderr);
	exit(KF_EXIT_FAILED);
}

/* ---- characters ------------------------------------------------------------------------------ */

/*
 * Reads one code point of UTF-8 (RFC 3629) at @text, which is not empty. Returns how many bytes it
 * has, or 0 when the bytes are none; overlong forms and surrogates are none.
 */
static int read_code_point(const char *text, uint32_t *out)
{
	static const uint32_t least[] = { 0, 0, 0x80, 0x800, 0x10000 };
	const unsigned char *byte = (const unsigned char *)text;
	int len = byte[0] < 0x80   ? 1
		  : byte[0] < 0xc2 ? 0
		  : byte[0] < 0xe0 ? 2
		  : byte[0] < 0xf0 ? 3
				   : 4;
	uint32_t point = len == 1 ? byte[0] : byte[0] & (0x7f >> len);

	if (len == 0 || byte[0] > 0xf4)
		return 0;
	for (int i = 1; i < len; i++) {
		if ((byte[i] & 0xc0) != 0x80)
			return 0;
		point = point << 6 | (byte[i] & 0x3f);
	}
	if (point < least[len] || point > 0x10ffff || (point >= 0xd800 && point <= 0xdfff))
		return 0;
	*out = point;
	return len;
}

/* Controls (C0, DEL, C1), line separators, and what reorders, joins or hides text. */
static bool is_unsafe(uint32_t point)
{
	return point < 0x20 || (point >= 0x7f && point < 0xa0) || point == 0xad ||
	       point == 0x061c || (point >= 0x200b && point <= 0x200f) ||
	       (point >= 0x2028 && point <= 0x202e) || (point >= 0x2060 && point <= 0x206f) ||
	       point == 0xfeff || (point >= 0xfff9 && point <= 0xfffb) ||
	       (point >= 0xe0000 && point <= 0xe007f);
}

char *kf_output_escape(const char *text)
{
	/* The longest escape of a byte is \xNN; code points take less for each of theirs. */
	char *escaped = malloc(strlen(text) * 4 + 1), *at = escaped;

	if (!escaped)
		kf_output_no_memory();
	while (*text) {
		uint32_t point = 0;
		int len = read_code_point(text, &point);

		if (len == 0 || (len == 1 && is_unsafe(point)))
			at += sprintf(at, "\\x%02x", (unsigned char)*text);
		else if (is_unsafe(point))
			at += sprintf(at, point > 0xffff ? "\\U%08x" : "\\u%04x", point);
		else if (point == '\\')
			at += sprintf(at, "\\\\");
		else
			at = mempcpy(at, text, len);
		text += len ? len : 1;
	}
	*at = '\0';
	return escaped;
}

int kf_output_width(const char *text)
{
	int width = 0;

	while (*text) {
		uint32_t point = 0;
		int len = read_code_point(text, &point);
		/* glibc's wchar_t is UCS-4; main() has set the locale that wcwidth() asks. */
		int columns = point < 0x80 ? 1 : wcwidth((wchar_t)point);

		width += columns < 0 ? 1 : columns;
		text += len ? len : 1;
	}
	return width;
}

/* ---- values ---------------------------------------------------------------------------------- */

/* asprintf() that does not fail. */
static char *write_text(const char *format, ...) __attribute__((format(printf, 1, 2)));

static char *write_text(const char *format, ...)
{
	char *text;
	va_list list;
	int len;

	va_start(list, format);
	len = vasprintf(&text, format, list);
	va_end(list);
	if (len < 0)
		kf_output_no_memory();
	return text;
}

static char *write_time(const char *utc, enum kf_output_format format)
{
	char local[KF_WHEN_SIZE], relative[KF_WHEN_SIZE];

	if (kf_when_local(utc, local) < 0)
		return kf_output_escape(utc);
	if (format == KF_OUTPUT_SINCE && kf_when_relative(utc, time(NULL), relative) == 0)
		return write_text("%s (%s)", local, relative);
	return write_text("%s", local);
}

static char *write_list(const json_t *list)
{
	char *text = write_text("%s", "");
	json_t *entry;
	size_t i;

	json_array_foreach(list, i, entry) {
		const char *word = json_string_value(entry);
		_cleanup_free_ char *safe = kf_output_escape(word ? word : "?");
		_cleanup_free_ char *before = text;

		text = write_text("%s%s%s", before, i ? ", " : "", safe);
	}
	return text;
}

/* NAME=VALUE, with commas. */
static char *write_object(const json_t *object)
{
	char *text = write_text("%s", "");
	const char *name;
	json_t *value;

	json_object_foreach((json_t *)object, name, value) {
		const char *word = json_string_value(value);
		_cleanup_free_ char *safe = kf_output_escape(word ? word : "?");
		_cleanup_free_ char *before = text;

		text = write_text("%s%s%s=%s", before, *before ? ", " : "", name, safe);
	}
	return text;
}

/* The text of one value, to be freed; empty when there is none. */
static char *write_value(const json_t *value, enum kf_output_format format)
{
	switch (value ? json_typeof(value) : JSON_NULL) {
	case JSON_STRING:
		if (format != KF_OUTPUT_PLAIN)
			return write_time(json_string_value(value), format);
		return kf_output_escape(json_string_value(value));
	case JSON_INTEGER:
		return write_text("%lld", json_integer_value(value));
	case JSON_REAL:
		return write_text("%.1f", json_real_value(value));
	case JSON_TRUE:
		return write_text("yes");
	case JSON_FALSE:
		return write_text("no");
	case JSON_ARRAY:
		return write_list(value);
	case JSON_OBJECT:
		return write_object(value);
	default:
		return write_text("%s", "");
	}
}

static char *write_cell(const json_t *object, const struct kf_output_column *column)
{
	char *text = write_value(json_object_get(object, column->member), column->format);

	if (*text)
		return text;
	free(text);
	return write_text("%s", column->absent ? column->absent : "-");
}

/* ---- tables, records, lines ------------------------------------------------------------------ */

static void print_cell(FILE *out, const char *text, int width, bool last)
{
	fputs(text, out);
	if (last)
		fputc('\n', out);
	else
		fprintf(out, "%*s", width - kf_output_width(text) + 2, "");
}

static int count_columns(const struct kf_output_column *columns)
{
	int count = 0;

	while (columns[count].heading)
		count++;
	return count;
}

/* Before the first piece: as wide as the headings. */
static void measure_headings(struct kf_output_table *table, int count)
{
	for (int i = 0; i < count && !table->begun; i++)
		table->widths[i] = kf_output_width(table->columns[i].heading);
}

static void measure(struct kf_output_table *table, char *const cells[], int count)
{
	for (int i = 0; i < count; i++) {
		int width = kf_output_width(cells[i]);

		if (width > table->widths[i])
			table->widths[i] = width;
	}
}

static void print_headings(FILE *out, struct kf_output_table *table, int count)
{
	for (int i = 0; i < count && !table->begun; i++)
		print_cell(out, table->columns[i].heading, table->widths[i], i == count - 1);
	table->begun = true;
}

/* Two walks: the widths must be known before the first line goes out. */
void kf_output_rows(FILE *out, struct kf_output_table *table, const json_t *rows)
{
	int count = count_columns(table->columns);
	size_t row_count = json_array_size(rows);
	_cleanup_free_ char **cells = calloc(row_count * count + 1, sizeof(*cells));

	if (!cells)
		kf_output_no_memory();
	measure_headings(table, count);
	for (size_t row = 0; row < row_count; row++) {
		char **line = cells + row * count;

		for (int i = 0; i < count; i++)
			line[i] = write_cell(json_array_get(rows, row), &table->columns[i]);
		measure(table, line, count);
	}
	print_headings(out, table, count);
	for (size_t at = 0; at < row_count * count; at++) {
		int i = at % count;

		print_cell(out, cells[at], table->widths[i], i == count - 1);
		free(cells[at]);
	}
}

void kf_output_record(FILE *out, const struct kf_output_column *columns, const json_t *object)
{
	int widest = 0;

	for (int i = 0; columns[i].heading; i++) {
		int width = kf_output_width(columns[i].heading);

		widest = width > widest ? width : widest;
	}
	for (int i = 0; columns[i].heading; i++) {
		_cleanup_free_ char *text = write_cell(object, &columns[i]);

		if (!*text)
			continue;
		print_cell(out, columns[i].heading, widest, false);
		print_cell(out, text, 0, true);
	}
}

void kf_output_line(FILE *out, const char *format, ...)
{
	_cleanup_free_ char *text = NULL, *safe = NULL;
	va_list list;
	int len;

	va_start(list, format);
	len = vasprintf(&text, format, list);
	va_end(list);
	if (len < 0)
		kf_output_no_memory();
	safe = kf_output_escape(text);
	fprintf(out, "%s\n", safe);
}
