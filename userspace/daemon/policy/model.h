/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * model.h - the models that are known, and the sets of them that groups and keys are held to.
 *
 * A set is names and patterns; a pattern ends with '*' and stands for every known model whose name
 * begins with what is before it, from the moment on that such a one becomes known. In the kernel a
 * set is the names alone, each by its tag. Equal sets are one, which goes when no group and no key
 * is held to it any more. 0 or -errno with @why filled: -EEXIST, -ENOENT, -E2BIG the kernel has no
 * room.
 */
#ifndef KEYFILTER_DAEMON_POLICY_MODEL_H
#define KEYFILTER_DAEMON_POLICY_MODEL_H

#include "store/store.h"

struct kf_policy;
struct kf_why;

/* From here on the model is known, or no longer; every pattern is resolved anew. */
int kf_policy_model_add(struct kf_policy *policy, const struct kf_model_row *row,
			struct kf_why *why);
int kf_policy_model_remove(struct kf_policy *policy, const char *name, struct kf_why *why);

/* Its prices and what is known of it. */
int kf_policy_model_edit(struct kf_policy *policy, const struct kf_model_row *row,
			 struct kf_why *why);

/*
 * The set of @names, as struct kf_model_set_row has them ("": 0, which is all): durable, and in the
 * kernel. A caller that has taken a set, and in the end holds no group and no key to it, releases
 * it.
 */
int kf_policy_model_take(struct kf_policy *policy, const char *names, uint32_t *set,
			 struct kf_why *why);
void kf_policy_model_release(struct kf_policy *policy, uint32_t set);

/* The names that a set stands for now, each once, in no order. In a reading thread, too. */
int kf_policy_model_resolve(struct kf_store *store, const char *names, kf_model_fn fn,
			    void *context);

/* A price by a multiplier, rounded up to a micro-unit. */
int64_t kf_policy_model_price(int64_t price, int64_t multiplier);

/* The kernel has all sets as they are stored and resolved. */
int kf_policy_model_reconcile(struct kf_policy *policy);

#endif
