// SPDX-License-Identifier: GPL-2.0-only
/* Directories that others can change, and locks on them. Links the daemon's objects. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/directory.h"
#include "base/lock.h"
#include "why.h"

struct fixture {
	char top[64];
	char dir[80]; /* top/state */
	char real[PATH_MAX];
	struct kf_why why;
};

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	strcpy(f->top, "/tmp/kf_directory_test.XXXXXX");
	if (!mkdtemp(f->top))
		return -1;
	snprintf(f->dir, sizeof(f->dir), "%s/state", f->top);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	unlink(f->dir);
	rmdir(f->dir);
	rmdir(f->top);
	free(f);
	return 0;
}

static int make(struct fixture *f)
{
	return kf_directory_make(f->dir, 0700, "--state-dir", f->real, &f->why);
}

static void assert_refused(struct fixture *f, const char *words)
{
	assert_int_equal(make(f), -EPERM);
	if (!strstr(f->why.text, words) || !strstr(f->why.text, "--state-dir"))
		fail_msg("'%s' does not say '%s'", f->why.text, words);
}

static void is_made_and_taken(void **state)
{
	struct fixture *f = *state;
	struct stat st;

	assert_int_equal(make(f), 0);
	assert_string_equal(f->real, f->dir);
	assert_int_equal(stat(f->dir, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0700);
	assert_int_equal(chmod(f->dir, 0755), 0);
	assert_int_equal(make(f), 0);
	assert_int_equal(stat(f->dir, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0755); /* its owner's business */
}

/* Whoever can make a file in it plants a journal, and with it a policy. */
static void writable_one_is_refused(void **state)
{
	static const mode_t modes[] = { 0777, 01777, 0770, 0707, 01770, 03777 };
	struct fixture *f = *state;

	assert_int_equal(make(f), 0);
	for (size_t i = 0; i < sizeof(modes) / sizeof(modes[0]); i++) {
		assert_int_equal(chmod(f->dir, modes[i]), 0);
		assert_refused(f, "others may change what is in");
	}
}

/* A step that others can rename or replace; one that is sticky they cannot. */
static void writable_way_is_refused(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(make(f), 0);
	assert_int_equal(chmod(f->top, 0777), 0);
	assert_refused(f, "others may change what is in");
	assert_int_equal(chmod(f->top, 0770), 0);
	assert_refused(f, "others may change what is in");
	assert_int_equal(chmod(f->top, 01777), 0);
	assert_int_equal(make(f), 0);
	assert_int_equal(chmod(f->top, 0700), 0);
	if (geteuid())
		return;
	assert_int_equal(chown(f->top, 65534, 65534), 0);
	assert_refused(f, "belongs to user 65534");
	assert_int_equal(chown(f->dir, 65534, 65534), 0);
	assert_int_equal(chown(f->top, 0, 0), 0);
	assert_refused(f, "belongs to user 65534");
}

static void link_is_followed_and_checked(void **state)
{
	struct fixture *f = *state;
	char to[80];

	snprintf(to, sizeof(to), "%s/elsewhere", f->top);
	assert_int_equal(mkdir(to, 0700), 0);
	assert_int_equal(symlink(to, f->dir), 0);
	assert_int_equal(make(f), 0);
	assert_string_equal(f->real, to);
	assert_int_equal(chmod(to, 01777), 0);
	assert_refused(f, "others may change what is in");
	rmdir(to);
}

static void file_is_no_directory(void **state)
{
	struct fixture *f = *state;
	FILE *file = fopen(f->dir, "w");

	assert_non_null(file);
	fclose(file);
	assert_int_equal(make(f), -ENOTDIR);
}

/* ---- locks ----------------------------------------------------------------------------------- */

static void lock_is_had_once(void **state)
{
	struct kf_lock lock = KF_LOCK_NONE, second = KF_LOCK_NONE;
	struct fixture *f = *state;
	char path[128];

	assert_int_equal(make(f), 0);
	assert_int_equal(kf_lock_holder(f->dir), 0);
	assert_int_equal(kf_lock_acquire(&lock, f->dir, "--state-dir", &f->why), 0);
	assert_int_equal(kf_lock_holder(f->dir), getpid());
	assert_int_equal(kf_lock_acquire(&second, f->dir, "--state-dir", &f->why), -EBUSY);
	assert_int_equal(second.dir, -1);
	snprintf(path, sizeof(path), "%s/" KF_LOCK_NAME, f->dir);
	assert_int_equal(unlink(path), 0); /* the name of the file is no part of it */
	assert_int_equal(kf_lock_acquire(&second, f->dir, "--state-dir", &f->why), -EBUSY);
	assert_int_equal(kf_lock_holder(f->dir), -1);
	kf_lock_release(&lock);
	kf_lock_release(&lock);
	assert_int_equal(kf_lock_holder(f->dir), 0);
	assert_int_equal(kf_lock_acquire(&second, f->dir, "--state-dir", &f->why), 0);
	kf_lock_release(&second);
	assert_int_not_equal(access(path, F_OK), 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(is_made_and_taken),       TEST(writable_one_is_refused),
		TEST(writable_way_is_refused), TEST(link_is_followed_and_checked),
		TEST(file_is_no_directory),    TEST(lock_is_had_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
