// SPDX-License-Identifier: GPL-2.0-only
#include "attach/iface.h"

#include <errno.h>
#include <net/if.h>
#include <stdlib.h>
#include <string.h>

#include "attach/iface_guard.h"
#include "base/ask.h"
#include "cleanup.h"
#include "clock.h"
#include "log.h"
#include "maps/maps.h"
#include "why.h"

/* What this daemon knows of an interface beyond store and kernel. */
struct kf_iface {
	struct kf_iface *next;
	char dev[IFNAMSIZ];
	unsigned int ifindex; /* where we attached it; 0: nowhere yet */
	struct kf_adopt_result existing;
	struct kf_why error;
	struct kf_attach_iface_guard guard;
};

/* ---- what is remembered ---------------------------------------------------------------------- */

static struct kf_iface *find(struct kf_daemon *daemon, const char *dev)
{
	struct kf_iface *iface = daemon->ifaces;

	while (iface && strcmp(iface->dev, dev))
		iface = iface->next;
	return iface;
}

/* Of @dev, made where there is none; NULL without memory. */
static struct kf_iface *remember(struct kf_daemon *daemon, const char *dev)
{
	struct kf_iface *iface = find(daemon, dev);

	if (iface)
		return iface;
	iface = calloc(1, sizeof(*iface));
	if (!iface)
		return NULL;
	snprintf(iface->dev, sizeof(iface->dev), "%s", dev);
	iface->next = daemon->ifaces;
	daemon->ifaces = iface;
	return iface;
}

static void forget(struct kf_daemon *daemon, const char *dev)
{
	struct kf_iface **at = &daemon->ifaces;

	while (*at && strcmp((*at)->dev, dev))
		at = &(*at)->next;
	if (*at) {
		struct kf_iface *iface = *at;

		*at = iface->next;
		free(iface);
	}
}

/* What @iface is called now if somebody renamed it: it is filtered under any name. */
static bool is_renamed(const struct kf_iface *iface, char name[static IFNAMSIZ])
{
	return iface && iface->ifindex && if_indextoname(iface->ifindex, name) &&
	       strcmp(name, iface->dev);
}

/*
 * What the interface of @row is called now. Its name says which one is meant, so an interface that
 * has it goes before the one that had it.
 */
static const char *name_of(const struct kf_iface *iface, const struct kf_iface_row *row,
			   char name[static IFNAMSIZ])
{
	return !if_nametoindex(row->dev) && is_renamed(iface, name) ? name : row->dev;
}

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
	return kf_attach_adopt_run(name_of(find(daemon, row->dev), row, name),
				   kf_maps_fd(daemon->maps, KF_MAP_kf_flows), list->services,
				   list->count, row->reset ? KF_EXISTING_RESET : KF_EXISTING_ADOPT,
				   kf_maps_config(daemon->maps)->flow_secret, result, why);
}

/* ---- attaching ------------------------------------------------------------------------------- */

static void adopt_and_remember(struct kf_daemon *daemon, const struct kf_iface_row *row,
			       struct kf_iface *iface)
{
	iface->existing = (struct kf_adopt_result){ 0 };
	iface->error = (struct kf_why){ 0 };
	if (adopt(daemon, row, &iface->existing, &iface->error))
		kf_log_warning("%s: existing connections: %s", row->dev, iface->error.text);
}

/*
 * Attaches, and only where the programs were not there already looks at the connections that they
 * have not seen begin. Fails only if the attaching does; what is remembered is untouched then.
 */
static int attach(struct kf_daemon *daemon, const struct kf_iface_row *row, struct kf_why *why)
{
	struct kf_iface *iface = remember(daemon, row->dev);
	char name[IFNAMSIZ];
	const char *dev;
	bool was_on;
	int err;

	if (!iface)
		return kf_why_set(why, -ENOMEM, "no memory for an interface; free some");
	dev = name_of(iface, row, name);
	was_on = kf_attach_is_on(daemon->attach, dev, row->mode);
	err = kf_attach_add(daemon->attach, dev, row->mode, why);
	if (err)
		return err;
	iface->ifindex = if_nametoindex(dev);
	iface->error = (struct kf_why){ 0 };
	kf_attach_iface_guard_restore(&iface->guard);
	if (was_on)
		return 0;
	adopt_and_remember(daemon, row, iface);
	kf_log_notice("%s: attached (%s), %u existing connections adopted, %u reset", row->dev,
		      kf_attach_mode_name(row->mode), iface->existing.adopted,
		      iface->existing.reset);
	if (kf_attach_is_alone(daemon->attach, row->dev))
		kf_log_warning("%s: this kernel has no freplace, so no other XDP program can run "
			       "beside keyfilter; where one must, attach with --mode tc",
			       row->dev);
	return 0;
}

