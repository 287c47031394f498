// SPDX-License-Identifier: GPL-2.0-only
/*
 * The rate of a key, in the store and in the maps: its edits, its secrets that share it, and what
 * a start mends of it. Needs root (maps_fixture.h), skipped otherwise. Links the daemon's objects.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>

#include "clock.h"
#include "policy/key.h"
#include "policy/key_slot.h"
#include "maps_fixture.h"

#define SECOND 1000000000ull

static struct kf_slot *slot_of(struct fixture *f, const char *text)
{
	return (struct kf_slot *)find_slot(f, text);
}

static void set_rate(struct fixture *f, const char *id, uint32_t rpm, uint32_t rpm_burst)
{
	const struct kf_policy_key_edit edit = {
		.set_rpm = true, .rpm = rpm, .set_burst = true, .rpm_burst = rpm_burst
	};

	OK(f, kf_policy_key_edit(f->policy, id, &edit, &f->why));
}

static void assert_rate(struct fixture *f, const char *text, uint64_t interval, uint64_t burst)
{
	const struct kf_slot *slot = find_slot(f, text);

	assert_true(slot->rate_interval_ns == interval);
	assert_true(slot->rate_burst_ns == burst);
}

/* How far ahead of now the key is, as if so far for the programs. */
static void use_up(struct kf_slot *slot, uint64_t ahead)
{
	slot->rate_tat_ns = kf_clock_boot() + ahead;
}

static bool is_ahead(const struct kf_slot *slot, uint64_t by)
{
	uint64_t now = kf_clock_boot();

	return slot->rate_tat_ns <= now + by && slot->rate_tat_ns > now + by - 5 * SECOND;
}

static void rate_is_edited(void **state)
{
	struct kf_policy_key_edit edit = { .set_burst = true, .rpm_burst = 5 };
	struct kf_key_wish wish = { .name = "k", .expires = KF_WALL_NEVER, .rpm = 60 };
	struct fixture *f = *state;
	struct made made = { 0 };
	struct kf_key key;

	NEEDS_ROOT();
	OK(f, kf_policy_key_create(f->policy, &wish, 1, keep_made, &made, &f->why));
	assert_rate(f, made.text[0], SECOND, 59 * SECOND);
	set_rate(f, made.id[0], 600, 0);
	assert_rate(f, made.text[0], SECOND / 10, 599 * SECOND / 10);
	OK(f, kf_policy_key_edit(f->policy, made.id[0], &edit, &f->why)); /* rpm stays */
	assert_rate(f, made.text[0], SECOND / 10, 4 * SECOND / 10);
	restart(f);
	assert_rate(f, made.text[0], SECOND / 10, 4 * SECOND / 10);
	edit = (struct kf_policy_key_edit){ .set_rpm = true, .rpm = 6 };
	OK(f, kf_policy_key_edit(f->policy, made.id[0], &edit, &f->why)); /* the burst stays */
	assert_rate(f, made.text[0], 10 * SECOND, 40 * SECOND);
	edit.rpm = 0;
	OK(f,
	   kf_policy_key_edit(f->policy, made.id[0], &edit, &f->why)); /* and goes with the rate */
	assert_rate(f, made.text[0], 0, 0);
	OK(f, kf_policy_key_get(f->policy, made.id[0], &key));
	assert_int_equal(key.row.rpm_burst, 0);
	edit = (struct kf_policy_key_edit){ .set_burst = true, .rpm_burst = 5 };
	assert_int_equal(kf_policy_key_edit(f->policy, made.id[0], &edit, &f->why), -EINVAL);
	assert_non_null(strstr(f->why.text, "; give the rate"));
	assert_rate(f, made.text[0], 0, 0);
	assert_maps_are_right(f);
}

