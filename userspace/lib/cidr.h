/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * cidr.h - address blocks as the maps know them: 16 bytes in network order, IPv4 mapped.
 *
 * prefix_len counts bits of the 16 bytes, so that IPv4 /8 is 96 + 8. Pure functions, no state.
 */
#ifndef KEYFILTER_DAEMON_CIDR_H
#define KEYFILTER_DAEMON_CIDR_H

#include <stdbool.h>
#include <stdint.h>

#define KF_CIDR_TEXT 64 /* room for any block as text */
#define KF_CIDR_BITS 128
#define KF_CIDR_V4   96 /* prefix_len of all of IPv4 */

struct kf_cidr {
	uint8_t addr[16];   /* host bits zero */
	uint8_t prefix_len; /* 0..128 */
};

/*
 * Reads "192.0.2.0/24", "2001:db8::/32", or an address alone. -EINVAL: not an address block. The
 * others could be meant in two ways, and *out is then the block that was probably meant: -ERANGE,
 * bits are set behind the prefix; -EADDRNOTAVAIL, 0.0.0.0 or :: without a prefix; -EPROTOTYPE, an
 * IPv4 address written as IPv6 (RFC 4291 section 2.5.5.2) with a prefix shorter than 96.
 */
int kf_cidr_parse(const char *text, struct kf_cidr *out);
void kf_cidr_format(const struct kf_cidr *cidr, char text[static KF_CIDR_TEXT]);

/* Clears the host bits. */
void kf_cidr_mask(struct kf_cidr *cidr);
/* The highest address of the block. */
void kf_cidr_last(const struct kf_cidr *cidr, uint8_t last[static 16]);
bool kf_cidr_covers(const struct kf_cidr *outer, const struct kf_cidr *inner);
bool kf_cidr_is_v4(const struct kf_cidr *cidr); /* IPv4, not an IPv6 block around all of it */
bool kf_cidr_equal(const struct kf_cidr *a, const struct kf_cidr *b);

#endif
