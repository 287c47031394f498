/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * turn.h - makes a segment of our own out of one that came by: an answer, an ACK, a RST.
 *
 * The frame keeps its Ethernet header with its tags, and the length of its network header: a TCP
 * checksum that is still partial is completed later, at a place that the kernel has noted. So IPv4
 * options become no-operations and IPv6 extension headers padding. Everything else is written anew
 * from what is known of the flow, in this CPU's scratch, so a segment can be turned several times.
 * TC only: an XDP program under libxdp's dispatcher must not change the size of a packet.
 */
#ifndef KEYFILTER_TURN_H
#define KEYFILTER_TURN_H

#include <asm-generic/errno-base.h>

#include "flow.h"
#include "head.h"
#include "trim.h"

#define KF_TCP_PSH	      0x08
#define KF_TCPOPT_TIMESTAMP   8 /* RFC 7323 section 3.2 */
#define KF_TCPOPT_TS_LEN      10

#define KF_TURN_IPV4_MAX      60
#define KF_TURN_IPV6_EXT      8 /* padding headers of 8 bytes each */
#define KF_TURN_PAYLOAD_MAX   1024
#define KF_TURN_CHECK_END     (KF_TRIM_TCP_CHECK + sizeof(__sum16))
#define KF_TURN_HOPS	      64
#define KF_TURN_WINDOW	      65535
#define KF_TURN_CSUM_MAX      512 /* bpf_csum_diff() takes no more */
#define KF_TURN_PADDING_WORDS 15

/* What the segment shall be. Numbers in host order, but the timestamps, which only travel. */
struct kf_turn {
	__u32 seq;
	__u32 ack;
	__be32 ts_value;
	__be32 ts_echo;
	__u32 payload_len; /* of kf_turn_image.payload */
	__u8 flags;	   /* KF_TCP_* */
	__u8 timestamps;   /* 1: the two above are sent */
	__u8 to_client;	   /* 0: to the backend */
	__u8 swap_macs;	   /* the frame came from where the segment shall go */
};

struct kf_turn_tcp {
	struct tcphdr tcp;
	__u8 nops[2];
	__u8 kind;
	__u8 len;
	__be32 ts_value;
	__be32 ts_echo;
};

struct kf_turn_padding {
	__u8 next;
	__u8 len;
	__u8 kind;
	__u8 pad_len;
	__u32 zero;
};

/* In this CPU's scratch: the segment as it will stand behind the Ethernet header. */
struct kf_turn_image {
	union {
		struct iphdr ipv4;
		struct {
			struct ipv6hdr ipv6;
			struct kf_turn_padding padding[KF_TURN_IPV6_EXT];
		};
		__u32 words[32];
	};
	struct kf_turn_tcp tcp;
	struct kf_options options; /* of the segment that came */
	__u8 payload[KF_TURN_PAYLOAD_MAX + 16];
};
KF_STATIC_ASSERT(sizeof(struct kf_turn_image) <= sizeof(((struct kf_head *)0)->buf),
		 "struct kf_turn_image does not fit the scratch");
KF_STATIC_ASSERT(sizeof(struct kf_turn_tcp) == 32, "struct kf_turn_tcp is a TCP header");

/* The image, for a payload that is to be put there. */
static __always_inline struct kf_turn_image *kf_turn_begin(void)
{
	struct kf_head *scratch = kf_head_scratch(KF_SCRATCH_TURNED);

	return scratch ? (struct kf_turn_image *)scratch->buf : NULL;
}

/* The image for @t, with its payload; NULL where that is not there any more. */
static __always_inline struct kf_turn_image *kf_turn_image_for(const struct kf_turn *t)
{
	struct kf_head *scratch;

	if (!t->payload_len)
		return kf_turn_begin();
	scratch = kf_head_scratch_of(KF_SCRATCH_TURNED);
	return scratch ? (struct kf_turn_image *)scratch->buf : NULL;
}

/* ---- the client's timestamps ----------------------------------------------------------------- */

struct kf_turn_options {
	struct kf_options *options;
	__be32 value;
	__be32 echo;
	__u32 found;
	__u32 pad;
};

static long kf_turn_option(__u32 index, void *context)
{
	struct kf_turn_options *walk = context;
	__u32 at = walk->options->at;
	__u8 kind = kf_options_next(walk->options);
	const __u8 *bytes;

	KF_LAUNDER(at);
	if (kind == KF_TCPOPT_TIMESTAMP && walk->options->at - at == KF_TCPOPT_TS_LEN &&
	    at <= KF_OPTIONS_MAX - KF_TCPOPT_TS_LEN) {
		bytes = walk->options->bytes + at;
		__builtin_memcpy(&walk->value, bytes + 2, 4);
		__builtin_memcpy(&walk->echo, bytes + 6, 4);
		walk->found = 1;
	}
	return kind == KF_OPTION_EOL || walk->found;
}

