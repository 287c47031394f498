/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * cut.h - ends the running requests of revoked keys and banned sources where both ends are silent.
 *
 * The programs cut such a flow at its next packet, in either direction, without us. What is silent
 * in both, a backend that computes for a minute before its first byte, is found here: one walk over
 * kf_flows, in slices, for any number of revocations, asks of each flow what the programs would;
 * those that must end lose their local socket (SOCK_DESTROY), whose RST also ends the client,
 * unless the program on egress turns it into the answer of a refused request (bpf/cut.h). Idle
 * keep-alive connections stay: their next request is refused with its reason. Connections without a
 * socket in this network namespace (a container behind a published port) are left to the programs.
 * A walk is begun when kf_policy_has_revoked(). 0 or -errno.
 */
#ifndef KEYFILTER_DAEMON_TRAFFIC_CUT_H
#define KEYFILTER_DAEMON_TRAFFIC_CUT_H

#include <stdbool.h>
#include <stdint.h>

struct kf_cut;
struct kf_event;
struct kf_maps;

/*
 * A cut is counted once (flows_cut) and told once (KF_EVENT_CUT): by the programs, which see the
 * RST of a socket that is ended here leave; where they did not see it, as it left by an interface
 * without them, by kf_maps_count_cut() and @tell.
 */
typedef void (*kf_cut_tell_fn)(void *context, const struct kf_event *event);

/* @tell may be NULL. */
int kf_traffic_cut_open(struct kf_cut **out, struct kf_maps *maps, kf_cut_tell_fn tell,
			void *context);
void kf_traffic_cut_close(struct kf_cut *cut); /* NULL is fine */

/* Begins a walk, for KF_REVOKED_* @what, when none is under way. */
int kf_traffic_cut_begin(struct kf_cut *cut, unsigned int what);

/*
 * Goes on for a millisecond or two. 1: call again soon; 0: the walk is complete. An error ends the
 * walk; what it did not come to is cut at its next packet.
 */
int kf_traffic_cut_step(struct kf_cut *cut);

uint64_t kf_traffic_cut_count(const struct kf_cut *cut); /* sockets ended, since the open */
/* Has this kernel shown that it cannot end sockets (CONFIG_INET_DIAG_DESTROY)? */
bool kf_traffic_cut_is_unable(const struct kf_cut *cut);

#endif
