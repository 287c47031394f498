// SPDX-License-Identifier: GPL-2.0-only
/*
 * The link watch, sock_diag and the adoption of connections, against the kernel in a network
 * namespace of the test's own. Links userspace/daemon/netlink.o, linkwatch.o, sockdiag.o, adopt.o
 * and why.o. Without root, or without `ip`, everything is skipped.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <arpa/inet.h>
#include <errno.h>
#include <net/if.h>
#include <poll.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <keyfilter/flowhash.h>

#include "attach/adopt.h"
#include "net/netlink.h"
#include "pair.h"
#include "why.h"

static const __u64 secret[8] = { 1, 2, 3, 5, 8, 13, 21, 34 };
static bool have_namespace;

#define NEEDS_NAMESPACE()                                                                          \
	do {                                                                                       \
		if (!have_namespace) {                                                             \
			print_message("SKIP: needs root and iproute2\n");                          \
			skip();                                                                    \
		}                                                                                  \
	} while (0)

static void run(const char *command)
{
	assert_int_equal(system(command), 0);
}

static int enter_namespace(void **state)
{
	have_namespace = !unshare(CLONE_NEWNET) && !system("ip link set lo up 2>/dev/null");
	return 0;
}

/* ---- link watch ------------------------------------------------------------------------------ */

struct told {
	int up;
	int down;
	char last_up[IF_NAMESIZE];
	char last_down[IF_NAMESIZE];
};

static void hear(void *context, const char *dev, int ifindex, bool up)
{
	struct told *told = context;

	assert_true(ifindex > 0);
	if (up)
		told->up++;
	else
		told->down++;
	snprintf(up ? told->last_up : told->last_down, IF_NAMESIZE, "%s", dev);
}

static struct told listen_to(struct kf_linkwatch *watch, struct told *told)
{
	struct told heard;

	assert_int_equal(kf_net_linkwatch_dispatch(watch), 0);
	heard = *told;
	*told = (struct told){ 0 };
	return heard;
}

static void test_linkwatch_changes(void **state)
{
	struct told told = { 0 }, heard;
	struct kf_linkwatch *watch;
	struct pollfd wait;

	NEEDS_NAMESPACE();
	assert_int_equal(kf_net_linkwatch_open(&watch, hear, &told), 0);
	heard = listen_to(watch, &told); /* lo was there before */
	assert_int_equal(heard.up + heard.down, 0);

	run("ip link add kfa type veth peer name kfb");
	wait = (struct pollfd){ .fd = kf_net_linkwatch_fd(watch), .events = POLLIN };
	assert_int_equal(poll(&wait, 1, 1000), 1);
	heard = listen_to(watch, &told);
	assert_int_equal(heard.up, 2);
	assert_int_equal(heard.down, 0);

	run("ip link set kfa mtu 1400");
	heard = listen_to(watch, &told);
	assert_int_equal(heard.up + heard.down, 0);

	run("ip link set kfa up");
	heard = listen_to(watch, &told);
	assert_int_equal(heard.up, 1);
	assert_string_equal(heard.last_up, "kfa");

	run("ip link set kfa down; ip link set kfa name kfc");
	heard = listen_to(watch, &told);
	assert_string_equal(heard.last_down, "kfa");
	assert_string_equal(heard.last_up, "kfc");

	run("ip link del kfc");
	heard = listen_to(watch, &told);
	assert_int_equal(heard.down, 2);
	assert_int_equal(heard.up, 0);
	kf_net_linkwatch_close(watch);
}

static void test_linkwatch_lost_messages(void **state)
{
	struct told told = { 0 }, heard;
	struct kf_linkwatch *watch;
	int small = 1;

	NEEDS_NAMESPACE();
	assert_int_equal(kf_net_linkwatch_open(&watch, hear, &told), 0);
	setsockopt(kf_net_linkwatch_fd(watch), SOL_SOCKET, SO_RCVBUF, &small, sizeof(small));
	run("ip link add gone type veth peer name gone2");
	heard = listen_to(watch, &told);
	assert_int_equal(heard.up, 2);

	run("ip link del gone; for i in $(seq 30); do echo link add kf$i type veth peer name kp$i; "
	    "done | ip -batch -");
	heard = listen_to(watch, &told);
	assert_int_equal(heard.up, 60);
	assert_int_equal(heard.down, 2);

	run("for i in $(seq 30); do echo link del kf$i; done | ip -batch -");
	heard = listen_to(watch, &told);
	assert_int_equal(heard.up, 0);
	assert_int_equal(heard.down, 60);
	kf_net_linkwatch_close(watch);
}