/*
 * A client that uses timestamps drops segments without them, and those older than what it has seen
 * (RFC 7323 sections 3.2 and 5.3). What it echoes of the backend's clock is new enough, and its own
 * time goes back to it.
 */
__noinline int kf_turn_timestamps(struct __sk_buff *skb, struct kf_packet *p, struct kf_turn *t)
{
	struct kf_turn_options walk = {};
	struct kf_turn_image *image;
	__u32 at, len;

	if (!p || !t)
		return 0;
	image = kf_turn_image_for(t);
	if (!image)
		return 0;
	walk.options = &image->options;
	at = p->l4_offset + sizeof(struct tcphdr);
	len = p->payload_offset - at;
	if (!len || len > KF_OPTIONS_MAX || kf_options_load(skb, at, len, walk.options))
		return 0;
	kf_loop(KF_OPTIONS_MAX, kf_turn_option, &walk);
	t->timestamps = walk.found;
	t->ts_value = walk.echo;
	t->ts_echo = walk.value;
	return 0;
}

/* ---- the headers ----------------------------------------------------------------------------- */

static __always_inline __u64 kf_turn_sum(void *from, __u32 len)
{
	return (__u32)bpf_csum_diff(NULL, 0, from, (kf_length(len, KF_TURN_CSUM_MAX) + 3) & ~3u, 0);
}

/* Behind the payload stand zeros. */
static __always_inline __u64 kf_turn_payload_sum(struct kf_turn_image *image, __u32 len)
{
	if (!len)
		return 0;
	if (len <= KF_TURN_CSUM_MAX)
		return kf_turn_sum(image->payload, len);
	return kf_turn_sum(image->payload, KF_TURN_CSUM_MAX) +
	       kf_turn_sum(image->payload + KF_TURN_CSUM_MAX, len - KF_TURN_CSUM_MAX);
}

static __always_inline void kf_turn_ipv4(struct kf_turn_image *image, const struct kf_packet *p,
					 const struct kf_turn *t, __u32 header, __u32 tcp_len)
{
	const __u8 *from = t->to_client ? p->key.server : p->key.client;
	const __u8 *to = t->to_client ? p->key.client : p->key.server;
	struct iphdr *ip = &image->ipv4;

#pragma unroll
	for (int i = 5; i < KF_TURN_PADDING_WORDS; i++)
		image->words[i] = 0x01010101; /* no-operations */
	image->words[0] = bpf_htonl((4u << 28) | (header / 4) << 24 | (header + tcp_len));
	image->words[1] = bpf_htonl(0x4000); /* not to be fragmented, so its id says nothing */
	image->words[2] = bpf_htonl(KF_TURN_HOPS << 24 | IPPROTO_TCP << 16);
	__builtin_memcpy(&ip->saddr, from + 12, 4);
	__builtin_memcpy(&ip->daddr, to + 12, 4);
	ip->check = ~kf_csum_fold(kf_turn_sum(ip, header));
}

static __always_inline void kf_turn_ipv6(struct kf_turn_image *image, const struct kf_packet *p,
					 const struct kf_turn *t, __u32 header, __u32 tcp_len)
{
	__u32 padding = header - sizeof(struct ipv6hdr);
	struct ipv6hdr *ip = &image->ipv6;

	image->words[0] = bpf_htonl(6u << 28);
	ip->payload_len = bpf_htons(padding + tcp_len);
	ip->nexthdr = padding ? IPPROTO_DSTOPTS : IPPROTO_TCP;
	ip->hop_limit = KF_TURN_HOPS;
	__builtin_memcpy(&ip->saddr, t->to_client ? p->key.server : p->key.client, 16);
	__builtin_memcpy(&ip->daddr, t->to_client ? p->key.client : p->key.server, 16);
	/* stacks drop longer padding (RFC 4942 section 2.1.9.5) */
#pragma unroll
	for (__u32 i = 0; i < KF_TURN_IPV6_EXT; i++) {
		struct kf_turn_padding *pad = &image->padding[i];

		pad->next = (i + 1) * sizeof(*pad) < padding ? IPPROTO_DSTOPTS : IPPROTO_TCP;
		pad->len = 0;
		pad->kind = 1; /* PadN */
		pad->pad_len = 4;
		pad->zero = 0;
	}
}

