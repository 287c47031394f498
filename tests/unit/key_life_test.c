// SPDX-License-Identifier: GPL-2.0-only
/*
 * A key from its creation to its deletion, in the store and in the maps: its state, its secrets
 * and the places that they take. Needs root (maps_fixture.h), skipped otherwise. Links the
 * daemon's objects.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>

#include "clock.h"
#include "policy/expire.h"
#include "policy/key.h"
#include "policy/key_slot.h"
#include "maps_fixture.h"

static void key_lives_and_dies(void **state)
{
	struct fixture *f = *state;
	struct made made = { 0 };
	struct kf_key_times times = { 0 };
	struct kf_key key;

	NEEDS_ROOT();
	create(f, &made, 3);
	assert_int_equal(find_slot(f, made.text[1])->status, KF_KEY_ENABLED);
	OK(f, kf_policy_key_disable(f->policy, made.id[1], &times, &f->why));
	assert_true(times.kernel_ns && times.durable_ns > times.kernel_ns);
	assert_int_equal(find_slot(f, made.text[1])->status, KF_KEY_DISABLED);
	restart(f);
	assert_int_equal(find_slot(f, made.text[1])->status, KF_KEY_DISABLED);
	assert_int_equal(find_slot(f, made.text[0])->status, KF_KEY_ENABLED);
	OK(f, kf_policy_key_enable(f->policy, made.id[1], &f->why));
	assert_int_equal(find_slot(f, made.text[1])->status, KF_KEY_ENABLED);
	OK(f, kf_policy_key_delete(f->policy, made.id[1], &times, &f->why));
	assert_null(find_slot(f, made.text[1]));
	assert_int_equal(kf_policy_key_get(f->policy, made.id[1], &key), -ENOENT);
	assert_int_equal(kf_policy_key_delete(f->policy, made.id[1], &times, &f->why), -ENOENT);
	assert_int_equal(kf_policy_key_get(f->policy, made.id[2], &key), 0);
	assert_string_equal(key.row.name, "key-3");
	assert_maps_are_right(f);
}

static void slots_run_out_and_come_back(void **state)
{
	const struct kf_key_wish wish = { .name = "more", .expires = KF_WALL_NEVER };
	struct fixture *f = *state;
	struct made made = { 0 }, more = { 0 };
	struct kf_key_times times;

	NEEDS_ROOT();
	create(f, &made, KEYS);
	assert_int_equal(kf_policy_key_create(f->policy, &wish, 1, keep_made, &more, &f->why),
			 -ENOSPC);
	assert_non_null(strstr(f->why.text, "keys_max"));
	for (int i = 0; i < 10; i++)
		OK(f, kf_policy_key_delete(f->policy, made.id[i], &times, &f->why));
	create(f, &more, 10);
	assert_int_equal(kf_policy_key_create(f->policy, &wish, 1, keep_made, &more, &f->why),
			 -ENOSPC);
	for (int i = 0; i < 10; i++)
		assert_non_null(find_slot(f, more.text[i]));
	assert_maps_are_right(f);
}

static void rotated_secret_has_its_grace(void **state)
{
	char first[KF_KEY_TEXT_SIZE], second[KF_KEY_TEXT_SIZE];
	struct fixture *f = *state;
	struct made made = { 0 };
	struct kf_slot *slot;
	struct kf_key key;

	NEEDS_ROOT();
	create(f, &made, 1);
	slot = (struct kf_slot *)find_slot(f, made.text[0]);
	slot->requests_admitted = 5; /* as the programs count */
	OK(f, kf_policy_key_rotate(f->policy, made.id[0], 50000000, first, &f->why));
	assert_true(find_slot(f, made.text[0])->expires_ns < KF_NEVER);
	assert_true(find_slot(f, first)->expires_ns == KF_NEVER);
	kf_policy_key_get(f->policy, made.id[0], &key);
	assert_true(key.grace_until > kf_clock_now().wall_ns);
	assert_int_equal(key.requests_admitted, 5);
	assert_int_equal(key.grace_used, 0);
	slot->last_used_ns = kf_clock_boot();
	((struct kf_slot *)find_slot(f, first))->last_used_ns = slot->last_used_ns + 5000000000;
	kf_policy_key_get(f->policy, made.id[0], &key);
	assert_int_equal(key.last_used - key.grace_used, 5000000000); /* of the old one alone */
	assert_memory_equal(key.row.mask.tail, first + KF_KEY_LEN - 4, 4);
	OK(f, kf_policy_expire(f->policy));
	assert_non_null(find_slot(f, made.text[0])); /* not yet */
	usleep(60000);
	OK(f, kf_policy_expire(f->policy));
	assert_null(find_slot(f, made.text[0]));
	kf_policy_key_get(f->policy, made.id[0], &key);
	assert_int_equal(key.grace_until, 0);
	assert_int_equal(key.grace_used, 0);
	assert_int_equal(key.requests_admitted, 5); /* not lost with the slot */
	OK(f, kf_policy_key_rotate(f->policy, made.id[0], 0, second, &f->why));
	assert_null(find_slot(f, first));
	assert_non_null(find_slot(f, second));
	assert_maps_are_right(f);
}

