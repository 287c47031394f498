/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * source_refresh.h - brings one block, and what it covers, to what is stored and held.
 *
 * A change of a block changes the effective times of all blocks that it covers, which may be
 * hundreds of thousands. So it is done in slices. A slice keeps nothing but the place where the
 * next one begins: it reads store, holds and clock anew and writes entries that are right by all of
 * them. So any other change may come between two slices, provided that it refreshes its own block,
 * and refreshes of several blocks may go on side by side. The loop's thread. 0 or -errno.
 */
#ifndef KEYFILTER_DAEMON_POLICY_SOURCE_REFRESH_H
#define KEYFILTER_DAEMON_POLICY_SOURCE_REFRESH_H

#include "cidr.h"

struct kf_maps;
struct kf_policy;

struct kf_policy_source_refresh {
	struct kf_cidr cidr;
	struct kf_cidr from; /* the block that is next, or was last */
};

void kf_policy_source_refresh_begin(struct kf_policy_source_refresh *refresh,
				    const struct kf_cidr *cidr);
/* policy->sources_at_once rows. 1: there are more; 0: all is as it is to be. */
int kf_policy_source_refresh_some(struct kf_policy *policy,
				  struct kf_policy_source_refresh *refresh);
/* All slices at once. */
int kf_policy_source_refresh(struct kf_policy *policy, const struct kf_cidr *cidr);

/* Deletes the block's entry where no row stands there any more. A refresh ends with it. */
int kf_policy_source_settle(struct kf_policy *policy, const struct kf_cidr *cidr);
/* Takes the places that the block needs in the kernel, and changes nothing. -ENOSPC, -E2BIG. */
int kf_policy_source_reserve(struct kf_maps *maps, const struct kf_cidr *cidr);

#endif
