/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * lock.h - one daemon per directory.
 *
 * A lock is held by flock(2) on the directory itself, which needs no room on its disk and ends with
 * the process that holds it, however that dies. A file in the directory has the holder's pid, for
 * people and for `keyfilterd --unload`; where the disk is full there is none. main.c takes a lock
 * in the state and one in the run directory; the pin directory is locked by maps.c. One thread.
 */
#ifndef KEYFILTER_DAEMON_BASE_LOCK_H
#define KEYFILTER_DAEMON_BASE_LOCK_H

#include <sys/types.h>

#define KF_LOCK_NAME "keyfilterd.pid"

struct kf_why;

struct kf_lock {
	int dir;  /* -1: not held */
	int file; /* KF_LOCK_NAME, locked as well: older keyfilterds look at it alone; -1: none */
};

#define KF_LOCK_NONE ((struct kf_lock){ -1, -1 })

/*
 * Locks @dir and writes our pid into KF_LOCK_NAME there. 0, or -errno with @why: -EBUSY where
 * another process has it; the mend says to choose another @option.
 */
int kf_lock_acquire(struct kf_lock *lock, const char *dir, const char *option, struct kf_why *why);
/* Removes the file and lets go; nothing where the lock is not held. */
void kf_lock_release(struct kf_lock *lock);

/* The pid of the process that holds @dir; 0: none does; -1: one whose pid is not known. */
pid_t kf_lock_holder(const char *dir);

#endif
