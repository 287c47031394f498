// SPDX-License-Identifier: GPL-2.0-only
/* What an operator attaches and detaches, and the part of it that all attaching has. */
#include "attach/iface_impl.h"

#include <errno.h>
#include <net/if.h>
#include <stdlib.h>
#include <string.h>

#include "cleanup.h"
#include "log.h"

/* ---- attaching ------------------------------------------------------------------------------- */

struct kf_iface_change *kf_attach_iface_change(struct kf_daemon *daemon,
					       const struct kf_iface_row *row)
{
	struct kf_iface_change *change = calloc(1, sizeof(*change));

	if (!change)
		return NULL;
	change->daemon = daemon;
	change->row = *row;
	return change;
}

static void answer(const struct kf_iface_change *change, int err)
{
	if (change->done)
		change->done(change->context, err, &change->row, &change->why);
}

int kf_attach_iface_change_name(struct kf_iface_change *change)
{
	const struct kf_iface *iface = kf_attach_iface_remember(change->daemon, change->row.dev);
	char name[IFNAMSIZ];

	if (!iface)
		return kf_why_set(&change->why, -ENOMEM, "no memory for an interface; free some");
	snprintf(change->name, sizeof(change->name), "%s",
		 kf_attach_iface_name(iface, &change->row, name));
	return 0;
}

/* Beside the loop. */
int kf_attach_iface_change_run(struct kf_attach_task *task)
{
	struct kf_iface_change *change = (struct kf_iface_change *)task;
	struct kf_attach *attach = change->daemon->attach;
	int err;

	change->was_on = kf_attach_is_on(attach, change->name, change->row.mode);
	err = kf_attach_add(attach, change->name, change->row.mode, &change->why);
	change->ifindex = err ? 0 : if_nametoindex(change->name);
	return err;
}

/*
 * It is attached. Only where the programs were not there already are there connections that they
 * have not seen begin.
 */
void kf_attach_iface_change_settle(const struct kf_iface_change *change)
{
	struct kf_daemon *daemon = change->daemon;
	const struct kf_iface_row *row = &change->row;
	struct kf_iface *iface = kf_attach_iface_find(daemon, row->dev);

	if (!iface)
		return; /* cannot be: only a change forgets it, and one is made at a time */
	iface->ifindex = change->ifindex;
	iface->error = (struct kf_why){ 0 };
	kf_attach_iface_guard_restore(&iface->guard);
	if (change->was_on)
		return;
	iface->adopt_due = false;
	kf_attach_iface_existing(daemon, row, iface);
	kf_log_notice("%s: attached (%s), %u existing connections adopted, %u reset", row->dev,
		      kf_attach_mode_name(row->mode), iface->existing.adopted,
		      iface->existing.reset);
	if (kf_attach_is_alone(daemon->attach, row->dev))
		kf_log_warning("%s: this kernel has no freplace, so no other XDP program can run "
			       "beside keyfilter; where one must, attach with --mode tc",
			       row->dev);
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
		kf_attach_iface_forget(daemon, row->dev);
}

static int explain_store(struct kf_iface_change *change, int err, const char *doing)
{
	return kf_why_set(&change->why, err,
			  "cannot %s the store: %s; see to the disk of the state directory", doing,
			  kf_store_error(change->daemon->store));
}

/* The store first: what is attached and not in the store would be left behind by a crash. */
static int begin_add(struct kf_attach_task *task)
{
	struct kf_iface_change *change = (struct kf_iface_change *)task;
	struct kf_daemon *daemon = change->daemon;
	const struct kf_iface_row *row = &change->row;
	int err;

	if (!if_nametoindex(row->dev))
		return kf_why_set(&change->why, -ENODEV,
				  "there is no interface '%s'; see `ip link`", row->dev);
	err = kf_store_iface_get(daemon->store, row->dev, &change->old);
	if (err && err != -ENOENT)
		return explain_store(change, err, "read");
	change->had = !err;
	err = kf_store_iface_put(daemon->store, row);
	if (err)
		return explain_store(change, err, "write");
	change->stored = true;
	return kf_attach_iface_change_name(change);
}