/* ---- connections ----------------------------------------------------------------------------- */

static void check_key(const char *to)
{
	struct pair pair = connect_pair(to);
	struct kf_connection found = look_at(&pair);
	struct sockaddr_in6 client;
	socklen_t length = sizeof(client);

	getsockname(pair.client, (struct sockaddr *)&client, &length);
	assert_memory_equal(found.key.client, &client.sin6_addr, 16);
	assert_int_equal(found.key.client_port, ntohs(client.sin6_port));
	assert_memory_equal(found.key.server, &client.sin6_addr, 16); /* the loopback, both */
	assert_int_equal(found.key.server_port, pair.port);
	close_pair(&pair);
}

static void test_sockdiag_key(void **state)
{
	NEEDS_NAMESPACE();
	check_key("::1");
	check_key("::ffff:127.0.0.1");
}

static void test_sockdiag_ipv4_socket(void **state)
{
	struct sockaddr_in addr = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(0x7f000002) };
	const __u8 mapped[16] = { [10] = 0xff, 0xff, 127, 0, 0, 2 };
	struct pair pair = { .listener = socket(AF_INET, SOCK_STREAM, 0),
			     .client = socket(AF_INET, SOCK_STREAM, 0) };
	socklen_t length = sizeof(addr);
	struct kf_connection found;

	NEEDS_NAMESPACE();
	assert_int_equal(bind(pair.listener, (struct sockaddr *)&addr, sizeof(addr)), 0);
	assert_int_equal(listen(pair.listener, 8), 0);
	getsockname(pair.listener, (struct sockaddr *)&addr, &length);
	assert_int_equal(connect(pair.client, (struct sockaddr *)&addr, sizeof(addr)), 0);
	pair.server = accept(pair.listener, NULL, NULL);
	pair.port = ntohs(addr.sin_port);
	found = look_at(&pair);
	assert_memory_equal(found.key.server, mapped, 16);
	close_pair(&pair);
}

static void pass(int from, int to)
{
	char byte = 'x';

	usleep(30000); /* the kernel's times are jiffies */
	assert_int_equal(send(from, &byte, 1, 0), 1);
	assert_int_equal(recv(to, &byte, 1, 0), 1);
}

static void test_sockdiag_answered(void **state)
{
	struct pair pair;

	NEEDS_NAMESPACE();
	pair = connect_pair("::1");
	assert_true(look_at(&pair).answered); /* the client begins */
	pass(pair.client, pair.server);
	assert_false(look_at(&pair).answered);
	pass(pair.server, pair.client);
	assert_true(look_at(&pair).answered);
	pass(pair.client, pair.server);
	assert_false(look_at(&pair).answered);
	close_pair(&pair);
}

static void check_destroy(const char *to)
{
	struct pair pair = connect_pair(to);
	struct kf_connection found = look_at(&pair), stale = found;
	char byte;

	stale.cookie++;
	assert_int_equal(kf_net_sockdiag_destroy(&stale), -ENOENT);
	assert_int_equal(kf_net_sockdiag_destroy(&found), 0);
	assert_int_equal(recv(pair.server, &byte, 1, 0), -1);
	assert_int_equal(errno, ECONNABORTED);
	assert_int_equal(recv(pair.client, &byte, 1, 0), -1);
	assert_int_equal(errno, ECONNRESET);
	assert_int_equal(kf_net_sockdiag_destroy(&found), -ENOENT);
	close_pair(&pair);
}

static void test_sockdiag_destroy(void **state)
{
	NEEDS_NAMESPACE();
	check_destroy("::1");
	check_destroy("::ffff:127.0.0.1");
}

/* ---- adoption -------------------------------------------------------------------------------- */

static int make_flows(unsigned int entries)
{
	int fd = bpf_map_create(BPF_MAP_TYPE_HASH, "kf_flows", sizeof(struct kf_flow_key),
				sizeof(struct kf_flow), entries, NULL);

	assert_true(fd >= 0);
	return fd;
}

