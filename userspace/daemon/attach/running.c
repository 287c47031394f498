// SPDX-License-Identifier: GPL-2.0-only
/* What runs on the interfaces, found without a pin and whatever maps it uses. */
#include "attach/impl.h"

#include <errno.h>
#include <net/if.h>
#include <string.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <keyfilter/abi.h>

#include "cleanup.h"

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

int kf_attach_running_tell(const struct kf_attach_search *search, __u32 id)
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

int kf_attach_running_each(kf_attach_program_fn fn, void *context)
{
	struct if_nameindex *names = if_nameindex();
	int err = names ? 0 : -errno;

	for (const struct if_nameindex *name = names; !err && name->if_index; name++) {
		const struct kf_attach_search search = { fn, context, name->if_name,
							 (int)name->if_index };

		err = kf_attach_xdp_running(&search);
		err = err ?: kf_attach_tcx_running(&search);
		err = err ?: kf_attach_clsact_running(&search);
	}
	if (names)
		if_freenameindex(names);
	return err;
}
