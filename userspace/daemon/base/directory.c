// SPDX-License-Identifier: GPL-2.0-only
#include "base/directory.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "why.h"

/* ---- the way to a directory ------------------------------------------------------------------ */

static bool is_trusted(uid_t uid)
{
	return !uid || uid == geteuid();
}

/*
 * One step of the way: a user that may rename what is in it may put something else in the place of
 * the next step. A symbolic link belongs to the user that chose where it leads.
 */
static int check_step(const char *step, const char *option, struct kf_why *why)
{
	struct stat st;

	if (lstat(step, &st))
		return kf_why_set(why, -errno, "cannot look at %s: %s; name another %s", step,
				  strerror(errno), option);
	if (!is_trusted(st.st_uid))
		return kf_why_set(why, -EPERM,
				  "%s belongs to user %u, who could change what is below it; chown "
				  "it to root, or name another %s",
				  step, st.st_uid, option);
	if (S_ISDIR(st.st_mode) && (st.st_mode & 0022) && !(st.st_mode & S_ISVTX))
		return kf_why_set(why, -EPERM,
				  "others may change what is in %s, which has mode %04o; chmod "
				  "go-w %s, or name another %s",
				  step, st.st_mode & 07777, step, option);
	return 0;
}

/* All that stands before the last name of @path, which is absolute. */
static int check_way(const char *path, const char *option, struct kf_why *why)
{
	char step[PATH_MAX];
	int err = check_step("/", option, why);

	snprintf(step, sizeof(step), "%s", path);
	for (char *slash = strchr(step + 1, '/'); !err && slash; slash = strchr(slash + 1, '/')) {
		*slash = '\0';
		err = check_step(step, option, why);
		*slash = '/';
	}
	return err;
}

static int make_absolute(const char *path, char out[static PATH_MAX])
{
	char here[PATH_MAX] = "";
	int n;

	if (*path != '/' && !getcwd(here, sizeof(here)))
		return -errno;
	n = snprintf(out, PATH_MAX, "%s%s%s", here, *here ? "/" : "", path);
	if (n >= PATH_MAX)
		return -ENAMETOOLONG;
	while (n > 1 && out[n - 1] == '/')
		out[--n] = '\0';
	return 0;
}

/* ---- the directory itself -------------------------------------------------------------------- */

static int check_end(const char *path, mode_t mode, const char *option, struct kf_why *why)
{
	struct stat st;

	if (stat(path, &st) || !S_ISDIR(st.st_mode))
		return kf_why_set(why, -ENOTDIR, "%s is not a directory; name another %s", path,
				  option);
	if (st.st_uid != geteuid() || (st.st_mode & 0022))
		return kf_why_set(why, -EPERM,
				  "others may change what is in %s, which belongs to user %u and "
				  "has mode %04o; chown and chmod it to %o, or name another %s",
				  path, st.st_uid, st.st_mode & 07777, (unsigned int)mode, option);
	return 0;
}

/* Both as it is written and as it is, without links: each step of either could be changed. */
static int check_ways(const char *path, const char *option, char real[static PATH_MAX],
		      struct kf_why *why)
{
	char absolute[PATH_MAX];
	int err = make_absolute(path, absolute);

	if (err)
		return kf_why_set(why, err, "cannot use %s: %s; name another %s", path,
				  strerror(-err), option);
	err = check_way(absolute, option, why);
	if (err)
		return err;
	if (!realpath(absolute, real))
		return kf_why_set(why, -errno, "cannot use %s: %s; name another %s", path,
				  strerror(errno), option);
	return check_way(real, option, why);
}

int kf_directory_make(const char *path, mode_t mode, const char *option, char real[static PATH_MAX],
		      struct kf_why *why)
{
	bool made = !mkdir(path, mode);
	int err;

	if (!made && errno != EEXIST)
		return kf_why_set(
			why, -errno,
			"cannot make %s: %s; make the directory above it, or name another %s", path,
			strerror(errno), option);
	if (made && chmod(path, mode)) /* the umask may have made it narrower */
		return kf_why_set(why, -errno,
				  "cannot change the mode of %s to %o: %s; do it by hand", path,
				  (unsigned int)mode, strerror(errno));
	err = check_ways(path, option, real, why);
	return err ? err : check_end(real, mode, option, why);
}

/* ---- files ----------------------------------------------------------------------------------- */

int kf_directory_check_file(int dir_fd, const char *dir, const char *name, struct kf_why *why)
{
	struct stat st;

	if (fstatat(dir_fd, name, &st, AT_SYMLINK_NOFOLLOW)) {
		if (errno == ENOENT)
			return 0;
		return kf_why_set(why, -errno, "cannot look at %s/%s: %s; see to the disk", dir,
				  name, strerror(errno));
	}
	if (!S_ISREG(st.st_mode))
		return kf_why_set(why, -EPERM,
				  "%s/%s is not a plain file; see who put it there, and remove it "
				  "or restore it from a backup",
				  dir, name);
	if (st.st_uid != geteuid())
		return kf_why_set(why, -EPERM,
				  "%s/%s belongs to user %u, not to user %u who runs keyfilterd; "
				  "see who put it there, and chown or remove it",
				  dir, name, st.st_uid, geteuid());
	if (st.st_mode & 0022)
		return kf_why_set(why, -EPERM,
				  "others may write to %s/%s, which has mode %04o; see that it is "
				  "what you left there, then chmod 0600 it",
				  dir, name, st.st_mode & 07777);
	if (st.st_nlink != 1)
		return kf_why_set(why, -EPERM,
				  "%s/%s has %lu names, so that it may be changed elsewhere; "
				  "remove the other ones",
				  dir, name, (unsigned long)st.st_nlink);
	return 0;
}
