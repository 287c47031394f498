/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * kept.h - judged bytes themselves, kept in the flow's place until the backend acknowledges them.
 *
 * A digest (digest.h) can be compared only with all of what it is of. A sender that loses a segment
 * of several times the path's MSS, as segmentation offload makes them, sends it again in smaller
 * ones. So what does not fit the smallest of these is kept as it is, and any range of it compared:
 * - heads of more than KF_KEPT_MIN bytes, and all that come in pieces, in the first half of buf;
 * - the framing of chunks in the second (frames.h).
 * Where no place is to be had a digest stands for them.
 */
#ifndef KEYFILTER_KEPT_H
#define KEYFILTER_KEPT_H

#include <keyfilter/swar.h>

#include "flow.h"
#include "frames.h"
#include "head.h"

#define KF_KEPT_MIN   512 /* no path that carries HTTP has a smaller MSS (RFC 9293: 536) */
#define KF_KEPT_BLOCK 64  /* bytes compared at a time */

/* ---- heads ----------------------------------------------------------------------------------- */

struct kf_kept_walk {
	KF_CTX *ctx;
	struct kf_head *head;
	struct kf_head *scratch;
	__u32 offset; /* in the frame */
	__u32 at;     /* in head->buf */
	__u32 left;
	__u32 differs;
};

static long kf_kept_step(__u32 index, void *context)
{
	struct kf_kept_walk *walk = context;
	__u32 len = walk->left > KF_KEPT_BLOCK ? KF_KEPT_BLOCK : walk->left, at = walk->at;
	const __u8 *kept, *came = walk->scratch->buf;
	__u64 differs = 0;

	if (!len)
		return 1;
	len = kf_length(len, KF_KEPT_BLOCK);
	if (kf_ctx_load(walk->ctx, walk->offset, walk->scratch->buf, len)) {
		walk->differs = 1;
		return 1;
	}
	KF_LAUNDER(at);
	kept = walk->head->buf + (at & (KF_HEAD_MAX - 1));
#pragma unroll
	for (__u32 i = 0; i < KF_KEPT_BLOCK; i += 8) {
		__u64 word = kf_swar_load(kept + i) ^ kf_swar_load(came + i);

		if (len < i + 8)
			word &= len > i ? kf_swar_low(len - i) : 0;
		differs |= word;
	}
	walk->differs |= !!differs;
	walk->offset += len;
	walk->at += len;
	walk->left -= len;
	return differs != 0;
}

/* Do the bytes of @p that stand in @head from @from to @to differ from these? */
__noinline int kf_kept_differs(KF_CTX *ctx, struct kf_packet *p, struct kf_head *head, __u32 from,
			       __u32 to)
{
	struct kf_kept_walk walk = { .ctx = ctx,
				     .head = head,
				     .scratch = kf_head_scratch(KF_SCRATCH_COMPARED) };
	__s32 at, end;

	if (!p || !head || !walk.scratch)
		return 1;
	at = p->seq - head->seq;
	end = at + p->payload_len;
	if (end > (__s32)to)
		end = to;
	walk.offset = p->payload_offset;
	if (at < (__s32)from) {
		walk.offset += from - at;
		at = from;
	}
	if (at >= end)
		return 0;
	walk.at = at;
	walk.left = end - at;
	kf_loop(KF_HEAD_MAX / KF_KEPT_BLOCK, kf_kept_step, &walk);
	return walk.differs;
}

/* Do the bytes of @p that stand in @head, and are not acknowledged, differ from these? */
static __always_inline int kf_kept_head_differs(KF_CTX *ctx, struct kf_packet *p,
						const struct kf_flow *flow, struct kf_head *head)
{
	__s32 acked = flow->in.acked_seq - head->seq;

	return kf_kept_differs(ctx, p, head, acked > 0 ? acked : 0, head->len);
}

/* ---- the place ------------------------------------------------------------------------------- */

/* The place for what is judged of @flow, taken if it has none. NULL: there is none to be had. */
static __always_inline struct kf_head *kf_kept_place(struct kf_packet *p, struct kf_flow *flow)
{
	if (!kf_place_of(flow) && kf_place_take(p, flow))
		return NULL;
	return kf_place_find(flow);
}

/*
 * Does the backend miss anything of what is in the place? Nothing is written: egress may give the
 * place back meanwhile, and another flow take it.
 */
static __always_inline bool kf_kept_is_open(const struct kf_flow *flow, struct kf_head *head)
{
	const struct kf_frame *last = kf_frames_at(head, head->frames_next - 1);

	if (head->len && kf_seq_before(flow->in.acked_seq, head->seq + head->len))
		return true;
	return head->frames_first != head->frames_next &&
	       kf_seq_before(flow->in.acked_seq, last->seq + last->len);
}

/* Gives the flow's place back where the backend has all that was judged; false where it has not. */
__noinline int kf_kept_release(struct kf_flow *flow)
{
	struct kf_head *head;

	if (!flow)
		return 0;
	if (kf_place_of(flow) && kf_seq_before(flow->in.acked_seq, flow->judged.seq)) {
		head = kf_place_find(flow);
		/* what is judged and not in the place has a digest, so that may be more */
		if (!head || kf_kept_is_open(flow, head))
			return 0;
	}
	kf_place_release(flow);
	return 1;
}

/*
 * 0 where what @p repeats of the bytes in the flow's place is the same; MALFORMED where it is not;
 * UNACKED where the place is another flow's by now.
 */
__noinline int kf_kept_compare(KF_CTX *ctx, struct kf_packet *p, struct kf_flow *flow)
{
	struct kf_head *head;

	if (!p || !flow)
		return KF_REASON_UNACKED;
	if (!kf_place_of(flow))
		return 0;
	head = kf_place_find(flow);
	if (head && !kf_kept_head_differs(ctx, p, flow, head) &&
	    !kf_frames_differ(ctx, p, flow, head))
		return 0;
	/* egress has given the place back: the backend has it all */
	if (!kf_seq_before(flow->in.acked_seq, flow->judged.seq))
		return 0;
	return head && kf_place_find(flow) ? KF_REASON_MALFORMED : KF_REASON_UNACKED;
}

#endif /* KEYFILTER_KEPT_H */
