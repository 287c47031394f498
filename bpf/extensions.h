/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * extensions.h - a walk over what may stand between an IP header and TCP: IPv6 extension headers,
 * and AH.
 */
#ifndef KEYFILTER_EXTENSIONS_H
#define KEYFILTER_EXTENSIONS_H

#include <stdbool.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <linux/tcp.h>
#include <bpf/bpf_endian.h>
#include <keyfilter/loop.h>

#include "maps.bpf.h"

#define KF_IPV6_EXTENSIONS 8   /* RFC 8504 section 5.3 */
#define KF_IPPROTO_HIP	   139 /* RFC 7401 */
#define KF_IPPROTO_SHIM6   140 /* RFC 5533 */

/* What was met on the way. */
#define KF_MET_FRAGMENT 0x1u /* it is the first of several fragments */
#define KF_MET_ROUTED	0x2u /* its sender chose its way */

/* What becomes of a frame whose network layer was read. */
enum kf_l3_result {
	KF_L3_TCP,
	KF_L3_PASS,  /* is not TCP, or cannot be read by anybody */
	KF_L3_DROP,  /* might be, and cannot be read */
	KF_L3_CHAIN, /* other headers come first */
};

/*
 * The first 8 bytes of an IPv6 extension header, which is as long as the shortest one. All that are
 * walked have this shape (RFC 6564 section 4, RFC 8200 section 4.4 and 4.5).
 */
struct kf_ipv6_extension {
	__u8 next;
	__u8 len; /* in units that depend on the header; Fragment: reserved */
	union {
		__be16 offset; /* Fragment: 13 bits, then flags */
		struct {
			__u8 type; /* Routing */
			__u8 segments_left;
		};
	};
	__be32 rest;
};

/* Where the walk over extension headers stands. */
struct kf_extensions {
	KF_CTX *ctx;
	__u32 offset;
	__u32 end; /* of the IP packet in the frame */
	__u8 next;
	__u8 met;    /* KF_MET_* */
	__u8 result; /* enum kf_l3_result */
	__u8 last;   /* the header before this one */
};

/*
 * Does something follow this header that a stack would go on to? Behind those of RFC 7045 section
 * 4, but for ESP, which cannot be read, and the experimental ones, whose shape is not known: a
 * stack does not walk past what it does not know.
 */
static __always_inline bool kf_extensions_is_one(__u8 next)
{
	return next == IPPROTO_HOPOPTS || next == IPPROTO_ROUTING || next == IPPROTO_FRAGMENT ||
	       next == IPPROTO_AH || next == IPPROTO_DSTOPTS || next == IPPROTO_MH ||
	       next == KF_IPPROTO_HIP || next == KF_IPPROTO_SHIM6;
}

/* The whole packet ends, in the frame, at @offset + @len at the latest. */
static __always_inline void kf_extensions_end(struct kf_extensions *e, __u32 len)
{
	if (len && e->offset + len < e->end)
		e->end = e->offset + len;
}

/*
 * A packet in a packet, behind a Routing header: where segment routing is on the stack takes the
 * outer one off, and the inner one comes up from the same device, behind XDP (ipv6_srh_rcv() of
 * Linux 4.14). What is in other tunnels comes from devices of their own.
 */
static __always_inline long kf_extensions_inner(struct kf_extensions *e)
{
	struct kf_ipv6_extension start;
	struct iphdr ipv4;

	e->met |= KF_MET_ROUTED;
	e->last = e->next;
	if (e->next == IPPROTO_IPV6) {
		if (kf_ctx_load(e->ctx, e->offset, &start, sizeof(start)))
			return 1;
		e->next = bpf_ntohl(start.rest) >> 8;
		kf_extensions_end(e, sizeof(struct ipv6hdr) + (bpf_ntohl(start.rest) >> 16));
		e->offset += sizeof(struct ipv6hdr);
		return 0;
	}
	if (kf_ctx_load(e->ctx, e->offset, &ipv4, sizeof(ipv4)))
		return 1;
	e->next = ipv4.protocol;
	if (ipv4.frag_off & bpf_htons(0x1fff))
		e->next = IPPROTO_NONE; /* a later fragment */
	else if (ipv4.frag_off & bpf_htons(0x2000))
		e->met |= KF_MET_FRAGMENT;
	kf_extensions_end(e, bpf_ntohs(ipv4.tot_len));
	e->offset += ipv4.ihl * 4;
	return 0;
}

static __always_inline __u8 kf_extensions_result(const struct kf_extensions *e)
{
	if (e->next != IPPROTO_TCP)
		return KF_L3_PASS;
	if ((e->met & KF_MET_FRAGMENT) && e->offset + sizeof(struct tcphdr) > e->end)
		return KF_L3_DROP;
	return KF_L3_TCP;
}

static long kf_extensions_step(__u32 index, void *context)
{
	struct kf_extensions *e = context;
	struct kf_ipv6_extension header;
	__u32 len = 8;

	/* until its end is seen: the stack may read more of the chain than this does (RFC 7112) */
	e->result = KF_L3_DROP;
	if (e->last == IPPROTO_ROUTING && (e->next == IPPROTO_IPV6 || e->next == IPPROTO_IPIP))
		return kf_extensions_inner(e);
	if (!kf_extensions_is_one(e->next)) {
		e->result = kf_extensions_result(e);
		return 1;
	}
	if (e->offset + sizeof(header) > e->end ||
	    kf_ctx_load(e->ctx, e->offset, &header, sizeof(header)))
		return 1;
	if (e->next == IPPROTO_FRAGMENT) {
		if (header.offset & bpf_htons(0xfff8)) {
			/* a later one; fragments of fragments are not sent by anybody */
			e->result = e->met & KF_MET_FRAGMENT ? KF_L3_DROP : KF_L3_PASS;
			return 1;
		}
		e->met |= KF_MET_FRAGMENT;
	} else if (e->next == IPPROTO_AH) {
		len = (header.len + 2) * 4; /* RFC 4302 section 2.2 */
	} else {
		len = (header.len + 1) * 8;
	}
	/* RFC 5095: type 0 is not to be followed; the others say where the packet goes on to */
	if (e->next == IPPROTO_ROUTING && (!header.type || header.segments_left))
		e->met |= KF_MET_ROUTED;
	e->last = e->next;
	e->next = header.next;
	e->offset += len;
	return 0;
}

/*
 * Returns the offset of the TCP header, from bit 16 on the result, from bit 24 on what was met.
 * Give 0 for @met: as an argument it is no constant to the verifier, which kf_loop() asks for.
 */
__noinline __u32 kf_extensions_walk(KF_CTX *ctx, __u32 offset, __u32 next, __u32 end, __u32 met)
{
	struct kf_extensions e = {
		.ctx = ctx,
		.offset = offset,
		.next = next,
		.end = end,
		.met = met,
		.last = met,
	};

	kf_loop(KF_IPV6_EXTENSIONS + 1, kf_extensions_step, &e);
	return (e.offset & 0xffff) | (__u32)e.result << 16 | (__u32)e.met << 24;
}

#endif /* KEYFILTER_EXTENSIONS_H */
