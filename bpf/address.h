/* SPDX-License-Identifier: GPL-2.0-only */
/* address.h - addresses as the maps have them: 16 bytes, IPv4 as ::ffff:a.b.c.d. */
#ifndef KEYFILTER_ADDRESS_H
#define KEYFILTER_ADDRESS_H

#include <stdbool.h>
#include <bpf/bpf_endian.h>
#include <linux/types.h>

static __always_inline void kf_address_copy(__u8 to[16], const void *from, bool ipv6)
{
	__u32 *word = (__u32 *)to;
	const __u32 *source = from;

	if (ipv6) {
		word[0] = source[0];
		word[1] = source[1];
		word[2] = source[2];
		word[3] = source[3];
	} else {
		word[0] = 0;
		word[1] = 0;
		word[2] = bpf_htonl(0xffff);
		word[3] = source[0];
	}
}

/* IPv4 in IPv6 notation: never on the wire, and here it would be taken for the IPv4 host's. */
static __always_inline bool kf_address_is_mapped(const __u8 addr[16])
{
	const __u32 *word = (const __u32 *)addr;

	return !(word[0] | word[1] | (word[2] ^ bpf_htonl(0xffff)));
}

#endif /* KEYFILTER_ADDRESS_H */
