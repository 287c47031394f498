/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * adopt.h - the connections that were there before the filter.
 *
 * Once the programs are attached, they drop the data of every connection whose handshake they did
 * not see. kf_attach_adopt_run() looks at the TCP sockets of this network namespace and either
 * enters their connections into kf_flows, unsynchronised (adopt), or ends them (reset). Multipath
 * TCP connections are always ended: a request may lie in pieces on several of them, in any order,
 * so that none of the pieces can be judged. Connections of a container behind a published port have
 * no socket here and are not seen.
 *
 * Run it right after kf_attach_add(), in the loop: what the peers sent in between was dropped, and
 * TCP sends it again. It may be repeated at any time: both adopt and reset leave alone the
 * connections that have a flow already.
 */
#ifndef KEYFILTER_DAEMON_ATTACH_ADOPT_H
#define KEYFILTER_DAEMON_ATTACH_ADOPT_H

#include <stddef.h>

#include <keyfilter/abi.h>

struct kf_why;

enum kf_existing { KF_EXISTING_ADOPT, KF_EXISTING_RESET };

/* A live entry of kf_services, and where it listens. */
struct kf_adopt_service {
	__u8 addr[16]; /* network order, IPv4 mapped; all zero: any address */
	__u16 port;    /* host order */
	__u8 index;    /* of kf_services */
};

struct kf_adopt_result {
	unsigned int adopted; /* connections that have a flow now and had none */
	unsigned int reset;   /* connections that were ended, each path of a multipath one */
};

/*
 * @dev: the interface just attached. Unless it is a loopback device, connections of this host with
 * itself are left alone, since they do not pass it.
 * @flows_fd: kf_flows. @flow_secret: the one in kf_config.
 * @services: one on a certain address goes before one on any address of the same port.
 *
 * 0, and @out says how many. Else -errno, @why holds cause and mend, and @out is untouched,
 * although a part may have been done: -E2BIG: kf_flows is full; -EOPNOTSUPP: the kernel cannot end
 * sockets (CONFIG_INET_DIAG_DESTROY); that or -ENOENT: it cannot list them (CONFIG_INET_DIAG);
 * -EPERM: CAP_NET_ADMIN is missing; -ENOMEM.
 */
int kf_attach_adopt_run(const char *dev, int flows_fd, const struct kf_adopt_service *services,
			size_t n, enum kf_existing existing, const __u64 flow_secret[8],
			struct kf_adopt_result *out, struct kf_why *why);

const char *kf_attach_adopt_existing_name(enum kf_existing existing);
int kf_attach_adopt_existing_parse(const char *text, enum kf_existing *out); /* -EINVAL */

#endif
