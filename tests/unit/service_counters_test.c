// SPDX-License-Identifier: GPL-2.0-only
/*
 * The counters of services: sums over CPUs, kept over a restart, not inherited by the next service
 * at an index. Needs root (maps_fixture.h), skipped otherwise. Links the daemon's objects.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <bpf/libbpf.h>

#include "maps_fixture.h"
#include "policy/service.h"

/* Each word of each CPU is in the sum. */
static void counters_are_summed(void **state)
{
	int cpus = libbpf_num_possible_cpus();
	struct kf_counters *each = calloc(cpus, sizeof(*each)), sum;
	uint64_t *words = (uint64_t *)&sum;
	struct fixture *f = *state;
	uint32_t service = 3;

	if (geteuid())
		free(each);
	NEEDS_ROOT();
	for (int cpu = 0; cpu < cpus; cpu++)
		for (size_t i = 0; i < sizeof(*each) / sizeof(uint64_t); i++)
			((uint64_t *)&each[cpu])[i] = (cpu + 1) * 1000 + i;
	OK(f, kf_maps_put(f->maps, KF_MAP_kf_counters, &service, each));
	OK(f, kf_maps_counters(f->maps, service, &sum));
	for (size_t i = 0; i < sizeof(sum) / sizeof(uint64_t); i++)
		assert_int_equal(words[i], (uint64_t)cpus * (cpus + 1) / 2 * 1000 + cpus * i);
	OK(f, kf_maps_counters_clear(f->maps, service));
	OK(f, kf_maps_counters(f->maps, service, &sum));
	for (size_t i = 0; i < sizeof(sum) / sizeof(uint64_t); i++)
		assert_int_equal(words[i], 0);
	free(each);
}

static void reused_index_counts_from_zero(void **state)
{
	struct kf_service_row row = { .name = "a", .any = true, .port = 80 };
	struct fixture *f = *state;
	struct kf_counters counters, *each;
	uint32_t zero = 0;

	NEEDS_ROOT();
	OK(f, kf_policy_service_add(f->policy, &row, &f->why));
	each = calloc(1024, sizeof(*each));
	each[0].packets[KF_REASON_ADMITTED] = 7;
	each[1].packets[KF_REASON_ADMITTED] = 8; /* not there with one CPU */
	kf_maps_put(f->maps, KF_MAP_kf_counters, &zero, each);
	free(each);
	restart(f);
	assert_int_equal(kf_maps_counters(f->maps, 0, &counters), 0);
	assert_true(counters.packets[KF_REASON_ADMITTED] >= 7); /* a restart loses none */
	OK(f, kf_policy_service_edit(f->policy, &row, &f->why));
	kf_maps_counters(f->maps, 0, &counters);
	assert_true(counters.packets[KF_REASON_ADMITTED] >= 7);
	OK(f, kf_policy_service_remove(f->policy, "a", &f->why));
	OK(f, kf_policy_service_add(f->policy, &row, &f->why));
	assert_int_equal(row.index, 0);
	kf_maps_counters(f->maps, 0, &counters);
	assert_int_equal(counters.packets[KF_REASON_ADMITTED], 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(counters_are_summed),
		TEST(reused_index_counts_from_zero),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
