// SPDX-License-Identifier: GPL-2.0-only
#include "policy/service.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>

#include "cleanup.h"
#include "policy/reconcile.h"
#include "why.h"

/* @named: the name can be what is taken, since the service is a new one. */
static int explain(struct kf_reconcile *reconcile, int err, const char *name, bool named,
		   struct kf_why *why)
{
	struct kf_service_row row;

	switch (err) {
	case -EEXIST:
		if (named && !kf_store_service_get(reconcile->store, name, &row))
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
		return kf_why_set(
			why, err, "cannot store service %s: %s; %s, %s", name,
			kf_store_error(reconcile->store),
			kf_store_is_unsure(reconcile->store)
				? "it is not known whether the change is stored; until it is, the "
				  "kernel goes by what was before"
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
static int settle(struct kf_reconcile *reconcile, int err, const char *name, bool stored,
		  struct kf_why *why)
{
	int again = kf_reconcile_services(reconcile);

	if (again)
		kf_mend_note(reconcile, KF_MEND_SERVICES, again);
	return explain_maps(err, name, stored, why);
}

/*
 * Durable first: a crash in between is mended by the next start, before it serves anyone. If the
 * kernel fails, the store is taken back, so that an error is no change.
 */
int kf_service_add(struct kf_reconcile *reconcile, struct kf_service_row *row, struct kf_why *why)
{
	int err = kf_store_service_add(reconcile->store, row);

	if (err)
		return explain(reconcile, err, row->name, true, why);
	err = kf_reconcile_services(reconcile);
	if (!err)
		return 0;
	return settle(reconcile, err, row->name,
		      kf_store_service_remove(reconcile->store, row->name), why);
}

int kf_service_edit(struct kf_reconcile *reconcile, const struct kf_service_row *row,
		    struct kf_why *why)
{
	struct kf_service_row old;
	int err = kf_store_service_get(reconcile->store, row->name, &old);

	err = err ?: kf_store_service_update(reconcile->store, row);
	if (err)
		return explain(reconcile, err, row->name, false, why);
	err = kf_reconcile_services(reconcile);
	if (!err)
		return 0;
	return settle(reconcile, err, row->name, kf_store_service_update(reconcile->store, &old),
		      why);
}

int kf_service_remove(struct kf_reconcile *reconcile, const char *name, struct kf_why *why)
{
	struct kf_service_row old;
	int err = kf_store_service_get(reconcile->store, name, &old);

	err = err ?: kf_store_service_remove(reconcile->store, name);
	if (err)
		return explain(reconcile, err, name, false, why);
	err = kf_reconcile_services(reconcile);
	if (!err)
		return 0;
	return settle(reconcile, err, name, kf_store_service_restore(reconcile->store, &old), why);
}
