/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * ahead_chunks.h - pieces of a chunked body that come before what is missing in front of them.
 *
 * As ahead.h does for a head: they pass unread, since the backend's stack keeps them, and a copy
 * stands in the flow's place, which kf_flow.in.ahead tells. The framing among them is read once all
 * in front of it is there, and only then is it known where the body ends. The segment that makes it
 * known does not pass where the framing is not sound, or where a further request came ahead: the
 * backend had that already, while it would have to wait for the response to this one.
 *
 * resume_seq runs ahead of a chunk's data. So the gap counts only where framing is missing: what is
 * missing of data passes unread when it comes.
 */
#ifndef KEYFILTER_AHEAD_CHUNKS_H
#define KEYFILTER_AHEAD_CHUNKS_H

#include <keyfilter/chunk.h>

#include "ahead.h"

#define KF_AHEAD_CHUNKS 768 /* chunks that are read in one go; with more the request is refused */
#define KF_AHEAD_FRAMES (KF_FRAMES / 2) /* free for the framing of what is kept */

/* ---- a piece arrives ------------------------------------------------------------------------- */

/* A place for pieces of the body, from resume_seq on if it can be. NULL: there is none. */
static __always_inline struct kf_head *kf_ahead_chunks_begin(struct kf_packet *p,
							     struct kf_flow *flow)
{
	struct kf_head *head = kf_kept_place(p, flow);

	if (!head || kf_frames_room(flow, head) < KF_AHEAD_FRAMES)
		return NULL;
	/* otherwise the backend has not got all of the head, and the copy goes behind that */
	if (!head->len)
		head->seq = flow->in.resume_seq;
	head->ahead_to = 0;
	return head;
}

/*
 * What becomes of @p, which begins behind resume_seq: BODY, it passes; OUT_OF_ORDER, it is dropped;
 * MALFORMED, it repeats other bytes than came ahead before.
 */
__noinline int kf_ahead_chunks_keep(KF_CTX *ctx, struct kf_packet *p, struct kf_flow *flow)
{
	struct kf_head *head;
	int reason;

	if (!p || !flow || (p->tcp_flags & KF_TCP_FIN))
		return KF_REASON_OUT_OF_ORDER;
	head = flow->in.ahead ? kf_place_find(flow) : kf_ahead_chunks_begin(p, flow);
	/* a flow whose place another one has by now is refused with the next piece in order */
	if (!head)
		return KF_REASON_OUT_OF_ORDER;
	reason = kf_ahead_copy(ctx, p, head);
	if (reason)
		return reason;
	kf_ahead_note(p, head);
	flow->in.ahead = 1;
	return KF_REASON_BODY;
}

/* ---- what is missing comes ------------------------------------------------------------------- */

/* Before @p is walked: nothing in it stands against what came ahead. 1: the walk ends. */
__noinline int kf_ahead_chunks_meet(KF_CTX *ctx, struct kf_packet *p, struct kf_flow *flow,
				    struct kf_walk *w)
{
	struct kf_head *head;

	if (!p || !flow || !w)
		return 1;
	w->at = 0; /* nothing passes of what is refused here */
	head = kf_place_find(flow);
	if (!head)
		return kf_walk_repeat(w, p);
	if ((p->tcp_flags & KF_TCP_FIN) &&
	    kf_seq_before(p->seq + p->payload_len, head->seq + head->ahead_to))
		return kf_walk_refuse(w, p, KF_REASON_MALFORMED, KF_DETAIL_TRUNCATED);
	if (kf_pages_differ(ctx, p, head, head->ahead_from, head->ahead_to))
		return kf_walk_refuse(w, p, KF_REASON_MALFORMED, KF_DETAIL_OVERLAP_DIFFERS);
	w->at = w->from;
	return 0;
}

/* How many bytes of what came ahead follow resume_seq. */
static __always_inline __u32 kf_ahead_chunks_left(const struct kf_flow *flow,
						  const struct kf_head *head)
{
	__u32 at = flow->in.resume_seq - head->seq;

	return at < head->ahead_to ? head->ahead_to - at : 0;
}

/* Reads one stretch of framing among them. 1: no further one follows, or can be read. */
__noinline int kf_ahead_chunks_step(struct kf_packet *p, struct kf_flow *flow, struct kf_walk *w,
				    struct kf_head *head)
{
	__u32 consumed = 0, len, at;
	struct kf_chunk *chunk;
	__u8 detail = 0;
	int result;

	if (!p || !flow || !w || !head)
		return 1;
	len = kf_ahead_chunks_left(flow, head);
	if (!len || flow->state != KF_FLOW_CHUNKS || kf_frames_room(flow, head) < KF_FRAMES_ONCE)
		return 1;
	chunk = (struct kf_chunk *)flow->in.chunk;
	at = head->ahead_to - len;
	KF_LAUNDER(at);
	result = kf_chunk_parse(chunk, head->buf + (at & (KF_HEAD_MAX - 1)), len, &consumed,
				&detail);
	if (result == KF_CHUNK_MALFORMED)
		return kf_walk_refuse(w, p, KF_REASON_MALFORMED, detail);
	kf_frames_keep(head, head, at, flow->in.resume_seq, consumed);
	flow->in.resume_seq += consumed;
	flow->judged.seq = flow->in.resume_seq;
	if (result == KF_CHUNK_SKIP)
		kf_flow_skip(flow, chunk->skip);
	else if (result == KF_CHUNK_END)
		flow->state = KF_FLOW_HEAD;
	return 0;
}

/* Reads what came ahead, as far as it follows what was read. False where the walk is refused. */
static __always_inline bool kf_ahead_chunks_run(struct kf_packet *p, struct kf_flow *flow,
						struct kf_walk *w, struct kf_head *head)
{
	if (flow->state == KF_FLOW_CHUNKS && flow->in.resume_seq - head->seq < head->ahead_from)
		return true;
#pragma clang loop unroll(disable)
	for (int i = 0; i < KF_AHEAD_CHUNKS; i++) {
		if (kf_ahead_chunks_step(p, flow, w, head))
			break;
	}
	if (w->refused)
		return false;
	/* a further request, or more than can be read */
	if (kf_ahead_chunks_left(flow, head))
		return !kf_walk_repeat(w, p);
	head->ahead_to = 0;
	flow->in.ahead = 0;
	return true;
}

/*
 * The walk over @p ended. Reads what came ahead of it. Where anything is refused nothing of @p
 * passes, now or again: the gap stays, and the backend never gets what came behind it.
 */
__noinline int kf_ahead_chunks_read(struct kf_packet *p, struct kf_flow *flow, struct kf_walk *w)
{
	struct kf_head *head;

	if (!p || !flow || !w)
		return 0;
	if (!w->refused) {
		head = kf_place_find(flow);
		if (head ? kf_ahead_chunks_run(p, flow, w, head) : !kf_walk_repeat(w, p))
			return 0;
		flow->state = KF_FLOW_CHUNKS; /* the request is refused whose body this is */
	}
	flow->in.resume_seq = p->seq + w->from;
	w->at = 0;
	return 0;
}

#endif /* KEYFILTER_AHEAD_CHUNKS_H */
