// SPDX-License-Identifier: GPL-2.0-only
/*
 * The walk over running requests, against sockets of a network namespace and maps on a bpffs of the
 * test's own; the flows are made by hand, as no program runs. Needs root; skipped otherwise. Links
 * the daemon's objects.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define FLOWS 5000
#include "bpffs.h"
#include "maps/maps.h"
#include "net/netlink.h"
#include "pair.h"
#include "policy/policy.h"
#include "traffic/cut.h"
#include "why.h"

#define STEPS 1000

static struct fixture {
	char dir[64];
	char pins[96];
	struct kf_maps *maps;
	struct kf_cut *cut;
} f;

static struct {
	unsigned int count;
	struct kf_event last;
} heard;

static void told(void *context, const struct kf_event *event)
{
	heard.count++;
	heard.last = *event;
}

static int setup(void **state)
{
	struct kf_why why = { 0 };

	if (geteuid())
		return 0;
	if (bpffs_mount(f.dir, f.pins) || unshare(CLONE_NEWNET) || system("ip link set lo up"))
		return -1;
	if (!kf_maps_open(&f.maps, f.pins, &settings, &why) &&
	    !kf_traffic_cut_open(&f.cut, f.maps, told, NULL))
		return 0;
	print_error("%s\n", why.text);
	return -1;
}

static int teardown(void **state)
{
	struct kf_why why;

	if (!f.maps)
		return 0;
	kf_traffic_cut_close(f.cut);
	kf_maps_close(f.maps);
	kf_maps_unload(f.pins, &why);
	bpffs_unmount(f.dir);
	return 0;
}

/* ---- what the tests stand on ----------------------------------------------------------------- */

static void delete_flow(const struct kf_flow_key *key)
{
	kf_maps_delete(f.maps, KF_MAP_kf_flows, key);
}

static void drop_pair(const struct pair *pair)
{
	delete_flow(&pair->found.key);
	close_pair(pair);
}

/* A request of the key in slot 1 runs on it. */
static struct kf_flow running(void)
{
	return (struct kf_flow){ .slot = 1,
				 .slot_check = 0x0101,
				 .response.requests = 1,
				 .in.first = 11,
				 .out.first = 22 };
}

static void put_flow(const struct pair *pair, const struct kf_flow *flow)
{
	assert_int_equal(kf_maps_put(f.maps, KF_MAP_kf_flows, &pair->found.key, flow), 0);
}

static void put_slot(uint32_t slot, enum kf_key_status status, uint64_t expires)
{
	struct kf_slot want = { .status = status, .expires_ns = expires };

	memset(want.tag, (int)slot, sizeof(want.tag));
	kf_maps_slot_write(f.maps, slot, &want);
}

static void put_service(enum kf_mode mode)
{
	const struct kf_service service = { .live = 1, .mode = mode };
	const uint32_t zero = 0;

	assert_int_equal(kf_maps_put(f.maps, KF_MAP_kf_services, &zero, &service), 0);
}

/* How many sockets a walk ends. */
static uint64_t walk(unsigned int what)
{
	uint64_t before = kf_traffic_cut_count(f.cut);
	int more = 1;

	assert_int_equal(kf_traffic_cut_begin(f.cut, what), 0);
	for (int i = 0; more > 0 && i < STEPS; i++)
		more = kf_traffic_cut_step(f.cut);
	assert_int_equal(more, 0);
	assert_false(kf_traffic_cut_is_unable(f.cut));
	return kf_traffic_cut_count(f.cut) - before;
}

static void assert_ended(const struct pair *pair)
{
	char byte;

	assert_int_equal(recv(pair->server, &byte, 1, MSG_DONTWAIT), -1);
	assert_int_equal(errno, ECONNABORTED);
	assert_int_equal(recv(pair->client, &byte, 1, MSG_DONTWAIT), -1);
	assert_int_equal(errno, ECONNRESET);
}

static void assert_alive(const struct pair *pair)
{
	char byte = 'x';

	assert_int_equal(send(pair->client, &byte, 1, MSG_NOSIGNAL), 1);
	assert_int_equal(recv(pair->server, &byte, 1, 0), 1);
}

static uint64_t boot_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_BOOTTIME, &t);
	return (uint64_t)t.tv_sec * 1000000000ull + (uint64_t)t.tv_nsec;
}

/* ---- tests ----------------------------------------------------------------------------------- */

static uint64_t counted(void)
{
	struct kf_counters counters;

	assert_int_equal(kf_maps_counters(f.maps, 0, &counters), 0);
	return counters.flows_cut;
}

