// SPDX-License-Identifier: GPL-2.0-only
/* The store: services and interfaces. Links the daemon's objects. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "store_fixture.h"

static struct kf_service_row service(const char *name, int last_octet, uint16_t port)
{
	struct kf_service_row row = { .any = last_octet < 0, .port = port };

	snprintf(row.name, sizeof(row.name), "%s", name);
	if (!row.any) {
		row.addr[10] = row.addr[11] = 0xff;
		row.addr[15] = (uint8_t)last_octet;
	}
	return row;
}

static void listen_is_taken_once(void **state)
{
	struct fixture *f = *state;
	struct kf_service_row a = service("a", -1, 80), b = service("b", -1, 80);
	struct kf_service_row c = service("c", 1, 80), d = service("d", 1, 80);
	struct kf_service_row again = service("a", 9, 81), got;

	assert_int_equal(kf_store_service_add(f->store, &a), 0);
	assert_int_equal(kf_store_service_add(f->store, &b), -EEXIST);
	assert_int_equal(kf_store_service_add(f->store, &c), 0);
	assert_int_equal(kf_store_service_add(f->store, &d), -EEXIST);
	assert_int_equal(kf_store_service_add(f->store, &again), -EEXIST);
	assert_int_equal(a.index, 0);
	assert_int_equal(c.index, 1);
	c.port = 80;
	c.any = true;
	assert_int_equal(kf_store_service_update(f->store, &c), -EEXIST);
	assert_int_equal(kf_store_service_get(f->store, "c", &got), 0);
	assert_false(got.any);
	assert_int_equal(got.addr[15], 1);
	assert_int_equal(kf_store_service_get(f->store, "nobody", &got), -ENOENT);
}

static void lowest_free_index_is_used(void **state)
{
	struct fixture *f = *state;
	struct kf_service_row row;
	char name[64];

	for (int i = 0; i < 256; i++) {
		snprintf(name, sizeof(name), "s%d", i);
		row = service(name, -1, (uint16_t)(1000 + i));
		assert_int_equal(kf_store_service_add(f->store, &row), 0);
		assert_int_equal(row.index, i);
	}
	row = service("more", -1, 9);
	assert_int_equal(kf_store_service_add(f->store, &row), -E2BIG);
	assert_int_equal(kf_store_service_remove(f->store, "s77"), 0);
	assert_int_equal(kf_store_service_remove(f->store, "s77"), -ENOENT);
	assert_int_equal(kf_store_service_add(f->store, &row), 0);
	assert_int_equal(row.index, 77);
}

static void iface_is_replaced(void **state)
{
	struct fixture *f = *state;
	struct kf_iface_row row = { .dev = "eth0", .mode = 1, .created = 5 }, got;

	assert_int_equal(kf_store_iface_put(f->store, &row), 0);
	row.mode = 2;
	row.reset = true;
	assert_int_equal(kf_store_iface_put(f->store, &row), 0);
	assert_int_equal(kf_store_iface_get(f->store, "eth0", &got), 0);
	assert_int_equal(got.mode, 2);
	assert_true(got.reset);
	assert_int_equal(kf_store_iface_remove(f->store, "eth0"), 0);
	assert_int_equal(kf_store_iface_get(f->store, "eth0", &got), -ENOENT);
}

static void service_comes_back_as_it_went(void **state)
{
	struct fixture *f = *state;
	struct kf_service_row row = service("a", 7, 80), got;

	row.mode = 1;
	row.refuse = 2;
	row.key_sources = 3;
	row.flags = 4;
	row.penalty_failures = 5;
	row.penalty_window = 6;
	row.penalty_time = 7;
	row.penalty_time_max = 8;
	row.syn_rate = 9;
	row.syn_burst = 10;
	strcpy(row.methods, "QUERY PROPFIND BASELINE-CONTROL M!#$%&'*+^_`|~9");
	assert_int_equal(kf_store_service_add(f->store, &row), 0);
	reopen(f);
	assert_int_equal(kf_store_service_get(f->store, "a", &got), 0);
	assert_memory_equal(&got, &row, sizeof(row));
	row.penalty_failures = KF_PENALTY_FAILURES_TOP;
	row.penalty_window = row.penalty_time = row.penalty_time_max = KF_PENALTY_SECONDS_TOP;
	row.syn_rate = row.syn_burst = KF_SYN_RATE_TOP;
	memset(row.methods, 0, sizeof(row.methods));
	assert_int_equal(kf_store_service_update(f->store, &row), 0);
	assert_int_equal(kf_store_service_get(f->store, "a", &got), 0);
	assert_int_not_equal(got.revision, row.revision);
	row.revision = got.revision;
	assert_memory_equal(&got, &row, sizeof(row));
}

static void service_numbers_have_bounds(void **state)
{
	static const uint32_t bad[][6] = {
		{ KF_PENALTY_FAILURES_TOP + 1, 60, 60, 60, 0, 0 },
		{ 1, 0, 60, 60, 0, 0 },
		{ 1, KF_PENALTY_SECONDS_TOP + 1, 60, 60, 0, 0 },
		{ 1, 60, 0, 60, 0, 0 },
		{ 1, 60, 61, 60, 0, 0 },
		{ 1, 60, 60, KF_PENALTY_SECONDS_TOP + 1, 0, 0 },
		{ 1, 60, 60, 60, KF_SYN_RATE_TOP + 1, 0 },
		{ 1, 60, 60, 60, 1, KF_SYN_RATE_TOP + 1 },
	};
	struct fixture *f = *state;

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct kf_service_row row = service("a", 7, 80);

		row.penalty_failures = bad[i][0];
		row.penalty_window = bad[i][1];
		row.penalty_time = bad[i][2];
		row.penalty_time_max = bad[i][3];
		row.syn_rate = bad[i][4];
		row.syn_burst = bad[i][5];
		assert_int_equal(kf_store_service_add(f->store, &row), -EINVAL);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(listen_is_taken_once),
		TEST(lowest_free_index_is_used),
		TEST(service_comes_back_as_it_went),
		TEST(service_numbers_have_bounds),
		TEST(iface_is_replaced),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