static void end_add(struct kf_attach_task *task, int result)
{
	_cleanup_free_ struct kf_iface_change *change = (struct kf_iface_change *)task;
	struct kf_iface *iface;

	if (!result) {
		kf_attach_iface_change_settle(change);
		iface = kf_attach_iface_find(change->daemon, change->row.dev);
		if (iface)
			kf_attach_iface_guard_forget(&iface->guard);
	} else if (change->stored) {
		put_back(change->daemon, &change->row, change->had, &change->old);
	}
	answer(change, result);
}

void kf_attach_iface_add(struct kf_daemon *daemon, const struct kf_iface_row *row,
			 kf_attach_iface_done_fn done, void *context)
{
	struct kf_iface_change *change = kf_attach_iface_change(daemon, row);
	struct kf_why why = { 0 };

	if (!change) {
		done(context, kf_why_set(&why, -ENOMEM, "out of memory; free some"), row, &why);
		return;
	}
	change->task = (struct kf_attach_task){ .begin = begin_add,
						.run = kf_attach_iface_change_run,
						.end = end_add };
	change->done = done;
	change->context = context;
	if (!daemon->loading) {
		kf_attach_queue_add(daemon->attaching, &change->task);
		return;
	}
	kf_why_set(&change->why, -EAGAIN,
		   "keyfilterd is starting, and the keys are not all in the kernel yet; try again "
		   "in a moment");
	end_add(&change->task, -EAGAIN);
}

static int begin_remove(struct kf_attach_task *task)
{
	struct kf_iface_change *change = (struct kf_iface_change *)task;
	struct kf_daemon *daemon = change->daemon;
	const char *dev = change->row.dev;
	struct kf_iface_row other;
	char name[IFNAMSIZ];
	int err = kf_store_iface_get(daemon->store, dev, &change->row);

	if (err == -ENOENT)
		return kf_why_set(&change->why, err,
				  "%s is not attached; see `keyfilterctl iface list`", dev);
	if (err)
		return kf_why_set(&change->why, err, "cannot read what is attached: %s; %s",
				  kf_store_error(daemon->store), kf_store_mend(err));
	if (kf_attach_iface_is_renamed(kf_attach_iface_find(daemon, dev), name) &&
	    kf_store_iface_get(daemon->store, name, &other) == -ENOENT)
		memcpy(change->name, name, sizeof(change->name));
	return 0;
}

/* Beside the loop. */
static int run_remove(struct kf_attach_task *task)
{
	struct kf_iface_change *change = (struct kf_iface_change *)task;
	struct kf_attach *attach = change->daemon->attach;
	int err = kf_attach_remove(attach, change->row.dev, &change->why);

	return err || !*change->name ? err : kf_attach_remove(attach, change->name, &change->why);
}

static int take_out(struct kf_iface_change *change)
{
	struct kf_daemon *daemon = change->daemon;
	const char *dev = change->row.dev;
	int err = kf_store_iface_remove(daemon->store, dev);

	if (err)
		return kf_why_set(&change->why, err,
				  "detached, but the store still has it: %s; see to the disk of "
				  "the state directory, try again",
				  kf_store_error(daemon->store));
	kf_attach_iface_forget(daemon, dev);
	kf_log_notice("%s: detached", dev);
	return 0;
}

static void end_remove(struct kf_attach_task *task, int result)
{
	_cleanup_free_ struct kf_iface_change *change = (struct kf_iface_change *)task;

	if (!result || result == -ENODEV)
		result = take_out(change);
	answer(change, result);
}

void kf_attach_iface_remove(struct kf_daemon *daemon, const char *dev, kf_attach_iface_done_fn done,
			    void *context)
{
	struct kf_iface_row row = { 0 };
	struct kf_why why = { 0 };
	struct kf_iface_change *change;

	snprintf(row.dev, sizeof(row.dev), "%s", dev);
	change = kf_attach_iface_change(daemon, &row);
	if (!change) {
		done(context, kf_why_set(&why, -ENOMEM, "out of memory; free some"), &row, &why);
		return;
	}
	change->task = (struct kf_attach_task){ .begin = begin_remove,
						.run = run_remove,
						.end = end_remove };
	change->done = done;
	change->context = context;
	kf_attach_queue_add(daemon->attaching, &change->task);
}
