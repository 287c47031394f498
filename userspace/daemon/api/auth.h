/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * auth.h - who may do what on the admin socket.
 *
 * The kernel names the peer of a Unix socket (SO_PEERCRED, SO_PEERGROUPS: as the peer was at its
 * connect()), so there is no password to lose. It is asked once for each connection, before a byte
 * of it is read. root and the daemon's own user may do everything, members of the group
 * KF_API_AUTH_GROUP may read, nobody else may do anything.
 */
#ifndef KEYFILTER_DAEMON_API_AUTH_H
#define KEYFILTER_DAEMON_API_AUTH_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#define KF_API_AUTH_GROUP    "keyfilter"
#define KF_API_AUTH_NO_GROUP ((gid_t)-1)

enum kf_api_access { KF_API_NOTHING, KF_API_READ, KF_API_WRITE };

struct kf_api_peer {
	pid_t pid;
	uid_t uid;
	gid_t gid;
	gid_t *groups; /* supplementary; owned */
	size_t group_count;
};

/* Asks the kernel about the peer of @fd. 0 or -errno; free it with kf_api_auth_free(). */
int kf_api_auth_peer(int fd, struct kf_api_peer *peer);
void kf_api_auth_free(struct kf_api_peer *peer);

/* The group of readers as it is now, or KF_API_AUTH_NO_GROUP where this host has none. */
gid_t kf_api_auth_group(void);

/* The decision, pure. @own: the daemon's user; @readers may be KF_API_AUTH_NO_GROUP. */
enum kf_api_access kf_api_auth_decide(const struct kf_api_peer *peer, uid_t own, gid_t readers);

/* May a peer with this access use the method? GET reads, every other method writes. */
bool kf_api_auth_permits(enum kf_api_access access, const char *method);

#endif
