/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * packet.h - stage 1: from a frame to a TCP segment.
 *
 * Ethernet with VLAN tags (two of them, and priority tags), IPv4 with options, IPv6 with extension
 * headers, TCP. A cursor walks the linear part of the frame; each parser checks its bounds,
 * advances and returns what comes next. Nothing is copied until the ports say that the segment is
 * for a service.
 */
#ifndef KEYFILTER_PACKET_H
#define KEYFILTER_PACKET_H

#include <stdbool.h>
#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <linux/tcp.h>
#include <bpf/bpf_endian.h>
#include <keyfilter/abi.h>
#include <keyfilter/http1.h>

#include "maps.bpf.h"
#include "scratch.h"

#define KF_VLAN_TAGS	   8
#define KF_IPV6_EXTENSIONS 8

#define KF_L4_OFFSET_MAX   0xfff /* a mask for the verifier */

#define KF_TCP_FIN	   0x01
#define KF_TCP_SYN	   0x02
#define KF_TCP_RST	   0x04
#define KF_TCP_ACK	   0x10
#define KF_TCP_URG	   0x20

#define KF_TCPOPT_EOL	   0
#define KF_TCPOPT_NOP	   1
#define KF_TCPOPT_MPTCP	   30 /* RFC 8684 section 3 */

struct kf_cursor {
	void *pos;
	void *end;
};

struct kf_vlan {
	__be16 tci;
	__be16 proto;
};

/* Other extension headers have the same shape: next header, length, something. */
struct kf_ipv6_fragment {
	__u8 next;
	__u8 reserved; /* the length, in other extension headers */
	__be16 offset; /* 13 bits, then flags; RFC 8200 section 4.5 */
	__be32 id;
};

/* What is known of the network layer before the ports are. */
struct kf_l3 {
	void *saddr;
	void *daddr;
	__u32 offset; /* of the IP header in the frame */
	__u32 l4_offset;
	__u32 total; /* bytes of the IP packet; 0: as long as the frame (jumbogram) */
	__u8 ipv6;
	__u8 fragment; /* 1: the first of several */
};

static __always_inline bool kf_is_vlan(__be16 proto)
{
	return proto == bpf_htons(ETH_P_8021Q) || proto == bpf_htons(ETH_P_8021AD);
}

static __always_inline int kf_packet_ethernet(struct kf_cursor *c)
{
	struct ethhdr *eth = c->pos;
	__be16 proto;

	if ((void *)(eth + 1) > c->end)
		return -1;
	proto = eth->h_proto;
	c->pos = eth + 1;
#pragma unroll
	for (int i = 0; i < KF_VLAN_TAGS; i++) {
		struct kf_vlan *vlan = c->pos;

		if (!kf_is_vlan(proto) || (void *)(vlan + 1) > c->end)
			break;
		proto = vlan->proto;
		c->pos = vlan + 1;
	}
	return proto;
}

/* What becomes of a frame whose network layer was read. */
enum kf_l3_result {
	KF_L3_TCP,
	KF_L3_PASS, /* is not TCP, or cannot be read by anybody */
	KF_L3_DROP, /* might be, and cannot be read */
};

/*
 * Later fragments carry no ports and pass: the first one, which does, is refused, and without it
 * nothing is ever reassembled.
 */
static __always_inline enum kf_l3_result kf_packet_ipv4(struct kf_cursor *c, struct kf_l3 *l3)
{
	struct iphdr *ip = c->pos;

	if ((void *)(ip + 1) > c->end || ip->version != 4 || ip->ihl < 5)
		return KF_L3_PASS;
	if (ip->protocol != IPPROTO_TCP || (ip->frag_off & bpf_htons(0x1fff)))
		return KF_L3_PASS;
	l3->saddr = &ip->saddr;
	l3->daddr = &ip->daddr;
	l3->l4_offset = l3->offset + ip->ihl * 4;
	l3->total = bpf_ntohs(ip->tot_len);
	l3->fragment = !!(ip->frag_off & bpf_htons(0x2000));
	return KF_L3_TCP;
}

