// SPDX-License-Identifier: GPL-2.0-only
#include "api/auth.h"

#include <errno.h>
#include <grp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

static int read_groups(int fd, struct kf_api_peer *peer)
{
	socklen_t len = 0;
	gid_t *groups;

	/* the first call fails with ERANGE and sets len, unless the peer has no groups */
	if (!getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, NULL, &len))
		return 0;
	if (errno != ERANGE)
		return -errno;
	groups = malloc(len);
	if (!groups)
		return -ENOMEM;
	if (getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, groups, &len)) {
		int err = -errno;

		free(groups);
		return err;
	}
	peer->groups = groups;
	peer->group_count = len / sizeof(*groups);
	return 0;
}

int kf_api_auth_peer(int fd, struct kf_api_peer *peer)
{
	struct kf_api_peer found = { 0 };
	struct ucred cred;
	socklen_t len = sizeof(cred);
	int err;

	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &cred, &len))
		return -errno;
	found.pid = cred.pid;
	found.uid = cred.uid;
	found.gid = cred.gid;
	err = read_groups(fd, &found);
	if (err)
		return err;
	*peer = found;
	return 0;
}

void kf_api_auth_free(struct kf_api_peer *peer)
{
	free(peer->groups);
	peer->groups = NULL;
	peer->group_count = 0;
}

gid_t kf_api_auth_group(void)
{
	const struct group *group = getgrnam(KF_API_AUTH_GROUP);

	return group ? group->gr_gid : KF_API_AUTH_NO_GROUP;
}

static bool is_member(const struct kf_api_peer *peer, gid_t group)
{
	if (group == KF_API_AUTH_NO_GROUP)
		return false;
	if (peer->gid == group)
		return true;
	for (size_t i = 0; i < peer->group_count; i++)
		if (peer->groups[i] == group)
			return true;
	return false;
}

enum kf_api_access kf_api_auth_decide(const struct kf_api_peer *peer, uid_t own, gid_t readers)
{
	if (peer->uid == 0 || peer->uid == own)
		return KF_API_WRITE;
	return is_member(peer, readers) ? KF_API_READ : KF_API_NOTHING;
}

bool kf_api_auth_permits(enum kf_api_access access, const char *method)
{
	return access == KF_API_WRITE || (access == KF_API_READ && !strcmp(method, "GET"));
}
