// SPDX-License-Identifier: GPL-2.0-only
#include <errno.h>

#include "cleanup.h"
#include "policy/policy.h"
#include "policy/source.h"

struct expired {
	struct kf_source_row *rows;
	uint32_t count;
};

static int collect(void *context, const struct kf_source_row *row)
{
	struct expired *expired = context;

	expired->rows[expired->count++] = *row;
	return 0;
}

/* Rows go by the earlier time: one that is gone does not come back when the clock is corrected. */
static int64_t over_by(const struct kf_policy *policy)
{
	const struct kf_clock now = kf_policy_time(policy);

	return now.wall_ns - now.doubt_ns;
}

/* What is gone from the store goes from the kernel: a slice of it. 1: there is more. */
static int refresh_expired(struct kf_policy *policy)
{
	struct kf_policy_source_refresh *refresh;
	int more = 0;

	while (!more && policy->expired_count) {
		refresh = &policy->expired[policy->expired_count - 1];
		more = kf_policy_source_refresh_some(policy, refresh);
		if (more > 0)
			break;
		if (more < 0)
			kf_policy_mend_note(policy, KF_MEND_SOURCES, more);
		more = 0;
		policy->expired_count--;
	}
	return more;
}

static void add_expired(struct kf_policy *policy, const struct kf_cidr *cidr)
{
	kf_policy_source_refresh_begin(&policy->expired[policy->expired_count++], cidr);
}

static int remove_expired(struct kf_policy *policy, const struct expired *expired)
{
	_cleanup_(kf_store_rollbackp) struct kf_store *open = policy->store;
	int err = kf_store_begin(open);

	for (uint32_t i = 0; !err && i < expired->count; i++)
		err = kf_store_source_remove(open, &expired->rows[i].cidr, expired->rows[i].action);
	return err ? err : kf_store_commit(open);
}

/*
 * The programs have gone by the times already, so nothing opens or closes here. Durable in one
 * transaction; entries that a crash leaves in the maps are in force no longer, and go at the start.
 */
int kf_policy_source_expire(struct kf_policy *policy)
{
	struct kf_source_row rows[KF_RECONCILE_EXPIRED];
	struct expired expired = { .rows = rows };
	int64_t now = over_by(policy);
	struct kf_cidr held;
	int err;

	if (refresh_expired(policy))
		return 1;
	while (policy->expired_count < KF_RECONCILE_EXPIRED &&
	       kf_policy_hold_source_expire(policy->holds, now, &held))
		add_expired(policy, &held);
	if (policy->expired_count)
		return refresh_expired(policy), 1;
	err = kf_store_source_expired(policy->store, now, KF_RECONCILE_EXPIRED, collect, &expired);
	if (err || !expired.count)
		return err;
	err = remove_expired(policy, &expired);
	kf_policy_revoke(policy, KF_REVOKED_SOURCES); /* an allowance may have ended */
	for (uint32_t i = 0; !err && i < expired.count; i++)
		add_expired(policy, &rows[i].cidr);
	return err ? err : refresh_expired(policy) || expired.count == KF_RECONCILE_EXPIRED;
}
