// SPDX-License-Identifier: GPL-2.0-only
#include "reach.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "cleanup.h"

pid_t kf_reach_stopped(int fd)
{
	_cleanup_fclose_ FILE *file = NULL;
	char path[64], line[256];
	struct ucred peer;
	socklen_t len = sizeof(peer);

	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) || peer.pid <= 0)
		return 0;
	snprintf(path, sizeof(path), "/proc/%d/status", (int)peer.pid);
	file = fopen(path, "re");
	while (file && fgets(line, sizeof(line), file))
		if (!strncmp(line, "State:\t", 7))
			return line[7] == 'T' || line[7] == 't' ? peer.pid : 0;
	return 0;
}

void kf_reach_explain(const char *path, int cause, char *text, size_t size)
{
	switch (cause) {
	case EACCES:
	case EPERM:
		snprintf(text, size,
			 "no permission to reach keyfilterd at %s (connect: %s); run as root, or "
			 "join the group keyfilter to read",
			 path, strerror(cause));
		break;
	case EAGAIN:
		snprintf(text, size,
			 "keyfilterd at %s is busy: it takes no further connection; try again in a "
			 "moment, and see whether it runs: systemctl status keyfilterd",
			 path);
		break;
	default:
		snprintf(text, size,
			 "no keyfilterd at %s (connect: %s); start it with: systemctl start "
			 "keyfilterd, or give --socket",
			 path, strerror(cause));
		break;
	}
}
