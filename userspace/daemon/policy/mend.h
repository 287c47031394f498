/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * mend.h - the differences between store and kernel that are known, and their end.
 *
 * An operation that fails leaves the kernel as the store says, or stricter and held so (hold.h), or
 * it notes here which part of the kernel may differ. What is noted is compared with the store and
 * mended, at the latest after a minute, again and again until it succeeds; it is logged when it
 * begins and when it ends, and told in between. One thread.
 */
#ifndef KEYFILTER_DAEMON_POLICY_MEND_H
#define KEYFILTER_DAEMON_POLICY_MEND_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct kf_policy;

/* Parts of the kernel; or-ed. */
#define KF_MEND_SERVICES 0x1u
#define KF_MEND_SOURCES	 0x2u
#define KF_MEND_MODELS	 0x4u
#define KF_MEND_GROUPS	 0x8u
#define KF_MEND_ACCOUNTS 0x10u
#define KF_MEND_KEYS	 0x20u

struct kf_mend {
	unsigned int parts; /* that may differ */
	bool comparing;	    /* all keys, for that they might */
	int err;	    /* that the last try ended with */
	uint64_t next_ns;   /* CLOCK_BOOTTIME: not before, */
	uint64_t pause_ns;  /* and so long after it */
};

const char *kf_policy_mend_name(unsigned int part); /* "services" */

/* @part may differ, since the kernel did not take something: @err. */
void kf_policy_mend_note(struct kf_policy *policy, unsigned int part, int err);

/*
 * Asks the store whether it is well, mends what is noted. Call every second or two, and before an
 * operation that would build on it. Cheap where nothing is the matter.
 */
void kf_policy_mend_tick(struct kf_policy *policy);
/*
 * Goes on for about a millisecond with what kf_policy_mend_tick() began. 1: call again; 0: nothing
 * to do.
 */
int kf_policy_mend_step(struct kf_policy *policy);

/* One line for each thing in which store and kernel differ, with its mend. */
typedef void (*kf_mend_fn)(void *context, const char *text);
void kf_policy_mend_describe(const struct kf_policy *policy, kf_mend_fn fn, void *context);

#endif