/* Returns the length of the header. The checksum is partial if @partial. */
static __always_inline __u32 kf_turn_tcp(struct kf_turn_image *image, const struct kf_packet *p,
					 const struct kf_turn *t, bool partial)
{
	__u32 len = t->timestamps ? sizeof(struct kf_turn_tcp) : sizeof(struct tcphdr);
	__be16 client = bpf_htons(p->key.client_port), server = bpf_htons(p->key.server_port);
	struct kf_turn_tcp *tcp = &image->tcp;
	__u16 window = t->flags & KF_TCP_RST ? 0 : KF_TURN_WINDOW;
	__u64 sum;

	tcp->tcp.source = t->to_client ? server : client;
	tcp->tcp.dest = t->to_client ? client : server;
	tcp->tcp.seq = bpf_htonl(t->seq);
	tcp->tcp.ack_seq = bpf_htonl(t->ack);
	tcp_flag_word(tcp) = bpf_htonl(len / 4 << 28 | (__u32)t->flags << 16 | window);
	tcp->tcp.check = 0;
	tcp->tcp.urg_ptr = 0;
	*(__be32 *)tcp->nops = bpf_htonl(KF_OPTION_NOP << 24 | KF_OPTION_NOP << 16 |
					 KF_TCPOPT_TIMESTAMP << 8 | KF_TCPOPT_TS_LEN);
	tcp->ts_value = t->ts_value;
	tcp->ts_echo = t->ts_echo;
	sum = kf_csum_pseudo(p, len + t->payload_len);
	if (partial) {
		tcp->tcp.check = kf_csum_fold(sum);
		return len;
	}
	sum += kf_turn_sum(tcp, len) + kf_turn_payload_sum(image, t->payload_len);
	tcp->tcp.check = ~kf_csum_fold(sum);
	return len;
}

/* ---- the frame ------------------------------------------------------------------------------- */

/*
 * Makes the frame @len bytes long: linear, our own, without segmentation. Returns 1 where the TCP
 * checksum is partial, 0 where it is complete, or -1. The kernel does not let go of a checksum
 * field that it still has to fill in, so it refuses to cut such a frame in front of the field's
 * end; and a frame that was cut and grows again has lost the sum over its bytes that the hardware
 * left (CHECKSUM_COMPLETE), which would no longer hold.
 */
static __always_inline int kf_turn_resize(struct __sk_buff *skb, const struct kf_packet *p,
					  __u32 len)
{
	long err = bpf_skb_change_tail(skb, p->l4_offset + KF_TURN_CHECK_END - 1, 0);

	if (err && err != -EINVAL)
		return -1;
	if (bpf_skb_change_tail(skb, len, 0))
		return -1;
	return !!err;
}

static __always_inline long kf_turn_swap_macs(struct __sk_buff *skb)
{
	__u16 macs[6], first;
	long err = bpf_skb_load_bytes(skb, 0, macs, sizeof(macs));

	if (err)
		return err;
	for (int i = 0; i < 3; i++) {
		first = macs[i];
		macs[i] = macs[i + 3];
		macs[i + 3] = first;
	}
	return bpf_skb_store_bytes(skb, 0, macs, sizeof(macs), 0);
}

static __always_inline long kf_turn_store(struct __sk_buff *skb, const struct kf_packet *p,
					  const struct kf_turn *t, struct kf_turn_image *image,
					  __u32 header, __u32 tcp_len)
{
	long err = bpf_skb_store_bytes(skb, p->l3_offset, image, kf_length(header, 128), 0);

	if (!err)
		err = bpf_skb_store_bytes(skb, p->l4_offset, &image->tcp, kf_length(tcp_len, 32),
					  0);
	if (!err && t->payload_len)
		err = bpf_skb_store_bytes(skb, p->l4_offset + tcp_len, image->payload,
					  kf_length(t->payload_len, KF_TURN_PAYLOAD_MAX), 0);
	if (!err && t->swap_macs)
		err = kf_turn_swap_macs(skb);
	return err;
}

/* Makes the frame of @p the segment @t. 0, or -1: then the frame must be dropped. */
__noinline int kf_turn_put(struct __sk_buff *skb, struct kf_packet *p, struct kf_turn *t)
{
	struct kf_turn_image *image;
	__u32 header, tcp_len;
	int partial;

	if (!p || !t || t->payload_len > KF_TURN_PAYLOAD_MAX)
		return -1;
	image = kf_turn_image_for(t);
	if (!image)
		return -1;
	header = p->l4_offset - p->l3_offset;
	if (p->ipv6 ? (header & 7) || header > sizeof(struct ipv6hdr) + sizeof(image->padding)
		    : header > KF_TURN_IPV4_MAX)
		return -1;
	tcp_len = t->timestamps ? sizeof(struct kf_turn_tcp) : sizeof(struct tcphdr);
	partial = kf_turn_resize(skb, p, p->l4_offset + tcp_len + t->payload_len);
	if (partial < 0)
		return -1;
	kf_turn_tcp(image, p, t, partial);
	if (p->ipv6)
		kf_turn_ipv6(image, p, t, header, tcp_len + t->payload_len);
	else
		kf_turn_ipv4(image, p, t, header, tcp_len + t->payload_len);
	return kf_turn_store(skb, p, t, image, header, tcp_len) ? -1 : 0;
}

#endif /* KEYFILTER_TURN_H */