static int adopt_again(void *context, const struct kf_iface_row *row)
{
	struct kf_daemon *daemon = context;
	struct kf_iface *iface = remember(daemon, row->dev);

	if (!iface || !kf_attach_is_on(daemon->attach, row->dev, row->mode))
		return 0;
	adopt_and_remember(daemon, row, iface);
	if (iface->existing.adopted || iface->existing.reset)
		kf_log_notice("%s: %u existing connections adopted, %u reset", row->dev,
			      iface->existing.adopted, iface->existing.reset);
	return 0;
}

void kf_attach_iface_adopt(struct kf_daemon *daemon)
{
	if (kf_store_iface_each(daemon->store, adopt_again, daemon))
		kf_log_error("cannot read the interfaces: %s; see the store",
			     kf_store_error(daemon->store));
}

/* At the start and when it came back: nobody waits for an answer, so log and status get it. */
static void attach_or_log(struct kf_daemon *daemon, const struct kf_iface_row *row)
{
	struct kf_iface *iface = find(daemon, row->dev);
	struct kf_why why = { 0 };
	char name[IFNAMSIZ];

	if (!if_nametoindex(name_of(iface, row, name))) {
		kf_log_warning("%s: there is no such interface now; it is attached when it comes",
			       row->dev);
		return;
	}
	if (!attach(daemon, row, &why))
		return;
	iface = find(daemon, row->dev);
	if (!iface || strcmp(iface->error.text, why.text)) /* tried again and again: told once */
		kf_log_error("%s: %s", row->dev, why.text);
	if (!iface)
		return;
	iface->error = why;
	kf_attach_iface_guard_fail(&iface->guard, kf_clock_boot());
}

static int open_one(void *context, const struct kf_iface_row *row)
{
	attach_or_log(context, row);
	return 0;
}

void kf_attach_iface_open(struct kf_daemon *daemon)
{
	int err = kf_store_iface_each(daemon->store, open_one, daemon);

	if (err)
		kf_log_error("cannot read the interfaces: %s; see the store",
			     kf_store_error(daemon->store));
}

void kf_attach_iface_close(struct kf_daemon *daemon)
{
	while (daemon->ifaces)
		forget(daemon, daemon->ifaces->dev);
}

/* ---- changes --------------------------------------------------------------------------------- */

static void put_back(struct kf_daemon *daemon, const struct kf_iface_row *row, bool had,
		     const struct kf_iface_row *old)
{
	int err = had ? kf_store_iface_put(daemon->store, old)
		      : kf_store_iface_remove(daemon->store, row->dev);

	if (err)
		kf_log_error("%s: cannot be taken out of the store again: %s; detach it", row->dev,
			     kf_store_error(daemon->store));
	if (!had)
		forget(daemon, row->dev);
}

/* The store first: what is attached and not in the store would be left behind by a crash. */
int kf_attach_iface_add(struct kf_daemon *daemon, const struct kf_iface_row *row,
			struct kf_why *why)
{
	struct kf_iface_row old;
	bool had;
	int err;

	if (daemon->loading)
		return kf_why_set(why, -EAGAIN,
				  "keyfilterd is starting, and the keys are not all in the kernel "
				  "yet; try again in a moment");
	if (!if_nametoindex(row->dev))
		return kf_why_set(why, -ENODEV, "there is no interface '%s'; see `ip link`",
				  row->dev);
	err = kf_store_iface_get(daemon->store, row->dev, &old);
	if (err && err != -ENOENT)
		return kf_why_set(
			why, err,
			"cannot read the store: %s; see to the disk of the state directory",
			kf_store_error(daemon->store));
	had = !err;
	err = kf_store_iface_put(daemon->store, row);
	if (err)
		return kf_why_set(
			why, err,
			"cannot write the store: %s; see to the disk of the state directory",
			kf_store_error(daemon->store));
	err = attach(daemon, row, why);
	if (err)
		put_back(daemon, row, had, &old);
	else
		kf_attach_iface_guard_forget(&find(daemon, row->dev)->guard);
	return err;
}

