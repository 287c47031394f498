// SPDX-License-Identifier: GPL-2.0-only
/*
 * Sources in the maps: a table that is full when the controller is killed, and the generation that
 * running connections go by. Needs root (maps_fixture.h), skipped otherwise. Links the daemon's
 * objects.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <signal.h>
#include <sys/wait.h>

#include "clock.h"
#include "maps_fixture.h"
#include "policy/source.h"

/* sqlite3 calls these when something becomes durable. */
static bool dies_at_sync;

static int sync_or_die(long number, int fd)
{
	if (dies_at_sync)
		kill(getpid(), SIGKILL);
	return (int)syscall(number, fd);
}

int fsync(int fd)
{
	return sync_or_die(SYS_fsync, fd);
}

int fdatasync(int fd)
{
	return sync_or_die(SYS_fdatasync, fd);
}

/* A process that allows ::/0 and is killed when that is durable; else it says how that ended. */
static int allow_all_and_die(struct fixture *f)
{
	struct kf_source_row row = { .action = KF_SOURCE_ALLOW, .expires = KF_WALL_NEVER };
	int status;
	pid_t pid;

	stop(f);
	pid = fork();
	assert_true(pid >= 0);
	if (!pid) {
		if (start(f))
			_exit(1);
		dies_at_sync = true;
		_exit(kf_policy_source_put(f->policy, &row, NULL, &f->why) == -ENOSPC ? 2 : 3);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return WIFSIGNALED(status) ? -WTERMSIG(status) : WEXITSTATUS(status);
}

/* ::/0 needs two places, of which only one may be left: see struct kf_policy_walk. */
static void killed_with_a_full_table(void **state)
{
	struct kf_source_row row = { .action = KF_SOURCE_ALLOW, .expires = KF_WALL_NEVER };
	struct fixture *f = *state;

	NEEDS_ROOT();
	OK(f, deny_blocks(f, 7)); /* of 8 */
	assert_int_equal(allow_all_and_die(f), 2);
	OK(f, start(f));
	OK(f, kf_cidr_parse("10.7.0.0/16", &row.cidr));
	OK(f, kf_policy_source_put(f->policy, &row, NULL, &f->why)); /* the place is free again */
	OK(f, kf_policy_source_remove(f->policy, &row.cidr, &f->why));
	OK(f, kf_cidr_parse("10.6.0.0/16", &row.cidr));
	OK(f, kf_policy_source_remove(f->policy, &row.cidr, &f->why));
	assert_int_equal(allow_all_and_die(f), -SIGKILL);
	OK(f, start(f));
	assert_maps_are_right(f);
}

static uint32_t generation(const struct fixture *f)
{
	return kf_maps_config(f->maps)->source_generation;
}

/* Established flows go by it: each change must move it, once it is in the maps. */
static void changed_sources_are_counted(void **state)
{
	struct fixture *f = *state;
	struct kf_source_row row = { .expires = KF_WALL_NEVER };
	uint32_t before;

	NEEDS_ROOT();
	OK(f, kf_cidr_parse("192.0.2.0/24", &row.cidr));
	before = generation(f);
	OK(f, kf_policy_source_put(f->policy, &row, NULL, &f->why));
	assert_int_not_equal(generation(f), before);
	before = generation(f);
	OK(f, kf_policy_source_remove(f->policy, &row.cidr, &f->why));
	assert_int_not_equal(generation(f), before);
	row.expires = kf_clock_now().wall_ns + 1000;
	OK(f, kf_policy_source_put(f->policy, &row, NULL, &f->why));
	before = generation(f);
	usleep(1000);
	OK(f, kf_policy_source_expire(f->policy));
	assert_int_not_equal(generation(f), before);
	before = generation(f);
	OK(f, kf_policy_source_expire(f->policy)); /* none any more */
	assert_int_equal(generation(f), before);
	restart(f);
	assert_int_not_equal(generation(f), before);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(killed_with_a_full_table),
		TEST(changed_sources_are_counted),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
