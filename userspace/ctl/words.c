// SPDX-License-Identifier: GPL-2.0-only
#include "words.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "output.h"

static bool is(const char *name, const char *word, size_t len)
{
	return name && strlen(name) == len && memcmp(name, word, len) == 0;
}

/* Puts what @command calls the @len bytes at @word; false: it has no word of its own for them. */
static bool put_own(FILE *out, const struct kf_command *command, const char *word, size_t len)
{
	if (is(command->operand_member, word, len)) {
		fputs(command->operand, out);
		return true;
	}
	if (command->matches && is("If-Match", word, len)) {
		fputs("--if-match", out);
		return true;
	}
	for (const struct kf_option *o = command->options; o && o->name; o++) {
		if (is(o->member, word, len)) {
			fprintf(out, "--%s", o->name);
			return true;
		}
		if ((o->type == KF_OPTION_LIMIT || o->type == KF_OPTION_WORD) &&
		    is("null", word, len)) {
			fputs("none", out);
			return true;
		}
	}
	for (const struct kf_option *o = command->options; o && o->name; o++) {
		const char *dot = o->member ? strchr(o->member, '.') : NULL;

		if (dot && is(dot + 1, word, len)) {
			fprintf(out, "--%s", o->name);
			return true;
		}
	}
	/* what stands in the path has the name of its place */
	if (command->operand && !command->operand_member && strlen(command->operand) == len &&
	    !strncasecmp(command->operand, word, len)) {
		fputs(command->operand, out);
		return true;
	}
	return false;
}

char *kf_words_of(const struct kf_command *command, const char *text)
{
	char *words = NULL;
	size_t size;
	FILE *out = open_memstream(&words, &size);

	if (!out)
		kf_output_no_memory();
	while (*text) {
		size_t before = strcspn(text, "`"), len;

		fwrite(text, 1, before, out);
		text += before;
		if (!*text)
			break;
		len = strcspn(text + 1, "`");
		if (!text[1 + len] || !put_own(out, command, text + 1, len))
			fwrite(text, 1, len + 2 - !text[1 + len], out);
		text += len + 2 - !text[1 + len];
	}
	if (fclose(out) != 0)
		kf_output_no_memory();
	return words;
}
