/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * directory.h - directories, and files in them, that nobody else can change.
 *
 * The daemon trusts what it reads from the state directory: it is the policy. A user who could
 * plant a file there, or put another directory in its place, could write the policy. Owns nothing.
 * Returns 0, or -errno with @why filled.
 */
#ifndef KEYFILTER_DAEMON_BASE_DIRECTORY_H
#define KEYFILTER_DAEMON_BASE_DIRECTORY_H

#include <limits.h>
#include <sys/types.h>

struct kf_why;

/*
 * Makes the directory @path (not its parents), or accepts an existing one that belongs to this user
 * and that no other user can write to. A sticky one is refused as well: a user who can make new
 * files there can plant a journal. Every directory on the way to it must belong to root or to this
 * user, and be closed to others or sticky. An existing directory keeps its mode; the files in it
 * are made with mode 0600. @real: the path without symbolic links, to be used from then on. -EPERM:
 * others may change it.
 */
int kf_directory_make(const char *path, mode_t mode, const char *option, char real[static PATH_MAX],
		      struct kf_why *why);

/*
 * May the file @name in the directory @dir_fd, called @dir, be trusted? 0: it is a plain file with
 * one name, owned and writable by this user only, or there is no such file. -EPERM: no.
 */
int kf_directory_check_file(int dir_fd, const char *dir, const char *name, struct kf_why *why);

#endif