int kf_attach_iface_remove(struct kf_daemon *daemon, const char *dev, struct kf_why *why)
{
	struct kf_iface_row row;
	char name[IFNAMSIZ];
	int err = kf_store_iface_get(daemon->store, dev, &row);

	if (err)
		return kf_why_set(why, err, "%s is not attached; see `keyfilterctl iface list`",
				  dev);
	err = kf_attach_remove(daemon->attach, dev, why);
	if (!err && is_renamed(find(daemon, dev), name) &&
	    kf_store_iface_get(daemon->store, name, &row) == -ENOENT)
		err = kf_attach_remove(daemon->attach, name, why);
	if (err && err != -ENODEV)
		return err;
	err = kf_store_iface_remove(daemon->store, dev);
	if (err)
		return kf_why_set(why, err,
				  "detached, but the store still has it: %s; see to the disk of "
				  "the state directory, try again",
				  kf_store_error(daemon->store));
	forget(daemon, dev);
	kf_log_notice("%s: detached", dev);
	return 0;
}

void kf_attach_iface_link(void *context, const char *dev, int ifindex, bool up)
{
	struct kf_daemon *daemon = context;
	struct kf_iface_row row;
	char name[IFNAMSIZ];

	if (daemon->loading || kf_store_iface_get(daemon->store, dev, &row))
		return; /* until the keys are in, nothing is attached; then all is */
	if (!up && is_renamed(find(daemon, dev), name))
		kf_log_warning("%s: it is called %s now, and filtered until %s is detached", dev,
			       name, dev);
	else if (!up)
		kf_log_warning("%s: the interface vanished; it is attached when it comes back",
			       dev);
	else if (!kf_attach_is_on(daemon->attach, dev, row.mode))
		attach_or_log(daemon, &row);
}

/* ---- what others take off -------------------------------------------------------------------- */

static const char *effect_of(unsigned int lacks)
{
	if (lacks & KF_ATTACH_LACKS_FILTER)
		return "the filter was";
	switch (lacks) {
	case KF_ATTACH_LACKS_ANSWER:
		return "requests are refused, but nobody is told why: the answering program was";
	case KF_ATTACH_LACKS_EGRESS:
		return "the backend's side is not seen, so connections may be refused, and "
		       "requests "
		       "of dead keys go on: the egress program was";
	default:
		return "connections may be refused, and nobody is told why: the egress and the "
		       "answering program were";
	}
}

static void log_loss(const struct kf_iface_row *row, const struct kf_iface *iface,
		     unsigned int lacks, uint64_t now)
{
	unsigned int wait = kf_attach_iface_guard_wait(&iface->guard, now);

	if (wait)
		kf_log_warning("%s: %s taken off by someone else, %u times of late; attached again "
			       "in %u s, find out who does it",
			       row->dev, effect_of(lacks), iface->guard.lost, wait);
	else
		kf_log_warning("%s: %s taken off by someone else; attaching again", row->dev,
			       effect_of(lacks));
}

/* Programs are loaded over pins, and links are pinned: both must be there. */
int kf_attach_iface_pin_again(struct kf_daemon *daemon)
{
	struct kf_why why = { 0 };
	int count = kf_maps_pin_again(daemon->maps, daemon->pin_dir, &why);

	if (count > 0)
		kf_log_warning("%d pins below %s were taken away by someone else; made again",
			       count, daemon->pin_dir);
	return count < 0 ? count : kf_attach_open_again(daemon->attach, &why);
}

struct guarding {
	struct kf_daemon *daemon;
	kf_attach_iface_tell_fn tell;
};

/* An interface that came anew, under the same name, is the link watch's. */
static int guard_one(void *context, const struct kf_iface_row *row)
{
	const struct guarding *guarding = context;
	struct kf_daemon *daemon = guarding->daemon;
	struct kf_iface *iface = find(daemon, row->dev);
	uint64_t now = kf_clock_boot();
	unsigned int ifindex, lacks;
	char name[IFNAMSIZ];
	const char *dev;
	bool known;

	if (!iface)
		return 0;
	dev = name_of(iface, row, name);
	ifindex = if_nametoindex(dev);
	if (!ifindex || (iface->ifindex && iface->ifindex != ifindex))
		return 0;
	lacks = kf_attach_lacks(daemon->attach, dev, row->mode);
	known = iface->guard.off;
	if (!lacks) {
		kf_attach_iface_guard_restore(&iface->guard);
	} else if (!known) {
		kf_attach_iface_guard_lose(&iface->guard, now);
		log_loss(row, iface, lacks, now);
		guarding->tell(daemon, row->dev, false);
	}
	if (lacks && kf_attach_iface_guard_is_due(&iface->guard, now)) {
		kf_attach_iface_pin_again(daemon);
		attach_or_log(daemon, row);
	}
	if (lacks ? !iface->guard.off : known)
		guarding->tell(daemon, row->dev, true);
	return 0;
}

