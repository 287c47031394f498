/* SPDX-License-Identifier: GPL-2.0-only */
/* csum.h - the Internet checksum (RFC 1071), and how it changes (RFC 1624). */
#ifndef KEYFILTER_CSUM_H
#define KEYFILTER_CSUM_H

#include "packet.h"

static __always_inline __u16 kf_csum_fold(__u64 sum)
{
	sum = (sum & 0xffffffff) + (sum >> 32);
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	return sum;
}

/* a - b in ones' complement */
static __always_inline __u16 kf_csum_minus(__u16 a, __u16 b)
{
	return kf_csum_fold((__u64)a + (__u16)~b);
}

/* Of the pseudo header of a TCP segment of @tcp_len bytes, either way. */
static __always_inline __u64 kf_csum_pseudo(const struct kf_packet *p, __u32 tcp_len)
{
	const __u16 *client = (const __u16 *)p->key.client;
	const __u16 *server = (const __u16 *)p->key.server;
	__u64 sum = bpf_htons(IPPROTO_TCP) + bpf_htonl(tcp_len);
	int first = p->ipv6 ? 0 : 6;

	for (int i = 0; i < 8; i++)
		if (i >= first)
			sum += (__u64)client[i] + server[i];
	return sum;
}

#endif /* KEYFILTER_CSUM_H */