/* Where the walk over extension headers stands. */
struct kf_extensions {
	KF_CTX *ctx;
	__u32 offset;
	__u8 next;
	__u8 fragment;
	__u8 result; /* enum kf_l3_result */
	__u8 pad;
};

static long kf_extensions_step(__u32 index, void *context)
{
	struct kf_extensions *e = context;
	struct kf_ipv6_fragment header;
	__u32 len = 8;

	e->result = KF_L3_PASS;
	if (e->next == IPPROTO_TCP) {
		e->result = KF_L3_TCP;
		return 1;
	}
	if (e->next != IPPROTO_HOPOPTS && e->next != IPPROTO_ROUTING &&
	    e->next != IPPROTO_DSTOPTS && e->next != IPPROTO_MH && e->next != IPPROTO_AH &&
	    e->next != IPPROTO_FRAGMENT)
		return 1;
	if (kf_ctx_load(e->ctx, e->offset, &header, sizeof(header)))
		return 1;
	if (e->next == IPPROTO_FRAGMENT) {
		if (header.offset & bpf_htons(0xfff8))
			return 1;
		e->fragment = 1;
	} else {
		/* RFC 8200 section 4.2; RFC 4302 section 2.2 counts in words, less two */
		len = e->next == IPPROTO_AH ? (header.reserved + 2) * 4 : (header.reserved + 1) * 8;
	}
	e->next = header.next;
	e->offset += len;
	/* the stack would follow a longer chain, so it must not pass (RFC 8504 section 5.3) */
	e->result = KF_L3_DROP;
	return 0;
}

/* Returns the offset of the TCP header, the result from bit 16 on, and a fragment in bit 24. */
__noinline __u32 kf_packet_extensions(KF_CTX *ctx, __u32 offset, __u32 next)
{
	struct kf_extensions e = { .ctx = ctx, .offset = offset, .next = next };

	kf_loop(KF_IPV6_EXTENSIONS + 1, kf_extensions_step, &e);
	return (e.offset & 0xffff) | (__u32)e.result << 16 | (__u32)e.fragment << 24;
}

static __always_inline enum kf_l3_result kf_packet_ipv6(KF_CTX *ctx, struct kf_cursor *c,
							struct kf_l3 *l3)
{
	struct ipv6hdr *ip = c->pos;
	__u32 found;

	if ((void *)(ip + 1) > c->end || ip->version != 6)
		return KF_L3_PASS;
	l3->saddr = &ip->saddr;
	l3->daddr = &ip->daddr;
	l3->ipv6 = 1;
	l3->total = bpf_ntohs(ip->payload_len);
	if (l3->total)
		l3->total += sizeof(*ip);
	l3->l4_offset = l3->offset + sizeof(*ip);
	if (ip->nexthdr == IPPROTO_TCP)
		return KF_L3_TCP;
	if (ip->nexthdr == IPPROTO_UDP || ip->nexthdr == IPPROTO_ICMPV6)
		return KF_L3_PASS;
	found = kf_packet_extensions(ctx, l3->l4_offset, ip->nexthdr);
	l3->l4_offset = found & 0xffff;
	l3->fragment = found >> 24 & 1;
	return found >> 16 & 0xff;
}

static __always_inline enum kf_l3_result kf_packet_l3(KF_CTX *ctx, struct kf_cursor *c, void *start,
						      struct kf_l3 *l3)
{
	int proto = kf_packet_ethernet(c);

	l3->offset = c->pos - start;
	if (proto == bpf_htons(ETH_P_IP))
		return kf_packet_ipv4(c, l3);
	if (proto == bpf_htons(ETH_P_IPV6))
		return kf_packet_ipv6(ctx, c, l3);
	/* the stack would go on taking tags off, priority tags without end */
	return kf_is_vlan(proto) ? KF_L3_DROP : KF_L3_PASS;
}

