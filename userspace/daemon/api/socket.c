// SPDX-License-Identifier: GPL-2.0-only
#include "api/socket.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <systemd/sd-daemon.h>

#include "api/auth.h"
#include "cleanup.h"
#include "why.h"

#define BACKLOG 4096 /* the kernel cuts it to net.core.somaxconn */

static int socket_address(const char *run_dir, struct sockaddr_un *addr, struct kf_why *why)
{
	int len;

	*addr = (struct sockaddr_un){ .sun_family = AF_UNIX };
	len = snprintf(addr->sun_path, sizeof(addr->sun_path), "%s/%s", run_dir,
		       KF_API_SOCKET_NAME);
	if (len < (int)sizeof(addr->sun_path))
		return 0;
	return kf_why_set(why, -ENAMETOOLONG,
			  "the name %s/%s is longer than the %zu bytes of a socket's; %s", run_dir,
			  KF_API_SOCKET_NAME, sizeof(addr->sun_path) - 1,
			  "name a shorter --run-dir");
}

static int find_activated(int *fd, struct kf_why *why)
{
	int count = sd_listen_fds(1);

	if (count < 0)
		return kf_why_set(why, count, "cannot take the socket from systemd: %s; %s",
				  strerror(-count), "see keyfilterd.socket");
	if (!count)
		return 0;
	if (count > 1 || sd_is_socket_unix(SD_LISTEN_FDS_START, SOCK_STREAM, 1, NULL, 0) <= 0)
		return kf_why_set(why, -EINVAL,
				  "systemd passed something else than the one socket; %s",
				  "name one ListenStream=/run/... in keyfilterd.socket");
	*fd = SD_LISTEN_FDS_START;
	return 1;
}

/*
 * An old socket of that name is removed before the bind. It is no running daemon's: we hold the
 * lock.
 */
static int bind_name(int fd, const struct sockaddr_un *addr, gid_t readers, struct kf_why *why)
{
	mode_t mask;
	int err = 0;

	if (unlink(addr->sun_path) && errno != ENOENT)
		return kf_why_set(why, -errno, "cannot remove the old %s: %s; remove it by hand",
				  addr->sun_path, strerror(errno));
	/* nobody may connect before owner and mode are right */
	mask = umask(0177);
	if (bind(fd, (const struct sockaddr *)addr, sizeof(*addr)))
		err = -errno;
	umask(mask);
	if (!err && readers != KF_API_AUTH_NO_GROUP &&
	    (chown(addr->sun_path, (uid_t)-1, readers) || chmod(addr->sun_path, 0660)))
		err = -errno;
	if (!err && listen(fd, BACKLOG))
		err = -errno;
	if (err)
		return kf_why_set(why, err, "cannot listen at %s: %s; %s", addr->sun_path,
				  strerror(-err), "see the rights of --run-dir");
	return 0;
}

int kf_api_socket_open(const char *run_dir, gid_t readers, int *fd, bool *activated,
		       struct kf_why *why)
{
	_cleanup_close_ int made = -1;
	struct sockaddr_un addr;
	int err = find_activated(fd, why);

	if (err) {
		*activated = err > 0;
		return err > 0 ? 0 : err;
	}
	err = socket_address(run_dir, &addr, why);
	if (err)
		return err;
	made = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (made < 0)
		return kf_why_set(why, -errno, "cannot make a Unix socket: %s; %s", strerror(errno),
				  "see the limit of open files");
	err = bind_name(made, &addr, readers, why);
	if (err)
		return err;
	*activated = false;
	*fd = TAKE_FD(made);
	return 0;
}

void kf_api_socket_close(const char *run_dir, int fd, bool activated)
{
	struct sockaddr_un addr;

	if (fd < 0)
		return;
	if (!activated && !socket_address(run_dir, &addr, NULL))
		unlink(addr.sun_path);
	close(fd);
}
