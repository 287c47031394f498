// SPDX-License-Identifier: GPL-2.0-only
/* The connections that an interface or a service had before it was filtered. */
#include "attach/iface_impl.h"

#include <errno.h>
#include <net/if.h>
#include <stdlib.h>
#include <string.h>

#include "cleanup.h"
#include "log.h"
#include "maps/maps.h"

/* ---- connections that were there before ------------------------------------------------------ */

struct service_list {
	struct kf_adopt_service services[KF_SERVICES_MAX];
	size_t count;
};

static int add_service(void *context, const struct kf_service_row *row)
{
	struct service_list *list = context;
	struct kf_adopt_service *service;

	if (list->count == KF_SERVICES_MAX)
		return -E2BIG; /* cannot be: the store has as many indexes */
	service = &list->services[list->count++];
	memcpy(service->addr, row->addr, sizeof(service->addr));
	service->port = row->port;
	service->index = (__u8)row->index;
	return 0;
}

static int adopt(struct kf_daemon *daemon, const struct kf_iface_row *row,
		 struct kf_adopt_result *result, struct kf_why *why)
{
	_cleanup_free_ struct service_list *list = calloc(1, sizeof(*list));
	char name[IFNAMSIZ];
	int err;

	if (!list)
		return kf_why_set(why, -ENOMEM, "no memory to look at connections; free some");
	err = kf_store_service_each(daemon->store, add_service, list);
	if (err)
		return kf_why_set(why, err, "cannot read the services: %s; see the log",
				  strerror(-err));
	return kf_attach_adopt_run(
		kf_attach_iface_name(kf_attach_iface_find(daemon, row->dev), row, name),
		kf_maps_fd(daemon->maps, KF_MAP_kf_flows), list->services, list->count,
		row->reset ? KF_EXISTING_RESET : KF_EXISTING_ADOPT,
		kf_maps_config(daemon->maps)->flow_secret, result, why);
}

void kf_attach_iface_existing(struct kf_daemon *daemon, const struct kf_iface_row *row,
			      struct kf_iface *iface)
{
	iface->existing = (struct kf_adopt_result){ 0 };
	iface->error = (struct kf_why){ 0 };
	if (adopt(daemon, row, &iface->existing, &iface->error))
		kf_log_warning("%s: existing connections: %s", row->dev, iface->error.text);
}

/* ---- connections of a service that is new ---------------------------------------------------- */

static void adopt_again(struct kf_daemon *daemon, const struct kf_iface_row *row,
			struct kf_iface *iface)
{
	kf_attach_iface_existing(daemon, row, iface);
	if (iface->existing.adopted || iface->existing.reset)
		kf_log_notice("%s: %u existing connections adopted, %u reset", row->dev,
			      iface->existing.adopted, iface->existing.reset);
}

static int adopt_one(void *context, const struct kf_iface_row *row)
{
	struct kf_daemon *daemon = context;
	struct kf_iface *iface = kf_attach_iface_remember(daemon, row->dev);

	if (iface && kf_attach_is_on(daemon->attach, row->dev, row->mode))
		adopt_again(daemon, row, iface);
	return 0;
}

/*
 * Another interface is being attached or detached, so the kernel cannot be asked about this one.
 * Where this daemon attached it the connections are adopted now, since their next packets may be
 * here before the other is done.
 */
static int adopt_known(void *context, const struct kf_iface_row *row)
{
	struct kf_daemon *daemon = context;
	struct kf_iface *iface = kf_attach_iface_remember(daemon, row->dev);

	if (!iface)
		return 0;
	if (iface->ifindex)
		adopt_again(daemon, row, iface);
	else
		iface->adopt_due = true;
	return 0;
}

static int adopt_due(void *context, const struct kf_iface_row *row)
{
	struct kf_daemon *daemon = context;
	struct kf_iface *iface = kf_attach_iface_find(daemon, row->dev);

	if (!iface || !iface->adopt_due)
		return 0;
	iface->adopt_due = false;
	return adopt_one(daemon, row);
}

static int begin_adopt(struct kf_attach_task *task)
{
	kf_attach_iface_each(((struct kf_iface_change *)task)->daemon, adopt_due);
	return 0;
}

static void end_change(struct kf_attach_task *task, int result)
{
	free(task);
}

void kf_attach_iface_adopt(struct kf_daemon *daemon)
{
	const struct kf_iface_row none = { 0 };
	struct kf_iface_change *change;

	if (!kf_attach_queue_is_busy(daemon->attaching)) {
		kf_attach_iface_each(daemon, adopt_one);
		return;
	}
	kf_attach_iface_each(daemon, adopt_known);
	change = kf_attach_iface_change(daemon, &none);
	if (!change) {
		kf_log_error("no memory to look at connections; free some, and restart keyfilterd");
		return;
	}
	change->task = (struct kf_attach_task){ .begin = begin_adopt, .end = end_change };
	kf_attach_queue_add_first(daemon->attaching, &change->task);
}
