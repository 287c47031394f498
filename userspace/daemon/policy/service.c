// SPDX-License-Identifier: GPL-2.0-only
#include "policy/service.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>

#include "cleanup.h"
#include "policy/policy.h"
#include "policy/reconcile.h"
#include "why.h"

/* @named: the name can be what is taken, since the service is a new one. */
static int explain(struct kf_policy *policy, int err, const char *name, bool named,
		   struct kf_why *why)
{
	struct kf_service_row row;

	switch (err) {
	case -EEXIST:
		if (named && !kf_store_service_get(policy->store, name, &row))
			return kf_why_set(why, err,
					  "there is a service %s already; give another name, or "
					  "change that one with `keyfilterctl service edit %s`",
					  name, name);
		return kf_why_set(why, err,
				  "another service has that address and port; see `keyfilterctl "
				  "service list`, and change that one or give another");
	case -ENOENT:
		return kf_why_set(why, err, "there is no service %s; see keyfilterctl service list",
				  name);
	case -E2BIG:
		return kf_why_set(why, err,
				  "there is no room for service %s, %d are there; remove one", name,
				  KF_SERVICES_MAX);
	default:
		return kf_why_set(why, err, "cannot store service %s: %s; %s, %s", name,
				  kf_store_error(policy->store),
				  kf_store_is_unsure(policy->store)
					  ? "it is not known whether the change is stored; until "
					    "it is, the kernel goes by what was before"
					  : "it is as before",
				  kf_store_mend(err));
	}
}

static int explain_maps(int err, const char *name, bool stored, struct kf_why *why)
{
	return kf_why_set(
		why, err,
		"the kernel did not take service %s: %s; %s; if memory is short, free some", name,
		strerror(-err),
		stored ? "the change is stored, and tried again until the kernel has it"
		       : "it is as before");
}

/*
 * The kernel failed half-way: it is brought to what the store says, which is what it was before, or
 * else what it is to be. What cannot be brought there now is tried again.
 */
static int settle(struct kf_policy *policy, int err, const char *name, bool stored,
		  struct kf_why *why)
{
	int again = kf_policy_reconcile_services(policy);

	if (again)
		kf_policy_mend_note(policy, KF_MEND_SERVICES, again);
	return explain_maps(err, name, stored, why);
}

/*
 * Durable first: a crash in between is mended by the next start, before it serves anyone. If the
 * kernel fails, the store is taken back, so that an error is no change.
 */
int kf_policy_service_add(struct kf_policy *policy, struct kf_service_row *row, struct kf_why *why)
{
	int err = kf_store_service_add(policy->store, row);

	if (err)
		return explain(policy, err, row->name, true, why);
	err = kf_policy_reconcile_services(policy);
	if (!err)
		return 0;
	return settle(policy, err, row->name, kf_store_service_remove(policy->store, row->name),
		      why);
}

int kf_policy_service_edit(struct kf_policy *policy, const struct kf_service_row *row,
			   struct kf_why *why)
{
	struct kf_service_row old;
	int err = kf_store_service_get(policy->store, row->name, &old);

	if (!err)
		err = kf_store_service_update(policy->store, row);
	if (err)
		return explain(policy, err, row->name, false, why);
	err = kf_policy_reconcile_services(policy);
	if (!err)
		return 0;
	return settle(policy, err, row->name, kf_store_service_update(policy->store, &old), why);
}

int kf_policy_service_remove(struct kf_policy *policy, const char *name, struct kf_why *why)
{
	struct kf_service_row old;
	int err = kf_store_service_get(policy->store, name, &old);

	if (!err)
		err = kf_store_service_remove(policy->store, name);
	if (err)
		return explain(policy, err, name, false, why);
	err = kf_policy_reconcile_services(policy);
	if (!err)
		return 0;
	return settle(policy, err, name, kf_store_service_restore(policy->store, &old), why);
}
