// SPDX-License-Identifier: GPL-2.0-only
/*
 * body.h: JSON request bodies, each read whole, byte by byte and cut in two at every place, with
 * bytes behind the cut that would matter if they were read, up to a page that may not be read.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <keyfilter/body.h>

static const __u64 secret[2] = { 0x0123456789abcdefull, 0xfedcba9876543210ull };

/* KF_BODY_BUFFER bytes before the end of the world. */
static __u8 *room(void)
{
	static __u8 *buffer;
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	size_t size = (KF_BODY_BUFFER + page - 1) / page * page;
	__u8 *map;

	if (buffer)
		return buffer;
	map = mmap(NULL, size + page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	assert_true(map != MAP_FAILED);
	assert_int_equal(mprotect(map + size, page, PROT_NONE), 0);
	buffer = map + size - KF_BODY_BUFFER;
	return buffer;
}

/* Reads @len bytes in one call, with noise behind them. */
static enum kf_body_result piece(struct kf_body *b, const char *text, size_t len)
{
	static const char *const noises[] = {
		"\"\"\"\"", "\\\\\\", "}}}]", "0123", "    ", "\0\xff"
	};
	static unsigned int turn;
	const char *noise = noises[++turn % 6];
	__u8 *buf = room();

	memcpy(buf, text, len);
	for (size_t i = len; i < len + 160; i++)
		buf[i] = (__u8)noise[i % 2];
	return kf_body_parse(b, secret, buf, 0, (__u32)len);
}

/* Reads @text in pieces: @first bytes, then as many of @each as it takes. */
static void pieces(struct kf_body *b, const char *text, size_t len, size_t first, size_t each)
{
	size_t at = first < len ? first : len;

	kf_body_begin(b);
	piece(b, text, at);
	for (; at < len; at += each < len - at ? each : len - at)
		piece(b, text + at, each < len - at ? each : len - at);
}

/* What counts of an outcome. */
static void assert_same(const struct kf_body *a, const struct kf_body *b, const char *title,
			size_t cut)
{
	_Bool same = a->fault == b->fault && a->state == b->state;

	if (same && !a->fault)
		same = !memcmp(a->tag, b->tag, sizeof(a->tag)) && a->seen == b->seen &&
		       !memcmp(a->tokens, b->tokens, sizeof(a->tokens)) && a->n == b->n &&
		       a->best_of == b->best_of && a->prompts == b->prompts &&
		       a->stream == b->stream && a->usage == b->usage;
	if (!same)
		fail_msg("%s, cut at %zu: %s, whole: %s", title, cut, kf_body_fault_name(a->fault),
			 kf_body_fault_name(b->fault));
}

/* Reads @text in every way. */
static enum kf_body_fault run(struct kf_body *whole, const char *text, size_t len, _Bool needs)
{
	struct kf_body other;

	pieces(whole, text, len, len, len);
	kf_body_end(whole, needs);
	for (size_t cut = 0; cut <= len; cut++) {
		pieces(&other, text, len, cut, len);
		kf_body_end(&other, needs);
		assert_same(&other, whole, text, cut);
	}
	for (size_t each = 1; each < 10; each++) {
		pieces(&other, text, len, each, each);
		kf_body_end(&other, needs);
		assert_same(&other, whole, text, each);
	}
	return (enum kf_body_fault)whole->fault;
}

static void assert_model(const struct kf_body *b, const char *model)
{
	__u64 tag[2];

	kf_keyhash(secret, (const __u8 *)model, (__u32)strlen(model), (__u8 *)tag);
	assert_true(kf_body_has(b, KF_BODY_MODEL));
	if (memcmp(tag, b->tag, sizeof(tag)))
		fail_msg("the model is not %s", model);
}

/* ---- what is read ---------------------------------------------------------------------------- */

static const struct {
	const char *body, *model;
} models[] = {
	{ "{\"model\":\"m\"}", "m" },
	{ " \t\r\n{ \"model\" : \"gpt-4o\" } \n\t\r", "gpt-4o" },
	{ "{\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}],\"model\":\"gpt-4o-mini\"}",
	  "gpt-4o-mini" },
	{ "{\"max_tokens\":1024,\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}],\"model\":"
	  "\"claude-sonnet-4-20250514\"}",
	  "claude-sonnet-4-20250514" },
	{ "{\"model\": \"meta-llama\\/Llama-3.1-70B-Instruct\", \"x\": [1, -0, 0.5, 1e9, 1E+9, "
	  "-1.25e-3, true, false, null]}",
	  "meta-llama/Llama-3.1-70B-Instruct" },
	{ "{\"model\":\"command-r\\u002B\"}", "command-r+" },
	{ "{\"model\":\"\\u901a\\u4e49\\u00e9\"}", "通义é" },
	{ "{\"model\":\"通义é\U0001F600\"}", "通义é\U0001F600" },
	{ "{\"model\":\"a\\\"b\\\\c\"}", "a\"b\\c" },
	{ "{\"a\":{\"model\":\"x\"},\"b\":[{\"model\":\"y\"}],\"model\":\"z\"}", "z" },
	{ "{\"model\":\"z\",\"a\":{\"model\":1,\"model\":2,\"\\u006dodel\":3,\"MODEL\":4}}", "z" },
	{ "{\"stream_options\":{\"model\":\"x\"},\"model\":\"z\"}", "z" },
	{ "{\"a\":\"\\\",\\\"model\\\":\\\"x\",\"model\":\"z\"}", "z" },
	{ "{\"a\":\"\\\\\",\"model\":\"z\"}", "z" },
	{ "{\"a\":\"\\\\\\\"\",\"model\":\"z\"}", "z" },
	{ "{\"a\":\"\xff\xc3\",\"b\":\"\\ud800\",\"c\":\"\x7f\",\"model\":\"z\"}", "z" },
	{ "{\"a\":\"\\b\\f\\n\\r\\t\\/\\u12aF\",\"model\":\"z\"}", "z" },
	{ "{\"models_\":1,\"mode\":1,\"modelx\":1,\"\":1,\"model\":\"z\"}", "z" },
	{ "{\"a_name_that_is_longer_than_all_others\":1,\"model\":\"z\"}", "z" },
};

static void reads_models(void **state)
{
	struct kf_body b;

	for (size_t i = 0; i < sizeof(models) / sizeof(models[0]); i++) {
		enum kf_body_fault fault = run(&b, models[i].body, strlen(models[i].body), 1);

		if (fault)
			fail_msg("%s: %s", models[i].body, kf_body_fault_name(fault));
		assert_model(&b, models[i].model);
		for (size_t len = 0; len < strlen(models[i].body); len++) {
			pieces(&b, models[i].body, len, len, 1);
			if (kf_body_end(&b, 1) && b.fault != KF_BODY_FAULT_TRUNCATED)
				fail_msg("%s, %zu bytes: %s", models[i].body, len,
					 kf_body_fault_name(b.fault));
		}
	}
}

/* Names of all lengths, at all places of the eight bytes. */
static void reads_long_models(void **state)
{
	char model[300], body[400];
	struct kf_body b;

	for (size_t len = 1; len <= KF_BODY_MODEL_MAX + 1; len += len < 40 ? 1 : 36) {
		memset(model, 'a', len);
		model[len - 1] = 'z';
		model[len] = 0;
		snprintf(body, sizeof(body), "{\"model\":\"%s\"}", model);
		run(&b, body, strlen(body), 1);
		if (len > KF_BODY_MODEL_MAX) {
			assert_int_equal(b.fault, KF_BODY_FAULT_MODEL_VALUE);
			return;
		}
		assert_int_equal(b.fault, 0);
		assert_model(&b, model);
	}
	fail_msg("no name was too long");
}

static void reads_bounds(void **state)
{
	static const char all[] =
		"{\"max_tokens\":1,\"max_completion_tokens\":2147483647,\"max_output_tokens\":3,"
		"\"n_predict\":4,\"n\":5,\"best_of\":6,\"stream\":true,"
		"\"stream_options\":{\"x\":{\"include_usage\":false},\"include_usage\":true},"
		"\"prompt\":[\"a\",\"b\",[1,[\"c\"]]]}";
	static const char gemini[] =
		"{\"generationConfig\":{\"maxOutputTokens\":7,\"candidateCount\":3,"
		"\"model\":\"x\",\"a\":[{\"maxOutputTokens\":9}]}}";
	static const char snake[] =
		"{\"generation_config\":{\"max_output_tokens\":7,\"candidate_count\":3}}";
	static const char nothing[] =
		"{\"max_tokens\":null,\"n\":null,\"stream\":null,\"stream_options\":null,"
		"\"generationConfig\":null,\"best_of\":0,\"prompt\":[1,2,3]}";
	struct kf_body b;

	assert_int_equal(run(&b, all, strlen(all), 0), 0);
	assert_int_equal(b.tokens[0], 1);
	assert_int_equal(b.tokens[1], 2147483647);
	assert_int_equal(b.tokens[2], 3);
	assert_int_equal(b.tokens[3], 4);
	assert_true(b.stream && b.usage);
	assert_int_equal(b.n, 5);
	assert_int_equal(kf_body_choices(&b), 6 * 3);
	assert_int_equal(run(&b, gemini, strlen(gemini), 0), 0);
	assert_int_equal(b.tokens[2], 7);
	assert_int_equal(kf_body_choices(&b), 3);
	assert_int_equal(run(&b, snake, strlen(snake), 0), 0);
	assert_int_equal(b.tokens[2], 7);
	assert_int_equal(kf_body_choices(&b), 3);
	assert_int_equal(run(&b, nothing, strlen(nothing), 0), 0);
	assert_int_equal(b.tokens[0], 0);
	assert_false(b.stream || b.usage || kf_body_has(&b, KF_BODY_MODEL));
	assert_int_equal(kf_body_choices(&b), 1);
}

/* What else chooses a model or an adapter (SGLang, llama.cpp, TGI, gateways). */
static void knows_choosers(void **state)
{
	static const char *const names[] = { "models", "fallbacks", "lora", "lora_path",
					     "adapter_id" };
	char body[100];
	struct kf_body b;

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		snprintf(body, sizeof(body), "{\"model\":\"m\",\"%s\":[{\"model\":\"n\"}]}",
			 names[i]);
		assert_int_equal(run(&b, body, strlen(body), 1), 0);
		assert_model(&b, "m");
		assert_true(kf_body_has(&b, KF_BODY_CHOOSER));
	}
	assert_int_equal(run(&b, "{\"model\":\"m\"}", 13, 1), 0);
	assert_false(kf_body_has(&b, KF_BODY_CHOOSER));
}

