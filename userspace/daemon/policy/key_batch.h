/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * key_batch.h - new keys, all of them or none, made in slices that leave room for revocations.
 *
 * A few are stored in one transaction. Many are stored in many: they are noted as not there yet
 * (store/batch.c) until the last of them is durable, and what a failure or a crash leaves of them
 * is removed, in slices too, or at the next start. Then the kernel gets them, slots before tags.
 * The loop's thread; a finished batch is its owner's alone, and any thread may read and close it.
 * 0 or -errno with @why.
 */
#ifndef KEYFILTER_DAEMON_POLICY_KEY_BATCH_H
#define KEYFILTER_DAEMON_POLICY_KEY_BATCH_H

#include "policy/key.h"

#define KF_KEY_BATCH_SMALL 32 /* up to so many are made in one step */

struct kf_key_batch;

/*
 * @wish is copied. -ENOSPC: no room for so many keys, or for their allow lists; -EBUSY: many keys
 * are being made already; -EAGAIN: what was left of some is being removed, or kf_policy_load() has
 * not come to its end; -ENOMEM.
 */
int kf_policy_key_batch_open(struct kf_key_batch **out, struct kf_policy *policy,
			     const struct kf_key_wish *wish, uint32_t quantity, struct kf_why *why);

/*
 * Goes on for about a millisecond, unless all keys are being compared. 1: call again; 0: all are
 * durable and enforced; -errno: none is. A batch that is closed before leaves none either.
 */
int kf_policy_key_batch_step(struct kf_key_batch *batch, struct kf_why *why);
void kf_policy_key_batch_close(struct kf_key_batch *batch); /* wipes the keys; NULL is fine */

/* Does it (NULL: none) make keys in the group with this index, or held to this set of models? */
bool kf_policy_key_batch_is_for(const struct kf_key_batch *batch, uint32_t group);
bool kf_policy_key_batch_has_models(const struct kf_key_batch *batch, uint32_t models);

/* Each of a finished batch: as it is in the first moment, unused. */
int kf_policy_key_batch_each(const struct kf_key_batch *batch, kf_key_made_fn made, void *context);

/*
 * Removes what an unfinished batch has left in the store, for about a millisecond. 1: there is
 * more; 0: nothing is left (or a batch is being made: what is there is its own). Housekeeping.
 */
int kf_policy_key_batch_clean(struct kf_policy *policy);

#endif
