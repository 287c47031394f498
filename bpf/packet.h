/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * packet.h - stage 1: from a frame to a TCP segment.
 *
 * Ethernet with up to KF_VLAN_TAGS tags (those of two VLANs, and priority tags), IPv4 with options
 * and AH, IPv6 with extension headers, TCP. A cursor walks the linear part of the frame; each
 * parser checks its bounds, advances and returns what comes next. Nothing is copied until the ports
 * say that the segment is for a service.
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

#include "address.h"
#include "extensions.h"
#include "maps.bpf.h"
#include "options.h"
#include "scratch.h"

#define KF_VLAN_TAGS	 8

#define KF_L4_OFFSET_MAX 0xfff /* a mask for the verifier */

#define KF_TCP_FIN	 0x01
#define KF_TCP_SYN	 0x02
#define KF_TCP_RST	 0x04
#define KF_TCP_ACK	 0x10
#define KF_TCP_URG	 0x20

#define KF_OPTION_LSRR	 131 /* RFC 791 section 3.1 */
#define KF_OPTION_SSRR	 137

struct kf_cursor {
	void *pos;
	void *end;
};

struct kf_vlan {
	__be16 tci;
	__be16 proto;
};

/* What is known of the network layer before the ports are. */
struct kf_l3 {
	void *saddr;
	void *daddr;
	__u32 offset; /* of the IP header in the frame */
	__u32 l4_offset;
	__u32 total; /* bytes of the IP packet; 0: as long as the frame (jumbogram) */
	__u8 ipv6;
	__u8 met; /* KF_MET_* */
};

static __always_inline bool kf_packet_is_vlan(__be16 proto)
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

		if (!kf_packet_is_vlan(proto) || (void *)(vlan + 1) > c->end)
			break;
		proto = vlan->proto;
		c->pos = vlan + 1;
	}
	return proto;
}

static long kf_packet_route_step(__u32 index, void *context)
{
	struct kf_options *options = context;
	__u8 kind = kf_options_next(options);

	options->found |= kind == KF_OPTION_LSRR || kind == KF_OPTION_SSRR;
	return kind == KF_OPTION_EOL || options->found;
}

/*
 * KF_MET_ROUTED if the sender chose the way of this IPv4 packet, whose options stand at @offset. It
 * may be for another address than it names; and a stack that takes it sends its answers back the
 * way that it came, so that a handshake proves no address.
 */
__noinline int kf_packet_source_route(KF_CTX *ctx, __u32 offset, __u32 len)
{
	struct kf_options options = {};

	if (!len || len > KF_OPTIONS_MAX)
		return 0;
	if (kf_options_load(ctx, offset, len, &options))
		return KF_MET_ROUTED;
	kf_loop(KF_OPTIONS_MAX, kf_packet_route_step, &options);
	return options.found ? KF_MET_ROUTED : 0;
}

/*
 * Fragments. Later ones carry no ports and pass: without the first one, which has offset 0, nothing
 * is ever reassembled. Every first one is read: where it is TCP for a service it is refused, and
 * where it does not hold the whole TCP header it is dropped, whatever its destination (RFC 7112
 * section 5; RFC 1858 section 3.1 for IPv4), as another fragment could bring the ports. Only the
 * bytes of the IP packet count: behind it a frame may hold others, which the stack does not see.
 */
static __always_inline enum kf_l3_result kf_packet_first(const struct kf_l3 *l3)
{
	if ((l3->met & KF_MET_FRAGMENT) && l3->total &&
	    l3->l4_offset + sizeof(struct tcphdr) > l3->offset + l3->total)
		return KF_L3_DROP;
	return KF_L3_TCP;
}

/*
 * AH is walked (RFC 4302): a stack takes the TCP behind it that has a security association in
 * transport mode. What is in ESP cannot be read here.
 */
static __always_inline enum kf_l3_result kf_packet_ipv4(KF_CTX *ctx, struct kf_cursor *c,
							struct kf_l3 *l3, __u32 *next)
{
	struct iphdr *ip = c->pos;

	if ((void *)(ip + 1) > c->end || ip->version != 4 || ip->ihl < 5)
		return KF_L3_PASS;
	*next = ip->protocol;
	if ((*next != IPPROTO_TCP && *next != IPPROTO_AH) || (ip->frag_off & bpf_htons(0x1fff)))
		return KF_L3_PASS;
	l3->saddr = &ip->saddr;
	l3->daddr = &ip->daddr;
	l3->l4_offset = l3->offset + ip->ihl * 4;
	l3->total = bpf_ntohs(ip->tot_len);
	if (ip->frag_off & bpf_htons(0x2000))
		l3->met = KF_MET_FRAGMENT;
	if (ip->ihl > 5)
		l3->met |= kf_packet_source_route(ctx, l3->offset + sizeof(*ip),
						  ip->ihl * 4 - sizeof(*ip));
	return *next == IPPROTO_AH ? KF_L3_CHAIN : kf_packet_first(l3);
}

static __always_inline enum kf_l3_result kf_packet_ipv6(struct kf_cursor *c, struct kf_l3 *l3,
							__u32 *next)
{
	struct ipv6hdr *ip = c->pos;

	if ((void *)(ip + 1) > c->end || ip->version != 6)
		return KF_L3_PASS;
	l3->saddr = &ip->saddr;
	l3->daddr = &ip->daddr;
	l3->ipv6 = 1;
	l3->total = bpf_ntohs(ip->payload_len);
	if (l3->total)
		l3->total += sizeof(*ip);
	l3->l4_offset = l3->offset + sizeof(*ip);
	*next = ip->nexthdr;
	if (*next == IPPROTO_TCP)
		return KF_L3_TCP;
	return *next == IPPROTO_UDP || *next == IPPROTO_ICMPV6 ? KF_L3_PASS : KF_L3_CHAIN;
}

/* From the header @next on, which stands where TCP's would. */
static __always_inline enum kf_l3_result kf_packet_chain(KF_CTX *ctx, struct kf_l3 *l3, __u32 next)
{
	__u32 end = l3->total ? l3->offset + l3->total : kf_ctx_len(ctx);
	__u32 found = kf_extensions_walk(ctx, l3->l4_offset, next, end, 0);
	__u32 result = found >> 16 & 0xff;

	l3->l4_offset = found & 0xffff;
	l3->met |= found >> 24;
	return result == KF_L3_TCP ? kf_packet_first(l3) : result;
}

static __always_inline enum kf_l3_result kf_packet_l3(KF_CTX *ctx, struct kf_cursor *c, void *start,
						      struct kf_l3 *l3)
{
	int proto = kf_packet_ethernet(c);
	enum kf_l3_result result;
	__u32 next = 0;

	l3->offset = c->pos - start;
	if (proto == bpf_htons(ETH_P_IP))
		result = kf_packet_ipv4(ctx, c, l3, &next);
	else if (proto == bpf_htons(ETH_P_IPV6))
		result = kf_packet_ipv6(c, l3, &next);
	else /* the stack would go on taking tags off, priority tags without end */
		result = kf_packet_is_vlan(proto) ? KF_L3_DROP : KF_L3_PASS;
	return result == KF_L3_CHAIN ? kf_packet_chain(ctx, l3, next) : result;
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

	if (l3->met & KF_MET_FRAGMENT) {
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
	p->tcp_flags = ((__u8 *)&tcp_flag_word(tcp))[1]; /* behind the data offset */
	p->detail = p->tcp_flags & KF_TCP_URG ? KF_DETAIL_URGENT : 0;
}

#endif /* KEYFILTER_PACKET_H */
