/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * key_list.h - a key's allow list as it is in force, and its way into the kernel.
 *
 * Pure functions but for kf_policy_key_list_apply(). A list is the union of its blocks; an IPv6
 * block does not speak about IPv4, even if it is around all of it. 0 or -errno.
 */
#ifndef KEYFILTER_DAEMON_POLICY_KEY_LIST_H
#define KEYFILTER_DAEMON_POLICY_KEY_LIST_H

#include <stdbool.h>
#include <stdint.h>

#include "store/store.h"

struct kf_policy;

#define KF_KEY_LIST_MAX (2 * KF_KEY_ALLOW_MAX) /* what two lists have in common */

struct kf_key_list {
	bool any; /* from anywhere: there is no list, and no block */
	uint32_t count;
	struct kf_cidr blocks[KF_KEY_LIST_MAX];
};

/* As the store has it, where 0 blocks are no list; @count up to KF_KEY_LIST_MAX. */
void kf_policy_key_list_set(struct kf_key_list *list, const struct kf_cidr *blocks, uint32_t count);

/*
 * What both admit. Where that takes more blocks than there is room for, some are left out: it may
 * be narrower, and is never wider.
 */
void kf_policy_key_list_meet(const struct kf_key_list *a, const struct kf_key_list *b,
			     struct kf_key_list *out);
bool kf_policy_key_list_equal(const struct kf_key_list *a, const struct kf_key_list *b);

/*
 * The entries of @slot in kf_key_allow, and its flag, from @from to @to, of which one must admit
 * all that the other does. At no moment is admitted what neither admits, nor refused what both
 * admit, unless the table is full: then what goes makes room for what comes, and what was admitted
 * by the former alone waits for the latter.
 */
int kf_policy_key_list_apply(struct kf_policy *policy, uint32_t slot,
			     const struct kf_key_list *from, const struct kf_key_list *to);

/* The kf_key_allow entries of one block. Deleting spares those that a block of @keep needs, too. */
int kf_policy_key_list_put(struct kf_policy *policy, uint32_t slot, const struct kf_cidr *cidr);
int kf_policy_key_list_delete(struct kf_policy *policy, uint32_t slot, const struct kf_cidr *cidr,
			      const struct kf_cidr *keep, uint32_t keep_count);

#endif