/* ---- what is refused ------------------------------------------------------------------------- */

#define NO(fault_, body_)                                                                          \
	{                                                                                          \
		body_, sizeof(body_) - 1, KF_BODY_FAULT_##fault_                                   \
	}
#define M "\"model\":\"m\""

static const struct {
	const char *body;
	size_t len;
	enum kf_body_fault fault;
} refused[] = {
	/* it has to be an object, and nothing else */
	NO(TRUNCATED, ""),
	NO(TRUNCATED, " \n"),
	NO(TRUNCATED, "{" M),
	NO(TRUNCATED, "{" M ","),
	NO(TRUNCATED, "{\"model\":\"m"),
	NO(NOT_OBJECT, "[{" M "}]"),
	NO(NOT_OBJECT, "\"model\""),
	NO(NOT_OBJECT, "model=m"),
	NO(NOT_OBJECT, "null"),
	NO(NOT_OBJECT, "\xef\xbb\xbf{" M "}"),
	NO(NOT_OBJECT, "\xff\xfe{\0"),
	NO(NOT_OBJECT, "\v{" M "}"),
	NO(NOT_OBJECT, "\0{" M "}"),
	NO(NOT_OBJECT, "//\n{" M "}"),
	NO(NOT_OBJECT, ")]}',\n{" M "}"),
	NO(SYNTAX, "{\0\"\0m\0"), /* UTF-16, which Python's json.loads() guesses */
	NO(TRAILING, "{" M "}{\"model\":\"x\"}"),
	NO(TRAILING, "{" M "}\0"),
	NO(TRAILING, "{" M "}\n,"),
	NO(TRAILING, "{" M "}}"),
	NO(TRAILING, "{" M "}//"),
	/* one model */
	NO(MODEL_TWICE, "{" M ",\"model\":\"x\"}"),
	NO(MODEL_TWICE, "{" M ",\"a\":{},\"model\":\"m\"}"),
	NO(MODEL_MISSING, "{}"),
	NO(MODEL_MISSING, "{\"a\":{" M "},\"b\":["
			  "{" M "}]}"),
	NO(MODEL_VALUE, "{\"model\":\"\"}"), /* vLLM takes its default */
	NO(MODEL_VALUE, "{\"model\":\"m\\u0000\"}"),
	NO(MODEL_VALUE, "{\"model\":\"m\\n\"}"),
	NO(MODEL_VALUE, "{\"model\":\"\\ud83d\"}"),
	NO(MODEL_VALUE, "{\"model\":\"\\ud83d\\ude00\"}"),
	NO(MODEL_VALUE, "{\"model\":\"\\uDFFF\"}"),
	NO(MODEL_VALUE, "{\"model\":\"\xff\"}"),
	NO(MODEL_VALUE, "{\"model\":\"\x80\"}"),
	NO(MODEL_VALUE, "{\"model\":\"\xc1\xa1\"}"),
	NO(MODEL_VALUE, "{\"model\":\"\xe0\x80\xaf\"}"),
	NO(MODEL_VALUE, "{\"model\":\"\xed\xa0\x80\"}"),
	NO(MODEL_VALUE, "{\"model\":\"\xf0\x80\x80\xaf\"}"),
	NO(MODEL_VALUE, "{\"model\":\"\xf4\x90\x80\x80\"}"),
	NO(MODEL_VALUE, "{\"model\":\"\xf5\x80\x80\x80\"}"),
	NO(MODEL_VALUE, "{\"model\":\"\xc3\"}"),
	NO(MODEL_VALUE, "{\"model\":\"\xc3\\\"\"}"),
	NO(TYPE, "{\"model\":1}"),
	NO(TYPE, "{\"model\":null}"),
	NO(TYPE, "{\"model\":true}"),
	NO(TYPE, "{\"model\":[\"m\"]}"),
	NO(TYPE, "{\"model\":{\"m\":\"m\"}}"),
	/* names that could be one that decides */
	NO(NAME, "{" M ",\"\\u006dodel\":\"x\"}"),
	NO(NAME, "{" M ",\"mode\\u006c\":\"x\"}"),
	NO(NAME, "{" M ",\"a_name_that_is_longer_than_all_others\\n\":\"x\"}"),
	NO(NAME, "{" M ",\"max_to\xe2\x84\xaa"
		 "ens\":1}"),
	NO(NAME, "{" M ",\"\xc5\xbftream\":true}"),
	NO(NAME, "{" M ",\"generationConfig\":{\"max\\u004futputTokens\":1}}"),
	NO(NAME, "{" M ",\"stream_options\":{\"\\u0069nclude_usage\":true}}"),
	NO(CONTROL, "{" M ",\"model\0\":\"x\"}"),
	NO(NAME_CASE, "{\"Model\":\"x\"}"),
	NO(NAME_CASE, "{" M ",\"MODEL\":\"x\"}"),
	NO(NAME_CASE, "{" M ",\"modeL\":\"x\"}"),
	NO(NAME_CASE, "{" M ",\"Max_Tokens\":1}"),
	NO(NAME_CASE, "{" M ",\"N\":1}"),
	NO(NAME_CASE, "{" M ",\"generationconfig\":{}}"),
	NO(NAME_CASE, "{" M ",\"generationConfig\":{\"maxoutputtokens\":1}}"),
	NO(NAME_CASE, "{" M ",\"stream_options\":{\"Include_usage\":true}}"),
	NO(MEMBER_TWICE, "{" M ",\"max_tokens\":1,\"max_tokens\":2}"),
	NO(MEMBER_TWICE, "{" M ",\"n\":null,\"n\":2}"),
	NO(MEMBER_TWICE, "{" M ",\"stream\":true,\"stream\":false}"),
	NO(MEMBER_TWICE, "{" M ",\"stream_options\":{},\"stream_options\":{}}"),
	NO(MEMBER_TWICE, "{" M ",\"stream_options\":{\"include_usage\":true,\"include_usage\":1}}"),
	NO(MEMBER_TWICE, "{" M ",\"generationConfig\":{},\"generation_config\":{}}"),
	NO(MEMBER_TWICE, "{" M ",\"prompt\":\"a\",\"prompt\":[\"a\",\"b\"]}"),
	NO(MEMBER_TWICE,
	   "{" M ",\"generationConfig\":{\"maxOutputTokens\":1,\"max_output_tokens\":2}}"),
	/* counts */
	NO(COUNT, "{" M ",\"max_tokens\":-1}"),
	NO(COUNT, "{" M ",\"max_tokens\":1.0}"),
	NO(COUNT, "{" M ",\"max_tokens\":1e3}"),
	NO(COUNT, "{" M ",\"max_tokens\":0E3}"),
	NO(COUNT, "{" M ",\"max_tokens\":2147483648}"),
	NO(COUNT, "{" M ",\"max_tokens\":18446744073709551617}"),
	NO(COUNT, "{" M ",\"n\":65536}"),
	NO(COUNT, "{" M ",\"n_predict\":-1}"),
	NO(SYNTAX, "{" M ",\"max_tokens\":01}"),
	NO(SYNTAX, "{" M ",\"max_tokens\":+1}"),
	NO(SYNTAX, "{" M ",\"max_tokens\":0x10}"),
	NO(SYNTAX, "{" M ",\"max_tokens\":1_0}"),
	NO(TYPE, "{" M ",\"max_tokens\":\"1\"}"),
	NO(TYPE, "{" M ",\"max_tokens\":true}"),
	NO(TYPE, "{" M ",\"n\":[1]}"),
	NO(TYPE, "{" M ",\"stream\":1}"),
	NO(TYPE, "{" M ",\"stream\":\"true\"}"),
	NO(TYPE, "{" M ",\"stream_options\":[]}"),
	NO(TYPE, "{" M ",\"stream_options\":true}"),
	NO(TYPE, "{" M ",\"generationConfig\":\"\"}"),
	/* what some parsers take for JSON */
	NO(SYNTAX, "{" M ",}"),
	NO(SYNTAX, "{,}"),
	NO(SYNTAX, "{" M ",\"a\":[1,]}"),
	NO(SYNTAX, "{" M ",\"a\":[,1]}"),
	NO(SYNTAX, "{" M ",\"a\":[1 2]}"),
	NO(SYNTAX, "{" M " \"a\":1}"),
	NO(SYNTAX, "{" M ",\"a\" 1}"),
	NO(SYNTAX, "{" M ",\"a\":}"),
	NO(SYNTAX, "{" M ",\"a\"::1}"),
	NO(SYNTAX, "{" M ",\"a\"}"),
	NO(SYNTAX, "{" M ",\"a\":[}"),
	NO(SYNTAX, "{" M ",\"a\":[{]}]}"),
	NO(SYNTAX, "{" M "]"),
	NO(SYNTAX, "{" M "/**/}"),
	NO(SYNTAX, "{" M ",/*\",\"model\":\"x\"*/\"a\":1}"),
	NO(SYNTAX, "{" M "//\",\"model\":\"x\"\n}"),
	NO(SYNTAX, "{" M "#\n}"),
	NO(SYNTAX, "{'model':'x'," M "}"),
	NO(SYNTAX, "{" M ",\"a\":'\",\"model\":\"x\"'}"),
	NO(SYNTAX, "{model:\"x\"," M "}"),
	NO(SYNTAX, "{" M ",1:2}"),
	NO(SYNTAX, "{" M ",\"a\":NaN}"),
	NO(SYNTAX, "{" M ",\"a\":-Infinity}"),
	NO(SYNTAX, "{" M ",\"a\":nan}"),
	NO(SYNTAX, "{" M ",\"a\":True}"),
	NO(SYNTAX, "{" M ",\"a\":truE}"),
	NO(SYNTAX, "{" M ",\"a\":nulll}"),
	NO(SYNTAX, "{" M ",\"a\":.5}"),
	NO(SYNTAX, "{" M ",\"a\":5.}"),
	NO(SYNTAX, "{" M ",\"a\":-}"),
	NO(SYNTAX, "{" M ",\"a\":1e}"),
	NO(SYNTAX, "{" M ",\"a\":1e+}"),
	NO(SYNTAX, "{" M ",\"a\":1.2.3}"),
	NO(SYNTAX, "{" M ",\"a\":-01}"),
	NO(SYNTAX, "{" M ",\"a\":\"b\" \"c\"}"),
	NO(SYNTAX, "{" M ",\"a\":1\v}"),
	NO(SYNTAX, "{" M ",\"a\":1\0}"),
	NO(SYNTAX, "{" M "\xc2\xa0}"),
	NO(CONTROL, "{" M ",\"a\":\"\n\"}"),
	NO(CONTROL, "{" M ",\"a\":\"\0\"}"),
	NO(CONTROL, "{" M ",\"a\":\"\x1f\"}"),
	NO(CONTROL, "{\"model\":\"m\0x\"}"),
	NO(ESCAPE, "{" M ",\"a\":\"\\x41\"}"),
	NO(ESCAPE, "{" M ",\"a\":\"\\'\"}"),
	NO(ESCAPE, "{" M ",\"a\":\"\\\n\"}"),
	NO(ESCAPE, "{" M ",\"a\":\"\\U0041\"}"),
	NO(ESCAPE, "{" M ",\"a\":\"\\u004\",\"model\":\"x\"}"),
	NO(ESCAPE, "{" M ",\"a\":\"\\u00g0\"}"),
	NO(ESCAPE, "{" M ",\"a\":\"\\u{41}\"}"),
	NO(ESCAPE, "{\"model\":\"\\m\"}"),
	NO(ESCAPE, "{\"model\":\"\\u002\"}"),
};

