/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * frames.h - the framing of chunks, kept in the second half of the flow's place until the backend
 * acknowledges it.
 *
 * As frames of up to 8 bytes, with the data between left out; any range of a segment is compared
 * with them (kept.h).
 */
#ifndef KEYFILTER_FRAMES_H
#define KEYFILTER_FRAMES_H

#include <keyfilter/swar.h>

#include "flow.h"
#include "head.h"

#define KF_FRAMES      1024
#define KF_FRAMES_AT   KF_HEAD_MAX /* of buf */
#define KF_FRAMES_ONCE 136	   /* room for what one step may read, and more */

struct kf_frame {
	__u32 seq;
	__u32 len; /* 1 to 8 */
	__u64 bytes;
};
KF_STATIC_ASSERT(KF_FRAMES_AT + KF_FRAMES * sizeof(struct kf_frame) <=
			 sizeof(((struct kf_head *)0)->buf),
		 "the frames do not fit the place");
KF_STATIC_ASSERT((KF_FRAMES_ONCE - 1) * 8 >= KF_HEAD_FIRST,
		 "a step may read more than there is room for");

static __always_inline struct kf_frame *kf_frames_at(struct kf_head *head, __u32 index)
{
	KF_LAUNDER(index);
	return (struct kf_frame *)(head->buf + KF_FRAMES_AT) + (index & (KF_FRAMES - 1));
}

struct kf_frames_walk {
	KF_CTX *ctx;
	struct kf_head *head;
	struct kf_head *scratch; /* bytes of the segment; or where those to keep are, */
	__u32 at;		 /* from here on */
	__u32 acked;
	__u32 seq;    /* of the segment, or of the bytes to keep */
	__u32 offset; /* of the payload in the frame */
	__u32 len;    /* of the payload, or of the bytes to keep */
	__u32 differs;
};

static long kf_frames_forget_step(__u32 index, void *context)
{
	struct kf_frames_walk *walk = context;
	struct kf_head *head = walk->head;
	struct kf_frame *frame = kf_frames_at(head, head->frames_first);

	if (head->frames_first == head->frames_next ||
	    kf_seq_before(walk->acked, frame->seq + frame->len))
		return 1;
	head->frames_first++;
	return 0;
}

/* Forgets what is acknowledged. For how many frames is there room? A step needs KF_FRAMES_ONCE. */
__noinline int kf_frames_room(struct kf_flow *flow, struct kf_head *head)
{
	struct kf_frames_walk walk = { .head = head };

	if (!flow || !head)
		return 0;
	walk.acked = flow->in.acked_seq;
	if (head->len && !kf_seq_before(walk.acked, head->seq + head->len))
		head->len = 0;
	kf_loop(KF_FRAMES, kf_frames_forget_step, &walk);
	return KF_FRAMES - (head->frames_next - head->frames_first);
}

static long kf_frames_keep_step(__u32 index, void *context)
{
	struct kf_frames_walk *walk = context;
	__u32 at = index * 8, len;
	struct kf_frame *frame;

	if (at >= walk->len)
		return 1;
	len = walk->len - at;
	frame = kf_frames_at(walk->head, walk->head->frames_next);
	frame->seq = walk->seq + at;
	frame->len = len > 8 ? 8 : len;
	at += walk->at;
	KF_LAUNDER(at);
	frame->bytes = kf_swar_load(walk->scratch->buf + (at & (KF_HEAD_MAX - 1)));
	walk->head->frames_next++;
	return 0;
}

/* Keeps the @len bytes at @at of @source, which have the number @seq, in @head. There is room. */
__noinline int kf_frames_keep(struct kf_head *head, struct kf_head *source, __u32 at, __u32 seq,
			      __u32 len)
{
	struct kf_frames_walk walk = {
		.head = head, .scratch = source, .at = at, .seq = seq, .len = len
	};

	if (!head || !source)
		return -1;
	kf_loop(KF_FRAMES_ONCE, kf_frames_keep_step, &walk);
	return 0;
}

static long kf_frames_compare_step(__u32 index, void *context)
{
	struct kf_frames_walk *walk = context;
	struct kf_head *head = walk->head;
	__u32 from, to, place = head->frames_first + index;
	struct kf_frame *frame = kf_frames_at(head, place);
	__u64 mask;
	__s32 at;

	if (place == head->frames_next)
		return 1;
	at = frame->seq - walk->seq;
	if (!kf_seq_before(walk->acked, frame->seq + frame->len) || at >= (__s32)walk->len ||
	    at + (__s32)frame->len <= 0)
		return 0;
	/* the bytes from..to of the frame lie in the segment */
	from = at < 0 ? -at : 0;
	to = at + frame->len > walk->len ? walk->len - at : frame->len;
	if (from >= to || to > 8)
		return 0;
	*(__u64 *)walk->scratch->buf = 0;
	if (kf_ctx_load(walk->ctx, walk->offset + at + from, walk->scratch->buf,
			kf_length(to - from, 8))) {
		walk->differs = 1;
		return 1;
	}
	mask = to - from == 8 ? ~0ull : kf_swar_low(to - from);
	if (!((frame->bytes >> (from & 7) * 8 ^ *(__u64 *)walk->scratch->buf) & mask))
		return 0;
	walk->differs = 1;
	return 1;
}

/* Does @p repeat what is not acknowledged of the framing with other bytes? */
__noinline int kf_frames_differ(KF_CTX *ctx, struct kf_packet *p, struct kf_flow *flow,
				struct kf_head *head)
{
	struct kf_frames_walk walk = { .ctx = ctx,
				       .head = head,
				       .scratch = kf_head_scratch(KF_SCRATCH_COMPARED) };

	if (!p || !flow || !head || !walk.scratch)
		return 1;
	walk.acked = flow->in.acked_seq;
	walk.seq = p->seq;
	walk.offset = p->payload_offset;
	walk.len = p->payload_len;
	kf_loop(KF_FRAMES, kf_frames_compare_step, &walk);
	return walk.differs;
}

#endif /* KEYFILTER_FRAMES_H */
