// SPDX-License-Identifier: GPL-2.0-only
#include "net/netlink.h"

#include <errno.h>
#include <netinet/in.h>
#include <string.h>

#include <libmnl/libmnl.h>
#include <linux/inet_diag.h>
#include <linux/sock_diag.h>
#include <linux/tcp.h>

/* include/net/tcp_states.h of Linux; <netinet/tcp.h> has them too but not beside <linux/tcp.h>. */
enum { ESTABLISHED = 1, FIN_WAIT1 = 4, FIN_WAIT2 = 5, CLOSE_WAIT = 8 };

/* A connection on which the client may still send, or the backend still answer. */
#define LIVE_STATES (1u << ESTABLISHED | 1u << FIN_WAIT1 | 1u << FIN_WAIT2 | 1u << CLOSE_WAIT)

#define TIE_IDLE_MS 1000
#define NO_COOKIE   ((uint64_t)-1) /* INET_DIAG_NOCOOKIE, twice */

struct dump {
	kf_connection_fn fn;
	void *context;
};

/*
 * Is it the client's turn to begin a request? So it is when it has sent nothing yet, and when the
 * backend sent last. The kernel's times are jiffies, in milliseconds: a backend that answers at
 * once gives a tie. A tie is an answer when nothing followed it for a while, as on any idle
 * keep-alive connection; in a busy moment it may as well be the next piece of an upload, which must
 * not be taken for a head.
 */
static bool is_answered(const struct tcp_info *info)
{
	if (!info->tcpi_bytes_received)
		return true;
	if (!info->tcpi_bytes_sent)
		return false;
	if (info->tcpi_last_data_sent == info->tcpi_last_data_recv)
		return info->tcpi_last_data_recv >= TIE_IDLE_MS;
	return info->tcpi_last_data_sent < info->tcpi_last_data_recv;
}

static void put_addr(__u8 out[16], int family, const __be32 addr[4])
{
	static const __u8 mapped[12] = { [10] = 0xff, 0xff };

	if (family == AF_INET6) {
		memcpy(out, addr, 16);
		return;
	}
	memcpy(out, mapped, 12);
	memcpy(out + 12, addr, 4);
}

/* The kernel tells it by the name of what it has put between TCP and the socket. */
static bool is_multipath(const struct nlattr *ulp_info)
{
	static const char name[] = "mptcp";
	const struct nlattr *attr;

	mnl_attr_for_each_nested(attr, ulp_info) {
		if (mnl_attr_get_type(attr) == INET_ULP_INFO_NAME)
			return mnl_attr_get_payload_len(attr) >= sizeof(name) &&
			       !memcmp(mnl_attr_get_payload(attr), name, sizeof(name));
	}
	return false;
}

static int on_socket(void *context, const struct nlmsghdr *message)
{
	const struct inet_diag_msg *socket = mnl_nlmsg_get_payload(message);
	const struct dump *dump = context;
	struct kf_connection connection = { 0 };
	struct tcp_info info = { 0 };
	const struct nlattr *attr;

	if (message->nlmsg_len < mnl_nlmsg_size(sizeof(*socket)) ||
	    !(LIVE_STATES & 1u << socket->idiag_state))
		return 0;
	put_addr(connection.key.client, socket->idiag_family, socket->id.idiag_dst);
	put_addr(connection.key.server, socket->idiag_family, socket->id.idiag_src);
	connection.key.client_port = ntohs(socket->id.idiag_dport);
	connection.key.server_port = ntohs(socket->id.idiag_sport);
	connection.cookie = (uint64_t)socket->id.idiag_cookie[1] << 32 | socket->id.idiag_cookie[0];
	connection.ifindex = socket->id.idiag_if;

	mnl_attr_for_each(attr, message, sizeof(*socket)) {
		size_t length = mnl_attr_get_payload_len(attr);

		if (mnl_attr_get_type(attr) == INET_DIAG_INFO)
			memcpy(&info, mnl_attr_get_payload(attr),
			       length < sizeof(info) ? length : sizeof(info));
		else if (mnl_attr_get_type(attr) == INET_DIAG_ULP_INFO)
			connection.multipath = is_multipath(attr);
	}
	connection.answered = is_answered(&info);
	return dump->fn(dump->context, &connection);
}

