// SPDX-License-Identifier: GPL-2.0-only
/*
 * A pin is a name and no more: a program keeps the maps that it was loaded with, whatever becomes
 * of their pins. So the ids that the running programs use are compared with those of the pins, and
 * where they differ, the programs are right: what is written into other maps is in force nowhere.
 */
#include <errno.h>
#include <libgen.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <dirent.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "cleanup.h"
#include "log.h"
#include "maps/open.h"
#include "why.h"

#define PROGRAM_MAPS_MAX 64 /* of one program; ours use fewer */

/* -1: none of ours. */
static int index_of(const char *name)
{
	for (int i = 0; i < KF_MAP_COUNT; i++)
		if (!strcmp(kf_maps_name(i), name))
			return i;
	return -1;
}

static int read_info(int fd, struct bpf_map_info *info)
{
	__u32 size = sizeof(*info);

	memset(info, 0, sizeof(*info));
	return bpf_obj_get_info_by_fd(fd, info, &size);
}

/* The ids of the maps of ours that a program uses, by name; 0 where it does not use one. */
static int list_maps(int program_fd, __u32 ids[static KF_MAP_COUNT])
{
	__u32 maps[PROGRAM_MAPS_MAX] = { 0 };
	struct bpf_prog_info info = { .nr_map_ids = PROGRAM_MAPS_MAX, .map_ids = (uintptr_t)maps };
	__u32 size = sizeof(info);
	int err = bpf_obj_get_info_by_fd(program_fd, &info, &size);

	if (err)
		return err;
	memset(ids, 0, KF_MAP_COUNT * sizeof(*ids));
	for (__u32 i = 0; i < info.nr_map_ids && i < PROGRAM_MAPS_MAX; i++) {
		_cleanup_close_ int fd = bpf_map_get_fd_by_id(maps[i]);
		struct bpf_map_info map;
		int index = fd < 0 || read_info(fd, &map) ? -1 : index_of(map.name);

		if (index >= 0)
			ids[index] = maps[i];
	}
	return 0;
}

/* What stands first in kf_config in every layout. -errno: it is none. */
static int read_config(__u32 id, struct kf_config *out)
{
	_cleanup_close_ int fd = bpf_map_get_fd_by_id(id);
	_cleanup_free_ void *value = NULL;
	struct bpf_map_info info;
	__u32 zero = 0;

	if (fd < 0)
		return fd;
	if (read_info(fd, &info) || info.type != BPF_MAP_TYPE_ARRAY ||
	    info.value_size < offsetof(struct kf_config, flow_secret))
		return -EPROTO;
	value = calloc(1, info.value_size > sizeof(*out) ? info.value_size : sizeof(*out));
	if (!value || bpf_map_lookup_elem(fd, &zero, value))
		return -EPROTO;
	memcpy(out, value, sizeof(*out));
	explicit_bzero(value, info.value_size);
	return out->magic == KF_ABI_MAGIC ? 0 : -EPROTO;
}

static bool is_of(__u32 config_id, const __u64 secret[static 2])
{
	struct kf_config config;
	bool same = !read_config(config_id, &config) &&
		    !memcmp(config.secret, secret, sizeof(config.secret));

	explicit_bzero(&config, sizeof(config));
	return same;
}

bool kf_maps_program_is_of(int program_fd, const __u64 secret[static 2])
{
	__u32 ids[KF_MAP_COUNT];

	return !list_maps(program_fd, ids) && ids[KF_MAP_kf_config] &&
	       is_of(ids[KF_MAP_kf_config], secret);
}

bool kf_maps_program_uses(int program_fd, const __u32 ids[static KF_MAP_COUNT])
{
	__u32 used[KF_MAP_COUNT];

	if (list_maps(program_fd, used) || !used[KF_MAP_kf_config])
		return false;
	for (int i = 0; i < KF_MAP_COUNT; i++)
		if (used[i] && used[i] != ids[i])
			return false;
	return true;
}

int kf_maps_running_add(struct kf_maps_running *running, const char *dev, int program_fd)
{
	__u32 ids[KF_MAP_COUNT];
	int err = list_maps(program_fd, ids);

	if (err)
		return err;
	if (!ids[KF_MAP_kf_config] || !is_of(ids[KF_MAP_kf_config], running->secret))
		return 0;
	running->programs++;
	if (!running->dev[0])
		snprintf(running->dev, sizeof(running->dev), "%s", dev);
	for (int i = 0; i < KF_MAP_COUNT; i++) {
		if (ids[i] && running->id[i] && running->id[i] != ids[i])
			running->differ = true;
		if (ids[i] && !running->id[i])
			running->id[i] = ids[i];
	}
	return 0;
}

