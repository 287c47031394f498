// SPDX-License-Identifier: GPL-2.0-only
/* The store: keys and their credentials. Links the daemon's objects. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "store_fixture.h"

static void key_comes_back_as_it_went(void **state)
{
	struct fixture *f = *state;
	struct kf_key_row row = add_key(f, "näme % _ \\ 'x'", true, 12345), got;

	row.past_admitted = 7;
	row.past_refused = 8;
	row.past_used = 9;
	row.rpm = 10;
	row.rpm_burst = 11;
	row.group = add_group(f, "staff", 1).index;
	assert_int_equal(kf_store_model_set_add(f->store, "a\nb*", &row.models), 0);
	strcpy(row.group_name, "staff");
	assert_int_equal(kf_store_key_update(f->store, &row), 0);
	reopen(f);
	assert_int_equal(kf_store_key_get(f->store, row.id, &got), 0);
	assert_int_not_equal(got.revision, row.revision);
	row.revision = got.revision;
	assert_memory_equal(&got, &row, sizeof(row));
	assert_int_equal(kf_store_key_get(f->store, "k_nobody", &got), -ENOENT);
}

static void rate_has_bounds(void **state)
{
	struct fixture *f = *state;
	struct kf_key_row row = add_key(f, "a", false, KF_WALL_NEVER);

	row.rpm = row.rpm_burst = KF_RPM_TOP;
	assert_int_equal(kf_store_key_update(f->store, &row), 0);
	row.rpm++;
	assert_int_equal(kf_store_key_update(f->store, &row), -EINVAL);
	row.rpm = 1;
	row.rpm_burst++;
	assert_int_equal(kf_store_key_update(f->store, &row), -EINVAL);
	row.rpm = 0; /* a burst of no rate */
	row.rpm_burst = 1;
	assert_int_equal(kf_store_key_update(f->store, &row), -EINVAL);
}

static void tag_and_slot_are_had_once(void **state)
{
	struct fixture *f = *state;
	struct kf_key_row a = add_key(f, "a", false, KF_WALL_NEVER);
	struct kf_key_row b = add_key(f, "b", false, KF_WALL_NEVER);

	assert_int_equal(add_credential(f, a.seq, 3, 1, KF_WALL_NEVER), 0);
	assert_int_equal(add_credential(f, b.seq, 3, 2, KF_WALL_NEVER), -EEXIST);
	assert_int_equal(add_credential(f, b.seq, 4, 1, KF_WALL_NEVER), -EEXIST);
	assert_int_equal(add_credential(f, a.seq, 4, 2, KF_WALL_NEVER), -EEXIST); /* two current */
	assert_int_equal(add_credential(f, a.seq, 4, 2, 99), 0);
	assert_int_equal(add_credential(f, 4711, 5, 5, KF_WALL_NEVER), -ENOENT);
}

static int count_slot(void *context, const struct kf_slot_row *row)
{
	((uint32_t *)context)[0]++;
	((uint32_t *)context)[1] = row->slot;
	return 0;
}

static void removed_key_leaves_nothing(void **state)
{
	struct fixture *f = *state;
	struct kf_key_row a = add_key(f, "a", false, KF_WALL_NEVER), got;
	struct kf_cidr cidr, list[KF_KEY_ALLOW_MAX];
	uint32_t count[2] = { 0 }, n;
	bool any = true;

	kf_cidr_parse("10.0.0.0/8", &cidr);
	add_credential(f, a.seq, 1, 1, KF_WALL_NEVER);
	add_credential(f, a.seq, 2, 2, 50);
	assert_int_equal(kf_store_key_allow_set(f->store, a.seq, &cidr, 1), 0);
	kf_store_slot_each(f->store, 0, KF_SLOT_NONE, count_slot, count);
	assert_int_equal(count[0], 2);
	assert_int_equal(kf_store_key_remove(f->store, a.seq), 0);
	assert_int_equal(kf_store_key_remove(f->store, a.seq), -ENOENT);
	kf_store_credential_any(f->store, &any);
	assert_false(any);
	assert_int_equal(kf_store_key_allow_get(f->store, a.seq, list, &n), 0);
	assert_int_equal(n, 0);
	assert_int_equal(kf_store_key_of_slot(f->store, 1, &got), -ENOENT);
	assert_true(add_key(f, "b", false, KF_WALL_NEVER).seq > a.seq); /* cursors stay true */
}