/* No program is there to see it end: the walk counts it, and tells it, and nobody does so again. */
static void check_ended(const char *to, enum kf_key_status status, uint64_t expires,
			enum kf_reason reason)
{
	struct kf_flow flow = running();
	struct pair pair = connect_pair(to);
	uint64_t counted_before = counted();
	unsigned int told_before = heard.count;

	put_service(KF_MODE_ENFORCE);
	put_flow(&pair, &flow);
	put_slot(1, KF_KEY_ENABLED, KF_NEVER);
	assert_int_equal(walk(KF_REVOKED_KEYS | KF_REVOKED_SOURCES), 0); /* it is good */
	assert_alive(&pair);
	put_slot(1, status, expires);
	assert_int_equal(walk(KF_REVOKED_SOURCES), 0); /* not what was asked */
	assert_int_equal(walk(KF_REVOKED_KEYS), 1);
	assert_ended(&pair);
	assert_int_equal(counted() - counted_before, 1);
	assert_int_equal(heard.count - told_before, 1);
	assert_int_equal(heard.last.kind, KF_EVENT_CUT);
	assert_int_equal(heard.last.reason, reason);
	assert_int_equal(heard.last.client_port, pair.found.key.client_port);
	assert_int_equal(heard.last.slot, 1);
	assert_int_equal(walk(KF_REVOKED_KEYS), 0); /* the flow is there, the socket is not */
	assert_int_equal(counted() - counted_before, 1);
	drop_pair(&pair);
}

static void test_cut_ends(void **state)
{
	NEEDS_ROOT();
	check_ended("::1", KF_KEY_DISABLED, KF_NEVER, KF_REASON_KEY_DISABLED);
	check_ended("::ffff:127.0.0.1", KF_KEY_DELETED, KF_NEVER, KF_REASON_UNKNOWN_KEY);
	check_ended("::1", KF_KEY_FREE, KF_NEVER, KF_REASON_UNKNOWN_KEY);
	check_ended("::1", KF_KEY_ENABLED, boot_ns() - 1, KF_REASON_KEY_EXPIRED);
}

static void check_left(struct kf_flow flow)
{
	struct pair pair = connect_pair("::1");

	put_flow(&pair, &flow);
	assert_int_equal(walk(KF_REVOKED_KEYS | KF_REVOKED_SOURCES), 0);
	assert_alive(&pair);
	drop_pair(&pair);
}

/* What is not a running request of a dead key. */
static void test_cut_leaves(void **state)
{
	struct kf_flow flow = running();

	NEEDS_ROOT();
	put_service(KF_MODE_ENFORCE);
	put_slot(1, KF_KEY_DISABLED, KF_NEVER);
	put_slot(2, KF_KEY_ENABLED, boot_ns() + 3600ull * 1000000000);
	flow.response.ended = 1;
	check_left(flow); /* idle */
	flow = running();
	flow.slot = 2;
	flow.slot_check = 0x0202;
	check_left(flow); /* another key's */
	flow.slot = KF_SLOT_NONE;
	check_left(flow); /* nobody's */
	flow = running();
	flow.state = KF_FLOW_ANSWERED;
	check_left(flow); /* told already */
	put_service(KF_MODE_MONITOR);
	check_left(running());
	put_service(KF_MODE_ENFORCE);
}

static void check_kind(struct kf_flow flow)
{
	struct pair pair = connect_pair("::1");

	put_flow(&pair, &flow);
	assert_int_equal(walk(KF_REVOKED_KEYS), 1);
	assert_ended(&pair);
	drop_pair(&pair);
}

/* A request runs though as many responses as requests were seen. */
static void test_cut_kinds(void **state)
{
	struct kf_flow flow = running();

	NEEDS_ROOT();
	put_service(KF_MODE_ENFORCE);
	put_slot(1, KF_KEY_DISABLED, KF_NEVER);
	flow.response.ended = 1;
	flow.response.state = KF_RESPONSE_LOST;
	check_kind(flow);
	flow.response.state = KF_RESPONSE_HEAD;
	flow.state = KF_FLOW_TUNNEL;
	check_kind(flow);
	flow = running();
	flow.state = KF_FLOW_REFUSED; /* a later one of the same connection */
	check_kind(flow);
	flow = running();
	flow.slot_check = 0x0909; /* the slot has another owner by now */
	put_slot(1, KF_KEY_ENABLED, KF_NEVER);
	check_kind(flow);
}

static void check_source(enum kf_map map, const void *key, const struct kf_source *source,
			 bool ends)
{
	struct pair pair = connect_pair("::1");
	struct kf_flow flow = running();

	put_flow(&pair, &flow);
	assert_int_equal(kf_maps_put(f.maps, map, key, source), 0);
	assert_int_equal(walk(KF_REVOKED_KEYS), 0);
	assert_int_equal(walk(KF_REVOKED_SOURCES), ends);
	assert_int_equal(kf_maps_delete(f.maps, map, key), 0);
	if (ends)
		assert_ended(&pair);
	else
		assert_alive(&pair);
	drop_pair(&pair);
}

