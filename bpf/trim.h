/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * trim.h - cuts a segment where a request begins that may not pass, and takes its FIN away.
 *
 * The IP packet gets shorter, the frame does not: what is left over is padding to the stack, as
 * behind any short Ethernet frame. Checksums follow incrementally (RFC 1624). A TCP checksum that
 * is still partial (only the pseudo-header's sum: the packet comes from this host's own stack, over
 * veth) needs the new length alone.
 */
#ifndef KEYFILTER_TRIM_H
#define KEYFILTER_TRIM_H

#include <stddef.h>

#include "csum.h"
#include "packet.h"

#define KF_TRIM_BLOCK  512 /* bpf_csum_diff() takes no more */
#define KF_TRIM_BLOCKS 1025

/* Where the fields that change stand in their headers; FLAGS: of data offset and flags, a word. */
#define KF_TRIM_TCP_CHECK  offsetof(struct tcphdr, check)
#define KF_TRIM_TCP_FLAGS  (offsetof(struct tcphdr, ack_seq) + sizeof(__be32))
#define KF_TRIM_IPV4_LEN   offsetof(struct iphdr, tot_len)
#define KF_TRIM_IPV4_CHECK offsetof(struct iphdr, check)
#define KF_TRIM_IPV6_LEN   offsetof(struct ipv6hdr, payload_len)

struct kf_trim_walk {
	KF_CTX *ctx;
	__u8 *buf;
	__u32 offset;
	__u32 left;
	__u64 sum;
};

static long kf_trim_step(__u32 index, void *context)
{
	struct kf_trim_walk *walk = context;
	__u32 len = walk->left > KF_TRIM_BLOCK ? KF_TRIM_BLOCK : walk->left;
	__s64 sum;

	if (!len)
		return 1;
	len = kf_length(len, KF_TRIM_BLOCK);
	if (kf_ctx_load(walk->ctx, walk->offset, walk->buf, len))
		return 1;
	*(__u64 *)(walk->buf + len) = 0; /* bpf_csum_diff() wants whole words */
	sum = bpf_csum_diff(NULL, 0, (__be32 *)walk->buf, (len + 3) & ~3u, 0);
	walk->sum += (__u32)sum;
	walk->offset += len;
	walk->left -= len;
	return 0;
}

/* The sum of @len bytes of the frame from @offset on; they go through this CPU's scratch. */
__noinline __u64 kf_trim_sum(KF_CTX *ctx, __u32 offset, __u32 len)
{
	struct kf_head *scratch = kf_head_scratch(KF_SCRATCH_SUMMED);
	struct kf_trim_walk walk = { .ctx = ctx, .offset = offset, .left = len };

	if (!scratch)
		return 0;
	walk.buf = scratch->buf;
	kf_loop(KF_TRIM_BLOCKS, kf_trim_step, &walk);
	return walk.sum;
}

/* The TCP checksum field after the payload lost its bytes from @keep on. */
static __always_inline __u16 kf_trim_check(KF_CTX *ctx, const struct kf_packet *p, __u32 keep,
					   __u16 check)
{
	__u32 header = p->payload_offset - p->l4_offset;
	__u32 lost = p->payload_len - keep;
	__u16 before = kf_csum_fold(kf_csum_pseudo(p, header + p->payload_len));
	__u16 after = kf_csum_fold(kf_csum_pseudo(p, header + keep));
	__u16 removed, sum;

	if (check == before)
		return after; /* partial */
	removed = kf_csum_fold(kf_trim_sum(ctx, p->payload_offset + keep, lost));
	if (keep & 1)
		removed = __builtin_bswap16(removed);
	sum = kf_csum_minus((__u16)~check, removed);
	sum = kf_csum_minus(sum, before);
	return ~kf_csum_fold((__u64)sum + after);
}

/* IPv4: total length and header checksum; IPv6: payload length. */
static __always_inline long kf_trim_l3(KF_CTX *ctx, const struct kf_packet *p, __u32 lost)
{
	__u32 length_at = p->l3_offset + (p->ipv6 ? KF_TRIM_IPV6_LEN : KF_TRIM_IPV4_LEN);
	__be16 old, new;
	__u16 check;

	if (kf_ctx_load(ctx, length_at, &old, sizeof(old)))
		return -1;
	if (!old)
		return -1; /* jumbogram */
	new = bpf_htons(bpf_ntohs(old) - lost);
	if (kf_ctx_store(ctx, length_at, &new, sizeof(new)))
		return -1;
	if (p->ipv6)
		return 0;
	if (kf_ctx_load(ctx, p->l3_offset + KF_TRIM_IPV4_CHECK, &check, sizeof(check)))
		return -1;
	check = ~kf_csum_fold((__u64)kf_csum_minus((__u16)~check, old) + new);
	return kf_ctx_store(ctx, p->l3_offset + KF_TRIM_IPV4_CHECK, &check, sizeof(check));
}

/* The header's word of data offset and flags, without the FIN; and the change of the sum. */
static __always_inline long kf_trim_fin(KF_CTX *ctx, const struct kf_packet *p, bool partial,
					__u16 *check)
{
	__u16 old, new;

	if (kf_ctx_load(ctx, p->l4_offset + KF_TRIM_TCP_FLAGS, &old, sizeof(old)))
		return -1;
	new = old & ~bpf_htons(KF_TCP_FIN);
	if (!partial)
		*check = ~kf_csum_fold((__u64)kf_csum_minus((__u16) ~*check, old) + new);
	return kf_ctx_store(ctx, p->l4_offset + KF_TRIM_TCP_FLAGS, &new, sizeof(new));
}

/*
 * Leaves @keep bytes of the payload, and no FIN behind them. 0, or -1: then the frame must be
 * dropped.
 */
__noinline int kf_trim(KF_CTX *ctx, struct kf_packet *p, __u32 keep)
{
	__u16 check;
	bool partial;

	if (!p || keep > p->payload_len ||
	    kf_ctx_load(ctx, p->l4_offset + KF_TRIM_TCP_CHECK, &check, sizeof(check)))
		return -1;
	partial =
		check ==
		kf_csum_fold(kf_csum_pseudo(p, p->payload_offset - p->l4_offset + p->payload_len));
	check = kf_trim_check(ctx, p, keep, check);
	if ((p->tcp_flags & KF_TCP_FIN) && kf_trim_fin(ctx, p, partial, &check))
		return -1;
	if (kf_ctx_store(ctx, p->l4_offset + KF_TRIM_TCP_CHECK, &check, sizeof(check)))
		return -1;
	return kf_trim_l3(ctx, p, p->payload_len - keep) ? -1 : 0;
}

#endif /* KEYFILTER_TRIM_H */