/* The TCP header's place, where its ports can be read; NULL where the frame ends before. */
static __always_inline void *kf_packet_ports(void *data, void *data_end, const struct kf_l3 *l3)
{
	__u32 offset = l3->l4_offset;

	if (offset > KF_L4_OFFSET_MAX)
		return NULL;
	KF_LAUNDER(offset);
	offset &= KF_L4_OFFSET_MAX;
	return data + offset + 4 <= data_end ? data + offset : NULL;
}

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

/*
 * Reads the TCP header @tcp into @p, whose key and offsets are set. A header that the stack would
 * not accept leaves p->detail.
 */
static __always_inline void kf_packet_tcp(KF_CTX *ctx, struct tcphdr *tcp, const struct kf_l3 *l3,
					  struct kf_packet *p)
{
	void *data = (void *)(long)ctx->data, *data_end = (void *)(long)ctx->data_end;
	__u32 end = l3->offset + l3->total;
	__u32 header;

	if (l3->fragment) {
		p->detail = KF_DETAIL_FRAGMENT;
		return;
	}
	p->detail = KF_DETAIL_TCP_HEADER;
	if ((void *)(tcp + 1) > data_end || tcp->doff < 5)
		return;
	header = tcp->doff * 4;
	p->payload_offset = p->l4_offset + header;
	if (!l3->total)
		end = kf_ctx_len(ctx);
	else if (end > data_end - data && end > kf_ctx_len(ctx))
		return; /* cut short; asked only where it does not lie in the linear part */
	if (p->payload_offset > end)
		return;
	p->payload_len = end - p->payload_offset;
	p->seq = bpf_ntohl(tcp->seq);
	p->ack = bpf_ntohl(tcp->ack_seq);
	p->tcp_flags = ((__u8 *)tcp)[13];
	p->detail = 0;
	if ((p->tcp_flags & KF_TCP_SYN) && p->payload_len)
		p->detail = KF_DETAIL_DATA_ON_SYN;
	else if (p->tcp_flags & KF_TCP_URG)
		p->detail = KF_DETAIL_URGENT;
}

struct kf_options {
	__u8 bytes[64]; /* a TCP header can hold 40 */
	__u32 at;
	__u32 len;
	__u32 mptcp;
};

static long kf_options_step(__u32 index, void *context)
{
	struct kf_options *options = context;
	__u32 at = options->at;
	__u8 kind, len;

	KF_LAUNDER(at);
	if (at >= options->len || at >= sizeof(options->bytes))
		return 1;
	kind = options->bytes[at];
	if (kind == KF_TCPOPT_MPTCP)
		options->mptcp = 1;
	if (kind == KF_TCPOPT_EOL || kind == KF_TCPOPT_MPTCP)
		return 1;
	options->at = at + 1;
	if (kind == KF_TCPOPT_NOP)
		return 0;
	if (at >= sizeof(options->bytes) - 1)
		return 1;
	len = options->bytes[at + 1];
	options->at = at + len;
	return len < 2;
}

/*
 * Does the SYN at @p ask for Multipath TCP? Its segments would carry sequence numbers of their own,
 * and the stream could go on over a path that is not seen.
 */
__noinline int kf_packet_mptcp(KF_CTX *ctx, struct kf_packet *p)
{
	struct kf_options options = {};
	__u32 at, len;

	if (!p)
		return 1;
	at = p->l4_offset + sizeof(struct tcphdr);
	len = p->payload_offset - at;
	if (!len || len > sizeof(options.bytes))
		return 0;
	options.len = len;
	if (kf_ctx_load(ctx, at, options.bytes, kf_length(len, sizeof(options.bytes))))
		return 1;
	kf_loop(sizeof(options.bytes), kf_options_step, &options);
	return options.mptcp;
}

#endif /* KEYFILTER_PACKET_H */
