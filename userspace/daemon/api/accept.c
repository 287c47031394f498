// SPDX-License-Identifier: GPL-2.0-only
/*
 * One thread accepts every connection at once and asks the kernel whose it is. All clients share
 * the listening socket's queue, so it must never be full for longer than that takes. Requests are
 * read elsewhere, in the lane that has a place for the connection.
 */
#include "api/server.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "cleanup.h"
#include "clock.h"
#include "log.h"

#define REFUSED_KEPT 64	 /* closed a moment later, so that their writes succeed */
#define PAUSE_MS     100 /* when there are no descriptors or no memory */

struct kf_api_accept {
	struct kf_api *api;
	int stop_fd;
	bool running;
	pthread_t thread;
	uid_t own;
	int last_err; /* a failure that lasts is logged once */
	int refused[REFUSED_KEPT];
	unsigned int next;
};

static void keep_refused(struct kf_api_accept *accept, int fd)
{
	int *place = &accept->refused[accept->next++ % REFUSED_KEPT];

	if (*place >= 0)
		close(*place);
	*place = fd;
}

static int classify(struct kf_api_accept *accept, int fd, struct kf_api_arrival **out)
{
	struct kf_api_arrival *arrival;
	struct kf_api_peer peer;
	int err = kf_api_auth_peer(fd, &peer);

	if (err)
		return err;
	arrival = calloc(1, sizeof(*arrival));
	if (arrival) {
		arrival->fd = fd;
		arrival->since_ns = kf_clock_boot();
		arrival->uid = peer.uid;
		arrival->access = kf_api_auth_decide(&peer, accept->own, accept->api->readers);
	}
	kf_api_auth_free(&peer);
	*out = arrival;
	return arrival ? 0 : -ENOMEM;
}

static int hand_on(struct kf_api_accept *accept, int accepted)
{
	_cleanup_free_ struct kf_api_arrival *arrival = NULL;
	_cleanup_close_ int fd = accepted;
	struct kf_api *api = accept->api;
	int err = classify(accept, fd, &arrival);

	if (err)
		return err;
	if (!kf_api_mailbox_arrive(arrival->access == KF_API_WRITE ? api->writers : api->guests,
				   arrival)) {
		(void)TAKE_FD(fd);
		(void)TAKE_PTR(arrival);
		return 0;
	}
	kf_api_connection_turn_away(fd, "too many connections at once", "try again soon");
	keep_refused(accept, TAKE_FD(fd));
	return 0;
}

static int accept_all(struct kf_api_accept *accept)
{
	int fd, err = 0;

	while (!err) {
		fd = accept4(accept->api->listen_fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
		if (fd >= 0)
			err = hand_on(accept, fd);
		else if (errno == EAGAIN)
			break;
		else if (errno != EINTR && errno != ECONNABORTED)
			err = -errno;
	}
	return err;
}

static bool must_stop(struct kf_api_accept *accept, int timeout_ms)
{
	struct pollfd at = { .fd = accept->stop_fd, .events = POLLIN };

	return poll(&at, 1, timeout_ms) > 0;
}

static void *run(void *context)
{
	struct kf_api_accept *accept = context;
	struct pollfd at[2] = { { .fd = accept->api->listen_fd, .events = POLLIN },
				{ .fd = accept->stop_fd, .events = POLLIN } };

	for (;;) {
		int err;

		if (poll(at, 2, -1) < 0 && errno != EINTR)
			continue;
		if (at[1].revents)
			return NULL;
		err = accept_all(accept);
		if (err && err != accept->last_err)
			kf_log_warning(
				"cannot take admin connections: %s; see the limit of open files",
				strerror(-err));
		accept->last_err = err;
		if (err && must_stop(accept, PAUSE_MS))
			return NULL;
	}
}

int kf_api_accept_open(struct kf_api_accept **out, struct kf_api *api)
{
	struct kf_api_accept *accept = calloc(1, sizeof(*accept));
	int err;

	if (!accept)
		return -ENOMEM;
	accept->api = api;
	accept->own = geteuid();
	memset(accept->refused, 0xff, sizeof(accept->refused));
	accept->stop_fd = eventfd(0, EFD_CLOEXEC);
	err = accept->stop_fd < 0 ? -errno : 0;
	if (!err)
		err = kf_api_thread_start(&accept->thread, "kf-accept", run, accept);
	accept->running = !err;
	if (err)
		kf_api_accept_close(accept);
	else
		*out = accept;
	return err;
}

void kf_api_accept_close(struct kf_api_accept *accept)
{
	const uint64_t one = 1;

	if (!accept)
		return;
	if (accept->running) {
		(void)!write(accept->stop_fd, &one, sizeof(one));
		pthread_join(accept->thread, NULL);
	}
	for (int i = 0; i < REFUSED_KEPT; i++)
		if (accept->refused[i] >= 0)
			close(accept->refused[i]);
	if (accept->stop_fd >= 0)
		close(accept->stop_fd);
	free(accept);
}
