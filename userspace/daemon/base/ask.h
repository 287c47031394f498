/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * ask.h - how a reading thread asks what only the loop knows.
 *
 * A question is a function that the loop's thread runs while the asking thread waits, so that what
 * belongs to the loop (interfaces, the cut of running requests) needs no lock. The loop takes one
 * question at a time, after everything else it has to do but long work (work.h): changes never wait
 * for more than one. A question must be short, well under a millisecond.
 */
#ifndef KEYFILTER_DAEMON_BASE_ASK_H
#define KEYFILTER_DAEMON_BASE_ASK_H

#include <systemd/sd-event.h>

#include "base/daemon.h"

struct kf_ask;

/* In the loop's thread. 0 or -errno. */
int kf_ask_open(struct kf_ask **out, struct kf_daemon *daemon, sd_event *event);
/* From now on, and for those that wait, the answer is -ECANCELED. */
void kf_ask_end(struct kf_ask *ask);
/* When no thread can ask any more; NULL is fine. */
void kf_ask_close(struct kf_ask *ask);

/* @daemon: the loop's own, whatever the asking thread was given. Returns 0 or -errno. */
typedef int (*kf_ask_fn)(struct kf_daemon *daemon, void *context);

/*
 * Runs @fn in the loop's thread and returns what it returned. Where @daemon is the loop's own,
 * which is to say the caller is the loop, it is simply called.
 */
int kf_ask(struct kf_daemon *daemon, kf_ask_fn fn, void *context);

#endif
