// SPDX-License-Identifier: GPL-2.0-only
#include "policy/policy.h"

struct kf_clock kf_policy_time(const struct kf_policy *policy)
{
	const struct kf_clock raw = kf_clock_now();

	return kf_policy_walltime_at(&policy->walltime, &raw);
}

void kf_policy_revoke(struct kf_policy *policy, unsigned int what)
{
	policy->revoked |= what;
}

bool kf_policy_has_revoked(const struct kf_policy *policy)
{
	return policy->revoked;
}

unsigned int kf_policy_take_revoked(struct kf_policy *policy)
{
	unsigned int what = policy->revoked;

	policy->revoked = 0;
	return what;
}
