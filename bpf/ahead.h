/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * ahead.h - pieces of a request that come before what is missing in front of them.
 *
 * A piece that is lost or late leaves a gap in a head. What comes behind the gap passes all the
 * same, unjudged: the backend's stack keeps it, and says so (SACK, RFC 2018), and the client sends
 * again what is missing and no more. A copy stands in the flow's place, ahead of the bytes that
 * were read. The segment that closes the gap is judged together with all that stands behind it, and
 * does not pass where any of that is refused: so a backend never holds a refused head whole. What
 * passed ahead may be sent again with the same bytes only.
 *
 * There is one gap, and one stretch of bytes ahead of it. A piece that would leave a second gap is
 * dropped, as is one that ends the stream, does not fit the place, or holds an `Upgrade`, which
 * could not be neutralised any more. So is one of a client that sends requests behind each other
 * without waiting for responses: what follows the next request would have to wait, and not pass
 * (KF_FLOW_HELD). TCP brings all of these again.
 */
#ifndef KEYFILTER_AHEAD_H
#define KEYFILTER_AHEAD_H

#include "flow.h"
#include "head.h"
#include "kept.h"
#include "walk.h"

/* ---- a piece arrives ------------------------------------------------------------------------- */

struct kf_ahead_search {
	const struct kf_head *head;
	__u32 from, to;
	__u32 found;
	__u32 pad;
};

/* Is there an `upgrade:` that begins in the eight bytes of this step? */
static long kf_ahead_search_step(__u32 index, void *context)
{
	struct kf_ahead_search *search = context;
	__u32 at = search->from + index * 8;

	if (at + 8 > search->to)
		return 1;
#pragma unroll
	for (__u32 i = 0; i < 8; i++) {
		if (kf_head_is_upgrade(search->head, at + i) && at + i + 8 <= search->to)
			search->found = 1;
	}
	return search->found != 0;
}

/* May the name of an `Upgrade` field stand in @head from @from to @to, or end there? */
__noinline int kf_ahead_has_upgrade(struct kf_head *head, __u32 from, __u32 to)
{
	struct kf_ahead_search search = { .head = head, .to = to };

	if (!head)
		return 1;
	search.from = from > 7 ? from - 7 : 0;
	kf_loop(KF_HEAD_MAX / 8 + 1, kf_ahead_search_step, &search);
	return search.found;
}

/* A place for a head of which no byte came yet that is in order; NULL: there is none. */
static __always_inline struct kf_head *kf_ahead_begin(struct kf_packet *p, struct kf_flow *flow,
						      __u32 key_sources)
{
	struct kf_head *head;

	if (!kf_kept_release(flow))
		return NULL;
	/* first, so that egress does not give the place back: see kf_egress_release() */
	flow->flags |= KF_FLOW_IN_HEAD;
	head = kf_kept_place(p, flow);
	if (!head) {
		flow->flags &= ~KF_FLOW_IN_HEAD;
		return NULL;
	}
	kf_http1_begin(&head->http1, key_sources);
	head->seq = flow->in.resume_seq;
	return head;
}

/*
 * Copies @p, which begins behind resume_seq, to @head. 0: it may pass; OUT_OF_ORDER: it is dropped;
 * MALFORMED: it repeats other bytes than came ahead before.
 */
__noinline int kf_ahead_copy(KF_CTX *ctx, struct kf_packet *p, struct kf_head *head)
{
	__u32 from, to;

	if (!p || !head)
		return KF_REASON_OUT_OF_ORDER;
	from = p->seq - head->seq;
	to = from + p->payload_len;
	if (from >= KF_HEAD_MAX || to > KF_HEAD_MAX)
		return KF_REASON_OUT_OF_ORDER;
	if (head->ahead_to) {
		if (from > head->ahead_to || to < head->ahead_from)
			return KF_REASON_OUT_OF_ORDER;
		if (kf_pages_differ(ctx, p, head, head->ahead_from, head->ahead_to)) {
			p->detail = KF_DETAIL_OVERLAP_DIFFERS;
			return KF_REASON_MALFORMED;
		}
	}
	if (kf_head_load(ctx, p->payload_offset, head, from, p->payload_len, KF_HEAD_MAX) !=
	    p->payload_len)
		return KF_REASON_OUT_OF_ORDER;
	return 0;
}