static void refuses(void **state)
{
	struct kf_body b;

	for (size_t i = 0; i < sizeof(refused) / sizeof(refused[0]); i++) {
		enum kf_body_fault fault = run(&b, refused[i].body, refused[i].len, 1);

		if (fault != refused[i].fault)
			fail_msg("%s: %s, not %s", refused[i].body, kf_body_fault_name(fault),
				 kf_body_fault_name(refused[i].fault));
		assert_int_equal(kf_body_end(&b, 1), fault);
	}
}

/* Objects and arrays in turn: one more than the limit is refused, one less is read to its end. */
static void knows_its_depth(void **state)
{
	char body[4096];
	struct kf_body b;

	for (size_t depth = 60; depth <= KF_BODY_DEPTH_MAX + 1; depth++) {
		size_t len = (size_t)sprintf(body, "{\"model\":\"m\",\"a\":");

		for (size_t i = 1; i < depth; i++)
			len += (size_t)sprintf(body + len, i % 3 ? "[" : "{\"a\":");
		body[len++] = '1';
		for (size_t i = depth - 1; i; i--)
			body[len++] = i % 3 ? ']' : '}';
		body[len++] = '}';
		pieces(&b, body, len, len, 1);
		assert_int_equal(kf_body_end(&b, 1),
				 depth > KF_BODY_DEPTH_MAX ? KF_BODY_FAULT_DEPTH : 0);
		body[len - depth / 2] ^= '}' ^ ']'; /* one that does not fit */
		pieces(&b, body, len, len, 1);
		assert_int_equal(kf_body_end(&b, 1), depth > KF_BODY_DEPTH_MAX
							     ? KF_BODY_FAULT_DEPTH
							     : KF_BODY_FAULT_SYNTAX);
	}
}

