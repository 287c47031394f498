/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * reconcile.h - keeps the maps saying what the store says.
 *
 * kf_policy_open() is the start: the policy of the store, compiled by policy.c, is compared with
 * what the maps hold and the difference is applied, never a flush; whatever crashed before, the two
 * agree after it. From then on key.c, source.c and service.c change both, through the struct here,
 * which borrows store, maps and secret and owns the free slots; where one of the two fails, see
 * hold.h and mend.h. One thread. Wall-clock times are
 * nanoseconds since the epoch.
 */
#ifndef KEYFILTER_DAEMON_RECONCILE_H
#define KEYFILTER_DAEMON_RECONCILE_H

#include <stdint.h>
#include <sys/queue.h>

#include "policy/hold.h"
#include "maps/maps.h"
#include "policy/mend.h"
#include "policy/compile.h"
#include "store/secret.h"
#include "maps/slotpool.h"
#include "policy/source_refresh.h"
#include "store/store.h"
#include "policy/walltime.h"

struct kf_key_batch;
struct kf_source_change;
struct kf_why;

#define KF_RECONCILE_EXPIRED 8 /* sources whose end the kernel does not have yet, at most */

struct kf_policy {
	struct kf_store *store;
	struct kf_maps *maps;
	const struct kf_secret *secret;
	struct kf_slotpool *slots;
	struct kf_holds *holds; /* what the kernel refuses beyond what is stored */
	struct kf_mend mend;	/* in what the two may differ */
	/*
	 * Entries that all allow lists need, those that two blocks share counted twice: kept below
	 * the room of kf_key_allow, so that what is stored always fits into the kernel.
	 */
	uint64_t allow_entries;
	struct kf_walltime walltime;
	struct kf_clock clock;	      /* that the deadlines of keys were made with */
	struct kf_clock source_clock; /* and those of sources */
	int64_t lapsed_until;	      /* wall clock: keys that expired up to then have been seen */
	unsigned int revoked; /* KF_CUT_* of cut.h since the loop looked: requests must end */
	struct kf_key_batch *making; /* many keys; NULL: none. Owned by who makes it */
	bool leftover;		     /* the store may have keys of a batch that was not finished */
	uint32_t sources_at_once;    /* rows of a slice of source_refresh.h; 3 or more */
	LIST_HEAD(, kf_source_change) source_changes; /* under way; each is its owner's */
	struct kf_policy_source_refresh
		expired[KF_RECONCILE_EXPIRED]; /* blocks of rows that are gone */
	uint32_t expired_count;
	uint64_t flow_idle_ns;
	uint64_t flows_live;		   /* by the last complete sweep; approximate */
	struct kf_maps_cursor flow_cursor; /* of the sweep that goes on */
	uint64_t flows_seen;		   /* by it so far */
};

/*
 * Makes the maps agree with the store and seals them; programs may be attached afterwards.
 * @flow_idle_ns: a flow silent for longer is forgotten. -EPROTO: the maps were made under another
 * secret, or @store is not the one they were made from; -ENOSPC: more keys or sources than places.
 */
int kf_policy_open(struct kf_policy **out, struct kf_store *store, struct kf_maps *maps,
		   const struct kf_secret *secret, uint64_t flow_idle_ns, struct kf_why *why);
void kf_policy_close(struct kf_policy *policy); /* NULL is fine; touches no map */

/* Both clocks now, as they are. */
struct kf_clock kf_clock_now(void);
/* And as they are to be gone by, see walltime.h: whatever ends is compared with this. */
struct kf_clock kf_policy_time(const struct kf_policy *policy);

/*
 * Has the wall clock been set? Then the deadlines are made anew. Call every few seconds, and when a
 * timerfd with TFD_TIMER_CANCEL_ON_SET ends in ECANCELED.
 */
int kf_policy_clock_correct(struct kf_policy *policy);

/*
 * Housekeeping: removes what has expired from the store and the maps (sources, the old secrets of
 * rotated keys), and what an unfinished batch of keys has left, a few of each a call, and notes in
 * policy->revoked that keys have expired. 1: call again soon; 0: in a second, for what is silent
 * is cut by so much late.
 */
int kf_policy_expire(struct kf_policy *policy);

/*
 * One slice of the flow sweep, of a few milliseconds at most. 1: call again soon (let the loop
 * breathe between); 0: the sweep is complete and policy->flows_live is new; begin another in a
 * minute at most. A flow silent for too long is closed in one sweep and deleted in the next: what a
 * vanished client leaves behind is gone two sweeps after half a minute (answered or cut), two
 * minutes (refused, or about to end) or @flow_idle_ns.
 */
int kf_traffic_flows_sweep(struct kf_policy *policy);

/* Parts of the start, for tests, kf_policy_clock_correct() and mend.c: they may be called again. */
int kf_policy_reconcile_services(struct kf_policy *policy);
int kf_policy_reconcile_sources(struct kf_policy *policy);
int kf_policy_reconcile_answers(struct kf_policy *policy);
int kf_policy_reconcile_keys(struct kf_policy *policy, struct kf_why *why);

#endif
