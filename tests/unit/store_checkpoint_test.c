// SPDX-License-Identifier: GPL-2.0-only
/*
 * The log of the store goes into the database in a thread of its own: the thread that commits never
 * syncs the database, what it has committed is there whatever becomes of the other one, and the log
 * does not grow without an end. Links the daemon's objects.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "store/store.h"
#include "why.h"

/* ---- who syncs what -------------------------------------------------------------------------- */

static struct {
	pid_t committer; /* 0: nobody looks */
	unsigned int by_committer, by_others;
} database_syncs;

static int note_sync(long number, int fd)
{
	char link[64], path[256];
	ssize_t n;

	snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	n = readlink(link, path, sizeof(path) - 1);
	path[n < 0 ? 0 : n] = '\0';
	n = (ssize_t)strlen(path);
	if (database_syncs.committer && n > 3 && !strcmp(path + n - 3, ".db"))
		__atomic_fetch_add((pid_t)syscall(SYS_gettid) == database_syncs.committer
					   ? &database_syncs.by_committer
					   : &database_syncs.by_others,
				   1, __ATOMIC_RELAXED);
	return (int)syscall(number, fd);
}

int fsync(int fd)
{
	return note_sync(SYS_fsync, fd);
}

int fdatasync(int fd)
{
	return note_sync(SYS_fdatasync, fd);
}

/* ---- fixture --------------------------------------------------------------------------------- */

struct fixture {
	char dir[64];
	struct kf_store *store;
	struct kf_why why;
};

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	memset(&database_syncs, 0, sizeof(database_syncs));
	/* no waiting for a disk */
	strcpy(f->dir, "/dev/shm/kf_checkpoint_test.XXXXXX");
	*state = f;
	return mkdtemp(f->dir) && !kf_store_open(&f->store, f->dir, &f->why) ? 0 : -1;
}

static int teardown(void **state)
{
	struct fixture *f = *state;
	char command[128];

	kf_store_close(f->store);
	snprintf(command, sizeof(command), "rm -rf %s", f->dir);
	assert_int_equal(system(command), 0);
	free(f);
	return 0;
}

static void add_keys(struct fixture *f, int first, int count)
{
	struct kf_key_row row = { .name = "key", .expires = KF_WALL_NEVER };

	assert_int_equal(kf_store_begin(f->store), 0);
	for (int i = first; i < first + count; i++) {
		snprintf(row.id, sizeof(row.id), "k_%012d", i);
		assert_int_equal(kf_store_key_add(f->store, &row), 0);
	}
	assert_int_equal(kf_store_commit(f->store), 0);
}

static uint64_t count_keys(struct fixture *f)
{
	struct kf_key_counts counts;

	assert_int_equal(kf_store_key_count(f->store, 0, &counts), 0);
	return counts.total;
}

static off_t log_bytes(const struct fixture *f)
{
	char path[128];
	struct stat st;

	snprintf(path, sizeof(path), "%s/keyfilter.db-wal", f->dir);
	return stat(path, &st) ? -1 : st.st_size;
}

/* ---- tests ----------------------------------------------------------------------------------- */

#define ROUNDS 300
#define EACH   100 /* keys in a transaction: some ten pages of the log */

static void database_is_written_beside(void **state)
{
	struct fixture *f = *state;
	const struct timespec pause = { .tv_nsec = 5000000 };

	assert_int_equal(kf_store_checkpoint_open(f->store), 0);
	database_syncs.committer = (pid_t)syscall(SYS_gettid);
	for (int i = 0; i < ROUNDS; i++)
		add_keys(f, i * EACH, EACH);
	for (int i = 0; i < 1000 && !database_syncs.by_others; i++)
		nanosleep(&pause, NULL);
	assert_int_equal(database_syncs.by_committer, 0);
	assert_true(database_syncs.by_others > 0);
	database_syncs.committer = 0;
	kf_store_close(f->store);
	f->store = NULL;
	assert_int_equal(kf_store_open(&f->store, f->dir, &f->why), 0);
	assert_int_equal(count_keys(f), ROUNDS * EACH);
}

/* Whoever waits while it is behind finds a log that begins anew. */
static void log_has_an_end(void **state)
{
	struct fixture *f = *state;
	int i;

	assert_int_equal(kf_store_checkpoint_open(f->store), 0);
	for (i = 0; i < 3000; i++) {
		while (kf_store_is_behind(f->store))
			;
		add_keys(f, i * EACH, EACH);
	}
	assert_in_range(log_bytes(f), 1, 20000ll * 4120);
	assert_int_equal(count_keys(f), (uint64_t)i * EACH);
}

static void killed_in_between_loses_nothing(void **state)
{
	struct fixture *f = *state;
	int told[2], status, durable = 0, round;
	pid_t pid;

	kf_store_close(f->store);
	f->store = NULL;
	assert_int_equal(pipe(told), 0);
	pid = fork();
	assert_true(pid >= 0);
	if (!pid) {
		close(told[0]);
		if (kf_store_open(&f->store, f->dir, &f->why) || kf_store_checkpoint_open(f->store))
			_exit(1);
		for (round = 0;; round++) {
			add_keys(f, round * EACH, EACH);
			if (write(told[1], &round, sizeof(round)) < 0)
				_exit(2);
		}
	}
	close(told[1]);
	while (read(told[0], &round, sizeof(round)) == sizeof(round)) {
		durable = round + 1;
		if (round == ROUNDS)
			kill(pid, SIGKILL);
	}
	close(told[0]);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFSIGNALED(status));
	assert_int_equal(kf_store_open(&f->store, f->dir, &f->why), 0);
	assert_true(count_keys(f) >= (uint64_t)durable * EACH);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(database_is_written_beside, setup, teardown),
		cmocka_unit_test_setup_teardown(log_has_an_end, setup, teardown),
		cmocka_unit_test_setup_teardown(killed_in_between_loses_nothing, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
