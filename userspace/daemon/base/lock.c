// SPDX-License-Identifier: GPL-2.0-only
#include "base/lock.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "cleanup.h"
#include "log.h"
#include "why.h"

static int open_directory(const char *dir)
{
	return open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

static pid_t read_pid(int fd)
{
	char text[24] = "";

	return pread(fd, text, sizeof(text) - 1, 0) > 0 ? (pid_t)atoi(text) : 0;
}

static pid_t read_pid_of(int dir)
{
	_cleanup_close_ int fd = openat(dir, KF_LOCK_NAME, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);

	return fd < 0 ? 0 : read_pid(fd);
}

static bool write_pid(int fd)
{
	char text[24];
	int len = snprintf(text, sizeof(text), "%d\n", (int)getpid());

	return !ftruncate(fd, 0) && pwrite(fd, text, (size_t)len, 0) == len;
}

static int explain_busy(int dir_fd, const char *dir, const char *option, struct kf_why *why)
{
	int err = errno == EWOULDBLOCK ? -EBUSY : -errno;

	return kf_why_set(why, err,
			  "keyfilterd, pid %d, uses %s; stop it or give this one another %s",
			  (int)read_pid_of(dir_fd), dir, option);
}

static bool is_full(int err)
{
	return err == ENOSPC || err == EDQUOT || err == EROFS;
}

/*
 * The pid is for convenience, and what is on the disk already is worth filtering by: a full disk
 * must not keep the daemon from its start.
 */
static int lock_file(struct kf_lock *lock, const char *dir, const char *option, struct kf_why *why)
{
	_cleanup_close_ int fd =
		openat(lock->dir, KF_LOCK_NAME, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0644);

	if (fd < 0 && !is_full(errno))
		return kf_why_set(why, -errno, "cannot open %s/%s: %s; see the rights of %s", dir,
				  KF_LOCK_NAME, strerror(errno), dir);
	if (fd >= 0 && flock(fd, LOCK_EX | LOCK_NB))
		return explain_busy(lock->dir, dir, option, why);
	if (fd < 0 || !write_pid(fd))
		kf_log_warning("cannot write our pid into %s/%s: %s; see to its disk", dir,
			       KF_LOCK_NAME, strerror(errno));
	lock->file = TAKE_FD(fd);
	return 0;
}

int kf_lock_acquire(struct kf_lock *lock, const char *dir, const char *option, struct kf_why *why)
{
	struct kf_lock taken = KF_LOCK_NONE;
	int err;

	taken.dir = open_directory(dir);
	if (taken.dir < 0)
		return kf_why_set(why, -errno, "cannot open %s: %s; see the rights of %s", dir,
				  strerror(errno), dir);
	err = flock(taken.dir, LOCK_EX | LOCK_NB) ? explain_busy(taken.dir, dir, option, why)
						  : lock_file(&taken, dir, option, why);
	if (err)
		close(taken.dir);
	else
		*lock = taken;
	return err;
}

void kf_lock_release(struct kf_lock *lock)
{
	if (lock->dir < 0)
		return;
	if (lock->file >= 0) {
		unlinkat(lock->dir, KF_LOCK_NAME, 0); /* while it is held: it is ours */
		close(lock->file);
	}
	close(lock->dir);
	*lock = KF_LOCK_NONE;
}

/* A shared lock tells as well, and two processes that only look do not stop each other. */
static bool is_held(int fd)
{
	return fd >= 0 && flock(fd, LOCK_SH | LOCK_NB);
}

pid_t kf_lock_holder(const char *dir)
{
	_cleanup_close_ int dir_fd = open_directory(dir);
	_cleanup_close_ int file = -1;

	if (dir_fd < 0)
		return 0;
	file = openat(dir_fd, KF_LOCK_NAME, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	if (!is_held(dir_fd) && !is_held(file))
		return 0;
	return (file < 0 ? 0 : read_pid(file)) ?: -1;
}