/* What the refusal names as the mend works: without a grace the older secrets make room. */
static void graces_run_out_of_places(void **state)
{
	char text[KF_KEY_TEXT_SIZE], last[KF_KEY_TEXT_SIZE];
	struct fixture *f = *state;
	struct made made = { 0 };
	int err;

	NEEDS_ROOT();
	create(f, &made, 1);
	for (int i = 1; i < KF_KEY_CREDENTIALS_MAX; i++)
		OK(f, kf_policy_key_rotate(f->policy, made.id[0], DAY, text, &f->why));
	err = kf_policy_key_rotate(f->policy, made.id[0], DAY, last, &f->why);
	assert_int_equal(err, -ENOSPC);
	assert_non_null(strstr(f->why.text, "`grace` 0"));
	assert_non_null(find_slot(f, text));
	OK(f, kf_policy_key_rotate(f->policy, made.id[0], 0, last, &f->why));
	assert_null(find_slot(f, made.text[0]));
	assert_null(find_slot(f, text));
	assert_non_null(find_slot(f, last));
	assert_maps_are_right(f);
}

/* @count blocks of 10.0.0.0/8, the first of them of @first_len bits. */
static int list_blocks(struct fixture *f, const char *id, uint32_t count, uint8_t first_len)
{
	struct kf_cidr blocks[KF_KEY_ALLOW_MAX];
	struct kf_policy_key_edit edit = { .set_allow = true,
					   .allow = blocks,
					   .allow_count = count };
	char text[32];

	for (uint32_t i = 0; i < count; i++) {
		snprintf(text, sizeof(text), "10.%u.0.0/16", i);
		OK(f, kf_cidr_parse(text, &blocks[i]));
	}
	blocks[0].prefix_len = KF_CIDR_V4 + first_len;
	return kf_policy_key_edit(f->policy, id, &edit, &f->why);
}

/* A revocation never waits for room: what goes makes it. */
static void full_table_still_narrows(void **state)
{
	char text[KF_KEY_TEXT_SIZE];
	struct fixture *f = *state;
	struct made made = { 0 };

	NEEDS_ROOT();
	create(f, &made, 2);
	OK(f, list_blocks(f, made.id[0], KEYS / 2, 16));
	OK(f, list_blocks(f, made.id[1], KEYS / 2, 16));
	assert_int_equal(list_blocks(f, made.id[0], KEYS / 2 + 1, 16), -ENOSPC);
	assert_maps_are_right(f);
	OK(f, list_blocks(f, made.id[0], KEYS / 2, 24)); /* one inside one that goes */
	assert_maps_are_right(f);
	OK(f, list_blocks(f, made.id[0], KEYS / 2, 16)); /* and back */
	assert_int_equal(kf_policy_key_rotate(f->policy, made.id[0], DAY, text, &f->why), -ENOSPC);
	OK(f, kf_policy_key_rotate(f->policy, made.id[0], 0, text, &f->why));
	assert_null(find_slot(f, made.text[0]));
	assert_int_equal(find_slot(f, text)->status, KF_KEY_ENABLED);
	assert_maps_are_right(f);
	OK(f, list_blocks(f, made.id[0], 1, 16));
	assert_maps_are_right(f);
}

/* A secret that leaked is replaced, with every place taken, in its own. */
static void full_slots_still_rotate(void **state)
{
	char text[KF_KEY_TEXT_SIZE], last[KF_KEY_TEXT_SIZE];
	struct fixture *f = *state;
	struct made made = { 0 };
	const struct kf_slot *slot;
	struct kf_key key;

	NEEDS_ROOT();
	create(f, &made, KEYS);
	slot = find_slot(f, made.text[3]);
	((struct kf_slot *)slot)->requests_admitted = 5;
	((struct kf_slot *)slot)->rate_tat_ns = 7;
	assert_int_equal(kf_policy_key_rotate(f->policy, made.id[3], DAY, text, &f->why), -ENOSPC);
	assert_non_null(strstr(f->why.text, "`grace` 0"));
	OK(f, kf_policy_key_rotate(f->policy, made.id[3], 0, text, &f->why));
	assert_null(find_slot(f, made.text[3]));
	assert_ptr_equal(find_slot(f, text), slot);
	assert_int_equal(slot->status, KF_KEY_ENABLED);
	assert_int_equal(slot->requests_admitted, 0);
	assert_int_equal(slot->rate_tat_ns, 7); /* no new burst */
	OK(f, kf_policy_key_get(f->policy, made.id[3], &key));
	assert_int_equal(key.requests_admitted, 5);
	assert_maps_are_right(f);
	OK(f, kf_policy_key_rotate(f->policy, made.id[3], 0, last, &f->why));
	assert_null(find_slot(f, text));
	assert_non_null(find_slot(f, last));
	assert_maps_are_right(f);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(key_lives_and_dies),	    TEST(slots_run_out_and_come_back),
		TEST(rotated_secret_has_its_grace), TEST(graces_run_out_of_places),
		TEST(full_table_still_narrows),	    TEST(full_slots_still_rotate),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
