// SPDX-License-Identifier: GPL-2.0-only
#include "attach/impl.h"

#include <errno.h>
#include <limits.h>
#include <string.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <keyfilter/abi.h>

#include "cleanup.h"
#include "why.h"

#define MAPS_MAX 64 /* of one program; ours use fewer */

static int open_map(const char *pin_dir, const char *name, struct bpf_map_info *info)
{
	_cleanup_close_ int fd = -1;
	__u32 length = sizeof(*info);
	char path[PATH_MAX];
	int err;

	if (snprintf(path, sizeof(path), "%s/maps/%s", pin_dir, name) >= (int)sizeof(path))
		return -ENAMETOOLONG;
	fd = bpf_obj_get(path);
	if (fd < 0)
		return fd;
	memset(info, 0, sizeof(*info));
	err = bpf_obj_get_info_by_fd(fd, info, &length);
	return err ? err : TAKE_FD(fd);
}

static bool is_shared(const char *name)
{
#define X(map)                                                                                     \
	if (!strcmp(name, #map))                                                                   \
		return true;
	KF_MAPS(X)
#undef X
	return false;
}

/* max_entries is the controller's choice; all else must be what the program was built for. */
static int bind_map(const struct kf_attach *attach, struct bpf_map *map, struct kf_why *why)
{
	const char *name = bpf_map__name(map);
	struct bpf_map_info info;
	_cleanup_close_ int fd = open_map(attach->pin_dir, name, &info);
	int err;

	if (fd < 0)
		return kf_why_set(why, fd,
				  "cannot open the map %s/maps/%s: %s; restart keyfilterd, which "
				  "makes the maps",
				  attach->pin_dir, name, strerror(-fd));
	if (info.type != bpf_map__type(map) || info.key_size != bpf_map__key_size(map) ||
	    info.value_size != bpf_map__value_size(map))
		return kf_why_set(why, -EPROTO,
				  "the pinned map %s/maps/%s has another layout than this build; "
				  "stop keyfilterd with --unload and start it again",
				  attach->pin_dir, name);
	err = bpf_map__reuse_fd(map, fd);
	if (err)
		return kf_why_set(why, err, "cannot use the map %s/maps/%s: %s; %s",
				  attach->pin_dir, name, strerror(-err), kf_why_mend(err));
	return 0;
}

int kf_attach_object_bind(const struct kf_attach *attach, struct bpf_object *object,
			  struct kf_why *why)
{
	struct bpf_map *map;
	int err;

	bpf_object__for_each_map(map, object) {
		if (bpf_map__is_internal(map) || !is_shared(bpf_map__name(map)))
			continue;
		err = bind_map(attach, map, why);
		if (err)
			return err;
	}
	return 0;
}

static bool is_ours(const struct kf_attach *attach, int program_fd)
{
	__u32 maps[MAPS_MAX] = { 0 };
	struct bpf_prog_info info = { .nr_map_ids = MAPS_MAX, .map_ids = (uintptr_t)maps };
	__u32 length = sizeof(info);

	if (bpf_obj_get_info_by_fd(program_fd, &info, &length))
		return false;
	for (__u32 i = 0; i < info.nr_map_ids && i < MAPS_MAX; i++)
		if (maps[i] == attach->map_id[KF_MAP_kf_config])
			return true;
	return attach->has_secret && kf_maps_program_is_of(program_fd, attach->secret);
}

enum kf_attach_kind kf_attach_object_kind(const struct kf_attach *attach, int program_fd,
					  const char *name)
{
	struct bpf_prog_info info = { 0 };
	__u32 length = sizeof(info);

	if (bpf_obj_get_info_by_fd(program_fd, &info, &length) ||
	    strncmp(info.name, name, sizeof(info.name) - 1) || !is_ours(attach, program_fd))
		return KF_ATTACH_OTHER;
	return kf_maps_program_uses(program_fd, attach->map_id) ? KF_ATTACH_OURS : KF_ATTACH_STALE;
}

#define KNOWN_MAX (sizeof(((struct kf_attach_known *)0)->program) / sizeof(known->program[0]))

static bool is_known(const struct kf_attach_known *known, __u32 id, const char *name)
{
	for (size_t i = 0; id && i < KNOWN_MAX; i++)
		if (known->program[i].id == id)
			return !strncmp(known->program[i].name, name,
					sizeof(known->program[i].name) - 1);
	return false;
}

static void remember(struct kf_attach_known *known, __u32 id, const char *name)
{
	unsigned int i = known->next++ % KNOWN_MAX;

	known->program[i].id = id;
	snprintf(known->program[i].name, sizeof(known->program[i].name), "%s", name);
}

enum kf_attach_kind kf_attach_object_id_kind(const struct kf_attach *attach, __u32 id,
					     const char *name)
{
	_cleanup_close_ int fd = -1;
	enum kf_attach_kind kind;

	if (is_known(attach->known, id, name))
		return KF_ATTACH_OURS;
	fd = bpf_prog_get_fd_by_id(id);
	kind = fd < 0 ? KF_ATTACH_OTHER : kf_attach_object_kind(attach, fd, name);
	if (kind == KF_ATTACH_OURS)
		remember(attach->known, id, name);
	return kind;
}

const char *kf_attach_object_program(enum kf_attach_part part)
{
	static const char *const programs[] = {
		[KF_ATTACH_INGRESS] = KF_PROGRAM_INGRESS,
		[KF_ATTACH_ANSWER] = KF_PROGRAM_ANSWER,
		[KF_ATTACH_EGRESS] = KF_PROGRAM_EGRESS,
	};

	return programs[part];
}

/* The kernel cuts a program's name to 15 characters. */
static bool has_name(int program_fd, const char *const names[], size_t count)
{
	struct bpf_prog_info info = { 0 };
	__u32 size = sizeof(info);

	if (bpf_obj_get_info_by_fd(program_fd, &info, &size))
		return false;
	for (size_t i = 0; i < count; i++)
		if (!strncmp(info.name, names[i], sizeof(info.name) - 1))
			return true;
	return false;
}

int kf_attach_object_tell(const struct kf_attach_search *search, __u32 id)
{
	static const char *const names[] = { KF_PROGRAM_XDP, KF_PROGRAM_INGRESS, KF_PROGRAM_ANSWER,
					     KF_PROGRAM_EGRESS };
	_cleanup_close_ int fd = bpf_prog_get_fd_by_id(id);

	if (fd < 0)
		return fd == -ENOENT ? 0 : fd; /* gone meanwhile */
	if (!has_name(fd, names, sizeof(names) / sizeof(names[0])))
		return 0;
	return search->fn(search->context, search->dev, fd);
}
