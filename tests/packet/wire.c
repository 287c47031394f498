// SPDX-License-Identifier: GPL-2.0-only
#include "wire.h"

#include <arpa/inet.h>
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <poll.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <linux/if_link.h>
#include <linux/if_packet.h>
#include <linux/virtio_net.h>

#define KF_WIRE_SETTLE_MS 100 /* for what goes through a backlog */

struct kf_wire {
	unsigned int near, far; /* interfaces */
	int near_fd, far_fd;	/* packet sockets on them */
};

static void kf_wire_run(const char *command)
{
	if (system(command) != 0)
		errx(1, "this fails: %s", command);
}

/* Neighbour discovery would be caught with the rest. */
static void kf_wire_quiet(void)
{
	int fd = open("/proc/sys/net/ipv6/conf/default/disable_ipv6", O_WRONLY | O_CLOEXEC);

	if (fd >= 0 && write(fd, "1", 1) != 1)
		err(1, "disable_ipv6");
	if (fd >= 0)
		close(fd);
}

static int kf_wire_socket(unsigned int ifindex)
{
	struct sockaddr_ll at = {
		.sll_family = AF_PACKET,
		.sll_protocol = htons(ETH_P_ALL),
		.sll_ifindex = ifindex,
	};
	int fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0), on = 1;

	if (fd < 0 || setsockopt(fd, SOL_PACKET, PACKET_VNET_HDR, &on, sizeof(on)) ||
	    setsockopt(fd, SOL_PACKET, PACKET_AUXDATA, &on, sizeof(on)) ||
	    bind(fd, (struct sockaddr *)&at, sizeof(at)))
		err(1, "packet socket");
	return fd;
}

static unsigned int kf_wire_index(const char *name)
{
	unsigned int index = if_nametoindex(name);

	if (!index)
		err(1, "%s", name);
	return index;
}

struct kf_wire *kf_wire_new(void)
{
	struct kf_wire *wire = calloc(1, sizeof(*wire));

	if (!wire || unshare(CLONE_NEWNET))
		err(1, "network namespace");
	kf_wire_quiet();
	kf_wire_run("ip link set lo up");
	kf_wire_run("ip link add near address 00:00:00:00:00:01 type veth "
		    "peer name far address 00:00:00:00:00:02");
	kf_wire_run("ip link set near arp off up && ip link set far arp off up");
	kf_wire_run("tc qdisc add dev near clsact");
	wire->near = kf_wire_index("near");
	wire->far = kf_wire_index("far");
	wire->near_fd = kf_wire_socket(wire->near);
	wire->far_fd = kf_wire_socket(wire->far);
	return wire;
}

void kf_wire_free(struct kf_wire *wire)
{
	close(wire->near_fd);
	close(wire->far_fd);
	free(wire);
}

unsigned int kf_wire_ifindex(const struct kf_wire *wire)
{
	return wire->near;
}

/* ---- catching -------------------------------------------------------------------------------- */

/* A tag that the kernel keeps beside the frame goes back into it. */
static void kf_wire_tag(struct kf_sent *sent, struct msghdr *message)
{
	for (struct cmsghdr *c = CMSG_FIRSTHDR(message); c; c = CMSG_NXTHDR(message, c)) {
		struct tpacket_auxdata aux;
		uint16_t tag[2];

		memcpy(&aux, CMSG_DATA(c), sizeof(aux));
		if (c->cmsg_type != PACKET_AUXDATA || !(aux.tp_status & TP_STATUS_VLAN_VALID))
			continue;
		tag[0] = htons(aux.tp_vlan_tpid);
		tag[1] = htons(aux.tp_vlan_tci);
		memmove(sent->frame + 16, sent->frame + 12, sent->len - 12);
		memcpy(sent->frame + 12, tag, 4);
		sent->len += 4;
	}
}

