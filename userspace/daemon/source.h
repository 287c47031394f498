/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * source.h - allowed and denied sources, changed in store and kernel together.
 *
 * Called by api_source.c and by kf_reconcile_expire(). What closes (a denial, the end of an
 * allowance) is in the kernel before it is durable; what opens is durable first. Wall-clock
 * nanoseconds; KF_WALL_NEVER: for good. 0 or -errno with @why filled.
 */
#ifndef KEYFILTER_DAEMON_SOURCE_H
#define KEYFILTER_DAEMON_SOURCE_H

#include <stdbool.h>

#include "store.h"

struct kf_reconcile;
struct kf_why;

/* Adds @row, or replaces the times of the one with the same block and action. -ENOSPC: full. */
int kf_source_put(struct kf_reconcile *reconcile, const struct kf_source_row *row, bool *replaced,
		  struct kf_why *why);
/* Removes what is denied and what is allowed of exactly this block. -ENOENT: neither. */
int kf_source_remove(struct kf_reconcile *reconcile, const struct kf_cidr *cidr,
		     struct kf_why *why);
/* Removes those whose time has come, at most @limit: 0, 1 when there may be more, or -errno. */
int kf_source_expire(struct kf_reconcile *reconcile, uint32_t limit);

#endif
