// SPDX-License-Identifier: GPL-2.0-only
#include "attach/adopt.h"

#include <errno.h>
#include <net/if.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include <bpf/bpf.h>
#include <keyfilter/flowhash.h>

#include "cleanup.h"
#include "clock.h"
#include "net/netlink.h"
#include "why.h"

#define BUSY_TRIES 64 /* -EBUSY: another CPU holds the map's bucket, for a moment */

/* Connections to end are listed first: sock_diag's dump loses its place when they vanish. */
struct list {
	struct kf_connection *items;
	size_t count;
	size_t room;
};

struct run {
	int flows_fd;
	const struct kf_adopt_service *services;
	size_t n;
	enum kf_existing existing;
	const __u64 *flow_secret;
	bool loopback; /* the interface is one */
	struct list doomed;
	struct kf_adopt_result result;
};

static bool is_loopback_device(const char *dev)
{
	_cleanup_close_ int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	struct ifreq request = { 0 };

	if (fd < 0 || strlen(dev) >= sizeof(request.ifr_name))
		return false;
	strcpy(request.ifr_name, dev);
	return !ioctl(fd, SIOCGIFFLAGS, &request) && (request.ifr_flags & IFF_LOOPBACK);
}

/* Connecting to an address of its own, a host takes the same one as the source. */
static bool is_with_itself(const struct kf_flow_key *key)
{
	const struct in6_addr *client = (const struct in6_addr *)key->client;

	return !memcmp(key->client, key->server, sizeof(key->client)) ||
	       IN6_IS_ADDR_LOOPBACK(client) ||
	       (IN6_IS_ADDR_V4MAPPED(client) && key->client[12] == 127);
}

static const struct kf_adopt_service *find_service(const struct run *run,
						   const struct kf_flow_key *key)
{
	static const __u8 any[16];
	const struct kf_adopt_service *found = NULL;

	for (size_t i = 0; i < run->n; i++) {
		const struct kf_adopt_service *service = &run->services[i];

		if (service->port != key->server_port)
			continue;
		if (!memcmp(service->addr, key->server, sizeof(service->addr)))
			return service;
		if (!memcmp(service->addr, any, sizeof(any)))
			found = service;
	}
	return found;
}

/* BPF_NOEXIST: the programs may have made the flow meanwhile, and know it better. */
static int adopt(struct run *run, const struct kf_connection *connection, __u8 service)
{
	struct kf_flow flow = {
		.cookie = kf_flow_hash(run->flow_secret, &connection->key),
		.slot = KF_SLOT_NONE,
		.seen = kf_clock_seen(),
		.since = kf_clock_seen(),
		.state = KF_FLOW_UNSYNCED,
		.response.state = KF_RESPONSE_LOST,
		.out.flags = connection->answered ? KF_FLOW_CAUGHT_UP : 0,
		.service = service,
	};
	int err = -EBUSY;

	for (int i = 0; i < BUSY_TRIES && err == -EBUSY; i++)
		err = bpf_map_update_elem(run->flows_fd, &connection->key, &flow, BPF_NOEXIST);
	if (err == -EEXIST)
		return 0;
	run->result.adopted += !err;
	return err;
}

static int list_add(struct list *list, const struct kf_connection *connection)
{
	if (list->count == list->room) {
		size_t room = list->room ? list->room * 2 : 64;
		struct kf_connection *items = reallocarray(list->items, room, sizeof(*items));

		if (!items)
			return -ENOMEM;
		list->items = items;
		list->room = room;
	}
	list->items[list->count++] = *connection;
	return 0;
}

static int on_connection(void *context, const struct kf_connection *connection)
{
	struct run *run = context;
	const struct kf_adopt_service *service = find_service(run, &connection->key);
	struct kf_flow known;

	if (!service || (!run->loopback && is_with_itself(&connection->key)))
		return 0;
	if (!bpf_map_lookup_elem(run->flows_fd, &connection->key, &known))
		return 0;
	if (run->existing == KF_EXISTING_RESET || connection->multipath)
		return list_add(&run->doomed, connection);
	return adopt(run, connection, service->index);
}

static int look_at_sockets(struct run *run)
{
	for (size_t i = 0; i < run->n; i++) {
		bool done = false;
		int err;

		for (size_t j = 0; j < i && !done; j++)
			done = run->services[j].port == run->services[i].port;
		if (done)
			continue;
		err = kf_net_sockdiag_each(run->services[i].port, on_connection, run);
		if (err)
			return err;
	}
	return 0;
}

static int end_doomed(struct run *run)
{
	for (size_t i = 0; i < run->doomed.count; i++) {
		int err = kf_net_sockdiag_destroy(&run->doomed.items[i]);

		if (err && err != -ENOENT)
			return err;
		run->result.reset += !err;
	}
	return 0;
}

static int explain(const struct run *run, int err, bool listing, struct kf_why *why)
{
	if (err == -E2BIG || err == -ENOMEM)
		return kf_why_set(why, err,
				  "no room for all existing connections, %u were adopted; attach "
				  "with --existing reset, or raise flows_max and start again after "
				  "`keyfilterd --unload`",
				  run->result.adopted);
	if (err == -EPERM)
		return kf_why_set(why, err, "not permitted to see or end TCP sockets; %s",
				  kf_why_mend(err));
	if (listing && (err == -ENOENT || err == -EOPNOTSUPP))
		return kf_why_set(why, err,
				  "this kernel cannot list TCP sockets; it needs CONFIG_INET_DIAG "
				  "(modprobe tcp_diag)");
	if (err == -EOPNOTSUPP)
		return kf_why_set(
			why, err,
			"this kernel cannot end TCP sockets (CONFIG_INET_DIAG_DESTROY), as "
			"--existing reset asks for and Multipath TCP needs; attach with --existing "
			"adopt, and restart a backend that uses the latter");
	return kf_why_set(why, err, "cannot %s existing connections: %s; try again",
			  listing ? "take over" : "end", strerror(-err));
}

int kf_attach_adopt_run(const char *dev, int flows_fd, const struct kf_adopt_service *services,
			size_t n, enum kf_existing existing, const __u64 flow_secret[8],
			struct kf_adopt_result *out, struct kf_why *why)
{
	struct run run = {
		.flows_fd = flows_fd,
		.services = services,
		.n = n,
		.existing = existing,
		.flow_secret = flow_secret,
		.loopback = is_loopback_device(dev),
	};
	int err = look_at_sockets(&run);
	bool listing = err;

	if (!err)
		err = end_doomed(&run);
	free(run.doomed.items);
	if (err)
		return explain(&run, err, listing, why);
	*out = run.result;
	return 0;
}

static const char *const existing_names[] = {
	[KF_EXISTING_ADOPT] = "adopt",
	[KF_EXISTING_RESET] = "reset",
};

const char *kf_attach_adopt_existing_name(enum kf_existing existing)
{
	return existing_names[existing];
}

int kf_attach_adopt_existing_parse(const char *text, enum kf_existing *out)
{
	for (size_t i = 0; i < sizeof(existing_names) / sizeof(existing_names[0]); i++) {
		if (!strcmp(text, existing_names[i])) {
			*out = i;
			return 0;
		}
	}
	return -EINVAL;
}
