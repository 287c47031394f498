// SPDX-License-Identifier: GPL-2.0-only
/* What has come to its end leaves the store and the maps. */
#include "policy/expire.h"

#include "policy/key.h"
#include "policy/key_batch.h"
#include "policy/policy.h"
#include "policy/source.h"

#define SECRETS_AT_ONCE 32

/* Keys whose time came since the last call. The programs know by themselves, at a packet. */
static int note_lapsed(struct kf_policy *policy)
{
	int64_t now = kf_policy_time(policy).wall_ns;
	bool any = false;
	int err = kf_store_key_lapsed(policy->store, policy->lapsed_until, now, &any);

	if (err)
		return err;
	policy->lapsed_until = now;
	if (any)
		kf_policy_revoke(policy, KF_REVOKED_KEYS);
	return 0;
}

/* A comparison of all keys comes first: what goes then has to be where it is looked for. */
static int expire_keys(struct kf_policy *policy)
{
	return policy->keys ? 0 : kf_policy_key_expire(policy, SECRETS_AT_ONCE);
}

int kf_policy_expire(struct kf_policy *policy)
{
	int more = note_lapsed(policy);

	/* what is deleted does not come back when the clock is corrected */
	if (kf_policy_walltime_is_sure(&policy->walltime)) {
		if (!more)
			more = kf_policy_source_expire(policy);
		if (!more)
			more = expire_keys(policy);
	}
	if (!more && !policy->keys)
		more = kf_policy_key_batch_clean(policy);
	return more;
}
