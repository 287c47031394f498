// SPDX-License-Identifier: GPL-2.0-only
#include "store/secret.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>

#include "cleanup.h"
#include "why.h"

#define PATH_SIZE 4096

KF_CLEANUP_DEFINE(struct kf_secret, kf_store_secret_close)

void kf_store_secret_close(struct kf_secret *secret)
{
	if (!secret)
		return;
	explicit_bzero(secret, sizeof(*secret));
	free(secret);
}

static int check_file(int fd, const char *path, struct kf_why *why)
{
	struct stat st;

	if (fstat(fd, &st))
		return kf_why_set(why, -errno, "cannot look at %s: %s; see to the disk", path,
				  strerror(errno));
	if (!S_ISREG(st.st_mode))
		return kf_why_set(why, -EPERM, "%s is not a plain file; restore it from a backup",
				  path);
	if (st.st_uid != geteuid())
		return kf_why_set(why, -EPERM,
				  "%s belongs to user %u, not to user %u who runs "
				  "keyfilterd; chown %u %s",
				  path, st.st_uid, geteuid(), geteuid(), path);
	if (st.st_mode & 07177)
		return kf_why_set(why, -EPERM,
				  "%s has mode %04o, so that others may know the secret; "
				  "chmod 0600 %s, and if they may have read it, give out new keys",
				  path, st.st_mode & 07777, path);
	if (st.st_size != sizeof(((struct kf_secret *)0)->key))
		return kf_why_set(why, -EINVAL,
				  "%s has %lld bytes and not 16; restore it from a backup", path,
				  (long long)st.st_size);
	return 0;
}

static int read_secret(int fd, const char *path, struct kf_secret *secret, struct kf_why *why)
{
	int err = check_file(fd, path, why);

	if (err)
		return err;
	if (pread(fd, secret->key, sizeof(secret->key), 0) != sizeof(secret->key))
		return kf_why_set(why, -EIO, "cannot read %s; restore it from a backup", path);
	return 0;
}

static int write_secret(int fd, struct kf_secret *secret)
{
	if (getrandom(secret->key, sizeof(secret->key), 0) != sizeof(secret->key))
		return -EIO;
	if (write(fd, secret->key, sizeof(secret->key)) != sizeof(secret->key))
		return -EIO;
	return fsync(fd) ? -errno : 0;
}

/*
 * Written whole under another name first, then linked to its own: after a crash there is a whole
 * secret or none, and link(2), unlike rename(2), never puts a new one in the place of an old one.
 */
static int create_secret(int dir, const char *path, struct kf_secret *secret, struct kf_why *why)
{
	_cleanup_close_ int fd = -1;
	int err;

	unlinkat(dir, "secret.new", 0);
	fd = openat(dir, "secret.new", O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd < 0)
		return kf_why_set(why, -errno,
				  "cannot create %s.new: %s; see to the state directory", path,
				  strerror(errno));
	err = fchmod(fd, 0600) ? -errno : write_secret(fd, secret);
	if (!err && linkat(dir, "secret.new", dir, "secret", 0))
		err = -errno;
	unlinkat(dir, "secret.new", 0);
	if (!err && fsync(dir))
		err = -errno;
	if (err)
		return kf_why_set(why, err, "cannot create %s: %s; see to the state directory",
				  path, strerror(-err));
	return 0;
}

static int load(const char *state_dir, bool may_create, struct kf_secret *secret,
		struct kf_why *why)
{
	_cleanup_close_ int dir = open(state_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	_cleanup_close_ int fd = -1;
	char path[PATH_SIZE];

	if (dir < 0)
		return kf_why_set(why, -errno, "cannot open %s: %s; create it with mode 0700",
				  state_dir, strerror(errno));
	snprintf(path, sizeof(path), "%s/secret", state_dir);
	fd = openat(dir, "secret", O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	if (fd >= 0)
		return read_secret(fd, path, secret, why);
	if (errno != ENOENT)
		return kf_why_set(why, -errno,
				  "cannot open %s: %s; it must be a plain file of the user "
				  "who runs keyfilterd",
				  path, strerror(errno));
	if (!may_create)
		return kf_why_set(
			why, -ENOKEY,
			"%s is missing, but the store has keys made with it; "
			"restore it from a backup, or begin anew with another --state-dir",
			path);
	return create_secret(dir, path, secret, why);
}

int kf_store_secret_open(struct kf_secret **out, const char *state_dir, bool may_create,
			 struct kf_why *why)
{
	_cleanup_(kf_store_secret_closep) struct kf_secret *secret = calloc(1, sizeof(*secret));
	int err;

	if (!secret)
		return kf_why_set(why, -ENOMEM, "out of memory; free some");
	err = load(state_dir, may_create, secret, why);
	if (!err)
		*out = TAKE_PTR(secret);
	return err;
}
