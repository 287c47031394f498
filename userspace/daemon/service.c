// SPDX-License-Identifier: GPL-2.0-only
#include "service.h"

#include <errno.h>
#include <string.h>

#include "cleanup.h"
#include "reconcile.h"
#include "why.h"

static int explain(struct kf_reconcile *reconcile, int err, const char *name, struct kf_why *why)
{
	switch (err) {
	case -EEXIST:
		return kf_why_set(why, err,
				  "the name %s, or its address and port, are taken; see "
				  "keyfilterctl service list",
				  name);
	case -ENOENT:
		return kf_why_set(why, err, "there is no service %s; see keyfilterctl service list",
				  name);
	case -E2BIG:
		return kf_why_set(why, err,
				  "there is no room for service %s, %d are there; remove one", name,
				  KF_SERVICES_MAX);
	default:
		return kf_why_set(why, err,
				  "cannot store service %s: %s; see to the disk of the state "
				  "directory",
				  name, kf_store_error(reconcile->store));
	}
}

static int explain_maps(int err, const char *name, struct kf_why *why)
{
	return kf_why_set(why, err,
			  "the kernel did not take service %s: %s; see the kernel log, and "
			  "restart keyfilterd",
			  name, strerror(-err));
}

/*
 * Durable first: a crash in between is mended by the next start, before it serves anyone. If the
 * kernel fails, the store is taken back, and the maps brought back to it as far as they will.
 */
int kf_service_add(struct kf_reconcile *reconcile, struct kf_service_row *row, struct kf_why *why)
{
	int err = kf_store_service_add(reconcile->store, row);

	if (err)
		return explain(reconcile, err, row->name, why);
	err = kf_reconcile_services(reconcile);
	if (!err)
		return 0;
	kf_store_service_remove(reconcile->store, row->name);
	kf_reconcile_services(reconcile);
	return explain_maps(err, row->name, why);
}

int kf_service_edit(struct kf_reconcile *reconcile, const struct kf_service_row *row,
		    struct kf_why *why)
{
	int err = kf_store_service_update(reconcile->store, row);

	if (err)
		return explain(reconcile, err, row->name, why);
	err = kf_reconcile_services(reconcile);
	return err ? explain_maps(err, row->name, why) : 0;
}

int kf_service_remove(struct kf_reconcile *reconcile, const char *name, struct kf_why *why)
{
	int err = kf_store_service_remove(reconcile->store, name);

	if (err)
		return explain(reconcile, err, name, why);
	err = kf_reconcile_services(reconcile);
	return err ? explain_maps(err, name, why) : 0;
}
