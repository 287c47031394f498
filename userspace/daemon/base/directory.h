/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * directory.h - directories, and files in them, that nobody else can change.
 *
 * What is read from the state directory is believed: it is the policy. So whoever could plant a
 * file there, or put another directory in its place, would write the policy. Owns nothing. 0 or
 * -errno with @why filled.
 */
#ifndef KEYFILTER_DAEMON_DIRECTORY_H
#define KEYFILTER_DAEMON_DIRECTORY_H

#include <limits.h>
#include <sys/types.h>

struct kf_why;

/*
 * Makes @path, one level, or takes one that is ours and that only we can write to (a sticky one
 * does not do: whoever can make new files there plants a journal). Every directory on the way to it
 * must belong to root or to us, and be closed to others or sticky. A directory that was there keeps
 * its mode, which is its owner's business: what we write into it has 0600. @real: the path without
 * symbolic links, which is the one to use from then on. -EPERM: others may change it.
 */
int kf_directory_make(const char *path, mode_t mode, const char *option, char real[static PATH_MAX],
		      struct kf_why *why);

/*
 * May what is under the name @name in the directory @dir_fd, called @dir, be believed? A plain file
 * of ours with one name, which only we can write to, or none at all. -EPERM: no.
 */
int kf_directory_check_file(int dir_fd, const char *dir, const char *name, struct kf_why *why);

#endif