static int dump_family(int family, uint16_t port, struct dump *dump)
{
	char buffer[KF_NETLINK_REQUEST_MAX];
	struct nlmsghdr *request = mnl_nlmsg_put_header(buffer);
	struct inet_diag_req_v2 *want = mnl_nlmsg_put_extra_header(request, sizeof(*want));

	request->nlmsg_type = SOCK_DIAG_BY_FAMILY;
	request->nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP;
	want->sdiag_family = family;
	want->sdiag_protocol = IPPROTO_TCP;
	want->idiag_states = LIVE_STATES;
	want->idiag_ext = 1 << (INET_DIAG_INFO - 1);
	want->id.idiag_sport = htons(port);
	return kf_net_netlink_ask(NETLINK_SOCK_DIAG, request, on_socket, dump);
}

int kf_net_sockdiag_each(uint16_t port, kf_connection_fn fn, void *context)
{
	struct dump dump = { .fn = fn, .context = context };
	int err = dump_family(AF_INET, port, &dump);

	return err ? err : dump_family(AF_INET6, port, &dump);
}

/*
 * About one socket. The kernel finds one that carries IPv4 under AF_INET, whatever its own family.
 */
static struct nlmsghdr *put_request(char *buffer, uint16_t type,
				    const struct kf_connection *connection)
{
	const struct kf_flow_key *key = &connection->key;
	bool mapped = IN6_IS_ADDR_V4MAPPED((const struct in6_addr *)key->client);
	struct nlmsghdr *request = mnl_nlmsg_put_header(buffer);
	struct inet_diag_req_v2 *want = mnl_nlmsg_put_extra_header(request, sizeof(*want));

	request->nlmsg_type = type;
	request->nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK;
	want->sdiag_family = mapped ? AF_INET : AF_INET6;
	want->sdiag_protocol = IPPROTO_TCP;
	want->idiag_states = LIVE_STATES;
	want->id.idiag_sport = htons(key->server_port);
	want->id.idiag_dport = htons(key->client_port);
	memcpy(want->id.idiag_src, key->server + (mapped ? 12 : 0), mapped ? 4 : 16);
	memcpy(want->id.idiag_dst, key->client + (mapped ? 12 : 0), mapped ? 4 : 16);
	want->id.idiag_if = connection->ifindex;
	want->id.idiag_cookie[0] = (__u32)connection->cookie;
	want->id.idiag_cookie[1] = (__u32)(connection->cookie >> 32);
	return request;
}

static int keep_it(void *context, const struct kf_connection *connection)
{
	struct kf_connection *kept = context;

	if (memcmp(&kept->key, &connection->key, sizeof(kept->key)))
		return 0;
	*kept = *connection;
	return 1;
}

/* Where there is no such connection the kernel answers with the socket that listens: not live. */
int kf_net_sockdiag_find(const struct kf_flow_key *key, struct kf_connection *out)
{
	struct kf_connection found = { .key = *key, .cookie = NO_COOKIE };
	struct dump dump = { .fn = keep_it, .context = &found };
	char buffer[KF_NETLINK_REQUEST_MAX];
	struct nlmsghdr *request = put_request(buffer, SOCK_DIAG_BY_FAMILY, &found);
	int err = kf_net_netlink_ask(NETLINK_SOCK_DIAG, request, on_socket, &dump);

	if (err < 0)
		return err;
	if (!err)
		return -ENOENT;
	*out = found;
	return 0;
}

int kf_net_sockdiag_destroy(const struct kf_connection *connection)
{
	char buffer[KF_NETLINK_REQUEST_MAX];
	struct nlmsghdr *request = put_request(buffer, SOCK_DESTROY, connection);

	return kf_net_netlink_ask(NETLINK_SOCK_DIAG, request, NULL, NULL);
}