static void test_cut_sources(void **state)
{
	const struct kf_source denied = { .deny_until = KF_NEVER };
	const struct kf_source over = { .deny_until = 1 };
	const struct kf_source allowed = { .deny_until = KF_NEVER, .allow_until = KF_NEVER };
	struct kf_prefix prefix = { .prefix_len = 64 };
	struct in6_addr loopback = IN6ADDR_LOOPBACK_INIT, other = IN6ADDR_LOOPBACK_INIT;

	NEEDS_ROOT();
	put_service(KF_MODE_ENFORCE);
	put_slot(1, KF_KEY_ENABLED, KF_NEVER);
	other.s6_addr[15] = 2;
	check_source(KF_MAP_kf_hosts, &loopback, &denied, true);
	check_source(KF_MAP_kf_hosts, &loopback, &over, false);
	check_source(KF_MAP_kf_hosts, &loopback, &allowed, false);
	check_source(KF_MAP_kf_hosts, &other, &denied, false);
	check_source(KF_MAP_kf_prefixes, &prefix, &denied, true);
	prefix.addr[0] = 0x20;
	check_source(KF_MAP_kf_prefixes, &prefix, &denied, false);
}

/* The addresses are those of another connection by now, or of none: nobody else is hit. */
static void test_cut_reused(void **state)
{
	struct kf_flow flow = running();
	struct kf_connection found;
	struct pair pair;
	char byte;

	NEEDS_ROOT();
	put_service(KF_MODE_ENFORCE);
	put_slot(1, KF_KEY_DISABLED, KF_NEVER);
	pair = connect_pair("::1");
	put_flow(&pair, &flow);

	/* found in one step, and not the same any more when it is to be ended in the next */
	assert_int_equal(kf_traffic_cut_begin(f.cut, KF_REVOKED_KEYS), 0);
	for (int more = 1, i = 0; more && i < STEPS; i++) {
		more = kf_traffic_cut_step(f.cut);
		flow.out.first++;
		put_flow(&pair, &flow);
	}
	assert_alive(&pair);

	/* where the connection is gone the kernel would name the listening socket */
	close(pair.client);
	assert_int_equal(recv(pair.server, &byte, 1, 0), 0);
	shutdown(pair.server, SHUT_RDWR);
	close(pair.server);
	usleep(50000);
	assert_int_equal(kf_net_sockdiag_find(&pair.found.key, &found), -ENOENT);
	assert_int_equal(kf_net_sockdiag_destroy(&pair.found), -ENOENT);
	assert_int_equal(walk(KF_REVOKED_KEYS), 0);
	assert_int_equal(listen(pair.listener, 8), 0); /* it listens still: else EINVAL */
	delete_flow(&pair.found.key);
	close(pair.listener);
}

/* Over many slices none is passed over, and none but these is hit. */
static void test_cut_many(void **state)
{
	struct kf_flow flow = running();
	struct kf_flow_key key = { .client = { 0x20 }, .server_port = 80 };
	struct pair pairs[20];

	NEEDS_ROOT();
	put_service(KF_MODE_ENFORCE);
	put_slot(1, KF_KEY_DISABLED, KF_NEVER);
	for (int i = 0; i < 20; i++) {
		pairs[i] = connect_pair(i % 2 ? "::1" : "::ffff:127.0.0.1");
		flow.response.ended = i >= 10;
		put_flow(&pairs[i], &flow);
	}
	flow.response.ended = 0;
	for (uint32_t i = 0; i < FLOWS - 20; i++) { /* running, but of no local socket */
		memcpy(key.client + 4, &i, sizeof(i));
		assert_int_equal(kf_maps_put(f.maps, KF_MAP_kf_flows, &key, &flow), 0);
	}
	assert_int_equal(walk(KF_REVOKED_KEYS), 10);
	for (int i = 0; i < 20; i++) {
		if (i < 10)
			assert_ended(&pairs[i]);
		else
			assert_alive(&pairs[i]);
		drop_pair(&pairs[i]);
	}
	for (uint32_t i = 0; i < FLOWS - 20; i++) {
		memcpy(key.client + 4, &i, sizeof(i));
		delete_flow(&key);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_cut_ends),   cmocka_unit_test(test_cut_leaves),
		cmocka_unit_test(test_cut_kinds),  cmocka_unit_test(test_cut_sources),
		cmocka_unit_test(test_cut_reused), cmocka_unit_test(test_cut_many),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
