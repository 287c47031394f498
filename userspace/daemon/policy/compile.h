/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * compile.h - the policy compiler: rows of the store in, contents of the maps out.
 *
 * Pure functions without state, I/O or allocation: the same rows and the same clock always give the
 * same maps, for the whole policy as for the part of it that changes. Wall-clock times are
 * nanoseconds since the epoch, kernel times CLOCK_BOOTTIME nanoseconds.
 */
#ifndef KEYFILTER_DAEMON_POLICY_COMPILE_H
#define KEYFILTER_DAEMON_POLICY_COMPILE_H

#include <keyfilter/abi.h>

#include "clock.h"
#include "store/store.h"

/* ---- time ------------------------------------------------------------------------------------ */

/*
 * The kernel's time for a wall-clock time: never later than asked. KF_NEVER for KF_WALL_NEVER only;
 * 1, never 0, for what is past.
 */
uint64_t kf_policy_compile_deadline(const struct kf_clock *clock, int64_t wall_ns);
/* The wall-clock time of a kernel time. KF_WALL_NEVER for KF_NEVER; 0 for 0 ("never yet"). */
int64_t kf_policy_compile_wall(const struct kf_clock *clock, uint64_t boot_ns);

/* ---- services -------------------------------------------------------------------------------- */

struct kf_policy_services {
	struct kf_service services[KF_SERVICES_MAX];
	struct kf_port ports[65536];
	struct kf_listener listeners[KF_SERVICES_MAX];
	uint32_t listener_index[KF_SERVICES_MAX]; /* service index of each listener */
	uint32_t listener_count;
};

/* Adds one service to what is there; begin with zeroes. */
void kf_policy_compile_service(struct kf_policy_services *out, const struct kf_service_row *row);

/* ---- sources --------------------------------------------------------------------------------- */

struct kf_policy_source {
	struct kf_cidr cidr;	 /* prefix_len 128: belongs into kf_hosts, else into kf_prefixes */
	struct kf_source source; /* effective times */
};
typedef int (*kf_policy_source_fn)(void *context, const struct kf_policy_source *entry);

/*
 * Walks over source rows in the order of (addr, prefix_len), in which every block comes before what
 * it covers, and gives each block its effective times. Feed it with next(), then finish(). @within:
 * the walk is over this block and what it covers only (NULL: everything); what covers it is fed
 * first, with @quiet set, and not given out.
 *
 * IPv4 lives inside ::/0 in the maps, but an IPv6 block does not speak about IPv4: where an IPv6
 * block covers ::ffff:0:0/96 and no row stands there, the walk gives out that entry, with no times.
 */
struct kf_policy_walk {
	const struct kf_clock *clock;
	kf_policy_source_fn fn;
	void *context;
	bool quiet;
	bool shielding;	    /* ::ffff:0:0/96 is part of this walk */
	bool shield_needed; /* an IPv6 block around IPv4 was seen, the entry is not given out yet */
	uint32_t depth;	    /* of stack */
	bool pending; /* the top of the stack is not given out yet: its other action may follow */
	bool pending_quiet;
	struct kf_policy_source stack[KF_CIDR_BITS + 2];
};

extern const struct kf_cidr kf_policy_compile_v4; /* ::ffff:0:0/96 */

void kf_policy_compile_walk_begin(struct kf_policy_walk *walk, const struct kf_clock *clock,
				  const struct kf_cidr *within, kf_policy_source_fn fn,
				  void *context);
/* The walk begins with the block @from of @within; what covers @from is fed with @quiet set. */
void kf_policy_compile_walk_from(struct kf_policy_walk *walk, const struct kf_cidr *from);
int kf_policy_compile_walk_next(struct kf_policy_walk *walk, const struct kf_source_row *row);
int kf_policy_compile_walk_finish(struct kf_policy_walk *walk);

/* ---- keys ------------------------------------------------------------------------------------ */

/* The controller's half of the slot; the kernel's half is zero. */
void kf_policy_compile_slot(const struct kf_clock *clock, const struct kf_slot_row *row,
			    struct kf_slot *out);

/* A rate as the slot has it; 0 and 0 where there is none. Up to KF_RPM_TOP each. */
void kf_policy_compile_rate(uint32_t rpm, uint32_t rpm_burst, __u64 *interval_ns, __u64 *burst_ns);
/* How many requests at once that is; 0: there is no limit. */
uint32_t kf_policy_compile_burst(uint32_t rpm, uint32_t rpm_burst);

#define KF_POLICY_ALLOW_MAX 96

/*
 * The kf_key_allow entries of one block of a key's allow list: one, but for an IPv6 block around
 * all of IPv4, which is split so that it does not admit IPv4. Returns how many were written.
 */
uint32_t kf_policy_compile_allow(uint32_t slot, const struct kf_cidr *cidr,
				 struct kf_key_prefix out[static KF_POLICY_ALLOW_MAX]);

#endif