static void slot_has_the_earlier_end(void **state)
{
	struct fixture *f = *state;
	struct kf_key_row a = add_key(f, "a", true, 100);
	struct kf_key_row b = add_key(f, "b", false, KF_WALL_NEVER);
	struct kf_slot_row rows[8] = { 0 };
	struct kf_cidr cidr;
	bool timed = false;
	int64_t last = 0;

	a.rpm = 60;
	a.rpm_burst = 5;
	assert_int_equal(kf_store_key_update(f->store, &a), 0);
	add_credential(f, a.seq, 1, 1, KF_WALL_NEVER);
	add_credential(f, a.seq, 2, 2, 50);
	add_credential(f, a.seq, 3, 3, 150);
	add_credential(f, b.seq, 4, 4, KF_WALL_NEVER);
	add_credential(f, b.seq, 5, 5, 70);
	kf_cidr_parse("10.0.0.0/8", &cidr);
	kf_store_key_allow_set(f->store, b.seq, &cidr, 1);
	assert_int_equal(kf_store_slot_timed(f->store, &timed), 0);
	assert_true(timed);
	assert_int_equal(kf_store_slot_last(f->store, &last), 0);
	assert_int_equal(last, 5);
	/* in one stretch, and in several */
	for (uint32_t stretch = 0; stretch < 4; stretch++) {
		memset(rows, 0, sizeof(rows));
		for (uint32_t slot = 0; slot < 8; slot += stretch + 1)
			assert_int_equal(
				kf_store_slot_each(f->store, slot, slot + stretch, keep_slot, rows),
				0);
		assert_int_equal(rows[1].expires, 100);
		assert_int_equal(rows[2].expires, 50);
		assert_int_equal(rows[3].expires, 100);
		assert_int_equal(rows[5].expires, 70);
		assert_int_equal(rows[4].expires, KF_WALL_NEVER);
		assert_true(rows[1].disabled && !rows[1].allowlist);
		assert_true(!rows[5].disabled && rows[5].allowlist);
		for (int i = 1; i <= 3; i++)
			assert_true(rows[i].rpm == 60 && rows[i].rpm_burst == 5);
		assert_true(!rows[5].rpm && !rows[5].rpm_burst);
		for (int i = 1; i <= 3; i++)
			assert_int_equal(rows[i].rate_slot, 1); /* the current one's */
		assert_int_equal(rows[5].rate_slot, 4);
	}
	memset(rows, 0, sizeof(rows));
	assert_int_equal(kf_store_slot_each(f->store, 2, 4, keep_slot, rows), 0);
	assert_true(!rows[1].key && rows[2].key && rows[4].key && !rows[5].key);
}

/* Another with each change, and never one of before, also of what has the name again. */
static void revision_follows_changes(void **state)
{
	struct fixture *f = *state;
	struct kf_service_row service = { .name = "api", .any = true, .port = 80 };
	struct kf_key_row key = add_key(f, "a", false, KF_WALL_NEVER), got;
	uint64_t seen[5];

	assert_int_equal(kf_store_key_get(f->store, key.id, &got), 0);
	assert_int_equal(got.revision, key.revision);
	key.past_admitted = 7;
	assert_int_equal(kf_store_key_counts(f->store, &key), 0);
	assert_int_equal(kf_store_key_get(f->store, key.id, &got), 0);
	assert_int_equal(got.past_admitted, 7);
	assert_int_equal(got.revision, key.revision); /* what is counted is no change */
	assert_int_equal(kf_store_key_update(f->store, &key), 0);
	assert_int_equal(kf_store_key_get(f->store, key.id, &got), 0);
	assert_int_not_equal(got.revision, key.revision);

	for (int i = 0; i < 5; i++) {
		if (i == 0 || i == 3)
			assert_int_equal(kf_store_service_add(f->store, &service), 0);
		else if (i == 2)
			assert_int_equal(kf_store_service_remove(f->store, "api"), 0);
		else
			assert_int_equal(kf_store_service_update(f->store, &service), 0);
		if (i != 2)
			assert_int_equal(kf_store_service_get(f->store, "api", &service), 0);
		seen[i] = service.revision;
		for (int j = 0; j < i && i != 2; j++)
			assert_int_not_equal(seen[i], seen[j]);
	}
}

static void rollback_undoes(void **state)
{
	struct fixture *f = *state;
	struct kf_key_row a, got;

	assert_int_equal(kf_store_begin(f->store), 0);
	a = add_key(f, "a", false, KF_WALL_NEVER);
	kf_store_rollback(f->store);
	assert_int_equal(kf_store_key_get(f->store, a.id, &got), -ENOENT);
	kf_store_rollback(f->store); /* nothing open: nothing happens */
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(key_comes_back_as_it_went), TEST(rate_has_bounds),
		TEST(tag_and_slot_are_had_once), TEST(removed_key_leaves_nothing),
		TEST(slot_has_the_earlier_end),	 TEST(revision_follows_changes),
		TEST(rollback_undoes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
