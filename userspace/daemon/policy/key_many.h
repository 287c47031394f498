/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * key_many.h - one change of many keys: of all that a query finds.
 *
 * It goes through them in order of creation, in slices that leave room for revocations, and what a
 * slice has done stays done: where one fails, or the daemon ends, the keys before it are changed
 * and those behind it are not; asking again does the rest. Keys that are made meanwhile are left
 * alone. What revokes is in the kernel before it is durable, as for one key. The loop's thread.
 */
#ifndef KEYFILTER_DAEMON_POLICY_KEY_MANY_H
#define KEYFILTER_DAEMON_POLICY_KEY_MANY_H

#include "policy/key.h"

struct kf_key_many;

/*
 * @query: limit and after are not used; its strings, and @edit with all that it points to (NULL but
 * for KF_KEY_ACTION_EDIT), are borrowed until kf_policy_key_many_close(). 0 or -errno with @why.
 */
int kf_policy_key_many_open(struct kf_key_many **out, struct kf_policy *policy,
			    enum kf_key_action action, const struct kf_key_query *query,
			    const struct kf_policy_key_edit *edit, struct kf_why *why);

/*
 * Goes on for about a millisecond. 1: call again; 0: all are changed; -errno with @why: the rest is
 * as it was.
 */
int kf_policy_key_many_step(struct kf_key_many *many, struct kf_why *why);

/* How many keys were found so far, and how many of them are other than they were. */
void kf_policy_key_many_counts(const struct kf_key_many *many, uint64_t *found, uint64_t *changed);
void kf_policy_key_many_close(struct kf_key_many *many); /* NULL is fine */

/* Does it (NULL: none) put keys into the group with this index, or hold them to this set? */
bool kf_policy_key_many_is_for(const struct kf_key_many *many, uint32_t group);
bool kf_policy_key_many_has_models(const struct kf_key_many *many, uint32_t models);

#endif
