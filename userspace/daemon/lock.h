/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * lock.h - one daemon per directory.
 *
 * A lock is a file with the holder's pid in it, held by flock(2), so that it ends with its holder
 * however that dies. main.c takes one in the state and one in the run directory; the pin directory
 * is locked by maps.c, since bpffs has no files. One thread.
 */
#ifndef KEYFILTER_DAEMON_LOCK_H
#define KEYFILTER_DAEMON_LOCK_H

#include <sys/types.h>

#define KF_LOCK_NAME "keyfilterd.pid"

struct kf_why;

/*
 * Locks @dir/KF_LOCK_NAME and writes our pid. A descriptor, or -errno with @why: -EBUSY where
 * another process has it; the mend says to choose another @option.
 */
int kf_lock_take(const char *dir, const char *option, struct kf_why *why);
/* Removes the file and lets go. */
void kf_lock_release(const char *dir, int fd);

/* The pid of who holds @dir/KF_LOCK_NAME; 0: nobody does. */
pid_t kf_lock_holder(const char *dir);

#endif
