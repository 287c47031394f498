/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * load.h - from the first key in the kernel to READY=1.
 *
 * A start with many keys serves the admin socket while it compares them with the kernel, so that a
 * revocation does not wait for a million others. Interfaces are attached when all keys are in: a
 * program over maps that are not whole would refuse clients whose keys are good. Until then
 * programs that run already go on with what the maps had. The loop's thread.
 */
#ifndef KEYFILTER_DAEMON_LOAD_H
#define KEYFILTER_DAEMON_LOAD_H

#include "base/daemon.h"

struct kf_load;

/*
 * The first part, before the socket is opened, for a fraction of a second: few keys are all in
 * after it, and their interfaces attached. 0, or -errno, logged.
 */
int kf_load_open(struct kf_daemon *daemon);
/* The rest, in the loop, then READY=1. What fails is logged, and ends the loop with -errno. */
void kf_load_go_on(struct kf_daemon *daemon);
void kf_load_close(struct kf_daemon *daemon);

#endif