/* A megabyte before the model, in calls of all sizes; and one call that is too long. */
static void reads_much(void **state)
{
	static const char begin[] = "{\"messages\":[{\"role\":\"user\",\"content\":\"",
			  end[] = "\"}],\"model\":\"m\"}";
	size_t fill = 1 << 20, len = sizeof(begin) - 1 + fill + sizeof(end) - 1;
	char *body = malloc(len);
	struct kf_body b;

	assert_non_null(body);
	memcpy(body, begin, sizeof(begin) - 1);
	for (size_t i = 0; i < fill; i++)
		body[sizeof(begin) - 1 + i] = "QUJDREVGR0g+/\xc3\xa9="[i % 16];
	memcpy(body + len - (sizeof(end) - 1), end, sizeof(end) - 1);
	for (size_t each = 1448; each <= KF_BODY_PAGE; each += 2489) {
		pieces(&b, body, len, each, each);
		assert_int_equal(kf_body_end(&b, 1), 0);
		assert_model(&b, "m");
	}
	kf_body_begin(&b);
	assert_int_equal(kf_body_parse(&b, secret, room(), 0, KF_BODY_PAGE + 1), KF_BODY_REFUSED);
	free(body);
}

/* So many prompts as the factor cannot hold are no prompt less. */
static void counts_prompts(void **state)
{
	struct kf_body b;

	kf_body_begin(&b);
	assert_int_equal(piece(&b, "{\"prompt\":[\"\"", 13), KF_BODY_MORE);
	for (int i = 1; i < 0xffff; i++)
		assert_int_equal(piece(&b, ",\"\"", 3), KF_BODY_MORE);
	assert_int_equal(kf_body_choices(&b), 0xffff);
	assert_int_equal(piece(&b, ",\"\"", 3), KF_BODY_REFUSED);
	assert_int_equal(b.fault, KF_BODY_FAULT_COUNT);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(reads_models), cmocka_unit_test(reads_long_models),
		cmocka_unit_test(reads_bounds), cmocka_unit_test(knows_choosers),
		cmocka_unit_test(refuses),	cmocka_unit_test(knows_its_depth),
		cmocka_unit_test(reads_much),	cmocka_unit_test(counts_prompts),
	};

	return cmocka_run_group_tests_name("body", tests, NULL, NULL);
}
