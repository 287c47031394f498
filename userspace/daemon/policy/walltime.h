/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * walltime.h - which time it is, where the wall clock may be wrong.
 *
 * Ends are wall-clock times, and the wall clock is set: by a battery that is empty at boot, by NTP
 * a while later, by mistake. So there are two times. What admits (a key, a grace, an allowance)
 * ends by the later one, which is never behind the newest time that was believed, in this process
 * or in one before it. What refuses (a denial) ends by the earlier one: a step forward is believed
 * only once it has lasted for KF_WALLTIME_SETTLE; until then time goes on as it did before. The
 * same holds for what is deleted for good. Pure functions over the state and two clocks;
 * nanoseconds.
 */
#ifndef KEYFILTER_DAEMON_POLICY_WALLTIME_H
#define KEYFILTER_DAEMON_POLICY_WALLTIME_H

#include <stdbool.h>
#include <stdint.h>

#include "policy/compile.h"
#include "store/store.h"

#define KF_WALLTIME_SETTLE 900000000000ll /* 15 minutes: NTP has corrected by then */
#define KF_WALLTIME_STEP   500000000ll	  /* what is less is followed: a clock that is slewed */

struct kf_walltime {
	int64_t seen;	   /* the newest wall-clock time that was believed; 0: none yet */
	int64_t ahead;	   /* of the wall clock before CLOCK_BOOTTIME, as it is believed */
	int64_t latest;	   /* and as it was at the last look */
	uint64_t since_ns; /* CLOCK_BOOTTIME: since then `latest` is what it is */
	bool settled;	   /* `latest` is believed */
	bool is_new;	   /* nothing was believed in this boot yet */
	/* CLOCK_BOOTTIME: since then the wall clock is behind `seen`; 0: it is not */
	uint64_t behind_ns;
};

/* @stored: what the store knows; @boot: the id of this boot; @raw: both clocks now. */
void kf_policy_walltime_open(struct kf_walltime *w, const struct kf_store_time *stored,
			     const char *boot, const struct kf_clock *raw);
/* Takes note of the clocks. Call every few seconds, and when the wall clock was set. */
void kf_policy_walltime_look(struct kf_walltime *w, const struct kf_clock *raw);
/* Both times at @raw, the earlier one as doubt_ns. */
struct kf_clock kf_policy_walltime_at(const struct kf_walltime *w, const struct kf_clock *raw);
/* May what is over be deleted for good, by the earlier time? */
bool kf_policy_walltime_is_sure(const struct kf_walltime *w);
/* What the store is to know: nothing of this boot, @boot, before its clock has lasted. */
void kf_policy_walltime_note(const struct kf_walltime *w, const char *boot,
			     struct kf_store_time *time);

#endif
