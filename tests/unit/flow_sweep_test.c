// SPDX-License-Identifier: GPL-2.0-only
/*
 * The sweep over the flows: which of them are forgotten, and when. Needs root (maps_fixture.h),
 * skipped otherwise. Links the daemon's objects.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <time.h>

#include "maps_fixture.h"

static void sweep(struct fixture *f)
{
	int more;

	while ((more = kf_traffic_flows_sweep(f->flows)) == 1)
		;
	assert_int_equal(more, 0);
}

static void silent_flows_are_forgotten(void **state)
{
	struct fixture *f = *state;
	struct kf_flow_key key = { 0 };
	struct kf_flow flow = { .slot = KF_SLOT_NONE };
	struct timespec t;
	uint32_t now;

	NEEDS_ROOT();
	clock_gettime(CLOCK_MONOTONIC_COARSE, &t);
	now = (uint32_t)(((uint64_t)t.tv_sec * 1000000000ull + (uint64_t)t.tv_nsec) >> 30);
	for (int i = 0; i < 4500; i++) {
		key.client_port = (uint16_t)i;
		flow.seen = i % 3 ? now : now - (uint32_t)(DAY >> 30) - 5;
		assert_int_equal(kf_maps_put(f->maps, KF_MAP_kf_flows, &key, &flow), 0);
	}
	sweep(f);
	assert_int_equal(kf_traffic_flows_live(f->flows), 4500); /* found silent, still there */
	key.client_port = 3;
	assert_int_equal(kf_maps_get(f->maps, KF_MAP_kf_flows, &key, &flow), 0);
	assert_int_equal(flow.state, KF_FLOW_CLOSED);
	assert_int_equal(flow.busy, 1); /* and stays locked when it is deleted */
	sweep(f);
	assert_int_equal(kf_traffic_flows_live(f->flows), 3000);
	assert_int_equal(kf_maps_get(f->maps, KF_MAP_kf_flows, &key, &flow), -ENOENT);
	key.client_port = 4;
	assert_int_equal(kf_maps_get(f->maps, KF_MAP_kf_flows, &key, &flow), 0);
	assert_int_equal(flow.state, KF_FLOW_HEAD);
}

static void check_patience(struct fixture *f, const struct kf_flow *as, uint32_t age, bool closed)
{
	struct kf_flow_key key = { 0 };
	struct kf_flow flow = *as;
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC_COARSE, &t);
	flow.seen = (uint32_t)(((uint64_t)t.tv_sec * 1000000000ull + (uint64_t)t.tv_nsec) >> 30);
	flow.seen -= age;
	assert_int_equal(kf_maps_put(f->maps, KF_MAP_kf_flows, &key, &flow), 0);
	sweep(f);
	assert_int_equal(kf_maps_get(f->maps, KF_MAP_kf_flows, &key, &flow), 0);
	assert_int_equal(flow.state == KF_FLOW_CLOSED, closed);
}

/* What was answered or cut goes sooner than what may still end, and that sooner than the rest. */
static void ending_flows_go_sooner(void **state)
{
	const struct kf_flow idle = { 0 }, answered = { .state = KF_FLOW_ANSWERED };
	const struct kf_flow cut = { .cut = KF_REASON_KEY_DISABLED };
	const struct kf_flow refused = { .state = KF_FLOW_REFUSED };
	const struct kf_flow ending = { .out.flags = KF_FLOW_FIN_OUT, .out.seq = 1 };
	const struct kf_flow half = { .flags = KF_FLOW_FIN_IN, .response.requests = 1 };
	struct fixture *f = *state;

	NEEDS_ROOT();
	check_patience(f, &answered, 20, false);
	check_patience(f, &answered, 31, true);
	check_patience(f, &cut, 20, false);
	check_patience(f, &cut, 31, true);
	check_patience(f, &refused, 105, false);
	check_patience(f, &refused, 115, true);
	check_patience(f, &ending, 105, false);
	check_patience(f, &ending, 115, true);
	check_patience(f, &half, 115, false); /* its response may be long in coming */
	check_patience(f, &idle, 115, false);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(silent_flows_are_forgotten),
		TEST(ending_flows_go_sooner),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