void kf_attach_iface_guard(struct kf_daemon *daemon, kf_attach_iface_tell_fn tell)
{
	struct guarding guarding = { daemon, tell };

	if (daemon->loading)
		return;
	/* a store that cannot be read is told of by all that needs it */
	kf_store_iface_each(daemon->store, guard_one, &guarding);
}

/* ---- views ----------------------------------------------------------------------------------- */

/* It is whole now, and may not be for long. */
static void tell_fight(const struct kf_iface_row *row, const struct kf_iface *iface,
		       struct kf_attach_iface_view *view)
{
	uint64_t now = kf_clock_boot();

	if (!iface || *view->error || !kf_attach_iface_guard_is_fight(&iface->guard, now))
		return;
	snprintf(view->error, sizeof(view->error),
		 "somebody has taken our programs off %u times of late, the last time %llu s ago; "
		 "find out who (bpftool net, tc, xdp-loader), or detach %s",
		 iface->guard.lost, (unsigned long long)((now - iface->guard.lost_ns) / 1000000000),
		 row->dev);
}

static void look_at(struct kf_daemon *daemon, const struct kf_iface_row *row,
		    const struct kf_iface *iface, struct kf_attach_iface_view *view)
{
	char name[IFNAMSIZ];
	unsigned int lacks = kf_attach_lacks(daemon->attach, name_of(iface, row, name), row->mode);

	view->state = KF_IFACE_ATTACHED;
	if (lacks & KF_ATTACH_LACKS_FILTER)
		view->state = KF_IFACE_FAILED;
	else if (lacks)
		view->state = KF_IFACE_PARTIAL;
	if (!lacks)
		tell_fight(row, iface, view);
	/*
	 * why it could not be attached says more; other trouble is older than a part that is gone
	 */
	else if (view->state != KF_IFACE_FAILED || !*view->error)
		snprintf(view->error, sizeof(view->error),
			 "%s taken off by someone else; it is attached again in %u s, or by "
			 "keyfilterctl iface attach %s --mode %s",
			 effect_of(lacks),
			 iface ? kf_attach_iface_guard_wait(&iface->guard, kf_clock_boot()) : 0,
			 row->dev, kf_attach_mode_name(row->mode));
}

static void make_view(struct kf_daemon *daemon, const struct kf_iface_row *row,
		      struct kf_attach_iface_view *view)
{
	const struct kf_iface *iface = find(daemon, row->dev);
	char name[IFNAMSIZ];

	*view = (struct kf_attach_iface_view){ .ifindex = if_nametoindex(row->dev) };
	if (iface) {
		view->existing = iface->existing;
		memcpy(view->error, iface->error.text, sizeof(view->error));
	}
	if (view->ifindex) {
		look_at(daemon, row, iface, view);
		return;
	}
	view->state = KF_IFACE_MISSING;
	*view->error = '\0';
	if (!is_renamed(iface, name))
		return;
	if (kf_attach_lacks(daemon->attach, name, row->mode)) {
		look_at(daemon, row, iface, view);
		return;
	}
	snprintf(
		view->error, sizeof(view->error),
		"it is called %s now, and filtered until keyfilterd is started anew; detach %s and "
		"attach %s",
		name, row->dev, name);
}

struct question {
	const struct kf_iface_row *row;
	struct kf_attach_iface_view *view;
};

static int answer_view(struct kf_daemon *daemon, void *context)
{
	const struct question *question = context;

	make_view(daemon, question->row, question->view);
	return 0;
}

void kf_attach_iface_view(struct kf_daemon *daemon, const struct kf_iface_row *row,
			  struct kf_attach_iface_view *view)
{
	struct question question = { row, view };

	*view = (struct kf_attach_iface_view){ .state = KF_IFACE_MISSING };
	if (kf_ask(daemon, answer_view, &question))
		snprintf(view->error, sizeof(view->error), "keyfilterd is ending; ask again");
}
