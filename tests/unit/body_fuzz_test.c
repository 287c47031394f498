// SPDX-License-Identifier: GPL-2.0-only
/*
 * A bounded run of body_fuzz.c: bodies made by a grammar that knows the names that decide, some of
 * them damaged, from a fixed seed.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "../fuzz/body_fuzz.c"

static char text[8192];
static size_t used;
static unsigned int seed = 1;

static unsigned int pick(unsigned int count)
{
	return (unsigned int)rand_r(&seed) / 7 % count;
}

static void put(const char *piece)
{
	size_t len = strlen(piece);

	if (used + len < sizeof(text)) {
		memcpy(text + used, piece, len);
		used += len;
	}
}

static void put_space(void)
{
	static const char *const spaces[] = { "", "", "", "", " ", "\n", "\t\r\n", "          " };

	put(spaces[pick(8)]);
}

static void put_string(void)
{
	static const char *const pieces[] = { "a",
					      "0123456",
					      "\\n",
					      "\\\"",
					      "\\\\",
					      "\\/",
					      "\\u0041",
					      "é",
					      "\\u4F60",
					      "model",
					      "sixteen bytes of",
					      "\\ud83d\\ude00" };

	put("\"");
	for (unsigned int i = pick(5); i; i--)
		put(pieces[pick(12)]);
	put("\"");
}

static void put_name(void)
{
	static const char *const names[] = {
		"\"model\"",	 "\"max_tokens\"",	  "\"max_completion_tokens\"",
		"\"n\"",	 "\"best_of\"",		  "\"stream\"",
		"\"prompt\"",	 "\"stream_options\"",	  "\"include_usage\"",
		"\"messages\"",	 "\"generationConfig\"",  "\"maxOutputTokens\"",
		"\"n_predict\"", "\"max_output_tokens\"", "\"models\"",
		"\"Model\"",	 "\"\\u006dodel\"",	  "\"role\"",
	};

	put(names[pick(18)]);
}

static void put_value(unsigned int depth);

static void put_nested(unsigned int depth, _Bool object)
{
	put(object ? "{" : "[");
	for (unsigned int i = pick(5); i; i--) {
		put_space();
		if (object) {
			put_name();
			put_space();
			put(":");
			put_space();
		}
		put_value(depth + 1);
		put_space();
		if (i > 1)
			put(",");
	}
	put(object ? "}" : "]");
}

static void put_value(unsigned int depth)
{
	static const char *const scalars[] = { "0",	     "1",     "4096",	   "2147483647",
					       "-1",	     "1.5",   "-0.25e+10", "1E3",
					       "true",	     "false", "null",	   "true",
					       "12345678901" };

	switch (pick(depth < 5 ? 6 : 3)) {
	case 0:
	case 1:
		put(scalars[pick(13)]);
		break;
	case 2:
		put_string();
		break;
	default:
		put_nested(depth, pick(2));
	}
}

/* Turns a byte or two into others. */
static void damage(void)
{
	static const char bytes[] = "\"\\{}[]:,019-.eEtfnu \n\x01\xff/dM";

	for (unsigned int i = pick(3); i; i--)
		text[pick((unsigned int)used)] = bytes[pick(sizeof(bytes))];
}

static void agrees_with_jansson(void **state)
{
	unsigned int read = 0, refused = 0;

	for (int i = 0; i < 60000; i++) {
		struct kf_body b;

		used = 0;
		text[used++] = (char)pick(40);
		put_space();
		put_nested(0, 1);
		if (pick(3) == 0)
			damage();
		LLVMFuzzerTestOneInput((const uint8_t *)text, used);
		fuzz_parse(&b, (const uint8_t *)text + 1, used - 1, used);
		if (b.fault)
			refused++;
		else
			read++;
	}
	assert_in_range(read, 5000, 55000); /* or it tried but one of the two */
	assert_in_range(refused, 5000, 55000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(agrees_with_jansson),
	};

	return cmocka_run_group_tests_name("body_fuzz", tests, NULL, NULL);
}
