// SPDX-License-Identifier: GPL-2.0-only
#include "attach/iface_impl.h"

#include <errno.h>
#include <net/if.h>
#include <stdlib.h>
#include <string.h>

#include "cleanup.h"
#include "clock.h"
#include "log.h"
#include "maps/maps.h"

/* ---- what is remembered ---------------------------------------------------------------------- */

struct kf_iface *kf_attach_iface_find(struct kf_daemon *daemon, const char *dev)
{
	struct kf_iface *iface = daemon->ifaces;

	while (iface && strcmp(iface->dev, dev))
		iface = iface->next;
	return iface;
}

struct kf_iface *kf_attach_iface_remember(struct kf_daemon *daemon, const char *dev)
{
	struct kf_iface *iface = kf_attach_iface_find(daemon, dev);

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

void kf_attach_iface_forget(struct kf_daemon *daemon, const char *dev)
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

bool kf_attach_iface_is_renamed(const struct kf_iface *iface, char name[static IFNAMSIZ])
{
	return iface && iface->ifindex && if_indextoname(iface->ifindex, name) &&
	       strcmp(name, iface->dev);
}

const char *kf_attach_iface_name(const struct kf_iface *iface, const struct kf_iface_row *row,
				 char name[static IFNAMSIZ])
{
	return !if_nametoindex(row->dev) && kf_attach_iface_is_renamed(iface, name) ? name
										    : row->dev;
}

void kf_attach_iface_each(struct kf_daemon *daemon, kf_iface_fn fn)
{
	if (kf_store_iface_each(daemon->store, fn, daemon))
		kf_log_error("cannot read the interfaces: %s; see the store",
			     kf_store_error(daemon->store));
}

/* ---- what is attached without being asked for ------------------------------------------------ */

#define SKIP 1 /* there is nothing to attach */

/* Until its turn came, the row may have changed, and the interface may have gone. */
static int begin_silent(struct kf_attach_task *task)
{
	struct kf_iface_change *change = (struct kf_iface_change *)task;
	struct kf_daemon *daemon = change->daemon;
	struct kf_iface_row *row = &change->row;
	struct kf_iface *iface = kf_attach_iface_find(daemon, row->dev);
	int err;

	if (iface)
		iface->queued = false;
	if (kf_store_iface_get(daemon->store, row->dev, row))
		return SKIP;
	err = kf_attach_iface_change_name(change);
	if (err)
		return err;
	if (!if_nametoindex(change->name)) {
		kf_log_warning("%s: there is no such interface now; it is attached when it comes",
			       row->dev);
		return SKIP;
	}
	return change->only_if_off && kf_attach_is_on(daemon->attach, row->dev, row->mode) ? SKIP
											   : 0;
}

/* An interface that was not there and never has been is not remembered: it is the link watch's. */
static void end_skip(const struct kf_iface_change *change)
{
	const struct kf_iface *iface = kf_attach_iface_find(change->daemon, change->row.dev);

	if (iface && !iface->ifindex && !iface->guard.off && !iface->adopt_due)
		kf_attach_iface_forget(change->daemon, change->row.dev);
}

/* Nobody waits for an answer, so log and status get it. */
static void end_silent(struct kf_attach_task *task, int result)
{
	_cleanup_free_ struct kf_iface_change *change = (struct kf_iface_change *)task;
	struct kf_daemon *daemon = change->daemon;
	struct kf_iface *iface = kf_attach_iface_find(daemon, change->row.dev);

	if (result == -ECANCELED)
		return;
	if (result == SKIP) {
		end_skip(change);
		return;
	}
	if (!result) {
		kf_attach_iface_change_settle(change);
		if (change->tell)
			change->tell(daemon, change->row.dev, true);
		return;
	}
	/* tried again and again: told once */
	if (!iface || strcmp(iface->error.text, change->why.text))
		kf_log_error("%s: %s", change->row.dev, change->why.text);
	if (!iface)
		return;
	iface->error = change->why;
	kf_attach_iface_guard_fail(&iface->guard, kf_clock_boot());
}

static void attach_silently(struct kf_daemon *daemon, const struct kf_iface_row *row,
			    bool only_if_off, kf_attach_iface_tell_fn tell)
{
	struct kf_iface *iface = kf_attach_iface_remember(daemon, row->dev);
	struct kf_iface_change *change;

	if (iface && iface->queued)
		return;
	change = iface ? kf_attach_iface_change(daemon, row) : NULL;
	if (!change) {
		kf_log_error("%s: no memory to attach it; free some", row->dev);
		return;
	}
	change->task = (struct kf_attach_task){ .begin = begin_silent,
						.run = kf_attach_iface_change_run,
						.end = end_silent };
	change->only_if_off = only_if_off;
	change->tell = tell;
	iface->queued = true;
	kf_attach_queue_add(daemon->attaching, &change->task);
}

static int open_one(void *context, const struct kf_iface_row *row)
{
	attach_silently(context, row, false, NULL);
	return 0;
}

struct opening {
	struct kf_attach_task task; /* first */
	struct kf_daemon *daemon;
	void (*then)(struct kf_daemon *daemon);
};

static void end_opening(struct kf_attach_task *task, int result)
{
	_cleanup_free_ struct opening *opening = (struct opening *)task;

	if (result != -ECANCELED)
		opening->then(opening->daemon);
}

void kf_attach_iface_open(struct kf_daemon *daemon, void (*then)(struct kf_daemon *daemon))
{
	struct opening *opening = then ? calloc(1, sizeof(*opening)) : NULL;

	kf_attach_iface_each(daemon, open_one);
	if (opening) {
		*opening = (struct opening){ { .end = end_opening }, daemon, then };
		kf_attach_queue_add(daemon->attaching, &opening->task);
	} else if (then) {
		then(daemon); /* without memory, too early rather than never */
	}
}

void kf_attach_iface_close(struct kf_daemon *daemon)
{
	while (daemon->ifaces)
		kf_attach_iface_forget(daemon, daemon->ifaces->dev);
}

void kf_attach_iface_link(void *context, const char *dev, int ifindex, bool up)
{
	struct kf_daemon *daemon = context;
	struct kf_iface_row row;
	char name[IFNAMSIZ];

	if (daemon->loading || kf_store_iface_get(daemon->store, dev, &row))
		return; /* until the keys are in, nothing is attached; then all is */
	if (!up && kf_attach_iface_is_renamed(kf_attach_iface_find(daemon, dev), name))
		kf_log_warning("%s: it is called %s now, and filtered until %s is detached", dev,
			       name, dev);
	else if (!up)
		kf_log_warning("%s: the interface vanished; it is attached when it comes back",
			       dev);
	else
		attach_silently(daemon, &row, true, NULL);
}

/* ---- what others take off -------------------------------------------------------------------- */

const char *kf_attach_iface_effect(unsigned int lacks)
{
	if (lacks & KF_ATTACH_LACKS_FILTER)
		return "the filter was";
	switch (lacks) {
	case KF_ATTACH_LACKS_ANSWER:
		return "requests are refused, but nobody is told why: the answering program was";
	case KF_ATTACH_LACKS_EGRESS:
		return "the backend's side is not seen, so connections may be refused, and "
		       "requests of dead keys go on: the egress program was";
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
			       row->dev, kf_attach_iface_effect(lacks), iface->guard.lost, wait);
	else
		kf_log_warning("%s: %s taken off by someone else; attaching again", row->dev,
			       kf_attach_iface_effect(lacks));
}

/* Programs are loaded over pins, and links are pinned: both must be there. */
int kf_attach_iface_pin_again(struct kf_daemon *daemon)
{
	struct kf_why why = { 0 };
	int count;

	if (kf_attach_queue_is_busy(daemon->attaching))
		return 0; /* the next look will do */
	count = kf_maps_pin_again(daemon->maps, daemon->pin_dir, &why);

	if (count > 0)
		kf_log_warning("%d pins below %s were taken away by someone else; made again",
			       count, daemon->pin_dir);
	return count < 0 ? count : kf_attach_open_again(daemon->attach, &why);
}

struct guarding {
	struct kf_attach_task task; /* first */
	struct kf_daemon *daemon;
	kf_attach_iface_tell_fn tell;
};

/* An interface that came anew, under the same name, is the link watch's. */
static int guard_one(void *context, const struct kf_iface_row *row)
{
	const struct guarding *guarding = context;
	struct kf_daemon *daemon = guarding->daemon;
	struct kf_iface *iface = kf_attach_iface_find(daemon, row->dev);
	uint64_t now = kf_clock_boot();
	unsigned int ifindex, lacks;
	char name[IFNAMSIZ];
	const char *dev;
	bool known;

	if (!iface || iface->queued)
		return 0;
	dev = kf_attach_iface_name(iface, row, name);
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
		attach_silently(daemon, row, false, guarding->tell);
	}
	if (!lacks && known)
		guarding->tell(daemon, row->dev, true);
	return 0;
}

static int begin_guard(struct kf_attach_task *task)
{
	struct guarding *guarding = (struct guarding *)task;

	/* a store that cannot be read is told of by all that needs it */
	kf_store_iface_each(guarding->daemon->store, guard_one, guarding);
	return 0;
}

static void end_guard(struct kf_attach_task *task, int result)
{
	struct guarding *guarding = (struct guarding *)task;

	guarding->daemon->guarding = false;
	free(guarding);
}

void kf_attach_iface_guard(struct kf_daemon *daemon, kf_attach_iface_tell_fn tell)
{
	struct guarding *guarding;

	if (daemon->loading || daemon->guarding)
		return;
	guarding = calloc(1, sizeof(*guarding));
	if (!guarding)
		return; /* the next look will do */
	*guarding = (struct guarding){ { .begin = begin_guard, .end = end_guard }, daemon, tell };
	daemon->guarding = true;
	kf_attach_queue_add(daemon->attaching, &guarding->task);
}
