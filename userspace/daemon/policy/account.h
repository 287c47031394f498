/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * account.h - accounts, changed in store and kernel together.
 *
 * An account is a wallet in the kernel, on which its keys draw. What it was granted is durable
 * first and then given to the kernel: when the function returns, the next request finds it. Rows
 * are those of store.h, @note is what the ledger keeps with it. 0 or -errno with @why filled:
 * -EEXIST the name is taken, -ENOENT, -EINVAL the sum cannot be, -E2BIG there are too many.
 */
#ifndef KEYFILTER_DAEMON_POLICY_ACCOUNT_H
#define KEYFILTER_DAEMON_POLICY_ACCOUNT_H

#include "store/store.h"

struct kf_policy;
struct kf_why;

/* Sets what the store chooses of @row. */
int kf_policy_account_add(struct kf_policy *policy, struct kf_account_row *row, const char *note,
			  struct kf_why *why);
/* @amount more, which may be negative; *row becomes what it is then. */
int kf_policy_account_grant(struct kf_policy *policy, struct kf_account_row *row, int64_t amount,
			    const char *note, struct kf_why *why);
/* The same of its limit. */
int kf_policy_account_edit(struct kf_policy *policy, struct kf_account_row *row, bool unlimited,
			   struct kf_why *why);
/* The wallet of the account @id says what the store says. */
int kf_policy_account_apply(struct kf_policy *policy, int64_t id);
/* Every account's wallet says what the store says. */
int kf_policy_account_reconcile(struct kf_policy *policy);

/* Of a key that has a quota: its own wallet says what @row says. It is to be done before a slot
 * names it; @fresh: it was another's before. */
void kf_policy_account_key(struct kf_policy *policy, const struct kf_slot_row *row, bool fresh);
/* The last place that a wallet may have. */
uint32_t kf_policy_account_places(const struct kf_policy *policy);

#endif