/* What is used up stays so, but nobody waits for longer than one request takes at the new rate. */
static void edit_scales_what_is_used_up(void **state)
{
	struct fixture *f = *state;
	struct made made = { 0 };
	struct kf_slot *slot;

	NEEDS_ROOT();
	create(f, &made, 1);
	slot = slot_of(f, made.text[0]);
	set_rate(f, made.id[0], 1, 10);
	use_up(slot, 600 * SECOND);
	set_rate(f, made.id[0], 60, 0); /* raised: ten requests are ten requests */
	assert_true(is_ahead(slot, 10 * SECOND));
	set_rate(f, made.id[0], 6, 2); /* lowered: of more than the burst is, the burst */
	assert_true(is_ahead(slot, 20 * SECOND));
	set_rate(f, made.id[0], 6, 50);
	assert_true(is_ahead(slot, 20 * SECOND));
	set_rate(f, made.id[0], 60, 30);
	use_up(slot, 20 * SECOND);
	set_rate(f, made.id[0], 30, 30);
	assert_true(is_ahead(slot, 40 * SECOND));
	set_rate(f, made.id[0], 0, 0);
	use_up(slot, 600 * SECOND); /* left from long before */
	set_rate(f, made.id[0], 6, 1);
	assert_true(is_ahead(slot, 10 * SECOND));
	set_rate(f, made.id[0], 1, KF_RPM_TOP);
	use_up(slot, 60 * SECOND * KF_RPM_TOP); /* nothing overflows */
	set_rate(f, made.id[0], KF_RPM_TOP, KF_RPM_TOP);
	assert_true(is_ahead(slot, 60 * SECOND));
}

/* Killed between the store and the kernel, or amid the kernel's part. */
static void start_mends_the_time(void **state)
{
	struct fixture *f = *state;
	struct made made = { 0 };
	struct kf_slot *slot;

	NEEDS_ROOT();
	create(f, &made, 1);
	set_rate(f, made.id[0], 60, 0);
	slot = slot_of(f, made.text[0]);
	slot->rate_interval_ns = 60 * SECOND;
	use_up(slot, 600 * SECOND);
	restart(f);
	assert_rate(f, made.text[0], SECOND, 59 * SECOND);
	assert_true(is_ahead(slot_of(f, made.text[0]), 10 * SECOND));
	use_up(slot_of(f, made.text[0]), 100000 * SECOND);
	restart(f);
	assert_true(is_ahead(slot_of(f, made.text[0]), 60 * SECOND));
}

static void restart_keeps_what_is_used_up(void **state)
{
	struct fixture *f = *state;
	struct made made = { 0 };

	NEEDS_ROOT();
	create(f, &made, 2);
	set_rate(f, made.id[0], 60, 0);
	use_up(slot_of(f, made.text[0]), 30 * SECOND);
	restart(f);
	assert_true(is_ahead(slot_of(f, made.text[0]), 30 * SECOND));
}

static void secrets_share_a_rate(void **state)
{
	char first[KF_KEY_TEXT_SIZE], second[KF_KEY_TEXT_SIZE], third[KF_KEY_TEXT_SIZE];
	struct kf_slot *old, *slot;
	struct fixture *f = *state;
	struct made made = { 0 };
	struct kf_key_times times;

	NEEDS_ROOT();
	create(f, &made, 3);
	set_rate(f, made.id[1], 60, 0);
	old = slot_of(f, made.text[1]);
	use_up(old, 40 * SECOND);
	OK(f, kf_policy_key_rotate(f->policy, made.id[1], DAY, first, &f->why));
	slot = slot_of(f, first);
	assert_true(is_ahead(slot, 40 * SECOND));
	assert_ptr_equal(kf_maps_slot(f->maps, old->rate_slot), slot);
	assert_ptr_equal(kf_maps_slot(f->maps, slot->rate_slot), slot);
	use_up(slot, 50 * SECOND); /* and a third one, while the first has its grace */
	OK(f, kf_policy_key_rotate(f->policy, made.id[1], DAY, second, &f->why));
	assert_true(is_ahead(slot_of(f, second), 50 * SECOND));
	assert_ptr_equal(kf_maps_slot(f->maps, old->rate_slot), slot_of(f, second));
	assert_ptr_equal(kf_maps_slot(f->maps, slot->rate_slot), slot_of(f, second));
	set_rate(f, made.id[1], 60, 10); /* all of them get it, and the one time that counts */
	assert_rate(f, made.text[1], SECOND, 9 * SECOND);
	assert_rate(f, second, SECOND, 9 * SECOND);
	assert_true(is_ahead(slot_of(f, second), 10 * SECOND));
	set_rate(f, made.id[1], 30, 10); /* scaled once, not once for each of them */
	assert_true(is_ahead(slot_of(f, second), 20 * SECOND));
	set_rate(f, made.id[1], 60, 10);
	assert_true(is_ahead(slot_of(f, second), 10 * SECOND));
	OK(f, kf_policy_key_rotate(f->policy, made.id[1], 0, third, &f->why));
	assert_true(is_ahead(slot_of(f, third), 10 * SECOND)); /* a new secret is no new burst */
	OK(f, kf_policy_key_delete(f->policy, made.id[1], &times, &f->why));
	assert_maps_are_right(f);
}