/* ---- the pins -------------------------------------------------------------------------------- */

/* 0: there is none, or it cannot be read. */
static __u32 id_of_pin(const char *path)
{
	_cleanup_close_ int fd = bpf_obj_get(path);
	struct bpf_map_info info;

	return fd < 0 || read_info(fd, &info) ? 0 : info.id;
}

int kf_maps_pin_ids(const char *pin_dir, __u32 ids[static KF_MAP_COUNT])
{
	char path[KF_MAPS_PATH_SIZE];
	int missing = 0;

	for (int i = 0; i < KF_MAP_COUNT; i++) {
		ids[i] = kf_maps_pin_path(path, pin_dir, i) ? 0 : id_of_pin(path);
		missing += !ids[i];
	}
	return missing;
}

/* Is the kf_config of this id pinned in a directory beside @pin_dir? Then @out names it. */
static bool is_pinned_elsewhere(const char *pin_dir, __u32 id, char *out, size_t size)
{
	_cleanup_free_ char *copy = strdup(pin_dir);
	const char *own = strrchr(pin_dir, '/');
	const struct dirent *entry;
	const char *parent;
	bool found = false;
	DIR *dir;

	if (!copy)
		return false;
	parent = dirname(copy);
	dir = opendir(parent);
	while (!found && dir && (entry = readdir(dir))) {
		char path[KF_MAPS_PATH_SIZE];

		if (entry->d_name[0] == '.' || (own && !strcmp(entry->d_name, own + 1)))
			continue;
		snprintf(out, size, "%s/%s", parent, entry->d_name);
		found = !kf_maps_pin_path(path, out, KF_MAP_kf_config) && id_of_pin(path) == id;
	}
	if (dir)
		closedir(dir);
	return found;
}

bool kf_maps_program_is_pinned(int program_fd, const char *pin_dir)
{
	char path[KF_MAPS_PATH_SIZE];
	__u32 ids[KF_MAP_COUNT], id;

	if (list_maps(program_fd, ids))
		return false;
	id = ids[KF_MAP_kf_config];
	if (id && !kf_maps_pin_path(path, pin_dir, KF_MAP_kf_config) && id_of_pin(path) == id)
		return true;
	return id && is_pinned_elsewhere(pin_dir, id, path, sizeof(path));
}

static bool are_same(const struct kf_maps_running *running, const __u32 pinned[static KF_MAP_COUNT])
{
	for (int i = 0; i < KF_MAP_COUNT; i++)
		if (running->id[i] && running->id[i] != pinned[i])
			return false;
	return true;
}

static int check_running(const struct kf_maps_running *running, const char *pin_dir,
			 struct kf_why *why)
{
	struct kf_config config = { 0 };
	char elsewhere[KF_MAPS_PATH_SIZE - 64];
	int err;

	if (running->differ)
		return kf_why_set(
			why, -EPROTO,
			"the programs of this installation on the interfaces (%s among them) use "
			"different maps, so none of them can be taken over; run `keyfilterd "
			"--unload`, which opens all services, and start again",
			running->dev);
	if (is_pinned_elsewhere(pin_dir, running->id[KF_MAP_kf_config], elsewhere,
				sizeof(elsewhere)))
		return kf_why_set(why, -EBUSY,
				  "what filters %s for this installation has its maps pinned in "
				  "%s, not in %s; name that one with --pin-dir, or end it with "
				  "`keyfilterd --pin-dir %s --unload`",
				  running->dev, elsewhere, pin_dir, elsewhere);
	err = read_config(running->id[KF_MAP_kf_config], &config);
	explicit_bzero(config.secret, sizeof(config.secret));
	if (err || config.version != KF_ABI_VERSION)
		return kf_why_set(why, -EPROTO,
				  "what filters %s has layout %u, this keyfilterd knows %u; run "
				  "`keyfilterd --unload`, which opens all services, and start "
				  "again, or go back to the keyfilterd of before",
				  running->dev, config.version, KF_ABI_VERSION);
	return 0;
}

