/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * ctx_xdp.h - what the stages ask of a packet, answered for XDP.
 *
 * The stages are written once and know a packet as KF_CTX and these functions; ctx_tc.h answers
 * them for TC. Offsets count from the first byte of the frame. 0 or -errno.
 */
#ifndef KEYFILTER_CTX_XDP_H
#define KEYFILTER_CTX_XDP_H

#include <linux/bpf.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>
#include <keyfilter/abi.h>

#include "scratch.h"

#define KF_CTX		struct xdp_md
#define KF_VERDICT_PASS XDP_PASS
#define KF_VERDICT_DROP XDP_DROP

/* Bytes of the frame, fragments of a multi-buffer frame included (Linux 5.18). */
static __always_inline __u32 kf_ctx_len(KF_CTX *ctx)
{
	return bpf_xdp_get_buff_len(ctx);
}

static __always_inline __u32 kf_ctx_ifindex(KF_CTX *ctx)
{
	return ctx->ingress_ifindex;
}

static __always_inline long kf_ctx_load(KF_CTX *ctx, __u32 offset, void *to, __u32 len)
{
	return bpf_xdp_load_bytes(ctx, offset, to, len);
}

static __always_inline long kf_ctx_store(KF_CTX *ctx, __u32 offset, void *from, __u32 len)
{
	return bpf_xdp_store_bytes(ctx, offset, from, len);
}

/*
 * Hands @p to kf_answer() in TC, by the other EtherType: it must not grow here. Where no program
 * waits for it the stack does not know it, and drops it.
 */
static __always_inline int kf_ctx_answer(KF_CTX *ctx, const struct kf_packet *p)
{
	__be16 proto = bpf_htons(KF_ETHERTYPE_ANSWER);

	return kf_ctx_store(ctx, p->l3_offset - 2, &proto, sizeof(proto)) ? XDP_DROP : XDP_PASS;
}

#endif /* KEYFILTER_CTX_XDP_H */
