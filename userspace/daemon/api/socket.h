/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * socket.h - the listening socket of the admin API.
 *
 * The daemon makes it at @run_dir/admin.sock, or systemd passes it (sd_listen_fds(3)).
 */
#ifndef KEYFILTER_DAEMON_API_SOCKET_H
#define KEYFILTER_DAEMON_API_SOCKET_H

#include <stdbool.h>
#include <sys/types.h>

#define KF_API_SOCKET_NAME "admin.sock"

struct kf_why;

/*
 * A listening, non-blocking descriptor. @readers: the group that may connect, KF_API_AUTH_NO_GROUP
 * for none (the mode is 0660 or 0600). *activated: systemd made it, and removes it. 0 or -errno.
 */
int kf_api_socket_open(const char *run_dir, gid_t readers, int *fd, bool *activated,
		       struct kf_why *why);

/* Closes @fd and, unless systemd made it, removes the name first. */
void kf_api_socket_close(const char *run_dir, int fd, bool activated);

#endif
