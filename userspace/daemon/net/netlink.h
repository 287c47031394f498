/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * netlink.h - what the controller asks the kernel over netlink, by libmnl.
 *
 *	netlink.c	one question to the kernel and its answer
 *	linkwatch.c	tells when an interface appears or vanishes (rtnetlink, RTNLGRP_LINK)
 *	sockdiag.c	lists and ends TCP connections of this host's sockets (sock_diag)
 *
 * In the daemon's one thread, and about the network namespace of the caller. Nothing here blocks
 * longer than the kernel needs to answer a dump. 0 or -errno.
 */
#ifndef KEYFILTER_DAEMON_NET_NETLINK_H
#define KEYFILTER_DAEMON_NET_NETLINK_H

#include <stdbool.h>
#include <stdint.h>

#include <keyfilter/abi.h>

/* ---- one question ---------------------------------------------------------------------------- */

struct nlmsghdr;

#define KF_NETLINK_REQUEST_MAX 512 /* bytes; room for any request made here */

/* Return 0 to go on, anything else ends the answer with that value. */
typedef int (*kf_netlink_fn)(void *context, const struct nlmsghdr *message);

/*
 * Sends @request (one built by libmnl; NLM_F_DUMP or NLM_F_ACK says how the answer ends) on a
 * socket of its own, made for @bus (NETLINK_ROUTE, NETLINK_SOCK_DIAG), and calls @fn, which may be
 * NULL, for each message of the answer. -EINTR: what is dumped changed meanwhile, ask again.
 */
int kf_net_netlink_ask(int bus, struct nlmsghdr *request, kf_netlink_fn fn, void *context);

/* ---- link watch ------------------------------------------------------------------------------ */

struct kf_linkwatch;

/* @up: the interface exists now (new, renamed to this, or set up again); false: it vanished. */
typedef void (*kf_link_fn)(void *context, const char *dev, int ifindex, bool up);

/*
 * Takes note of the interfaces that exist, without calling back: @fn hears of changes only, from
 * kf_net_linkwatch_dispatch(). It may attach and detach programs, and must not close the watch. A
 * renamed interface vanishes under its old name and appears under the new one; one that was deleted
 * and made again has another ifindex.
 */
int kf_net_linkwatch_open(struct kf_linkwatch **out, kf_link_fn fn, void *context);
void kf_net_linkwatch_close(struct kf_linkwatch *watch);   /* NULL is fine */
int kf_net_linkwatch_fd(const struct kf_linkwatch *watch); /* for the loop: readable */
/* Reads what there is and calls back. After a lost message (ENOBUFS) it dumps all links afresh. */
int kf_net_linkwatch_dispatch(struct kf_linkwatch *watch);

/* ---- sock_diag ------------------------------------------------------------------------------- */

/* One established (or half-closed) TCP connection of a local socket. */
struct kf_connection {
	struct kf_flow_key key; /* as the client's packets name it */
	bool answered;		/* the next data of the client, if any, begins a request */
	bool multipath;		/* a part of a Multipath TCP connection: not a stream of its own */
	uint64_t cookie;	/* for kf_net_sockdiag_destroy */
	uint32_t ifindex;	/* the socket is bound to this device; 0: to none */
};

/* Return 0 to go on, anything else ends the dump with that value. */
typedef int (*kf_connection_fn)(void *context, const struct kf_connection *connection);

/*
 * Calls @fn for each connection whose local port is @port, IPv4, IPv6 and IPv4 on IPv6 sockets
 * (mapped). @fn must not end connections: the dump would lose its place. -ENOENT or -EOPNOTSUPP: no
 * CONFIG_INET_DIAG.
 */
int kf_net_sockdiag_each(uint16_t port, kf_connection_fn fn, void *context);
/*
 * The one that @key names. -ENOENT: there is none here, or none that is live, or its socket is
 * bound to a device.
 */
int kf_net_sockdiag_find(const struct kf_flow_key *key, struct kf_connection *out);

/*
 * Ends one (SOCK_DESTROY), and no other that has its addresses by now: its cookie says which: the
 * local socket reads ECONNABORTED, the client gets a RST. -ENOENT: gone already. -EOPNOTSUPP: no
 * CONFIG_INET_DIAG_DESTROY.
 */
int kf_net_sockdiag_destroy(const struct kf_connection *connection);

#endif
