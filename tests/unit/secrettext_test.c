// SPDX-License-Identifier: GPL-2.0-only
/*
 * What looks like a secret, and what people really call their keys. Links userspace/lib; the
 * secrets here are of the shapes that their vendors publish, and nobody's.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "policy/key.h"
#include "../../userspace/lib/secrettext.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

#define OWN	     "sk-aB3dE5gH7jK9mN1pQ3sT5vW7yZ9bC1dF3gH5jK7mN9pQ1sT3"
#define BASE	     "aB3dE5gH7jK9mN1pQ3sT5vW7yZ9bC1dF3gH5jK7mN9pQ1sT3"

static void secrets_are_found_and_masked(void **state)
{
	static const char *const cases[][2] = {
		{ OWN, "sk-..." },
		{ "alice " OWN, "alice sk-..." },
		{ "alice" OWN, "alicesk-..." },
		{ "key=" OWN "!", "key=sk-...!" },
		{ "'" OWN "' and '" OWN "'", "'sk-...' and 'sk-...'" },
		{ "/v1/keys/" OWN "/disable", "/v1/keys/sk-.../disable" },
		{ BASE, "..." },
		{ "my-" BASE, "..." },
		{ "sk-000000000000000000000000000000000000000000000000", "sk-..." },
		{ "sk-proj-aB3dE5gH7jK9mN1pQ3sT-5vW7yZ9bC1dF3gH5jK7", "sk-..." },
		{ "sk-ant-api03-aB3dE5gH7jK9mN1pQ3sT5vW7yZ9b_C1dF3gH5jK7mN9pQ1sT3-AA", "sk-..." },
		{ "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",
		  "sk-..." },
		{ "sk-0a1b2c3d4e5f60718293a4b5c6d7e8f9", "sk-..." },
		{ "gsk_aB3dE5gH7jK9mN1pQ3sT5vW7", "gsk_..." },
		{ "hf_aBcDeFgH1jKlMnOpQrStUvWxYz23456789", "hf_..." },
		{ "AIzaSyA1b2C3d4E5f6G7h8I9j0K1l2M3n4O5p6Q", "AIza..." },
		{ "AKIA2E4G6I3K5M7O2Q4S", "AKIA..." },
		{ "ghp_aB3dE5gH7jK9mN1pQ3sT5vW7yZ9bC1dF3gH5", "ghp_..." },
		{ "github_pat_11AB3dE5gH7jK9mN1pQ3sT_5vW7yZ9bC1dF3gH5jK7", "github_pat_..." },
		{ "xoxb-123456789012-1234567890123-aB3dE5gH7jK9mN1pQ3sT5vW7", "xoxb-..." },
		{ "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.x",
		  "eyJ....eyJ....x" },
		{ "sk_live_aB3dE5gH7jK9mN1pQ3sT5vW7", "sk_live_..." },
	};

	for (size_t i = 0; i < COUNT(cases); i++) {
		char text[256];

		if (!kf_secrettext_has(cases[i][0]))
			fail_msg("'%s' is not found", cases[i][0]);
		snprintf(text, sizeof(text), "%s", cases[i][0]);
		kf_secrettext_mask(text);
		assert_string_equal(text, cases[i][1]);
		assert_false(kf_secrettext_has(text));
	}
}

static void names_are_left_alone(void **state)
{
	static const char *const names[] = {
		"",
		"alice",
		"task-force-nineteen",
		"sk-team-of-the-northern-building",
		"sk-customer20240101premium",
		"hf_team_2024_llama_researchers",
		"k_0123456789ab",
		"k_aB3dE5gH7jK9",
		"req_a5dded72f92270ae",
		"550e8400-e29b-41d4-a716-446655440000",
		"da39a3ee5e6b4b0d3255bfef95601890afd80709",
		"e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
		"2026-11-23T10:00:00Z",
		"production-eu-west-1-gpu-cluster-a100-80gb-batch-inference-2026",
		"Donaudampfschifffahrtsgesellschaftskapitaen",
		"/sys/fs/bpf/keyfilter/maps/kf_key_allow",
		"m\xc3\xbcller & co \xe6\xbc\xa2\xe5\xad\x97",
		"sk-...",
		"sk-ab...wxyz",
		"-----",
	};

	for (size_t i = 0; i < COUNT(names); i++) {
		char text[128];

		if (kf_secrettext_has(names[i]))
			fail_msg("'%s' is taken for a secret", names[i]);
		snprintf(text, sizeof(text), "%s", names[i]);
		kf_secrettext_mask(text);
		assert_string_equal(text, names[i]);
	}
}

/* Keys as they are made: whole, without the prefix, and cut as errors cut what they quote. */
static void every_key_is_found(void **state)
{
	char text[KF_KEY_TEXT_SIZE], cut[KF_KEY_TEXT_SIZE], name[KF_KEY_ID_SIZE + 16];
	unsigned int missed = 0;

	for (int i = 0; i < 20000; i++) {
		assert_int_equal(kf_policy_key_text(text), 0);
		assert_true(kf_secrettext_has(text));
		snprintf(cut, sizeof(cut), "%.40s", text);
		missed += !kf_secrettext_has(cut);
		missed += !kf_secrettext_has(text + 3);
		/* an ID is not one */
		snprintf(name, sizeof(name), "k_%.12s", text + 3);
		assert_false(kf_secrettext_has(name));
	}
	assert_true(missed < 20); /* one in two thousand may look like words */
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(secrets_are_found_and_masked),
		cmocka_unit_test(names_are_left_alone),
		cmocka_unit_test(every_key_is_found),
	};

	return cmocka_run_group_tests_name("secrettext", tests, NULL, NULL);
}
