// SPDX-License-Identifier: GPL-2.0-only
/*
 * What ran on an interface as XDP while all was in place there: our program, or the dispatcher that
 * runs it among others. A descriptor keeps it in the kernel when somebody takes it off, so that
 * putting it back takes a system call; loading another takes the verifier half a second, in which
 * the interface is open. The links that tie our program to a dispatcher are pinned and outlive
 * that.
 */
#include "attach/impl.h"

#include <stdlib.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <linux/if_link.h>

#include "cleanup.h"

struct kf_attach_xdp_held {
	struct kf_attach_xdp_held *next;
	int ifindex;
	int fd;
	__u32 id;
	enum kf_attach_mode mode;
};

static struct kf_attach_xdp_held *find(const struct kf_attach *attach, int ifindex)
{
	struct kf_attach_xdp_held *held = attach->held;

	while (held && held->ifindex != ifindex)
		held = held->next;
	return held;
}

void kf_attach_xdp_held_drop(struct kf_attach *attach, int ifindex)
{
	struct kf_attach_xdp_held **at = &attach->held;

	while (*at) {
		struct kf_attach_xdp_held *held = *at;

		if (ifindex && held->ifindex != ifindex) {
			at = &held->next;
			continue;
		}
		*at = held->next;
		close(held->fd);
		free(held);
	}
}

void kf_attach_xdp_held_note(struct kf_attach *attach, int ifindex, enum kf_attach_mode mode)
{
	struct kf_attach_xdp_held *held = find(attach, ifindex);
	__u32 id = 0;

	if (mode == KF_ATTACH_TC || bpf_xdp_query_id(ifindex, 0, &id) || !id ||
	    (held && held->id == id && held->mode == mode))
		return;
	kf_attach_xdp_held_drop(attach, ifindex);
	held = calloc(1, sizeof(*held));
	if (!held)
		return; /* it is loaded again then */
	*held = (struct kf_attach_xdp_held){ .next = attach->held,
					     .ifindex = ifindex,
					     .fd = bpf_prog_get_fd_by_id(id),
					     .id = id,
					     .mode = mode };
	if (held->fd < 0)
		free(held);
	else
		attach->held = held;
}

bool kf_attach_xdp_held_put_back(const struct kf_attach *attach, int ifindex,
				 enum kf_attach_mode mode)
{
	const struct kf_attach_xdp_held *held = find(attach, ifindex);
	__u32 flags = mode == KF_ATTACH_NATIVE ? XDP_FLAGS_DRV_MODE : XDP_FLAGS_SKB_MODE;

	if (!held || held->mode != mode ||
	    kf_attach_xdp_kind(attach, ifindex, held->id) != KF_ATTACH_OURS)
		return false;
	return !bpf_xdp_attach(ifindex, held->fd, flags | XDP_FLAGS_UPDATE_IF_NOEXIST, NULL);
}
