/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * penalty.h - the sources whose requests failed: to be looked at, and to be forgiven.
 *
 * The kernel alone counts failures, raises penalties and lets them run out; all of it stands in
 * kf_penalties, which is memory-mapped. What is here reads that table, forgives in it, and notices
 * once a second which penalties are new, so that silent requests of these sources are cut, and
 * which have ended, so that there is an event for it. One thread. Times are CLOCK_BOOTTIME
 * nanoseconds.
 */
#ifndef KEYFILTER_DAEMON_TRAFFIC_PENALTY_H
#define KEYFILTER_DAEMON_TRAFFIC_PENALTY_H

#include <stdbool.h>
#include <stdint.h>

#include <keyfilter/abi.h>

#include "cidr.h"

struct kf_events;
struct kf_maps;
struct kf_policy;

/* ---- the table ------------------------------------------------------------------------------- */

enum kf_penalty_kind {
	KF_PENALTY_IN_FORCE, /* penalised now */
	KF_PENALTY_FAILING,  /* not penalised, but counted on in a window that goes on */
};

/* The source itself as a block: an IPv4 address or an IPv6 /64. */
void kf_traffic_penalty_block(const struct kf_penalty *penalty, struct kf_cidr *block);

/* A walk over the sources of one kind, in no order that means anything. */
struct kf_penalty_walk {
	struct kf_maps *maps;
	enum kf_penalty_kind kind;
	uint32_t place; /* where it goes on; set it to go on where another walk ended */
	uint64_t now_ns;
	uint64_t window_ns;
};

void kf_traffic_penalty_walk_begin(struct kf_penalty_walk *walk, struct kf_maps *maps,
				   enum kf_penalty_kind kind);
/* False when there is none any more. */
bool kf_traffic_penalty_walk_next(struct kf_penalty_walk *walk, struct kf_penalty *out);

/* How many are penalised now. */
uint64_t kf_traffic_penalty_count(struct kf_maps *maps);

/* ---- the watch ------------------------------------------------------------------------------- */

struct kf_penalty_watch;

/* Notes what is in force, whether or not its beginning was seen. Borrows all; 0 or -ENOMEM. */
int kf_traffic_penalty_watch_open(struct kf_penalty_watch **out, struct kf_policy *policy,
				  struct kf_events *events);
void kf_traffic_penalty_watch_close(struct kf_penalty_watch *watch); /* NULL is fine */

/*
 * Once a second: revokes (kf_policy_revoke()) where penalties were raised since the last time, and
 * adds an event for each one that has run out or was forgiven; where they are many, for the first
 * ten, and one with the number of the others. How many have ended, or -ENOMEM.
 */
int kf_traffic_penalty_watch_tick(struct kf_penalty_watch *watch);

/* ---- forgiving ------------------------------------------------------------------------------- */

struct kf_penalty_forgiven {
	uint64_t sources;   /* that anything was held against */
	uint64_t penalised; /* of these */
};

/*
 * Forgives the sources in @cidr; where it is a part of an IPv6 /64, that /64. An IPv6 block around
 * all of IPv4 does not speak about IPv4. The events are there when it returns, as those of a tick.
 */
struct kf_penalty_forgiven kf_traffic_penalty_forgive(struct kf_penalty_watch *watch,
						      const struct kf_cidr *cidr);

#endif
