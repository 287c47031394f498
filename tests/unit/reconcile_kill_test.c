// SPDX-License-Identifier: GPL-2.0-only
/*
 * A controller killed at any instant: the next start finds store and maps, and makes them agree.
 * Needs root (maps_fixture.h), skipped otherwise. Links the daemon's objects.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <signal.h>
#include <sys/wait.h>
#include <time.h>

#include "maps_fixture.h"
#include "any_change.h"

/* SIGKILL at any instant: the next start finds store and maps, and makes them agree. */
static void killed_anywhere_is_mended(void **state)
{
	struct fixture *f = *state;
	struct timespec pause = { 0 };
	int status;
	pid_t pid;

	NEEDS_ROOT();
	srandom(3);
	for (int round = 0; round < 40; round++) {
		stop(f);
		pid = fork();
		assert_true(pid >= 0);
		if (!pid) {
			srandom((unsigned int)round);
			if (start(f))
				_exit(1);
			for (;;)
				change_anything(f);
		}
		pause.tv_nsec = 20000000 + (long)roll(40000000);
		nanosleep(&pause, NULL);
		kill(pid, SIGKILL);
		waitpid(pid, &status, 0);
		assert_true(WIFSIGNALED(status));
		OK(f, start(f));
		assert_maps_are_right(f);
	}
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(killed_anywhere_is_mended),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
