// SPDX-License-Identifier: GPL-2.0-only
#include "lock.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cleanup.h"
#include "why.h"

static void lock_path(const char *dir, char *path, size_t size)
{
	snprintf(path, size, "%s/%s", dir, KF_LOCK_NAME);
}

static pid_t read_pid(int fd)
{
	char text[24] = "";

	return pread(fd, text, sizeof(text) - 1, 0) > 0 ? (pid_t)atoi(text) : 0;
}

/* Whoever let go removed the name: a lock on a file without a name keeps nobody out. */
static bool is_named(int fd)
{
	struct stat st;

	return !fstat(fd, &st) && st.st_nlink > 0;
}

static int write_pid(int fd)
{
	char text[24];
	int len = snprintf(text, sizeof(text), "%d\n", (int)getpid());

	if (ftruncate(fd, 0) || pwrite(fd, text, (size_t)len, 0) != len)
		return -EIO;
	return 0;
}

int kf_lock_take(const char *dir, const char *option, struct kf_why *why)
{
	char path[4096];

	lock_path(dir, path, sizeof(path));
	for (;;) {
		_cleanup_close_ int fd =
			open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0644);

		if (fd < 0)
			return kf_why_set(why, -errno, "cannot open %s: %s; see the rights of %s",
					  path, strerror(errno), dir);
		if (flock(fd, LOCK_EX | LOCK_NB))
			return kf_why_set(why, errno == EWOULDBLOCK ? -EBUSY : -errno,
					  "keyfilterd, pid %d, uses %s; stop it or give this one "
					  "another %s",
					  (int)read_pid(fd), dir, option);
		if (!is_named(fd))
			continue;
		if (write_pid(fd))
			return kf_why_set(why, -EIO, "cannot write %s; see its disk", path);
		return TAKE_FD(fd);
	}
}

void kf_lock_release(const char *dir, int fd)
{
	char path[4096];

	if (fd < 0)
		return;
	lock_path(dir, path, sizeof(path));
	unlink(path); /* while it is held: nobody else can have it */
	close(fd);
}

pid_t kf_lock_holder(const char *dir)
{
	_cleanup_close_ int fd = -1;
	char path[4096];

	lock_path(dir, path, sizeof(path));
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	/* a shared lock tells as well, and two who only look do not stop each other */
	if (fd < 0 || !flock(fd, LOCK_SH | LOCK_NB))
		return 0;
	return read_pid(fd) ?: -1;
}
