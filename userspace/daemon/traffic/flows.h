/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * flows.h - the sweep over the connections that the programs follow.
 *
 * It counts them, and forgets those that have been silent for too long because their end was never
 * seen. The loop's thread. 0 or -errno.
 */
#ifndef KEYFILTER_DAEMON_TRAFFIC_FLOWS_H
#define KEYFILTER_DAEMON_TRAFFIC_FLOWS_H

#include <stdint.h>

struct kf_flows;
struct kf_maps;

/* Borrows @maps. @idle_ns: a flow silent for longer is forgotten. */
int kf_traffic_flows_open(struct kf_flows **out, struct kf_maps *maps, uint64_t idle_ns);
void kf_traffic_flows_close(struct kf_flows *flows); /* NULL is fine */

/*
 * One slice, of a few milliseconds at most. 1: call again soon (let the loop breathe between);
 * 0: the sweep is complete and kf_traffic_flows_live() is new; begin another in a minute at most. A
 * flow silent for too long is closed in one sweep and deleted in the next: what a vanished client
 * leaves behind is gone two sweeps after half a minute (answered or cut), two minutes (refused, or
 * about to end) or the idle time.
 */
int kf_traffic_flows_sweep(struct kf_flows *flows);

uint64_t kf_traffic_flows_live(const struct kf_flows *flows); /* by the last sweep; approximate */

#endif
