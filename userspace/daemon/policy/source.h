/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * source.h - allowed and denied sources, changed in store and kernel together.
 *
 * What closes (a denial, the end of an allowance) is in the kernel before it is durable. What opens
 * is durable first. Times are wall-clock nanoseconds, KF_WALL_NEVER for good. 0 or -errno with @why
 * filled.
 */
#ifndef KEYFILTER_DAEMON_POLICY_SOURCE_H
#define KEYFILTER_DAEMON_POLICY_SOURCE_H

#include <stdbool.h>

#include "store/store.h"

struct kf_policy;
struct kf_why;

/*
 * A change, in slices that leave room for others: a block may cover hundreds of thousands. Open it,
 * step until it is done, close it. Another change of the same block waits for it.
 */
struct kf_source_change;

/* Adds @row, or replaces the times of the one with the same block and action. -ENOMEM. */
int kf_policy_source_change_put(struct kf_source_change **out, struct kf_policy *policy,
				const struct kf_source_row *row);
/* Removes what is denied and what is allowed of exactly this block. -ENOMEM. */
int kf_policy_source_change_remove(struct kf_source_change **out, struct kf_policy *policy,
				   const struct kf_cidr *cidr);
/*
 * About a millisecond of it. 1: call again; 0: it is durable and in force; -ENOENT: there is
 * nothing to remove; -ENOSPC: no place for more.
 */
int kf_policy_source_change_step(struct kf_source_change *change, struct kf_why *why);
/* Of one that has begun: was there a row of the same block and action? */
bool kf_policy_source_change_replaced(const struct kf_source_change *change);
/* Of one that is closed before it is done: does the next start know it? */
bool kf_policy_source_change_is_stored(const struct kf_source_change *change);
void kf_policy_source_change_close(struct kf_source_change *change); /* NULL is fine */

/* Is something of this block being closed just now, which is not durable yet? */
bool kf_policy_source_is_changing(const struct kf_policy *policy, const struct kf_cidr *cidr);

/* All steps at once; only where no other change is under way. -ENOMEM leaves @why as it is. */
int kf_policy_source_put(struct kf_policy *policy, const struct kf_source_row *row, bool *replaced,
			 struct kf_why *why);
int kf_policy_source_remove(struct kf_policy *policy, const struct kf_cidr *cidr,
			    struct kf_why *why);

/* Removes some of those whose time has come: 0, 1 when there may be more, or -errno. */
int kf_policy_source_expire(struct kf_policy *policy);

#endif
