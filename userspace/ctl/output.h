/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * output.h - the one renderer: an answer becomes a table, a record or a line of text.
 *
 * A noun says which members are shown and under which heading. Everything goes to stdout through
 * stdio, and main.c checks once, at the end, that it has arrived. The daemon's strings hold any
 * UTF-8: what a terminal could take for a command, and what reorders or hides text, is printed as
 * an escape (\x1b, \u202e; a backslash as \\). No colours.
 */
#ifndef KEYFILTER_CTL_OUTPUT_H
#define KEYFILTER_CTL_OUTPUT_H

#include <stdbool.h>
#include <stdio.h>
#include <jansson.h>

enum kf_output_format {
	KF_OUTPUT_PLAIN, /* by the value's own type; arrays and objects as lists with commas */
	KF_OUTPUT_TIME,	 /* local time */
	KF_OUTPUT_SINCE, /* in a record: local time, and in parentheses how long from now */
};

struct kf_output_column {
	const char *heading;
	const char *member;
	enum kf_output_format format;
	const char *absent; /* for null, empty or missing; NULL: "-"; in a record "": no line */
};

#define KF_OUTPUT_COLUMNS_MAX 12

/*
 * A table that may be printed in pieces: the heading comes with the first piece, whose contents set
 * the widths that later pieces keep where they fit. @columns ends with a NULL heading; a column of
 * free text does best as the last one.
 */
struct kf_output_table {
	const struct kf_output_column *columns;
	bool begun;
	int widths[KF_OUTPUT_COLUMNS_MAX];
};

/* Prints the objects of the array @rows. */
void kf_output_rows(FILE *out, struct kf_output_table *table, const json_t *rows);

/* Prints one object, a line a member: "Heading  value". */
void kf_output_record(FILE *out, const struct kf_output_column *columns, const json_t *object);

/* Prints a line; the format must not contain control characters, the arguments may. */
void kf_output_line(FILE *out, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* @text with its unsafe characters escaped; to be freed. */
char *kf_output_escape(const char *text);

/* How many columns of a terminal @text (UTF-8, escaped) takes. */
int kf_output_width(const char *text);

/* Says so and exits: there is nothing to undo in a tool that only asks. */
void kf_output_no_memory(void) __attribute__((noreturn));

#endif
