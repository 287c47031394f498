// SPDX-License-Identifier: GPL-2.0-only
#include "help.h"

#include <string.h>

#define COLUMNS 100

/* Where the next word goes on a line that is broken between words. */
struct line {
	FILE *out;
	int at, indent, columns;
};

static void put_word(struct line *line, const char *word)
{
	int len = (int)strlen(word);

	if (line->at && line->columns && line->at + 1 + len > line->columns) {
		fprintf(line->out, "\n%*s", line->indent, "");
		line->at = line->indent;
	} else if (line->at) {
		fputc(' ', line->out);
		line->at++;
	}
	fputs(word, line->out);
	line->at += len;
}

static bool is_repeated(const struct kf_option *option)
{
	return option->type == KF_OPTION_LIST || option->type == KF_OPTION_PAIR ||
	       option->type == KF_OPTION_UNSET;
}

static void describe(const struct kf_option *option, bool required, char text[static 96])
{
	snprintf(text, 96, "%s--%s%s%s%s%s", required ? "" : "[", option->name,
		 option->placeholder ? " " : "", option->placeholder ? option->placeholder : "",
		 required ? "" : "]", is_repeated(option) ? "..." : "");
}

void kf_help_synopsis(FILE *out, const struct kf_noun *noun, const struct kf_command *command,
		      int indent, int columns)
{
	struct line line = { .out = out, .indent = indent, .columns = columns };
	char text[96];

	put_word(&line, noun->name);
	if (command->verb)
		put_word(&line, command->verb);
	if (command->operand && command->many)
		put_word(&line, "[ID]");
	else if (command->operand)
		put_word(&line, command->operand);
	if (command->second)
		put_word(&line, command->second);
	for (const struct kf_option *o = command->options; o && o->name; o++) {
		describe(o, command->required && strcmp(o->name, command->required) == 0, text);
		put_word(&line, text);
	}
	if (command->matches) {
		describe(kf_args_match, false, text);
		put_word(&line, text);
	}
}

static void print_options(FILE *out, const struct kf_option *options)
{
	char text[64];

	for (; options && options->name; options++) {
		snprintf(text, sizeof(text), "--%s%s%s", options->name,
			 options->placeholder ? " " : "",
			 options->placeholder ? options->placeholder : "");
		fprintf(out, "  %-28s  %s\n", text, options->help);
	}
}

static void print_command(FILE *out, const struct kf_noun *noun, const struct kf_command *command)
{
	fputs("  ", out);
	kf_help_synopsis(out, noun, command, 8, COLUMNS - 2);
	fprintf(out, "\n      %s\n", command->help);
}

static void print_noun(FILE *out, const struct kf_noun *noun, const struct kf_command *only)
{
	fprintf(out, "%s: %s\n\n", noun->name, noun->help);
	for (const struct kf_command *command = noun->commands; command->help; command++) {
		if (only && command != only)
			continue;
		print_command(out, noun, command);
		if (command->options || command->matches)
			fputc('\n', out);
		print_options(out, command->options);
		if (command->matches)
			print_options(out, kf_args_match);
		if (!only && command[1].help)
			fputc('\n', out);
	}
}

static void print_all(FILE *out, const struct kf_noun *const nouns[])
{
	fputs("keyfilterctl: the operator's tool of keyfilter\n\n"
	      "usage: keyfilterctl [--socket PATH] [--json] NOUN VERB [ARGUMENTS]\n\n",
	      out);
	for (; *nouns; nouns++) {
		fprintf(out, "%s: %s\n", (*nouns)->name, (*nouns)->help);
		for (const struct kf_command *c = (*nouns)->commands; c->help; c++) {
			fputs("  ", out);
			kf_help_synopsis(out, *nouns, c, 8, COLUMNS - 2);
			fputc('\n', out);
		}
	}
	fputs("\neverywhere:\n", out);
	print_options(out, kf_args_global);
	fputs("\n`keyfilterctl NOUN help` says more; so does keyfilterctl(1).\n", out);
}

void kf_help_print(FILE *out, const struct kf_noun *const nouns[], const struct kf_args *args)
{
	if (args && args->noun)
		print_noun(out, args->noun, args->command);
	else
		print_all(out, nouns);
}
