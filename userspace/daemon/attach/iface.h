/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * iface.h - the interfaces that are to be filtered, kept filtered.
 *
 * The store says which; this attaches them, adopts (or resets) the connections that were there
 * before, and does both again for an interface that comes back. What cannot be attached now is
 * remembered with its cause and shown by the API.
 *
 * The verifier takes up to a second for a program, so interfaces are attached and detached beside
 * the loop, one after the other (queue.h). All functions are called in the loop, but for
 * kf_attach_iface_view().
 */
#ifndef KEYFILTER_DAEMON_ATTACH_IFACE_H
#define KEYFILTER_DAEMON_ATTACH_IFACE_H

#include <stdbool.h>

#include "attach/adopt.h"
#include "attach/attach.h"
#include "base/daemon.h"
#include "store/store.h"
#include "why.h"

enum kf_iface_state {
	KF_IFACE_ATTACHED,
	KF_IFACE_PARTIAL, /* the filter is there, what belongs to it is not */
	KF_IFACE_MISSING,
	KF_IFACE_FAILED, /* nothing is filtered there */
};

struct kf_iface; /* what is known of one; a list hangs on daemon->ifaces */

/* How an interface stands now; asks the kernel. */
struct kf_attach_iface_view {
	unsigned int ifindex; /* 0: missing */
	enum kf_iface_state state;
	struct kf_adopt_result existing;		/* of the last attach by this daemon */
	char error[sizeof(((struct kf_why *)0)->text)]; /* of the last attempt; "": none */
};

/*
 * Attaches all that the store names, then calls @then, unless that is NULL. What fails is logged
 * and remembered, and is no error.
 */
void kf_attach_iface_open(struct kf_daemon *daemon, void (*then)(struct kf_daemon *daemon));
void kf_attach_iface_close(struct kf_daemon *daemon); /* detaches nothing */

/*
 * What became of a change, told once, in the loop; it may be before the function that asked for the
 * change returns. @why: cause and mend where @err (-errno) is not 0. -ECANCELED: the daemon ends,
 * and nothing was changed.
 */
typedef void (*kf_attach_iface_done_fn)(void *context, int err, const struct kf_iface_row *row,
					const struct kf_why *why);

/*
 * Attaches @row->dev and remembers it in the store. With an error all is as it was before: -ENODEV:
 * there is no such interface; -EBUSY: attached in another mode; -EAGAIN: while the keys are loaded.
 * Trouble with the existing connections is no error: it is in the view.
 */
void kf_attach_iface_add(struct kf_daemon *daemon, const struct kf_iface_row *row,
			 kf_attach_iface_done_fn done, void *context);
/* Detaches, under another name too if it was renamed, and forgets. -ENOENT: not in the store. */
void kf_attach_iface_remove(struct kf_daemon *daemon, const char *dev, kf_attach_iface_done_fn done,
			    void *context);

/*
 * A service is new, or listens elsewhere: the connections that it has already are adopted (or
 * reset) on every interface that is attached. Trouble is logged and remembered.
 */
void kf_attach_iface_adopt(struct kf_daemon *daemon);

/* The link watch tells; attaches again what came back. kf_link_fn, @context is the daemon. */
void kf_attach_iface_link(void *context, const char *dev, int ifindex, bool up);

/* Programs of ours on @dev were taken off by someone else, or are @restored. */
typedef void (*kf_attach_iface_tell_fn)(struct kf_daemon *daemon, const char *dev, bool restored);

/*
 * Puts back what somebody took off since the last call, and tries again what could not be attached;
 * logged, and told. Every second, and when the link watch heard something. In the loop.
 */
void kf_attach_iface_guard(struct kf_daemon *daemon, kf_attach_iface_tell_fn tell);
/* Makes pins again that were taken away while the daemon ran; logged. 0 or -errno. */
int kf_attach_iface_pin_again(struct kf_daemon *daemon);

/*
 * In the loop only while no change runs, as in kf_attach_iface_done_fn; any thread that has
 * daemon->ask waits until it is so.
 */
void kf_attach_iface_view(struct kf_daemon *daemon, const struct kf_iface_row *row,
			  struct kf_attach_iface_view *view);

#endif
