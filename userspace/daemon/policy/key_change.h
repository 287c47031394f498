/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * key_change.h - what the changes of a key share: edit, disable, delete, rotate.
 *
 * What a change begins with, and how it explains what stopped it. 0 or -errno with @why filled.
 */
#ifndef KEYFILTER_DAEMON_POLICY_KEY_CHANGE_H
#define KEYFILTER_DAEMON_POLICY_KEY_CHANGE_H

#include "policy/key_slot.h"

/* Everything the store knows of the key. */
int kf_policy_key_change_find(struct kf_policy *policy, const char *id, struct kf_key_state *state,
			      struct kf_why *why);
/*
 * The parts of disabling, enabling and deleting a key, in this order: what the kernel refuses
 * before that is durable; the store's row; and, once that is durable, what the kernel is given
 * beside and what leaves it. A crash behind the first leaves a kernel that refuses, until the next
 * start reads from the store that nobody was told of a revocation. One behind the second leaves, of
 * a deleted key, tags that lead to deleted slots, which the next start removes before it gives a
 * slot away. fail returns @err: making it durable failed, and what the kernel refuses it goes on to
 * refuse.
 */
void kf_policy_key_change_close(struct kf_policy *policy, enum kf_key_action action,
				const struct kf_key_state *state);
int kf_policy_key_change_store(struct kf_policy *policy, enum kf_key_action action,
			       struct kf_key_state *state);
int kf_policy_key_change_fail(struct kf_policy *policy, enum kf_key_action action, int err,
			      struct kf_key_state *state, struct kf_why *why);
void kf_policy_key_change_end(struct kf_policy *policy, enum kf_key_action action,
			      const struct kf_key_state *state);

/*
 * -ENOSPC: kf_key_allow has no room for @allow in @slots more slots, @fewer entries being gone;
 * -EAGAIN: as kf_policy_key_change_explain_loading().
 */
int kf_policy_key_change_check_room(const struct kf_policy *policy,
				    const struct kf_key_state *state, uint32_t slots,
				    const struct kf_cidr *allow, uint32_t allow_count,
				    uint64_t fewer, struct kf_why *why);
/*
 * Where @edit changes the list of @old, @edit comes to replace it by @list, which is what the
 * changes make of it. -EINVAL: a block that is to leave is not there, or also to join; the list
 * would begin or end by it, and the key be served from one address or from anywhere; too many
 * blocks.
 */
int kf_policy_key_change_allow(const struct kf_key_state *old, struct kf_policy_key_edit *edit,
			       struct kf_cidr list[static KF_KEY_ALLOW_MAX], struct kf_why *why);
/* Reads the labels of @row, and what @edit makes of them. -EINVAL: too many. */
int kf_policy_key_change_labels(struct kf_policy *policy, const struct kf_key_row *row,
				const struct kf_policy_key_edit *edit, struct kf_key_labels *old,
				struct kf_key_labels *out, struct kf_why *why);
/* The kernel has the ends of all credentials of @state, as @row and their graces want them. */
void kf_policy_key_change_expires(struct kf_policy *policy, const struct kf_key_state *state,
				  const struct kf_key_row *row);

/* These return @err. @why says: nothing has changed, or it is not known whether anything has. */
int kf_policy_key_change_explain_store(struct kf_policy *policy, int err, struct kf_why *why);
/* The kernel refuses, and is held to *more (hold.h); that is not durable, or it is not known. */
int kf_policy_key_change_hold(struct kf_policy *policy, int err, const struct kf_hold *more,
			      struct kf_why *why);
/* The kernel did not take it; @stored: the store has it. */
int kf_policy_key_change_explain_maps(int err, bool stored, struct kf_why *why);
/* -EAGAIN: it needs to know all places, see kf_policy_load(). */
int kf_policy_key_change_explain_loading(struct kf_why *why);

#endif
