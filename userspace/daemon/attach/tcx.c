// SPDX-License-Identifier: GPL-2.0-only
/*
 * TC programs as tcx links (Linux 6.6). A link pinned in bpffs stays when we go, can take another
 * program in one step, and ends by itself with its interface. Ours go first on their hook, and say
 * TCX_NEXT for what they let through: a program before them that says TCX_PASS would hide packets.
 */
#include "attach/impl.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

#include <bpf/bpf.h>

#include "cleanup.h"

/* Of Linux 6.6, newer than Debian 12's headers: bpf_attach_type, BPF_LINK_TYPE_*, BPF_F_*. */
enum { TCX_INGRESS = 46, TCX_EGRESS = 47 };
#define LINK_TYPE_TCX 11
#define HOOK_MAX      64	/* programs on one hook (BPF_MPROG_MAX) */
#define FIRST	      (1u << 3) /* BPF_F_BEFORE without a relative: before all */

static enum bpf_attach_type hook_of(enum kf_attach_part part)
{
	return (enum bpf_attach_type)(part == KF_ATTACH_EGRESS ? TCX_EGRESS : TCX_INGRESS);
}

static void name_of(char out[32], int ifindex, enum kf_attach_part part)
{
	snprintf(out, 32, "%d-%s", ifindex, part == KF_ATTACH_EGRESS ? "out" : "in");
}

static int path_of(const struct kf_attach *attach, char out[PATH_MAX], const char *name)
{
	int length = snprintf(out, PATH_MAX, "%s/links/%s", attach->pin_dir, name);

	return length < PATH_MAX ? 0 : -ENAMETOOLONG;
}

/*
 * The pinned link on the hook of @part, and in @program the id of what it runs; -ENOENT also when
 * it is dead, or another interface's (a reused ifindex).
 */
static int open_link(const struct kf_attach *attach, int ifindex, enum kf_attach_part part,
		     __u32 *program)
{
	_cleanup_close_ int fd = -1;
	struct bpf_link_info info = { 0 };
	__u32 length = sizeof(info);
	char name[32], path[PATH_MAX];
	int err;

	name_of(name, ifindex, part);
	err = path_of(attach, path, name);
	if (err)
		return err;
	fd = bpf_obj_get(path);
	if (fd < 0)
		return fd;
	err = bpf_obj_get_info_by_fd(fd, &info, &length);
	if (err)
		return err;
	/* .tcx.ifindex stands where .xdp.ifindex does; 0 once the interface is gone */
	if (info.type != LINK_TYPE_TCX || info.xdp.ifindex != (__u32)ifindex)
		return -ENOENT;
	*program = info.prog_id;
	return TAKE_FD(fd);
}

/*
 * An interface that cannot exist: a kernel that knows tcx looks for it (-ENODEV), another one does
 * not even accept the hook (-EINVAL).
 */
bool kf_attach_tcx_is_supported(void)
{
	const struct bpf_insn pass[] = {
		{ .code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_0, .imm = 0 },
		{ .code = BPF_JMP | BPF_EXIT },
	};
	_cleanup_close_ int program =
		bpf_prog_load(BPF_PROG_TYPE_SCHED_CLS, "kf_probe", "GPL", pass, 2, NULL);
	_cleanup_close_ int link = -1;

	if (program < 0)
		return false;
	link = bpf_link_create(program, INT_MAX, hook_of(KF_ATTACH_EGRESS), NULL);
	return link == -ENODEV;
}

bool kf_attach_tcx_is_on(const struct kf_attach *attach, int ifindex, enum kf_attach_part part)
{
	__u32 program = 0;
	_cleanup_close_ int link = open_link(attach, ifindex, part, &program);

	return link >= 0 &&
	       kf_attach_object_id_kind(attach, program, kf_attach_object_program(part)) ==
		       KF_ATTACH_OURS;
}

int kf_attach_tcx_add(const struct kf_attach *attach, int ifindex, enum kf_attach_part part,
		      int program_fd)
{
	LIBBPF_OPTS(bpf_link_create_opts, options, .flags = FIRST);
	__u32 old = 0;
	_cleanup_close_ int link = open_link(attach, ifindex, part, &old);
	char name[32], path[PATH_MAX];
	int err;

	if (link >= 0)
		return bpf_link_update(link, program_fd, NULL);

	name_of(name, ifindex, part);
	err = path_of(attach, path, name);
	if (err)
		return err;
	if (unlinkat(attach->links_fd, name, 0) && errno != ENOENT)
		return -errno;
	link = bpf_link_create(program_fd, ifindex, hook_of(part), &options);
	return link < 0 ? link : bpf_obj_pin(link, path);
}

/* Detached first: the kernel ends a link whose last reference goes some moments later. */
int kf_attach_tcx_remove(const struct kf_attach *attach, int ifindex, enum kf_attach_part part)
{
	__u32 program = 0;
	_cleanup_close_ int link = open_link(attach, ifindex, part, &program);
	char name[32];
	int err = link >= 0 ? bpf_link_detach(link) : 0;

	if (err)
		return err;
	name_of(name, ifindex, part);
	return unlinkat(attach->links_fd, name, 0) && errno != ENOENT ? -errno : 0;
}

static int tell_hook(const struct kf_attach_search *search, enum kf_attach_part part)
{
	__u32 ids[HOOK_MAX] = { 0 };
	LIBBPF_OPTS(bpf_prog_query_opts, query, .prog_ids = ids, .prog_cnt = HOOK_MAX);
	int err = bpf_prog_query_opts(search->ifindex, hook_of(part), &query);

	if (err)
		return err == -EINVAL || err == -ENOENT || err == -ENODEV ? 0 : err;
	for (__u32 i = 0; !err && i < query.prog_cnt && i < HOOK_MAX; i++)
		err = kf_attach_object_tell(search, ids[i]);
	return err;
}

/* A kernel without tcx says -EINVAL. */
int kf_attach_tcx_running(const struct kf_attach_search *search)
{
	int err = tell_hook(search, KF_ATTACH_INGRESS);

	return err ? err : tell_hook(search, KF_ATTACH_EGRESS);
}
