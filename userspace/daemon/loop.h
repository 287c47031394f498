/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * loop.h - the one thread's event loop, and what it does without being asked.
 *
 * Signals, the events ring, the link watch, the clock, housekeeping, the cutting of what was
 * revoked (cut.h) and systemd's watchdog hang on an sd-event loop here; the admin socket (api.c)
 * adds its own sources. Nothing in the loop may take long: long work is cut into slices that the
 * loop comes back to. Called by main.c.
 */
#ifndef KEYFILTER_DAEMON_LOOP_H
#define KEYFILTER_DAEMON_LOOP_H

#include <systemd/sd-event.h>

#include "base/daemon.h"

struct kf_loop;

/* Blocks SIGTERM, SIGINT and SIGHUP and opens @daemon->loop. 0 or -errno. */
int kf_loop_open(struct kf_daemon *daemon);
void kf_loop_close(struct kf_daemon *daemon);

/* Runs until kf_loop_stop() or a signal: 0, or -errno where the loop itself failed. */
int kf_loop_run(struct kf_daemon *daemon);
void kf_loop_stop(struct kf_daemon *daemon);

/* For sources of one's own; borrowed. */
sd_event *kf_loop_event(const struct kf_daemon *daemon);

struct kf_work;

/* For what takes long; borrowed. */
struct kf_work *kf_loop_work(const struct kf_daemon *daemon);

struct kf_cut;

/* What became of the walks over revoked requests; borrowed. */
const struct kf_cut *kf_loop_cut(const struct kf_daemon *daemon);

#endif
