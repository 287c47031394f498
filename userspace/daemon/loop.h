/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * loop.h - the one thread's event loop, and what it does without being asked.
 *
 * Signals, the events ring, the link watch, the clock, housekeeping, the cutting of what was
 * revoked (cut.h) and systemd's watchdog hang on an sd-event loop here; the admin socket adds
 * its own sources. Nothing in the loop may take long: long work is cut into slices that the
 * loop comes back to.
 */
#ifndef KEYFILTER_DAEMON_LOOP_H
#define KEYFILTER_DAEMON_LOOP_H

#include "base/daemon.h"

/*
 * Blocks SIGTERM, SIGINT and SIGHUP and opens @daemon->loop, and the members before it that hang on
 * the loop. 0 or -errno.
 */
int kf_loop_open(struct kf_daemon *daemon);
void kf_loop_close(struct kf_daemon *daemon);

/* Runs until a signal or sd_event_exit() of @daemon->event: 0, or -errno where the loop failed. */
int kf_loop_run(struct kf_daemon *daemon);

#endif