/* Killed when the new secret was durable and the kernel had not heard of it. */
static void start_shares_a_rate(void **state)
{
	char text[KF_KEY_TEXT_SIZE];
	struct fixture *f = *state;
	struct kf_slot *old, *fresh;

	NEEDS_ROOT();
	for (int round = 0; round < 8; round++) { /* the slots lie in either order */
		struct made made = { 0 };

		create(f, &made, 1);
		set_rate(f, made.id[0], 60, 0);
		OK(f, kf_policy_key_rotate(f->policy, made.id[0], DAY, text, &f->why));
		old = slot_of(f, made.text[0]);
		old->rate_slot = (uint32_t)(old - kf_maps_slot(f->maps, 0));
		use_up(old, 40 * SECOND);
		fresh = slot_of(f, text);
		kf_maps_delete(f->maps, KF_MAP_kf_tags, fresh->tag);
		memset(fresh, 0, sizeof(*fresh));
		restart(f);
		assert_ptr_equal(kf_maps_slot(f->maps, slot_of(f, made.text[0])->rate_slot),
				 slot_of(f, text));
		assert_true(is_ahead(slot_of(f, text), 40 * SECOND));
	}
	assert_maps_are_right(f);
}

/* Killed when an edited rate was durable and the kernel had not heard of it. */
static void start_scales_what_is_shared(void **state)
{
	char text[KF_KEY_TEXT_SIZE];
	struct fixture *f = *state;
	struct kf_key_row row;

	NEEDS_ROOT();
	for (int round = 0; round < 8; round++) { /* the slots lie in either order */
		struct made made = { 0 };

		create(f, &made, 1);
		set_rate(f, made.id[0], 60, 0);
		OK(f, kf_policy_key_rotate(f->policy, made.id[0], DAY, text, &f->why));
		use_up(slot_of(f, text), 60 * SECOND);
		OK(f, kf_store_key_get(f->store, made.id[0], &row));
		row.rpm = 600;
		row.rpm_burst = 60;
		OK(f, kf_store_key_update(f->store, &row));
		restart(f);
		assert_rate(f, made.text[0], SECOND / 10, 59 * SECOND / 10);
		assert_rate(f, text, SECOND / 10, 59 * SECOND / 10);
		assert_true(is_ahead(slot_of(f, text), 6 * SECOND));
	}
	assert_maps_are_right(f);
}

/* As above in the maps alone, where the home comes last. */
static void home_is_scaled_by_itself(void **state)
{
	char text[KF_KEY_TEXT_SIZE];
	struct fixture *f = *state;
	struct made made = { 0 };
	struct kf_slot *old, *home;

	NEEDS_ROOT();
	create(f, &made, 1);
	set_rate(f, made.id[0], 60, 0);
	OK(f, kf_policy_key_rotate(f->policy, made.id[0], DAY, text, &f->why));
	old = slot_of(f, made.text[0]);
	home = slot_of(f, text);
	use_up(home, 60 * SECOND);
	kf_maps_slot_rate(f->maps, (uint32_t)(old - kf_maps_slot(f->maps, 0)), SECOND / 10,
			  59 * SECOND / 10);
	kf_maps_slot_rate(f->maps, (uint32_t)(home - kf_maps_slot(f->maps, 0)), SECOND / 10,
			  59 * SECOND / 10);
	assert_true(is_ahead(home, 6 * SECOND));
}

static void next_owner_begins_afresh(void **state)
{
	struct fixture *f = *state;
	struct made made = { 0 }, next = { 0 };
	struct kf_key_times times;

	NEEDS_ROOT();
	create(f, &made, KEYS);
	for (int i = 0; i < KEYS; i++) {
		set_rate(f, made.id[i], 60, 0);
		use_up(slot_of(f, made.text[i]), 40 * SECOND);
		OK(f, kf_policy_key_delete(f->policy, made.id[i], &times, &f->why));
	}
	create(f, &next, 5);
	for (int i = 0; i < 5; i++) {
		assert_true(slot_of(f, next.text[i])->rate_tat_ns == 0);
		assert_rate(f, next.text[i], 0, 0);
	}
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(rate_is_edited),
		TEST(edit_scales_what_is_used_up),
		TEST(start_mends_the_time),
		TEST(restart_keeps_what_is_used_up),
		TEST(secrets_share_a_rate),
		TEST(start_shares_a_rate),
		TEST(start_scales_what_is_shared),
		TEST(home_is_scaled_by_itself),
		TEST(next_owner_begins_afresh),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
