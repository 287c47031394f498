/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * reach.h - why the daemon's socket cannot be reached, or does not answer.
 *
 * Any thread.
 */
#ifndef KEYFILTER_LIB_REACH_H
#define KEYFILTER_LIB_REACH_H

#include <stddef.h>
#include <sys/types.h>

/*
 * The process that listens at the other end of @fd, a connected Unix socket, where it is stopped
 * (SIGSTOP, a debugger), so that no answer will come; 0 where it is not, or is unknown.
 */
pid_t kf_reach_stopped(int fd);

/* What connect(2) at @path failed with (@cause: errno), and the mend, in one line. */
void kf_reach_explain(const char *path, int cause, char *text, size_t size);

#endif