static bool kf_wire_receive(struct kf_wire *wire, struct kf_sent *sent)
{
	struct virtio_net_hdr head;
	struct sockaddr_ll from;
	char control[256];
	struct iovec parts[] = {
		{ &head, sizeof(head) },
		{ sent->frame, sizeof(sent->frame) - 4 },
	};
	struct msghdr message = {
		.msg_name = &from,
		.msg_namelen = sizeof(from),
		.msg_iov = parts,
		.msg_iovlen = 2,
		.msg_control = control,
		.msg_controllen = sizeof(control),
	};
	ssize_t len = recvmsg(wire->near_fd, &message, MSG_DONTWAIT);

	if (len < 0)
		return false;
	sent->len = len - sizeof(head);
	sent->out = from.sll_pkttype == PACKET_OUTGOING;
	sent->partial = head.flags & VIRTIO_NET_HDR_F_NEEDS_CSUM;
	kf_wire_tag(sent, &message);
	return true;
}

bool kf_wire_next(struct kf_wire *wire, int wait_ms, struct kf_sent *sent)
{
	struct pollfd poller = { .fd = wire->near_fd, .events = POLLIN };

	return poll(&poller, 1, wait_ms) == 1 && kf_wire_receive(wire, sent);
}

/* ---- sending --------------------------------------------------------------------------------- */

struct kf_wire_filter {
	struct bpf_tc_hook hook;
	struct bpf_tc_opts opts;
};

static struct kf_wire_filter kf_wire_filter(struct kf_wire *wire, struct kf_world *world,
					    enum bpf_tc_attach_point point, const char *program)
{
	struct kf_wire_filter filter = {
		.hook = {
			.sz = sizeof(filter.hook),
			.ifindex = wire->near,
			.attach_point = point,
		},
		.opts = {
			.sz = sizeof(filter.opts),
			.prog_fd = kf_world_program_fd(world, program),
			.handle = 1,
			.priority = 1,
		},
	};

	if (bpf_tc_attach(&filter.hook, &filter.opts))
		err(1, "attach %s", program);
	return filter;
}

static void kf_wire_unfilter(struct kf_wire_filter *filter)
{
	filter->opts.flags = filter->opts.prog_fd = filter->opts.prog_id = 0;
	if (bpf_tc_detach(&filter->hook, &filter->opts))
		err(1, "detach");
}

static void kf_wire_inject(struct kf_wire *wire, const uint8_t *frame, size_t len, bool partial,
			   size_t l4)
{
	struct virtio_net_hdr head = {
		.flags = partial ? VIRTIO_NET_HDR_F_NEEDS_CSUM : 0,
		.csum_start = partial ? l4 : 0,
		.csum_offset = partial ? 16 : 0,
	};
	struct iovec parts[] = { { &head, sizeof(head) }, { (void *)frame, len } };
	struct msghdr message = { .msg_iov = parts, .msg_iovlen = 2 };

	if (sendmsg(wire->far_fd, &message, 0) < 0)
		err(1, "send");
}

void kf_wire_send(struct kf_wire *wire, struct kf_world *world, enum kf_wire_mode mode,
		  const uint8_t *frame, size_t len, bool partial, size_t l4)
{
	const struct timespec settle = { .tv_nsec = KF_WIRE_SETTLE_MS * 1000000 };
	int flags = mode == KF_WIRE_NATIVE ? XDP_FLAGS_DRV_MODE : XDP_FLAGS_SKB_MODE;
	struct kf_wire_filter in =
		kf_wire_filter(wire, world, BPF_TC_INGRESS,
			       mode == KF_WIRE_TC ? KF_PROGRAM_INGRESS : KF_PROGRAM_ANSWER);
	struct kf_wire_filter out = kf_wire_filter(wire, world, BPF_TC_EGRESS, KF_PROGRAM_EGRESS);

	if (mode != KF_WIRE_TC && bpf_xdp_attach(wire->near, kf_world_xdp(world), flags, NULL))
		err(1, "attach XDP");
	kf_wire_inject(wire, frame, len, partial, l4);
	nanosleep(&settle, NULL);
	if (mode != KF_WIRE_TC && bpf_xdp_detach(wire->near, flags, NULL))
		err(1, "detach XDP");
	kf_wire_unfilter(&in);
	kf_wire_unfilter(&out);
}
