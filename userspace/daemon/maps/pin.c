// SPDX-License-Identifier: GPL-2.0-only
/* Where the maps are pinned: a directory on a bpffs, one keyfilterd at a time. */
#include <fcntl.h>
#include <libgen.h>
#include <linux/magic.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/vfs.h>

#include "cleanup.h"
#include "maps/open.h"
#include "why.h"

static const char *const names[KF_MAP_COUNT] = {
#define X(name) #name,
	KF_MAPS(X)
#undef X
};

const char *kf_maps_name(enum kf_map map)
{
	return names[map];
}

/* ---- the pin directory ----------------------------------------------------------------------- */

int kf_maps_pin_check_fs(const char *pin_dir, struct kf_why *why)
{
	_cleanup_free_ char *copy = strdup(pin_dir);
	struct statfs fs;
	const char *parent;

	if (!copy)
		return kf_why_set(why, -ENOMEM, "out of memory; free some");
	parent = dirname(copy);
	if (statfs(pin_dir, &fs) && statfs(parent, &fs))
		return kf_why_set(
			why, -errno,
			"there is no %s: %s; create it on a bpffs (mount -t bpf bpf /sys/fs/bpf)",
			parent, strerror(errno));
	if (fs.f_type != BPF_FS_MAGIC)
		return kf_why_set(why, -ENOTSUP,
				  "%s is not on a bpffs, and maps can be pinned nowhere else; "
				  "mount -t bpf bpf /sys/fs/bpf, or give another --pin-dir",
				  pin_dir);
	return 0;
}

int kf_maps_pin_make_directory(const char *path, struct kf_why *why)
{
	const char *name = strrchr(path, '/');

	if (!mkdir(path, 0700) || errno == EEXIST)
		return 0;
	if (errno == EPERM && strchr(name ? name : path, '.'))
		return kf_why_set(why, -EPERM,
				  "a bpffs takes no dot in a name, so there cannot be %s; give "
				  "another --pin-dir",
				  path);
	return kf_why_set(why, -errno, "cannot create %s: %s; %s", path, strerror(errno),
			  kf_why_mend(-errno));
}

int kf_maps_pin_lock(const char *pin_dir, struct kf_why *why)
{
	_cleanup_close_ int dir = open(pin_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (dir < 0)
		return kf_why_set(why, -errno, "cannot open %s: %s; %s", pin_dir, strerror(errno),
				  kf_why_mend(-errno));
	if (!flock(dir, LOCK_EX | LOCK_NB))
		return TAKE_FD(dir);
	if (errno == EWOULDBLOCK)
		return kf_why_set(
			why, -EBUSY,
			"another keyfilterd holds %s; stop it, or give this one another --pin-dir",
			pin_dir);
	return kf_why_set(why, -errno, "cannot lock %s: %s; see to the bpffs", pin_dir,
			  strerror(errno));
}

int kf_maps_pin_path(char path[static KF_MAPS_PATH_SIZE], const char *pin_dir, enum kf_map map)
{
	return snprintf(path, KF_MAPS_PATH_SIZE, "%s/maps/%s", pin_dir, names[map]) <
			       KF_MAPS_PATH_SIZE
		       ? 0
		       : -ENAMETOOLONG;
}

int kf_maps_pin_remove(const char *pin_dir, struct kf_why *why)
{
	char path[KF_MAPS_PATH_SIZE];

	for (int map = 0; map < KF_MAP_COUNT; map++) {
		if (kf_maps_pin_path(path, pin_dir, map))
			return kf_why_set(why, -ENAMETOOLONG,
					  "%s is too long; give another --pin-dir", pin_dir);
		if (unlink(path) && errno != ENOENT && errno != ENOTDIR)
			return kf_why_set(why, -errno, "cannot remove %s: %s; remove it by hand",
					  path, strerror(errno));
	}
	return 0;
}

int kf_maps_unload(const char *pin_dir, struct kf_why *why)
{
	_cleanup_close_ int dir = -1;
	char path[KF_MAPS_PATH_SIZE];
	int err;

	if (access(pin_dir, F_OK) && errno == ENOENT)
		return 0;
	err = kf_maps_pin_check_fs(pin_dir, why);
	if (err)
		return err;
	dir = kf_maps_pin_lock(pin_dir, why);
	if (dir < 0)
		return dir;
	err = kf_maps_pin_remove(pin_dir, why);
	if (err)
		return err;
	/* What is not ours stays, and so do the directories around it. */
	snprintf(path, sizeof(path), "%s/maps", pin_dir);
	rmdir(path);
	rmdir(pin_dir);
	return 0;
}
