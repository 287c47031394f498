/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * group.h - groups of keys, changed in store and kernel together.
 *
 * A group is one record in the kernel, which its keys' slots name: a change of it is one store,
 * whatever the number of its keys, and in force when the function returns. What closes is in the
 * kernel before it is durable, and stays so where it could not be stored; what opens comes after
 * it. Rows are those of store.h. 0 or -errno with @why filled: -EEXIST the name is taken, -ENOENT,
 * -ENOTEMPTY keys are in it, -E2BIG.
 */
#ifndef KEYFILTER_DAEMON_POLICY_GROUP_H
#define KEYFILTER_DAEMON_POLICY_GROUP_H

#include <stdbool.h>

#include "store/store.h"

struct kf_policy;
struct kf_why;

int kf_policy_group_add(struct kf_policy *policy, struct kf_group_row *row, struct kf_why *why);
int kf_policy_group_edit(struct kf_policy *policy, const struct kf_group_row *row,
			 struct kf_why *why);
int kf_policy_group_remove(struct kf_policy *policy, const char *name, struct kf_why *why);

/* What the keys of the group in this place (0: of none) may use now, as the kernel has it. */
uint32_t kf_policy_group_protocols(const struct kf_policy *policy, uint32_t index);
/* Is any group held to this set of models (model.h), whatever is stored? */
bool kf_policy_group_holds_models(const struct kf_policy *policy, uint32_t set);
/* Every record says what the store says, less what is held. */
int kf_policy_group_reconcile(struct kf_policy *policy);

/* One line for each group of which the kernel refuses more than is stored. */
typedef void (*kf_group_held_fn)(void *context, const char *text);
void kf_policy_group_describe(const struct kf_policy *policy, kf_group_held_fn fn, void *context);

#endif
