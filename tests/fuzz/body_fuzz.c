// SPDX-License-Identifier: GPL-2.0-only
/*
 * libFuzzer for body.h. The first byte chooses how the body is cut, the rest is the body.
 *
 * The outcome must not depend on the cuts, and must be that of jansson: what the one calls no JSON,
 * so does the other, and what both read has the same model and the same counts. Jansson is stricter
 * in what body.h leaves alone (UTF-8 and surrogates, numbers beyond its own).
 *
 *   clang -g -O1 -fsanitize=fuzzer,address,undefined -Iinclude tests/fuzz/body_fuzz.c -ljansson
 *   ./a.out tests/fuzz/corpus/body
 */
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include <keyfilter/body.h>

#define CHECK(condition)                                                                           \
	do {                                                                                       \
		if (!(condition)) {                                                                \
			fprintf(stderr, "failed: %s\n", #condition);                               \
			abort();                                                                   \
		}                                                                                  \
	} while (0)

static const uint64_t fuzz_secret[2] = { 0x1111, 0x2222 };

/* Reads in pieces of @piece bytes. */
static void fuzz_parse(struct kf_body *b, const uint8_t *body, size_t len, size_t piece)
{
	static uint8_t buffer[KF_BODY_BUFFER];

	kf_body_begin(b);
	for (size_t at = 0; at < len; at += piece) {
		size_t n = len - at < piece ? len - at : piece;

		memcpy(buffer, body + at, n);
		memset(buffer + n, '"', 160);
		kf_body_parse(b, (const __u64 *)fuzz_secret, buffer, 0, (uint32_t)n);
	}
	kf_body_end(b, 0);
}

/* Is it what body.h does not look at that @error is about? */
static int fuzz_is_stricter(const json_error_t *error)
{
	switch (json_error_code(error)) {
	case json_error_invalid_utf8:
	case json_error_null_character:
	case json_error_null_byte_in_key:
	case json_error_numeric_overflow:
		return 1;
	default:
		return strstr(error->text, "invalid Unicode") != NULL;
	}
}

static void fuzz_check_count(const json_t *object, const char *name, uint32_t value)
{
	const json_t *count = json_object_get(object, name);

	CHECK(!count || json_is_null(count) || json_is_integer(count));
	CHECK(json_integer_value(count) == value);
}

/* Both have read it: what they found is the same. */
static void fuzz_check_members(const json_t *root, const struct kf_body *b)
{
	const json_t *model = json_object_get(root, "model"), *prompt;
	const json_t *options = json_object_get(root, "stream_options");
	uint64_t tag[2];
	uint32_t prompts = 0;

	CHECK(!model == !kf_body_has(b, KF_BODY_MODEL));
	if (model) {
		CHECK(json_is_string(model));
		kf_keyhash((const __u64 *)fuzz_secret, (const uint8_t *)json_string_value(model),
			   (uint32_t)json_string_length(model), (uint8_t *)tag);
		CHECK(!memcmp(tag, b->tag, sizeof(tag)));
	}
	fuzz_check_count(root, "max_tokens", b->tokens[0]);
	fuzz_check_count(root, "max_completion_tokens", b->tokens[1]);
	if (!json_object_get(root, "generationConfig") &&
	    !json_object_get(root, "generation_config")) {
		fuzz_check_count(root, "max_output_tokens", b->tokens[2]);
		fuzz_check_count(root, "n", b->n);
	}
	fuzz_check_count(root, "n_predict", b->tokens[3]);
	fuzz_check_count(root, "best_of", b->best_of);
	CHECK(json_is_true(json_object_get(root, "stream")) == b->stream);
	CHECK(json_is_true(json_object_get(options, "include_usage")) == b->usage);
	prompt = json_object_get(root, "prompt");
	for (size_t i = 0; i < json_array_size(prompt); i++)
		prompts += json_is_string(json_array_get(prompt, i)) ||
			   json_is_array(json_array_get(prompt, i));
	CHECK(prompts == b->prompts);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct kf_body whole, other;
	json_error_t error;
	json_t *root;

	if (size < 2 || size > KF_BODY_PAGE)
		return 0;
	fuzz_parse(&whole, data + 1, size - 1, size);
	fuzz_parse(&other, data + 1, size - 1, data[0] + 1u);
	CHECK(whole.fault == other.fault && whole.seen == other.seen);
	CHECK(whole.fault || !memcmp(&whole, &other, offsetof(struct kf_body, name)));
	fuzz_parse(&other, data + 1, size - 1, 1);
	CHECK(whole.fault == other.fault && whole.seen == other.seen);
	root = json_loadb((const char *)data + 1, size - 1, 0, &error);
	if (!root)
		CHECK(whole.fault || fuzz_is_stricter(&error));
	else if (!whole.fault)
		fuzz_check_members(root, &whole);
	else if (json_is_object(root) && !memchr(data + 1, 0, size - 1)) /* it reads 5, NUL, ] */
		CHECK(whole.fault >= KF_BODY_FAULT_NAME || whole.fault == KF_BODY_FAULT_DEPTH);
	json_decref(root);
	return 0;
}
