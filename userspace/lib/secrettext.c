// SPDX-License-Identifier: GPL-2.0-only
#include "secrettext.h"

#include <ctype.h>
#include <stddef.h>
#include <string.h>

#define OWN_RUN	     48 /* base62 behind the "sk-" of a key of ours */
#define PREFIXED_RUN 16 /* random characters behind a vendor's prefix */
#define ALONE_RUN    32 /* random characters without one */

/* As published by services that scan repositories for them; "eyJ" begins a JSON web token. */
static const char *const prefixes[] = {
	"sk-",	 "sk_live_", "sk_test_", "rk_live_", "rk_test_", "csk-",    "gsk_",	   "hf_",
	"r8_",	 "fw_",	     "tgp_v1_",	 "xai-",     "pplx-",	 "nvapi-",  "AIza",	   "AKIA",
	"ASIA",	 "ghp_",     "gho_",	 "ghu_",     "ghs_",	 "ghr_",    "github_pat_", "glpat-",
	"xoxb-", "xoxp-",    "xoxa-",	 "xoxr-",    "xoxs-",	 "dop_v1_", "eyJ",
};

static bool is_alnum(char c)
{
	return isalnum((unsigned char)c) && (unsigned char)c < 0x80;
}

static bool is_word(char c)
{
	return is_alnum(c) || c == '-' || c == '_';
}

static size_t run_length(const char *text, const char *end)
{
	size_t len = 0;

	while (text + len < end && is_alnum(text[len]))
		len++;
	return len;
}

static int class_of(char c)
{
	return isdigit((unsigned char)c) ? 0 : isupper((unsigned char)c) ? 1 : 2;
}

/*
 * Random characters change between digits, capitals and small letters every second or third time;
 * words with a year behind them do so once or twice in all, and words in CamelCase every fourth
 * time. Without a digit there must be many of them and many changes.
 */
static bool is_random(const char *run, size_t len, int classes)
{
	unsigned int seen = 0;
	size_t changes = 0;

	for (size_t i = 0; i < len; i++) {
		seen |= 1u << class_of(run[i]);
		changes += i && class_of(run[i]) != class_of(run[i - 1]);
	}
	if (!(seen & 1))
		return seen == 6 && len >= ALONE_RUN && changes * 3 >= len;
	return changes * 4 >= len && __builtin_popcount(seen) >= classes;
}

/* Is there a run of random characters, @least or longer, of as many classes? */
static bool has_random(const char *text, const char *end, size_t least, int classes)
{
	while (text < end) {
		size_t len = run_length(text, end);

		if (len >= least && is_random(text, len, classes))
			return true;
		text += len + 1;
	}
	return false;
}

/* The length of a known prefix at @at, a random rest being behind it; 0: none. */
static size_t prefix_at(const char *word, const char *at, const char *end)
{
	if (!strncmp(at, "sk-", 3) && run_length(at + 3, end) >= OWN_RUN)
		return 3;
	if (at > word && is_alnum(at[-1]))
		return 0;
	for (size_t i = 0; i < sizeof(prefixes) / sizeof(prefixes[0]); i++) {
		size_t len = strlen(prefixes[i]);

		if (!strncmp(at, prefixes[i], len) && has_random(at + len, end, PREFIXED_RUN, 2))
			return len;
	}
	return 0;
}

/*
 * Where in the word the secret begins to be one: what stands before may be shown. NULL: nowhere.
 */
static const char *secret_in(const char *word, const char *end)
{
	for (const char *at = word; at < end; at++) {
		size_t len = prefix_at(word, at, end);

		if (len)
			return at + len;
	}
	return has_random(word, end, ALONE_RUN, 3) ? word : NULL;
}

/* The next word at or behind @text, and its end; NULL: there is none. */
static const char *next_word(const char *text, const char **end)
{
	while (*text && !is_word(*text))
		text++;
	if (!*text)
		return NULL;
	for (*end = text; is_word(**end);)
		++*end;
	return text;
}

bool kf_secrettext_has(const char *text)
{
	const char *word, *end = text;

	while ((word = next_word(end, &end)))
		if (secret_in(word, end))
			return true;
	return false;
}

void kf_secrettext_mask(char *text)
{
	const char *word, *end = text;

	while ((word = next_word(end, &end))) {
		const char *secret = secret_in(word, end);
		char *at;

		if (!secret)
			continue;
		at = text + (secret - text);
		memcpy(at, "...", 3); /* it is longer than this by far */
		memmove(at + 3, end, strlen(end) + 1);
		end = at + 3;
	}
}
