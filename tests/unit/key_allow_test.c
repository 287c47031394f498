// SPDX-License-Identifier: GPL-2.0-only
/*
 * A key's allow list, changed block by block: what comes of it, and what is refused because it is
 * not what was meant. Links userspace/daemon.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "policy/key_change.h"
#include "why.h"

/* "10.0.0.0/8 ::1/128" */
static uint32_t read_list(const char *text, struct kf_cidr *list)
{
	char copy[256], *save = NULL;
	uint32_t count = 0;

	snprintf(copy, sizeof(copy), "%s", text);
	for (char *at = strtok_r(copy, " ", &save); at; at = strtok_r(NULL, " ", &save))
		assert_int_equal(kf_cidr_parse(at, &list[count++]), 0);
	return count;
}

static void write_list(const struct kf_cidr *list, uint32_t count, char text[static 256])
{
	char block[KF_CIDR_TEXT];

	*text = '\0';
	for (uint32_t i = 0; i < count; i++) {
		kf_cidr_format(&list[i], block);
		snprintf(text + strlen(text), 256 - strlen(text), "%s%s", i ? " " : "", block);
	}
}

static void list_is_changed_block_by_block(void **state)
{
	static const struct {
		const char *old, *add, *remove;
		const char *list; /* NULL: refused */
		const char *why;
	} cases[] = {
		{ "10.0.0.0/8", "11.0.0.0/8", "", "10.0.0.0/8 11.0.0.0/8", NULL },
		{ "10.0.0.0/8", "10.0.0.0/8", "", "10.0.0.0/8", NULL },
		{ "10.0.0.0/8", "::1/128 ::1/128", "", "10.0.0.0/8 ::1/128", NULL },
		{ "10.0.0.0/8 ::1/128", "", "10.0.0.0/8", "::1/128", NULL },
		{ "10.0.0.0/8", "11.0.0.0/8", "10.0.0.0/8", "11.0.0.0/8", NULL },
		{ "10.0.0.0/8 ::1/128", "", "10.0.0.0/16", NULL,
		  "10.0.0.0/16 is not in the allow list of k_1; see `keyfilterctl key show k_1`" },
		{ "", "", "10.0.0.0/8", NULL, "10.0.0.0/8 is not in the allow list of k_1; " },
		{ "10.0.0.0/8", "10.0.0.0/8", "10.0.0.0/8", NULL,
		  "10.0.0.0/8 is to join the allow list and to leave it; " },
		{ "", "10.0.0.0/8", "", NULL,
		  "k_1 has no allow list and is served from anywhere; begin one with `allow_ips`" },
		{ "10.0.0.0/8", "", "10.0.0.0/8", NULL,
		  "without a block k_1 would be served from anywhere; disable it" },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct kf_cidr add[4], removed[4], list[KF_KEY_ALLOW_MAX];
		struct kf_key_state old = { .row.id = "k_1" };
		struct kf_policy_key_edit edit = { .add = add, .remove = removed };
		struct kf_why why = { 0 };
		char text[256];
		int err;

		old.allow_count = read_list(cases[i].old, old.allow);
		edit.add_count = read_list(cases[i].add, add);
		edit.remove_count = read_list(cases[i].remove, removed);
		err = kf_policy_key_change_allow(&old, &edit, list, &why);
		assert_int_equal(err, cases[i].list ? 0 : -EINVAL);
		assert_int_equal(edit.set_allow, !err);
		if (!cases[i].list) {
			if (strncmp(why.text, cases[i].why, strlen(cases[i].why)))
				fail_msg("case %zu: '%s'", i, why.text);
			continue;
		}
		write_list(edit.allow, edit.allow_count, text);
		assert_string_equal(text, cases[i].list);
	}
}

static void list_has_an_end(void **state)
{
	struct kf_cidr add[2], list[KF_KEY_ALLOW_MAX];
	struct kf_key_state old = { .row.id = "k_1", .allow_count = KF_KEY_ALLOW_MAX - 1 };
	struct kf_policy_key_edit edit = { .add = add, .add_count = 2 };
	struct kf_why why = { 0 };

	for (uint32_t i = 0; i < old.allow_count; i++)
		old.allow[i] = (struct kf_cidr){ .addr = { (uint8_t)(i + 1) }, .prefix_len = 8 };
	read_list("2001:db8::/32 2001:db9::/32", add);
	assert_int_equal(kf_policy_key_change_allow(&old, &edit, list, &why), -EINVAL);
	assert_non_null(strstr(why.text, "65 blocks, at most 64"));
	assert_false(edit.set_allow);
	edit.add_count = 1;
	assert_int_equal(kf_policy_key_change_allow(&old, &edit, list, &why), 0);
	assert_int_equal(edit.allow_count, KF_KEY_ALLOW_MAX);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(list_is_changed_block_by_block),
		cmocka_unit_test(list_has_an_end),
	};

	return cmocka_run_group_tests_name("key_allow", tests, NULL, NULL);
}
