// SPDX-License-Identifier: GPL-2.0-only
#include "policy/mend.h"

#include <string.h>

#include "clock.h"
#include "log.h"
#include "policy/policy.h"

#define PAUSE_FIRST 1000000000ull

const char *kf_policy_mend_name(unsigned int part)
{
	switch (part) {
	case KF_MEND_SERVICES:
		return "services";
	case KF_MEND_SOURCES:
		return "sources";
	case KF_MEND_MODELS:
		return "models";
	case KF_MEND_GROUPS:
		return "groups";
	case KF_MEND_ACCOUNTS:
		return "accounts";
	default:
		return "keys";
	}
}

/* The first try comes soon, for what failed may be over already. */
void kf_policy_mend_note(struct kf_policy *policy, unsigned int part, int err)
{
	struct kf_mend *mend = &policy->mend;

	if (!(mend->parts & part) && !(part == KF_MEND_KEYS && mend->comparing))
		kf_log_error("the kernel may not have all %s as they are stored: %s; it is tried "
			     "again until it has",
			     kf_policy_mend_name(part), strerror(-err));
	if (!mend->parts)
		mend->pause_ns = PAUSE_FIRST;
	mend->parts |= part;
	mend->err = err;
	mend->next_ns = kf_clock_boot() + mend->pause_ns;
}
