/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * endpoint.h - an address and a port as operators write them, and addresses alone.
 *
 * Pure functions. Addresses are 16 bytes in network order, IPv4 mapped (abi.h); all zero stands for
 * any address. Ports are in host order.
 */
#ifndef KEYFILTER_DAEMON_ENDPOINT_H
#define KEYFILTER_DAEMON_ENDPOINT_H

#include <stdbool.h>
#include <stdint.h>

#define KF_ENDPOINT_TEXT 64

struct kf_endpoint {
	bool any; /* every address of this host; addr is zero */
	uint8_t addr[16];
	uint16_t port;
};

/*
 * "203.0.113.5:8000", "[2001:db8::1]:8000", "*:8000"; 0.0.0.0 and [::] are any address too. Ports 1
 * to 65535 without leading zeroes. 0 or -EINVAL.
 */
int kf_endpoint_parse(const char *text, struct kf_endpoint *out);
/* Writes into @text and returns it: "*:8000" for any. */
const char *kf_endpoint_format(const struct kf_endpoint *endpoint,
			       char text[static KF_ENDPOINT_TEXT]);

/* An address alone, IPv4 in its own form. Writes into @text and returns it. */
const char *kf_endpoint_address(const uint8_t addr[static 16], char text[static KF_ENDPOINT_TEXT]);

#endif