/* What was copied of @p passes: it stands ahead from now on. */
static __always_inline void kf_ahead_note(const struct kf_packet *p, struct kf_head *head)
{
	__u32 from = p->seq - head->seq, to = from + p->payload_len;

	if (!head->ahead_to || from < head->ahead_from)
		head->ahead_from = from;
	if (to > head->ahead_to)
		head->ahead_to = to;
}

/* Keeps a piece of a head, or of what follows it, as kf_ahead_keep(). */
static __always_inline int kf_ahead_keep_head(KF_CTX *ctx, struct kf_packet *p,
					      struct kf_head *head)
{
	__u32 from = p->seq - head->seq;
	int reason = kf_ahead_copy(ctx, p, head);

	if (!reason && kf_ahead_has_upgrade(head, from, from + p->payload_len))
		return KF_REASON_OUT_OF_ORDER;
	if (reason)
		return reason;
	kf_ahead_note(p, head);
	return KF_REASON_HEAD_PARTIAL;
}

/* What becomes of @p, which begins behind resume_seq: HEAD_PARTIAL, or as kf_ahead_copy(). */
__noinline int kf_ahead_keep(KF_CTX *ctx, struct kf_packet *p, struct kf_flow *flow,
			     __u32 key_sources)
{
	struct kf_head *head;
	bool goes_on;
	int reason;

	if (!p || !flow)
		return KF_REASON_OUT_OF_ORDER;
	if (kf_flow_is_answering(flow))
		flow->flags |= KF_FLOW_HELD;
	if (flow->state != KF_FLOW_HEAD || (flow->flags & KF_FLOW_HELD) ||
	    (p->tcp_flags & KF_TCP_FIN))
		return KF_REASON_OUT_OF_ORDER;
	goes_on = flow->flags & KF_FLOW_IN_HEAD;
	head = goes_on ? kf_place_find(flow) : kf_ahead_begin(p, flow, key_sources);
	/* a head whose place another flow has by now is refused with the next piece in order */
	if (!head)
		return KF_REASON_OUT_OF_ORDER;
	reason = kf_ahead_keep_head(ctx, p, head);
	if (!goes_on && reason != KF_REASON_HEAD_PARTIAL) {
		flow->flags &= ~KF_FLOW_IN_HEAD;
		kf_place_release(flow);
	}
	return reason;
}

/* ---- the gap closes -------------------------------------------------------------------------- */

/*
 * Loads what @p has of the head in @head behind the bytes that were read, and takes in what came
 * ahead, if that follows now. Returns how many bytes of the head are there; 0 where the walk ends.
 */
__noinline int kf_ahead_load(KF_CTX *ctx, struct kf_packet *p, struct kf_walk *w,
			     struct kf_head *head)
{
	__u32 len;

	if (!p || !w || !head)
		return 0;
	if (head->ahead_to && (p->tcp_flags & KF_TCP_FIN)) {
		kf_walk_refuse(w, p, KF_REASON_MALFORMED, KF_DETAIL_TRUNCATED);
		return 0;
	}
	if (head->ahead_to && kf_pages_differ(ctx, p, head, head->ahead_from, head->ahead_to)) {
		kf_walk_refuse(w, p, KF_REASON_MALFORMED, KF_DETAIL_OVERLAP_DIFFERS);
		return 0;
	}
	if (head->ahead_to) {
		w->came_seq = head->seq + head->ahead_from;
		w->came_end = head->seq + head->ahead_to;
	}
	len = head->len;
	len += kf_head_load(ctx, p->payload_offset + w->at, head, len, kf_walk_left(w, p),
			    KF_HEAD_MAX - len);
	if (len >= head->ahead_from && len < head->ahead_to)
		len = head->ahead_to;
	return len;
}

/*
 * The head in @head is whole, and others may have come ahead of it. 0: those belong to its body, so
 * far as is known (ahead_chunks.h). 1: the walk ends, for a further request is among them. That one
 * would have to wait for the response to this one, and the backend has it already, so the client is
 * told to repeat both.
 */
__noinline int kf_ahead_settle(struct kf_packet *p, struct kf_flow *flow, struct kf_walk *w,
			       struct kf_head *head)
{
	__u32 head_len, end;

	if (!p || !flow || !w || !head)
		return 1;
	head_len = head->http1.head_len;
	end = head->ahead_to;
	head->len = head_len;
	if (end > head_len && head->http1.chunked) {
		flow->in.ahead = 1;
		return 0;
	}
	head->ahead_to = 0;
	if (end > head_len && end - head_len > head->http1.content_length)
		return kf_walk_repeat(w, p);
	return 0;
}

#endif /* KEYFILTER_AHEAD_H */
