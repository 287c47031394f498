/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * key_slot.h - the kernel's side of one key: its credentials' slots, tags and allow-list entries.
 *
 * A slot is filled whole before its tag is added, and is free again only when its tag is gone. 0 or
 * -errno.
 */
#ifndef KEYFILTER_DAEMON_POLICY_KEY_SLOT_H
#define KEYFILTER_DAEMON_POLICY_KEY_SLOT_H

#include "policy/hold.h"
#include "policy/key.h"
#include "policy/key_list.h"
#include "policy/policy.h"

/* Credentials of one key: the current one, and those whose grace is not over. */
#define KF_KEY_CREDENTIALS_MAX 64

/* As the store has it, but for hold and list. */
struct kf_key_state {
	struct kf_key_row row;
	struct kf_hold hold;	 /* hold.what 0: nothing; its allow list is in `list`: */
	struct kf_key_list list; /* the allow list as it is in force */
	struct kf_cidr allow[KF_KEY_ALLOW_MAX];
	uint32_t allow_count;
	struct kf_credential_row credentials[KF_KEY_CREDENTIALS_MAX]; /* the current one is last */
	uint32_t credential_count;
};

/* Everything the store knows of a key. */
int kf_policy_key_slot_state(struct kf_policy *policy, const struct kf_key_row *row,
			     struct kf_key_state *state);

/*
 * What the slot of one credential must say, @allowlist being of the store and @hold (NULL: nothing)
 * narrowing it; its rate_slot, if it is the current one.
 */
void kf_policy_key_slot_wanted(struct kf_policy *policy, const struct kf_key_row *row,
			       const struct kf_hold *hold, bool allowlist,
			       const struct kf_credential_row *credential, struct kf_slot *slot);
/* The key's own wallet says what the row says, if it has one; @fresh: it was another's before. */
void kf_policy_key_slot_wallet(struct kf_policy *policy, const struct kf_key_row *row, bool fresh);
/*
 * All of the key's slots say so, and its wallet, with what is held of it; its allow list is another
 * matter.
 */
void kf_policy_key_slot_write_all(struct kf_policy *policy, const struct kf_key_row *row,
				  bool allowlist, const struct kf_key_state *state);

/*
 * Writes allow list and slot, with what is held of the key; nothing leads to it yet: kf_tags is the
 * caller's, last. The allow list counts from here on, whatever is returned, until
 * kf_policy_key_slot_drop().
 */
int kf_policy_key_slot_fill(struct kf_policy *policy, const struct kf_key_row *row,
			    const struct kf_cidr *allow, uint32_t allow_count,
			    const struct kf_credential_row *credential);

/* One aligned store for each credential. */
void kf_policy_key_slot_status(struct kf_policy *policy, const struct kf_key_state *state,
			       enum kf_key_status status);

/*
 * Takes a credential, closed and out of the store already, out of the kernel: tag, allow list,
 * slot. What fails stays closed, and goes at the next start.
 */
void kf_policy_key_slot_drop(struct kf_policy *policy, const struct kf_credential_row *credential,
			     const struct kf_cidr *allow, uint32_t allow_count);

/* The same, but the slot stays taken. False: it could not be emptied, and must stay so. */
bool kf_policy_key_slot_clear(struct kf_policy *policy, const struct kf_credential_row *credential,
			      const struct kf_cidr *allow, uint32_t allow_count);

/*
 * Adds what was counted on a credential to its key's row, before the credential goes; nothing where
 * its place is not its own yet (reconcile_keys.h).
 */
void kf_policy_key_slot_keep_counts(const struct kf_policy *policy,
				    const struct kf_credential_row *credential,
				    struct kf_key_row *row);

/* How many entries the list needs, for one slot. */
uint32_t kf_policy_key_slot_allow_entries(const struct kf_cidr *allow, uint32_t count);
/* -ENOSPC: kf_key_allow has no room for @more entries. */
int kf_policy_key_slot_allow_room(const struct kf_policy *policy, uint64_t more);

#endif
