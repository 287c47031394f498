// SPDX-License-Identifier: GPL-2.0-only
#include "net/netlink.h"

#include <errno.h>
#include <time.h>

#include <libmnl/libmnl.h>

#include "cleanup.h"

/* A dump comes in messages of up to 32 KiB (netlink_dump() in Linux); libmnl's own size is less. */
#define ANSWER_MAX 32768

struct answer {
	kf_netlink_fn fn;
	void *context;
	int result;
};

static void close_socket(struct mnl_socket **socket)
{
	if (*socket)
		mnl_socket_close(*socket);
}

static int on_message(const struct nlmsghdr *message, void *data)
{
	struct answer *answer = data;

	answer->result = answer->fn ? answer->fn(answer->context, message) : 0;
	return answer->result ? MNL_CB_STOP : MNL_CB_OK;
}

int kf_net_netlink_ask(int bus, struct nlmsghdr *request, kf_netlink_fn fn, void *context)
{
	struct answer answer = { .fn = fn, .context = context };
	_cleanup_(close_socket) struct mnl_socket *socket = mnl_socket_open2(bus, SOCK_CLOEXEC);
	_cleanup_free_ char *buffer = malloc(ANSWER_MAX);
	int more = MNL_CB_OK;

	if (!buffer)
		return -ENOMEM;
	if (!socket || mnl_socket_bind(socket, 0, MNL_SOCKET_AUTOPID) < 0)
		return -errno;

	request->nlmsg_seq = (uint32_t)time(NULL);
	if (mnl_socket_sendto(socket, request, request->nlmsg_len) < 0)
		return -errno;
	while (more > MNL_CB_STOP) {
		ssize_t length = mnl_socket_recvfrom(socket, buffer, ANSWER_MAX);

		if (length < 0)
			return -errno;
		more = mnl_cb_run(buffer, length, request->nlmsg_seq, mnl_socket_get_portid(socket),
				  on_message, &answer);
	}
	return more < 0 ? -errno : answer.result;
}
