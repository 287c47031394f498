// SPDX-License-Identifier: GPL-2.0-only
/*
 * The kernel repeats RTM_NEWLINK for every small change of an interface, our own attach among them.
 * So the watch keeps the list of what it has told, and tells differences only. The same list makes
 * a lost message harmless: after ENOBUFS it is compared with a fresh dump.
 */
#include "net/netlink.h"

#include <errno.h>
#include <net/if.h>
#include <string.h>

#include <libmnl/libmnl.h>
#include <linux/rtnetlink.h>

#include "cleanup.h"

#define DUMP_TRIES 16 /* a dump that is disturbed each time (-EINTR) is taken as it is */

struct link {
	int ifindex;
	bool up;   /* IFF_UP */
	bool seen; /* in the dump under way */
	char name[IF_NAMESIZE];
};

struct kf_linkwatch {
	struct mnl_socket *socket;
	kf_link_fn fn; /* NULL while the first dump runs */
	void *context;
	struct link *links;
	size_t count;
	size_t room;
};

static void tell(struct kf_linkwatch *watch, const struct link *link, bool up)
{
	struct link copy = *link; /* the list may move when fn brings about changes */

	if (watch->fn)
		watch->fn(watch->context, copy.name, copy.ifindex, up);
}

static struct link *find(struct kf_linkwatch *watch, int ifindex)
{
	for (size_t i = 0; i < watch->count; i++)
		if (watch->links[i].ifindex == ifindex)
			return &watch->links[i];
	return NULL;
}

static struct link *append(struct kf_linkwatch *watch)
{
	if (watch->count == watch->room) {
		size_t room = watch->room ? watch->room * 2 : 16;
		struct link *links = reallocarray(watch->links, room, sizeof(*links));

		if (!links)
			return NULL;
		watch->links = links;
		watch->room = room;
	}
	return &watch->links[watch->count++];
}

static void forget(struct kf_linkwatch *watch, struct link *link)
{
	struct link gone = *link;

	*link = watch->links[--watch->count];
	tell(watch, &gone, false);
}

static int learn(struct kf_linkwatch *watch, const struct link *now)
{
	struct link *known = find(watch, now->ifindex);
	bool news;

	if (known && strcmp(known->name, now->name)) {
		forget(watch, known);
		known = NULL;
	}
	news = !known || (now->up && !known->up);
	if (!known)
		known = append(watch);
	if (!known)
		return -ENOMEM;
	*known = *now;
	if (news)
		tell(watch, now, true);
	return 0;
}

/* Bridges report their ports in RTM_NEWLINK and RTM_DELLINK too, of AF_BRIDGE: passed over. */
static bool read_link(const struct nlmsghdr *message, struct link *out)
{
	const struct ifinfomsg *info = mnl_nlmsg_get_payload(message);
	const struct nlattr *attr;

	if (message->nlmsg_len < mnl_nlmsg_size(sizeof(*info)) || info->ifi_family != AF_UNSPEC)
		return false;
	*out = (struct link){ .ifindex = info->ifi_index,
			      .up = info->ifi_flags & IFF_UP,
			      .seen = true };
	mnl_attr_for_each(attr, message, sizeof(*info)) {
		if (mnl_attr_get_type(attr) == IFLA_IFNAME &&
		    mnl_attr_validate(attr, MNL_TYPE_NUL_STRING) >= 0 &&
		    mnl_attr_get_payload_len(attr) <= sizeof(out->name))
			strcpy(out->name, mnl_attr_get_str(attr));
	}
	return out->name[0];
}

static int on_link(void *context, const struct nlmsghdr *message)
{
	struct kf_linkwatch *watch = context;
	struct link link, *known;

	if ((message->nlmsg_type != RTM_NEWLINK && message->nlmsg_type != RTM_DELLINK) ||
	    !read_link(message, &link))
		return 0;
	if (message->nlmsg_type == RTM_NEWLINK)
		return learn(watch, &link);
	known = find(watch, link.ifindex);
	if (known)
		forget(watch, known);
	return 0;
}

static int dump_links(struct kf_linkwatch *watch)
{
	char buffer[KF_NETLINK_REQUEST_MAX];
	struct nlmsghdr *request;
	int err = -EINTR;

	for (size_t i = 0; i < watch->count; i++)
		watch->links[i].seen = false;
	for (int i = 0; i < DUMP_TRIES && err == -EINTR; i++) {
		request = mnl_nlmsg_put_header(buffer);
		request->nlmsg_type = RTM_GETLINK;
		request->nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP;
		mnl_nlmsg_put_extra_header(request, sizeof(struct ifinfomsg));
		err = kf_net_netlink_ask(NETLINK_ROUTE, request, on_link, watch);
	}
	if (err && err != -EINTR)
		return err;

	for (size_t i = 0; !err && i < watch->count;) {
		if (watch->links[i].seen)
			i++;
		else
			forget(watch, &watch->links[i]);
	}
	return 0;
}

/*
 * What still waits in the socket is older than the dump to come: dropped, or it would bring back
 * what has vanished.
 */
static int resync(struct kf_linkwatch *watch)
{
	char buffer[MNL_SOCKET_BUFFER_SIZE];

	while (mnl_socket_recvfrom(watch->socket, buffer, sizeof(buffer)) >= 0 || errno == ENOBUFS)
		;
	return dump_links(watch);
}

static int on_event(const struct nlmsghdr *message, void *watch)
{
	int err = on_link(watch, message);

	if (!err)
		return MNL_CB_OK;
	errno = -err;
	return MNL_CB_ERROR;
}

int kf_net_linkwatch_dispatch(struct kf_linkwatch *watch)
{
	char buffer[32768];
	int err;

	for (;;) {
		ssize_t length = mnl_socket_recvfrom(watch->socket, buffer, sizeof(buffer));

		if (length < 0 && errno == EAGAIN)
			return 0;
		if (length < 0 && errno == EINTR)
			continue;
		if (length < 0 && errno != ENOBUFS)
			return -errno;
		if (length < 0)
			err = resync(watch);
		else
			err = mnl_cb_run(buffer, length, 0, 0, on_event, watch) < 0 ? -errno : 0;
		if (err)
			return err;
	}
}

int kf_net_linkwatch_fd(const struct kf_linkwatch *watch)
{
	return mnl_socket_get_fd(watch->socket);
}

void kf_net_linkwatch_close(struct kf_linkwatch *watch)
{
	if (!watch)
		return;
	if (watch->socket)
		mnl_socket_close(watch->socket);
	free(watch->links);
	free(watch);
}

KF_CLEANUP_DEFINE(struct kf_linkwatch, kf_net_linkwatch_close)

/*
 * Subscribes before the dump, so that nothing falls between the two; to changes of qdiscs and
 * filters as well, which wake the loop, so that it looks at the interfaces, and tell nothing here.
 */
int kf_net_linkwatch_open(struct kf_linkwatch **out, kf_link_fn fn, void *context)
{
	_cleanup_(kf_net_linkwatch_closep) struct kf_linkwatch *watch = calloc(1, sizeof(*watch));
	int err;

	if (!watch)
		return -ENOMEM;
	watch->socket = mnl_socket_open2(NETLINK_ROUTE, SOCK_CLOEXEC | SOCK_NONBLOCK);
	if (!watch->socket ||
	    mnl_socket_bind(watch->socket, RTMGRP_LINK | RTMGRP_TC, MNL_SOCKET_AUTOPID) < 0)
		return -errno;
	err = dump_links(watch);
	if (err)
		return err;
	watch->fn = fn;
	watch->context = context;
	*out = TAKE_PTR(watch);
	return 0;
}
