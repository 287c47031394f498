/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * iface_impl.h - what the files of the watch over interfaces share among themselves.
 *
 *	iface.c			what is remembered, what is attached unasked, what others take off
 *	iface_change.c		attaching, and what an operator changes
 *	iface_existing.c	connections that were there before
 *	iface_view.c		how an interface stands
 *
 * All in the loop, unless said.
 */
#ifndef KEYFILTER_DAEMON_ATTACH_IFACE_IMPL_H
#define KEYFILTER_DAEMON_ATTACH_IFACE_IMPL_H

#include <net/if.h>

#include "attach/iface.h"
#include "attach/iface_guard.h"
#include "attach/queue.h"
#include "why.h"

/* What this daemon knows of an interface beyond store and kernel. */
struct kf_iface {
	struct kf_iface *next;
	char dev[IFNAMSIZ];
	unsigned int ifindex; /* where we attached it; 0: nowhere yet */
	struct kf_adopt_result existing;
	struct kf_why error;
	struct kf_attach_iface_guard guard;
	bool queued;	/* to be attached when its turn comes, asked for by nobody */
	bool adopt_due; /* a service came while it could not be looked at */
};

/* One interface attached or detached; on the heap. */
struct kf_iface_change {
	struct kf_attach_task task; /* first */
	struct kf_daemon *daemon;
	struct kf_iface_row row;
	char name[IFNAMSIZ]; /* what the interface is called now; "": as in the row */
	bool only_if_off;    /* what is in place already is left alone */
	bool stored;	     /* the row is in the store, and was not there as it is */
	bool had;	     /* there was another row: */
	struct kf_iface_row old;
	unsigned int ifindex;
	bool was_on;
	struct kf_why why;
	kf_attach_iface_done_fn done; /* NULL: nobody waits for an answer */
	void *context;
	kf_attach_iface_tell_fn tell; /* NULL: nobody is told that it is restored */
};

/* ---- iface.c --------------------------------------------------------------------------------- */

struct kf_iface *kf_attach_iface_find(struct kf_daemon *daemon, const char *dev);
/* Of @dev, made where there is none; NULL without memory. */
struct kf_iface *kf_attach_iface_remember(struct kf_daemon *daemon, const char *dev);
void kf_attach_iface_forget(struct kf_daemon *daemon, const char *dev);
/* What @iface is called now if somebody renamed it: it is filtered under any name. */
bool kf_attach_iface_is_renamed(const struct kf_iface *iface, char name[static IFNAMSIZ]);
/*
 * What the interface of @row is called now. Its name says which one is meant, so an interface that
 * has it goes before the one that had it.
 */
const char *kf_attach_iface_name(const struct kf_iface *iface, const struct kf_iface_row *row,
				 char name[static IFNAMSIZ]);
/* Calls @fn with each row and @daemon; where the store cannot be read, that is logged. */
void kf_attach_iface_each(struct kf_daemon *daemon, kf_iface_fn fn);
/* What it means that an interface lacks something: "... was", to be followed by "taken off". */
const char *kf_attach_iface_effect(unsigned int lacks);

/* ---- iface_change.c -------------------------------------------------------------------------- */

/* On the heap; NULL without memory. Its task is to be filled in, and ends with free(). */
struct kf_iface_change *kf_attach_iface_change(struct kf_daemon *daemon,
					       const struct kf_iface_row *row);
/* Before the run: remembers the interface and notes what it is called now. 0 or -ENOMEM. */
int kf_attach_iface_change_name(struct kf_iface_change *change);
/* Beside the loop: attaches. A task's run(). */
int kf_attach_iface_change_run(struct kf_attach_task *task);
/* After a run that succeeded: what was there before is adopted, and all of it remembered. */
void kf_attach_iface_change_settle(const struct kf_iface_change *change);

/* ---- iface_existing.c ------------------------------------------------------------------------ */

/* Adopts (or resets) the connections of an interface that is attached; trouble is remembered. */
void kf_attach_iface_existing(struct kf_daemon *daemon, const struct kf_iface_row *row,
			      struct kf_iface *iface);

#endif
