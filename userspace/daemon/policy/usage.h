/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * usage.h - reports of what requests have used: booked, many in one transaction, then in force.
 */
#ifndef KEYFILTER_DAEMON_POLICY_USAGE_H
#define KEYFILTER_DAEMON_POLICY_USAGE_H

#include "store/store.h"

struct kf_policy;
struct kf_why;

/*
 * Books the report in @usage (key, request, model, counts) in the transaction that is open; time
 * and cost are set. 0; 1: it was booked before; or -errno with @why, and nothing is booked: -ENOENT
 * no such key or model, -ENODATA no price, -EINVAL the counts cannot be, -EEXIST the request was
 * reported with other ones, else the store fails, and the transaction is to be rolled back.
 */
int kf_policy_usage_book(struct kf_policy *policy, struct kf_usage_row *usage, struct kf_why *why);
/* Is it the report's fault, and not the store's? */
bool kf_policy_usage_is_refused(int err);
/* The transaction is durable: the kernel goes by what key and account have spent. */
int kf_policy_usage_apply(struct kf_policy *policy, const char *key);

#endif
