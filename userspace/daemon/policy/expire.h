/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * expire.h - what has come to its end leaves the store and the maps.
 *
 * The programs go by the ends that are in the maps, so nothing closes or opens here; but a running
 * request that is silent ends only once it is known here that its key has expired. The loop's
 * thread.
 */
#ifndef KEYFILTER_DAEMON_POLICY_EXPIRE_H
#define KEYFILTER_DAEMON_POLICY_EXPIRE_H

struct kf_policy;

/*
 * Housekeeping: removes what has expired from the store and the maps (sources, the old secrets of
 * rotated keys), and what an unfinished batch of keys has left, a few of each a call, and revokes
 * (kf_policy_revoke()) where keys have expired. 1: call again soon; 0: in a second, for what is
 * silent is cut by so much late. -errno.
 */
int kf_policy_expire(struct kf_policy *policy);

#endif