static void test_adopt(void **state)
{
	struct kf_adopt_service services[2] = { { .index = 3 }, { .index = 4 } };
	struct kf_adopt_result result = { 0 };
	struct kf_connection found;
	struct kf_why why = { 0 };
	struct kf_flow flow;
	struct pair pair;
	int flows;

	NEEDS_NAMESPACE();
	flows = make_flows(64);
	pair = connect_pair("::ffff:127.0.0.1");
	found = look_at(&pair);
	services[0].port = services[1].port = pair.port;
	memcpy(services[1].addr, found.key.server, 16);

	assert_int_equal(kf_attach_adopt_run("lo", flows, services, 2, KF_EXISTING_ADOPT, secret,
					     &result, &why),
			 0);
	assert_int_equal(result.adopted, 1);
	assert_int_equal(result.reset, 0);
	assert_int_equal(bpf_map_lookup_elem(flows, &found.key, &flow), 0);
	assert_true(flow.cookie == kf_flow_hash(secret, &found.key));
	assert_int_equal(flow.state, KF_FLOW_UNSYNCED);
	assert_int_equal(flow.out.flags, KF_FLOW_CAUGHT_UP);
	assert_int_equal(flow.response.state, KF_RESPONSE_LOST);
	assert_int_equal(flow.slot, KF_SLOT_NONE);
	assert_int_equal(flow.service, 4); /* the one on the address */

	assert_int_equal(kf_attach_adopt_run("lo", flows, services, 2, KF_EXISTING_ADOPT, secret,
					     &result, &why),
			 0);
	assert_int_equal(result.adopted, 0);
	assert_int_equal(kf_attach_adopt_run("lo", flows, services, 2, KF_EXISTING_RESET, secret,
					     &result, &why),
			 0);
	assert_int_equal(result.reset, 0); /* it is known */
	close_pair(&pair);
	close(flows);
}

static void test_adopt_reset(void **state)
{
	struct kf_adopt_result result = { 0 };
	struct kf_adopt_service service = { 0 };
	struct kf_why why = { 0 };
	struct pair pair;
	char byte;
	int flows;

	NEEDS_NAMESPACE();
	flows = make_flows(64);
	pair = connect_pair("::1");
	service.port = pair.port;
	/* not the interface that it passes */
	assert_int_equal(kf_attach_adopt_run("eth9", flows, &service, 1, KF_EXISTING_RESET, secret,
					     &result, &why),
			 0);
	assert_int_equal(result.reset, 0);
	/* not the service that it uses */
	service.addr[0] = 0x20;
	assert_int_equal(kf_attach_adopt_run("lo", flows, &service, 1, KF_EXISTING_RESET, secret,
					     &result, &why),
			 0);
	assert_int_equal(result.reset, 0);

	service.addr[0] = 0;
	assert_int_equal(kf_attach_adopt_run("lo", flows, &service, 1, KF_EXISTING_RESET, secret,
					     &result, &why),
			 0);
	assert_int_equal(result.reset, 1);
	assert_int_equal(result.adopted, 0);
	assert_int_equal(recv(pair.client, &byte, 1, 0), -1);
	assert_int_equal(errno, ECONNRESET);
	close_pair(&pair);
	close(flows);
}

static void test_adopt_full(void **state)
{
	struct kf_adopt_result result = { .adopted = 77 };
	struct kf_adopt_service service = { 0 };
	const struct kf_flow_key other = { .pad = 1 };
	const struct kf_flow flow = { 0 };
	struct kf_why why = { 0 };
	struct pair pair;
	int flows;

	NEEDS_NAMESPACE();
	flows = make_flows(1);
	assert_int_equal(bpf_map_update_elem(flows, &other, &flow, BPF_ANY), 0);
	pair = connect_pair("::1");
	service.port = pair.port;
	assert_int_equal(kf_attach_adopt_run("lo", flows, &service, 1, KF_EXISTING_ADOPT, secret,
					     &result, &why),
			 -E2BIG);
	assert_non_null(strstr(why.text, "flows_max"));
	assert_int_equal(result.adopted, 77); /* untouched */
	close_pair(&pair);
	close(flows);
}

static void test_adopt_names(void **state)
{
	enum kf_existing existing;

	assert_int_equal(kf_attach_adopt_existing_parse("reset", &existing), 0);
	assert_int_equal(existing, KF_EXISTING_RESET);
	assert_string_equal(kf_attach_adopt_existing_name(existing), "reset");
	assert_int_equal(kf_attach_adopt_existing_parse("keep", &existing), -EINVAL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_linkwatch_changes),
		cmocka_unit_test(test_linkwatch_lost_messages),
		cmocka_unit_test(test_sockdiag_key),
		cmocka_unit_test(test_sockdiag_ipv4_socket),
		cmocka_unit_test(test_sockdiag_answered),
		cmocka_unit_test(test_sockdiag_destroy),
		cmocka_unit_test(test_adopt),
		cmocka_unit_test(test_adopt_reset),
		cmocka_unit_test(test_adopt_full),
		cmocka_unit_test(test_adopt_names),
	};

	return cmocka_run_group_tests(tests, enter_namespace, NULL);
}
