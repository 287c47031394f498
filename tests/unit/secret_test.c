// SPDX-License-Identifier: GPL-2.0-only
/* The secret: made once, never made anew over keys, refused where others may have read it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "store/secret.h"
#include "why.h"

struct fixture {
	char dir[64];
	char path[96];
	struct kf_why why;
};

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	strcpy(f->dir, "/tmp/kf_secret_test.XXXXXX");
	if (!mkdtemp(f->dir))
		return -1;
	snprintf(f->path, sizeof(f->path), "%s/secret", f->dir);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	unlink(f->path);
	rmdir(f->dir); /* fails, and the test with it, if anything else was left behind */
	if (!access(f->dir, F_OK))
		return -1;
	free(f);
	return 0;
}

static int load(struct fixture *f, bool may_create, __u64 key[2])
{
	struct kf_secret *secret = NULL;
	int err = kf_store_secret_open(&secret, f->dir, may_create, &f->why);

	if (err) {
		assert_null(secret);
		assert_non_null(strstr(f->why.text, "; ")); /* cause; mend */
		return err;
	}
	if (key)
		memcpy(key, secret->key, sizeof(secret->key));
	kf_store_secret_close(secret);
	return 0;
}

static void is_made_once(void **state)
{
	struct fixture *f = *state;
	__u64 first[2], again[2];
	struct stat st;

	umask(0);
	assert_int_equal(load(f, true, first), 0);
	assert_int_equal(stat(f->path, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
	assert_int_equal(st.st_size, 16);
	assert_int_equal(load(f, true, again), 0);
	assert_memory_equal(first, again, sizeof(first));
	assert_true(first[0] | first[1]);
}

static void is_not_made_over_keys(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(load(f, false, NULL), -ENOKEY);
	assert_int_not_equal(access(f->path, F_OK), 0);
}

static void wider_mode_is_refused(void **state)
{
	static const mode_t modes[] = { 0640, 0604, 0660, 0700, 0602, 04600 };
	struct fixture *f = *state;

	assert_int_equal(load(f, true, NULL), 0);
	for (size_t i = 0; i < sizeof(modes) / sizeof(modes[0]); i++) {
		chmod(f->path, modes[i]);
		assert_int_equal(load(f, true, NULL), -EPERM);
		assert_non_null(strstr(f->why.text, "chmod 0600"));
	}
	chmod(f->path, 0400);
	assert_int_equal(load(f, true, NULL), 0);
}

static void other_owner_is_refused(void **state)
{
	struct fixture *f = *state;

	if (geteuid())
		skip();
	assert_int_equal(load(f, true, NULL), 0);
	assert_int_equal(chown(f->path, 1234, 0), 0);
	assert_int_equal(load(f, true, NULL), -EPERM);
	assert_non_null(strstr(f->why.text, "chown 0 "));
}

static void other_length_is_refused(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(load(f, true, NULL), 0);
	assert_int_equal(truncate(f->path, 15), 0);
	assert_int_equal(load(f, true, NULL), -EINVAL);
	assert_int_equal(truncate(f->path, 0), 0);
	assert_int_equal(load(f, true, NULL), -EINVAL);
}

static void link_is_refused(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(symlink("/etc/hostname", f->path), 0);
	assert_int_not_equal(load(f, true, NULL), 0);
}

static void half_written_one_is_no_secret(void **state)
{
	struct fixture *f = *state;
	char path[128];
	int fd;

	/* what a crash between creating and linking leaves */
	snprintf(path, sizeof(path), "%s/secret.new", f->dir);
	fd = open(path, O_CREAT | O_WRONLY, 0600);
	assert_int_equal(write(fd, "1234567", 7), 7);
	close(fd);
	assert_int_equal(load(f, true, NULL), 0);
	assert_int_not_equal(access(path, F_OK), 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(is_made_once),
		TEST(is_not_made_over_keys),
		TEST(wider_mode_is_refused),
		TEST(other_owner_is_refused),
		TEST(other_length_is_refused),
		TEST(link_is_refused),
		TEST(half_written_one_is_no_secret),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