static int pin_one(__u32 id, const char *path, struct kf_why *why)
{
	_cleanup_close_ int fd = bpf_map_get_fd_by_id(id);
	int err = fd < 0 ? fd : 0;

	if (!err && unlink(path) && errno != ENOENT)
		err = -errno;
	if (!err)
		err = bpf_obj_pin(fd, path);
	if (err)
		return kf_why_set(why, err, "cannot pin %s again: %s; %s", path, strerror(-err),
				  kf_why_mend(err));
	return 0;
}

static int pin_all(const struct kf_maps_running *running, const char *pin_dir,
		   const __u32 pinned[static KF_MAP_COUNT], struct kf_why *why)
{
	_cleanup_close_ int lock = -1;
	char path[KF_MAPS_PATH_SIZE];
	int count = 0, err = kf_maps_pin_make_directory(pin_dir, why);

	if (err)
		return err;
	lock = kf_maps_pin_lock(pin_dir, why); /* until the end of this function */
	if (lock < 0)
		return lock;
	snprintf(path, sizeof(path), "%s/maps", pin_dir);
	err = kf_maps_pin_make_directory(path, why);
	/*
	 * kf_config, which stands first in KF_MAPS, is pinned last: with it the pins count as whole
	 */
	for (int i = KF_MAP_COUNT - 1; !err && i >= 0; i--) {
		if (!running->id[i] || running->id[i] == pinned[i])
			continue;
		err = kf_maps_pin_path(path, pin_dir, i);
		if (!err)
			err = pin_one(running->id[i], path, why);
		count += !err;
	}
	if (!err)
		kf_log_warning("%d pins below %s/maps, the last of them %s, were missing or of "
			       "other maps than the program on %s uses; they are of those again",
			       count, pin_dir, strrchr(path, '/') + 1, running->dev);
	return err;
}

int kf_maps_running_pin(const struct kf_maps_running *running, const char *pin_dir,
			struct kf_why *why)
{
	__u32 pinned[KF_MAP_COUNT];
	int missing = kf_maps_pin_ids(pin_dir, pinned), err;

	if (!running->programs)
		return 0;
	/* whole pins that a program uses: the other programs are replaced when they are attached */
	if (running->differ ? !missing : are_same(running, pinned))
		return 0;
	err = kf_maps_pin_check_fs(pin_dir, why);
	if (!err)
		err = check_running(running, pin_dir, why);
	return err ? err : pin_all(running, pin_dir, pinned, why);
}

/* ---- while the daemon runs ------------------------------------------------------------------- */

static int list_own(const struct kf_maps *maps, __u32 ids[static KF_MAP_COUNT])
{
	struct bpf_map_info info;

	for (int i = 0; i < KF_MAP_COUNT; i++) {
		int err = read_info(maps->fd[i], &info);

		if (err)
			return err;
		ids[i] = info.id;
	}
	return 0;
}

/* Locks a pin directory that was made anew; the one that is gone keeps nobody out. */
static int lock_again(struct kf_maps *maps, const char *pin_dir, struct kf_why *why)
{
	struct stat there, ours;
	int lock;

	if (!stat(pin_dir, &there) && !fstat(maps->dir, &ours) && there.st_dev == ours.st_dev &&
	    there.st_ino == ours.st_ino)
		return 0;
	lock = kf_maps_pin_lock(pin_dir, why);
	if (lock < 0)
		return lock;
	close(maps->dir);
	maps->dir = lock;
	return 0;
}

int kf_maps_pin_again(struct kf_maps *maps, const char *pin_dir, struct kf_why *why)
{
	__u32 own[KF_MAP_COUNT], pinned[KF_MAP_COUNT];
	char path[KF_MAPS_PATH_SIZE];
	int count = 0, err = list_own(maps, own);

	kf_maps_pin_ids(pin_dir, pinned);
	if (err || !memcmp(own, pinned, sizeof(own)))
		return err;
	err = kf_maps_pin_check_fs(pin_dir, why);
	if (!err)
		err = kf_maps_pin_make_directory(pin_dir, why);
	if (!err)
		err = lock_again(maps, pin_dir, why);
	snprintf(path, sizeof(path), "%s/maps", pin_dir);
	if (!err)
		err = kf_maps_pin_make_directory(path, why);
	for (int i = KF_MAP_COUNT - 1; !err && i >= 0; i--) {
		if (own[i] == pinned[i])
			continue;
		err = kf_maps_pin_path(path, pin_dir, i);
		if (!err)
			err = pin_one(own[i], path, why);
		count += !err;
	}
	return err ? err : count;
}
