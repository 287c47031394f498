// SPDX-License-Identifier: GPL-2.0-only
/*
 * Keys that are changed while all keys are compared with the kernel, a few places at a time: over
 * maps that are new, as the last run left them, or of a store that was put back to what it was
 * before. A revocation is in force when it returns, and in the end the maps are what a start from
 * the same store makes. Needs root (maps_fixture.h). Links the daemon's objects.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>

#include "policy/expire.h"
#include "policy/key_batch.h"
#include "policy/key_slot.h"
#include "policy/reconcile.h"
#include "policy/reconcile_keys.h"
#include "maps_fixture.h"

static uint32_t roll(uint32_t sides)
{
	return (uint32_t)random() % sides;
}

/* ---- any key, any change --------------------------------------------------------------------- */

struct pick {
	char id[KF_KEY_ID_SIZE];
	uint32_t seen;
};

static int pick_one(void *context, const struct kf_key_row *row)
{
	struct pick *pick = context;

	if (!roll(++pick->seen))
		memcpy(pick->id, row->id, KF_KEY_ID_SIZE);
	return 0;
}

static bool pick_key(struct fixture *f, char id[static KF_KEY_ID_SIZE])
{
	const struct kf_key_query all = { .limit = 1000 };
	struct pick pick = { 0 };

	assert_int_equal(kf_store_key_list(f->store, &all, pick_one, &pick), 0);
	memcpy(id, pick.id, KF_KEY_ID_SIZE);
	return pick.seen;
}

struct tags {
	uint8_t tag[KF_KEY_CREDENTIALS_MAX][16];
	uint32_t count;
};

static int keep_tag(void *context, const struct kf_credential_row *row)
{
	struct tags *tags = context;

	memcpy(tags->tag[tags->count++], row->tag, 16);
	return 0;
}

static void take_tags(struct fixture *f, const char *id, struct tags *tags)
{
	struct kf_key_row row;

	assert_int_equal(kf_store_key_get(f->store, id, &row), 0);
	assert_int_equal(kf_store_credential_each(f->store, row.seq, keep_tag, tags), 0);
}

/* The way of the programs, which compare the tag. */
static const struct kf_slot *admitting(struct fixture *f, const uint8_t tag[static 16])
{
	const struct kf_slot *slot;
	uint32_t index;

	if (kf_maps_get(f->maps, KF_MAP_kf_tags, tag, &index))
		return NULL;
	slot = kf_maps_slot(f->maps, index);
	return slot && slot->status == KF_KEY_ENABLED && slot->expires_ns > kf_clock_boot() &&
			       !memcmp(slot->tag, tag, 16)
		       ? slot
		       : NULL;
}

static void assert_refused(struct fixture *f, const struct tags *tags, const char *what)
{
	for (uint32_t i = 0; i < tags->count; i++)
		if (admitting(f, tags->tag[i]))
			fail_msg("%s: secret %u of %u is admitted behind it", what, i, tags->count);
}

/* Two that differ. */
static void any_blocks(struct kf_cidr cidr[static 2])
{
	static const char *const blocks[] = { "10.0.0.0/8", "10.1.0.0/16", "192.0.2.7",
					      "2001:db8::/32", "2001:db8:1::/48" };
	uint32_t first = roll(5);

	assert_int_equal(kf_cidr_parse(blocks[first], &cidr[0]), 0);
	assert_int_equal(kf_cidr_parse(blocks[(first + 1 + roll(4)) % 5], &cidr[1]), 0);
}

