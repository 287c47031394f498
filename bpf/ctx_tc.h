/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * ctx_tc.h - what the stages ask of a packet, answered for TC (see ctx_xdp.h).
 */
#ifndef KEYFILTER_CTX_TC_H
#define KEYFILTER_CTX_TC_H

#include <linux/bpf.h>
#include <linux/pkt_cls.h>
#include <bpf/bpf_helpers.h>

#include "scratch.h"

#define KF_CTX struct __sk_buff

/* TC_ACT_UNSPEC lets the next program or filter on the hook have its say (tcx: TCX_NEXT). */
#define KF_VERDICT_PASS TC_ACT_UNSPEC
#define KF_VERDICT_DROP TC_ACT_SHOT

/* Of ours: kf_answer() decides. */
#define KF_VERDICT_ANSWER 0x6b66

static __always_inline __u32 kf_ctx_len(KF_CTX *ctx)
{
	return ctx->len;
}

static __always_inline __u32 kf_ctx_ifindex(KF_CTX *ctx)
{
	return ctx->ifindex;
}

static __always_inline long kf_ctx_load(KF_CTX *ctx, __u32 offset, void *to, __u32 len)
{
	return bpf_skb_load_bytes(ctx, offset, to, len);
}

static __always_inline long kf_ctx_store(KF_CTX *ctx, __u32 offset, void *from, __u32 len)
{
	return bpf_skb_store_bytes(ctx, offset, from, len, BPF_F_RECOMPUTE_CSUM);
}

static __always_inline int kf_ctx_answer(KF_CTX *ctx, const struct kf_packet *p)
{
	return KF_VERDICT_ANSWER;
}

#endif /* KEYFILTER_CTX_TC_H */
