/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * reconcile.h - the maps brought to what the store says, by the difference alone.
 *
 * Each compiles what the store has (compile.h), compares it with what the maps hold and applies
 * the difference in an order that opens nothing meanwhile; it may be called again at any time. 0 or
 * -errno.
 */
#ifndef KEYFILTER_DAEMON_POLICY_RECONCILE_H
#define KEYFILTER_DAEMON_POLICY_RECONCILE_H

struct kf_policy;
struct kf_why;

int kf_policy_reconcile_services(struct kf_policy *policy);
int kf_policy_reconcile_sources(struct kf_policy *policy);
int kf_policy_reconcile_answers(struct kf_policy *policy);
int kf_policy_reconcile_keys(struct kf_policy *policy, struct kf_why *why);

#endif
