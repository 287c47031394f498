/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * pair.h - a TCP connection of this host with itself, for tests that include it once, after
 * cmocka.h.
 */
#ifndef KEYFILTER_TEST_PAIR_H
#define KEYFILTER_TEST_PAIR_H

#include <arpa/inet.h>
#include <sys/socket.h>
#include <unistd.h>

#include "net/netlink.h"

/* A listener for IPv6 and IPv4, and one accepted connection to it. */
struct pair {
	int listener;
	int client;
	int server;
	uint16_t port;
	struct kf_connection found; /* as it was seen before a byte was sent */
};

static int take_one(void *context, const struct kf_connection *connection)
{
	*(struct kf_connection *)context = *connection;
	return 1;
}

static struct kf_connection look_at(const struct pair *pair)
{
	struct kf_connection found = { 0 };

	assert_int_equal(kf_net_sockdiag_each(pair->port, take_one, &found), 1);
	return found;
}

/* @to: an address of this host, IPv4 as ::ffff:a.b.c.d. */
static struct pair connect_pair(const char *to)
{
	struct sockaddr_in6 addr = { .sin6_family = AF_INET6 };
	struct pair pair = { .listener = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0),
			     .client = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0) };
	socklen_t length = sizeof(addr);

	assert_int_equal(bind(pair.listener, (struct sockaddr *)&addr, sizeof(addr)), 0);
	assert_int_equal(listen(pair.listener, 8), 0);
	assert_int_equal(getsockname(pair.listener, (struct sockaddr *)&addr, &length), 0);
	pair.port = ntohs(addr.sin6_port);
	assert_int_equal(inet_pton(AF_INET6, to, &addr.sin6_addr), 1);
	assert_int_equal(connect(pair.client, (struct sockaddr *)&addr, sizeof(addr)), 0);
	pair.server = accept(pair.listener, NULL, NULL);
	assert_true(pair.server >= 0);
	pair.found = look_at(&pair);
	return pair;
}

static void close_pair(const struct pair *pair)
{
	close(pair->client);
	close(pair->server);
	close(pair->listener);
}

#endif