#define OK_OR_LATER(f, call)                                                                       \
	do {                                                                                       \
		int _err = (call);                                                                 \
		if (_err && _err != -ENOSPC && !(_err == -EAGAIN && (f)->policy->loading))         \
			fail_msg("%s: %s", #call, (f)->why.text);                                  \
	} while (0)

static int ignore_made(void *context, const struct kf_key_row *row, const char *text)
{
	return 0;
}

static void make_keys(struct fixture *f)
{
	struct kf_cidr allow[2];
	struct kf_key_wish wish = { .name = "k", .expires = KF_WALL_NEVER, .allow = allow };

	any_blocks(allow);
	wish.allow_count = roll(3);
	if (roll(3) == 0)
		wish.expires = kf_clock_now().wall_ns + (int64_t)DAY;
	wish.rpm = roll(2) * 60;
	OK_OR_LATER(
		f, kf_policy_key_create(f->policy, &wish, 1 + roll(4), ignore_made, NULL, &f->why));
}

static void edit_key(struct fixture *f, const char *id)
{
	struct kf_cidr allow[2];
	struct kf_policy_key_edit edit = { .name = "renamed", .allow = allow };
	struct tags tags = { 0 };
	bool ends = roll(3) == 0;

	any_blocks(allow);
	take_tags(f, id, &tags);
	edit.set_allow = roll(2);
	edit.allow_count = roll(3);
	edit.set_rpm = roll(2);
	edit.rpm = roll(100);
	edit.set_expires = ends;
	edit.expires = kf_clock_now().wall_ns + 1;
	OK_OR_LATER(f, kf_policy_key_edit(f->policy, id, &edit, &f->why));
	edit = (struct kf_policy_key_edit){ .set_expires = true, .expires = KF_WALL_NEVER };
	if (ends)
		OK(f, kf_policy_key_edit(f->policy, id, &edit, &f->why));
}

static void rotate_key(struct fixture *f, const char *id)
{
	uint64_t grace = roll(2) ? 0 : DAY;
	struct tags before = { 0 }, after = { 0 };
	char text[KF_KEY_TEXT_SIZE];
	int err;

	take_tags(f, id, &before);
	err = kf_policy_key_rotate(f->policy, id, grace, text, &f->why);
	if (err == -EAGAIN && f->policy->loading) {
		assert_true(grace); /* a rotation that revokes does not wait */
		return;
	}
	if (err == -ENOSPC)
		return;
	OK(f, err);
	if (!grace)
		assert_refused(f, &before, "rotate");
	take_tags(f, id, &after);
	assert_true(kf_maps_get(f->maps, KF_MAP_kf_tags, after.tag[after.count - 1],
				&(uint32_t){ 0 }) == 0);
}

/* What revokes is in force when it returns, and what is enabled is, too. */
static void change_a_key(struct fixture *f)
{
	struct kf_key_times times;
	struct tags tags = { 0 };
	char id[KF_KEY_ID_SIZE];
	uint32_t what = roll(8);

	if (what < 2 || !pick_key(f, id)) {
		make_keys(f);
		return;
	}
	take_tags(f, id, &tags);
	switch (what) {
	case 2:
		OK(f, kf_policy_key_disable(f->policy, id, &times, &f->why));
		assert_refused(f, &tags, "disable");
		break;
	case 3:
		OK(f, kf_policy_key_delete(f->policy, id, &times, &f->why));
		assert_refused(f, &tags, "delete");
		break;
	case 4:
		OK(f, kf_policy_key_enable(f->policy, id, &f->why));
		assert_non_null(admitting(f, tags.tag[tags.count - 1]));
		break;
	case 5:
		rotate_key(f, id);
		break;
	default:
		edit_key(f, id);
	}
}

static void change_keys(struct fixture *f, int count)
{
	for (int i = 0; i < count; i++)
		change_a_key(f);
}

/* ---- a start, a few places at a time --------------------------------------------------------- */

static void copy_store(struct fixture *f, const char *from, const char *to)
{
	char command[256];

	snprintf(command, sizeof(command), "cd %s && rm -f %s-wal %s-shm && cp -p %s %s", f->dir,
		 to, to, from, to);
	assert_int_equal(system(command), 0);
}

enum before { AS_IT_WAS, NEW_MAPS, OLDER_STORE, BEFORE_COUNT };

/* Stops, and leaves for the next start what @before says. */
static void prepare(struct fixture *f, enum before before)
{
	stop(f);
	copy_store(f, "keyfilter.db", "older.db");
	OK(f, start(f));
	change_keys(f, 30);
	stop(f);
	if (before == OLDER_STORE)
		copy_store(f, "older.db", "keyfilter.db");
	else if (before == NEW_MAPS)
		OK(f, kf_maps_unload(f->pins, &f->why));
}

/* As start() of the fixture, without the keys. */
static void start_without_keys(struct fixture *f)
{
	OK(f, kf_store_open(&f->store, f->dir, &f->why));
	OK(f, kf_store_secret_open(&f->secret, f->dir, false, &f->why));
	OK(f, kf_maps_open(&f->maps, f->pins, &settings, &f->why));
	OK(f, kf_policy_open(&f->policy, f->store, f->maps, f->secret, &f->why));
	OK(f, kf_traffic_flows_open(&f->flows, f->maps, DAY));
	assert_true(f->policy->loading);
	f->policy->keys_at_once = 1 + roll(12);
}

static bool load_some(struct fixture *f)
{
	int more = kf_policy_load(f->policy, &f->why);

	if (more < 0)
		fail_msg("%s", f->why.text);
	return more;
}

static void changed_while_loading(void **state)
{
	struct fixture *f = *state;

	NEEDS_ROOT();
	srandom(5);
	change_keys(f, 40);
	for (int round = 0; round < 18; round++) {
		bool more = true;

		prepare(f, round % BEFORE_COUNT);
		start_without_keys(f);
		for (int i = 0; more; i++) {
			if (round % 7 == 6 && i == 9) { /* killed in the middle of it */
				stop(f);
				start_without_keys(f);
			}
			if (roll(3) == 0)
				change_a_key(f);
			more = load_some(f);
		}
		assert_false(f->policy->loading);
		assert_int_equal(f->policy->mend.parts, 0);
		change_keys(f, 5);
		assert_maps_are_right(f);
	}
}

/* The kernel has what the last run left: whoever was good then is good all the time. */
static void good_keys_stay_good(void **state)
{
	struct fixture *f = *state;
	struct made made = { 0 };
	struct tags tags = { 0 };
	char text[KF_KEY_TEXT_SIZE];

	NEEDS_ROOT();
	create(f, &made, 20);
	OK(f, kf_policy_key_rotate(f->policy, made.id[3], DAY, text, &f->why));
	for (uint32_t i = 0; i < made.count; i++)
		take_tags(f, made.id[i], &tags);
	stop(f);
	start_without_keys(f);
	f->policy->keys_at_once = 3;
	do
		for (uint32_t i = 0; i < tags.count; i++)
			assert_non_null(admitting(f, tags.tag[i]));
	while (load_some(f));
	for (uint32_t i = 0; i < tags.count; i++)
		assert_non_null(admitting(f, tags.tag[i]));
}

/* What has to know all places waits, what would forget waits, and both go on. */
static void what_needs_all_waits(void **state)
{
	const struct kf_key_wish wish = { .name = "new", .expires = KF_WALL_NEVER };
	struct kf_key_batch *batch = NULL;
	struct fixture *f = *state;
	struct made made = { 0 };
	char text[KF_KEY_TEXT_SIZE];

	NEEDS_ROOT();
	create(f, &made, 10);
	OK(f, kf_policy_key_rotate(f->policy, made.id[0], 1, text, &f->why));
	stop(f);
	start_without_keys(f);
	assert_int_equal(kf_policy_key_batch_open(&batch, f->policy, &wish, 1, &f->why), -EAGAIN);
	assert_non_null(strstr(f->why.text, "; "));
	assert_int_equal(kf_policy_key_rotate(f->policy, made.id[1], DAY, text, &f->why), -EAGAIN);
	OK(f, kf_policy_key_rotate(f->policy, made.id[1], 0, text, &f->why)); /* in its own place */
	assert_int_equal(find_slot(f, text)->status, KF_KEY_ENABLED);
	assert_null(find_slot(f, made.text[1]));
	assert_int_equal(kf_policy_expire(f->policy), 0);
	while (load_some(f))
		;
	OK(f, kf_policy_key_batch_open(&batch, f->policy, &wish, 1, &f->why));
	kf_policy_key_batch_close(batch);
	OK(f, kf_policy_expire(f->policy));
	assert_int_equal(find_slot(f, text)->status, KF_KEY_ENABLED);
	assert_maps_are_right(f);
}

/* All keys are compared again while they are changed, as after a failure of the kernel. */
static void changed_while_mending(void **state)
{
	struct fixture *f = *state;

	NEEDS_ROOT();
	srandom(6);
	for (int round = 0; round < 8; round++) {
		change_keys(f, 20);
		f->policy->keys_at_once = 1 + roll(12);
		kf_policy_mend_note(f->policy, KF_MEND_KEYS, -ENOMEM);
		f->policy->mend.next_ns = 0;
		kf_policy_mend_tick(f->policy);
		assert_true(f->policy->mend.comparing);
		do
			if (roll(3) == 0)
				change_a_key(f);
		while (kf_policy_mend_step(f->policy));
		assert_int_equal(f->policy->mend.parts, 0);
		assert_false(f->policy->mend.comparing);
		assert_maps_are_right(f);
	}
}

/* The number of entries that allow lists need stays exact, or changes would be refused wrongly. */
static void entries_stay_counted(void **state)
{
	struct fixture *f = *state;
	uint64_t before;

	NEEDS_ROOT();
	srandom(7);
	change_keys(f, 60);
	before = f->policy->allow_entries;
	assert_true(before > 0);
	restart(f);
	assert_int_equal(f->policy->allow_entries, before);
	OK(f, kf_policy_reconcile_keys(f->policy, &f->why));
	assert_int_equal(f->policy->allow_entries, before);
	assert_int_equal(f->policy->allow_uncounted, 0);
	for (int round = 0; round < 10; round++) {
		f->policy->keys_at_once = 5;
		OK(f, kf_policy_reconcile_keys_begin(f->policy, &f->why));
		do
			change_a_key(f);
		while (kf_policy_reconcile_keys_step(f->policy, &f->why) > 0);
		before = f->policy->allow_entries;
		restart(f);
		assert_int_equal(f->policy->allow_entries, before);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(good_keys_stay_good, setup, teardown),
		cmocka_unit_test_setup_teardown(what_needs_all_waits, setup, teardown),
		cmocka_unit_test_setup_teardown(changed_while_loading, setup, teardown),
		cmocka_unit_test_setup_teardown(changed_while_mending, setup, teardown),
		cmocka_unit_test_setup_teardown(entries_stay_counted, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
