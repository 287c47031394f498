/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * walk_segment.h - what a segment that covers resume_seq holds: heads, bodies, chunk framing, in
 * turns.
 *
 * The walk goes from one byte that matters to the next. Each step reads a head, or a stretch of
 * chunk framing, and leaves resume_seq at the next one. Content is stepped over unread, except
 * where the key is judged by it (content.h). It runs under the flow's lock.
 *
 * A request waits for the end of the response before it: the segment is cut in front of it, and TCP
 * brings the rest again. So one request of a flow runs at a time, and a backend that takes bytes of
 * a body for a request gives itself away: it responds to what was never admitted.
 */
#ifndef KEYFILTER_WALK_SEGMENT_H
#define KEYFILTER_WALK_SEGMENT_H

#include <keyfilter/chunk.h>

#include "ahead.h"
#include "content.h"
#include "count.h"
#include "digest.h"
#include "flow.h"
#include "head.h"
#include "kept.h"
#include "key.h"
#include "method.h"
#include "walk.h"

#define KF_STEPS 256 /* heads and chunks read in one go; TCP brings the rest again */

KF_STATIC_ASSERT(sizeof(struct kf_chunk) <= sizeof(((struct kf_flow *)0)->in.chunk),
		 "struct kf_chunk outgrew its place in struct kf_flow");

/*
 * `Upgrade` that the service does not allow is made a field of another name, or of another value,
 * by exchanging two bytes of it: the sum of the 16-bit words stays, so the checksum holds, complete
 * or partial alike. False where one of them, at @name_seq and 2 further, has passed already, or an
 * earlier exchange is not acknowledged yet.
 */
static __always_inline bool kf_walk_neutralise(const struct kf_walk *w, const struct kf_packet *p,
					       struct kf_flow *flow, __u32 name_seq)
{
	if (w->monitor)
		return true;
	if (kf_seq_before(name_seq, flow->in.resume_seq) ||
	    kf_seq_before(p->seq + p->payload_len, name_seq + 3))
		return false;
	if (w->came_seq != w->came_end && kf_seq_before(name_seq, w->came_end) &&
	    kf_seq_before(w->came_seq, name_seq + 3))
		return false;
	if ((flow->flags & KF_FLOW_SWAP) &&
	    kf_seq_before(flow->in.acked_seq, flow->in.swap_seq + 3))
		return false;
	flow->in.swap_seq = name_seq;
	flow->flags |= KF_FLOW_SWAP;
	return true;
}

/*
 * The `Upgrade` of the head in @head, whose first byte has the number @seq, if there is one and it
 * is not to pass. False where it is too late.
 */
static __always_inline bool kf_walk_upgrade(const struct kf_walk *w, const struct kf_packet *p,
					    struct kf_flow *flow, struct kf_head *head, __u32 seq)
{
	const struct kf_http1 *http1 = &head->http1;

	if (http1->upgrade == KF_UPGRADE_NONE || head->neutral ||
	    (http1->upgrade == KF_UPGRADE_WEBSOCKET && w->websocket))
		return true;
	/* the name may have passed already; another value does as well */
	return kf_walk_neutralise(w, p, flow, seq + http1->upgrade_name_off) ||
	       (http1->upgrade_len > 2 && kf_walk_neutralise(w, p, flow, seq + http1->upgrade_off));
}

/* The backend gets a request that it will respond to. */
static __always_inline void kf_walk_expect(struct kf_flow *flow, __u8 method)
{
	__u32 bit = 1u << (flow->response.requests & 31);

	if (method == KF_METHOD_HEAD)
		flow->response.head_asked |= bit;
	else
		flow->response.head_asked &= ~bit;
	/* the reader of responses must not see a request before it knows its method */
	*(volatile __u32 *)&flow->response.requests = flow->response.requests + 1;
}

/* KF_REASON_ADMITTED, or why not; @detail of KF_REASON_MALFORMED. */
static __always_inline int kf_walk_judge(const struct kf_packet *p, const struct kf_flow *flow,
					 struct kf_walk *w, struct kf_head *head, __u8 *detail)
{
	int reason;

	*detail = 0;
	if (flow->in.empty_lines + head->http1.method_off / 2 > KF_HTTP1_EMPTY_MAX) {
		*detail = KF_DETAIL_EMPTY_LINES;
		return KF_REASON_MALFORMED;
	}
	if (head->http1.method == KF_METHOD_OTHER &&
	    !kf_method_is_added(p->service, &head->http1, head->buf)) {
		*detail = KF_DETAIL_METHOD;
		return KF_REASON_MALFORMED;
	}
	w->detail = 0;
	reason = kf_key_judge(head, p->key.client, w);
	*detail = w->detail;
	return reason;
}

/*
 * The head in @head is complete, of which @prior bytes came earlier: may the request pass? Apart
 * from the reading of it: the stack cannot hold both.
 */
__noinline int kf_walk_request(struct kf_packet *p, struct kf_flow *flow, struct kf_walk *w,
			       struct kf_head *head, __u32 prior)
{
	__u8 detail;
	int reason;

	if (!p || !flow || !w || !head)
		return 1;
	w->slot = KF_SLOT_NONE;
	w->content = 0;
	w->named = 0;
	reason = kf_walk_judge(p, flow, w, head, &detail);
	w->allowed = reason == KF_REASON_ADMITTED;
	if (!w->allowed) {
		kf_walk_refuse(w, p, reason, detail);
		if (!w->monitor)
			return 1;
		/* it passes all the same, and what follows is framed by it */
	}
	if (!kf_walk_upgrade(w, p, flow, head, p->seq + w->at - prior))
		return kf_walk_refuse(w, p, KF_REASON_MALFORMED, KF_DETAIL_UPGRADE_SPLIT);
	flow->slot = w->slot;
	flow->slot_check = kf_key_slot_check(w->slot);
	return 0;
}

/* It may. Where does the next one begin? */
__noinline int kf_walk_admit(struct kf_packet *p, struct kf_flow *flow, struct kf_walk *w,
			     struct kf_head *head, __u32 prior)
{
	const struct kf_http1 *http1;

	if (!p || !flow || !w || !head)
		return 1;
	http1 = &head->http1;
	if (http1->upgrade == KF_UPGRADE_WEBSOCKET && w->websocket)
		flow->state = KF_FLOW_UPGRADING;
	kf_walk_read(w, p, flow, http1->head_len - prior);
	w->head = prior ? 0 : http1->head_len;
	if (http1->chunked && !w->content) {
		flow->state = KF_FLOW_CHUNKS;
		kf_chunk_begin((struct kf_chunk *)flow->in.chunk);
	} else if (!w->content) {
		kf_walk_skip(w, p, flow, http1->content_length);
	}
	kf_walk_expect(flow, http1->method);
	flow->answer.protocol = http1->protocol;
	flow->in.empty_lines = 0;
	flow->flags &= ~KF_FLOW_HELD;
	flow->answer.seq = p->ack;
	w->admitted += w->allowed && !w->content;
	return 0;
}

/* What the reader made of the head in @head, of which @prior bytes came earlier. */
static __always_inline int kf_walk_result(struct kf_walk *w, struct kf_packet *p,
					  struct kf_flow *flow, struct kf_head *head, int result,
					  __u32 prior)
{
	w->protocol = head->http1.protocol;
	w->method = head->http1.method;
	if (result == KF_HTTP1_TOO_LARGE)
		return kf_walk_refuse(w, p, KF_REASON_HEAD_TOO_LARGE, 0);
	if (result != KF_HTTP1_REQUEST)
		return kf_walk_refuse(w, p, KF_REASON_MALFORMED, head->http1.detail);
	if (kf_walk_request(p, flow, w, head, prior) ||
	    (w->content && kf_content_begin(p, flow, w, head)))
		return 1;
	return kf_walk_admit(p, flow, w, head, prior);
}

/*
 * @len bytes of a head that goes on are in its place, head->len of them from earlier segments. They
 * pass; an `Upgrade` among them is neutralised as soon as its segment shows that it must be.
 */
__noinline int kf_walk_partial(struct kf_packet *p, struct kf_flow *flow, struct kf_walk *w,
			       struct kf_head *head, __u32 len)
{
	__u32 open, prior;

	if (!p || !flow || !w || !head)
		return 1;
	prior = head->len;
	open = kf_head_upgrade_open(head, len, w->websocket);
	if (!head->neutral && head->http1.upgrade != KF_UPGRADE_NONE)
		head->neutral = kf_walk_upgrade(w, p, flow, head, head->seq);
	else if (!head->neutral && open)
		head->neutral = kf_walk_neutralise(w, p, flow, head->seq + open);
	head->len = len;
	kf_walk_read(w, p, flow, len - prior);
	w->partial = 1;
	w->kept = 1;
	return 1;
}

/* The head goes on in the next segment: @len bytes of it move to a place of their own. */
__noinline int kf_walk_keep(KF_CTX *ctx, struct kf_packet *p, struct kf_flow *flow,
			    struct kf_walk *w, __u32 len)
{
	struct kf_head *scratch = kf_head_scratch_of(KF_SCRATCH_REQUEST);
	struct kf_head *head;

	if (!p || !flow || !w || !scratch)
		return 1;
	flow->flags |= KF_FLOW_IN_HEAD;
	head = kf_kept_place(p, flow);
	if (!head) {
		flow->flags &= ~KF_FLOW_IN_HEAD;
		return kf_walk_stop(w, KF_REASON_HEADS_FULL);
	}
	head->http1 = scratch->http1;
	head->segments = 1;
	head->neutral = 0;
	head->seq = p->seq + w->at;
	head->len = 0;
	len = kf_head_load(ctx, p->payload_offset + w->at, head, 0, len, KF_HEAD_MAX);
	return kf_walk_partial(p, flow, w, head, len);
}

/* Empty lines, and no head behind them yet: they pass, and hold no place. 1: the walk ends here. */
static __always_inline int kf_walk_blank(struct kf_packet *p, struct kf_flow *flow,
					 struct kf_walk *w, __u32 len)
{
	flow->in.empty_lines += len / 2;
	if (flow->in.empty_lines > KF_HTTP1_EMPTY_MAX)
		return kf_walk_refuse(w, p, KF_REASON_MALFORMED, KF_DETAIL_EMPTY_LINES);
	kf_walk_read(w, p, flow, len);
	return 0;
}

/*
 * What follows a request has to wait while a response is due or running: 1. Where the end of that
 * cannot be known, its turn never comes.
 */
__noinline int kf_walk_wait(struct kf_packet *p, struct kf_flow *flow, struct kf_walk *w)
{
	if (!p || !flow || !w)
		return 1;
	if (w->monitor || !kf_flow_is_answering(flow))
		return 0;
	if (kf_flow_is_followed(flow) ||
	    (flow->response.state == KF_RESPONSE_CLOSING && !(flow->out.flags & KF_FLOW_FIN_OUT)))
		return kf_walk_stop(w, KF_REASON_FLOW_BUSY);
	return kf_walk_refuse(w, p, KF_REASON_MALFORMED, KF_DETAIL_RESPONSE_UNKNOWN);
}

/* A head begins. 1: the walk ends here. */
__noinline int kf_walk_head_new(KF_CTX *ctx, struct kf_packet *p, struct kf_flow *flow,
				struct kf_walk *w)
{
	struct kf_head *head = kf_head_scratch(KF_SCRATCH_REQUEST);
	__u32 offset, avail, len;
	int result;

	if (!p || !flow || !w || !head)
		return 1;
	offset = p->payload_offset + w->at;
	avail = kf_walk_left(w, p);
	kf_http1_begin(&head->http1, w->key_sources);
	w->placed = 0;
	len = kf_head_load(ctx, offset, head, 0, avail, KF_HEAD_FIRST);
	w->loaded = w->at == w->from ? len : 0;
	result = kf_head_parse(head, len);
	if (result == KF_HTTP1_INCOMPLETE && avail > len) {
		len = kf_head_load(ctx, offset, head, 0, avail, KF_HEAD_MAX);
		result = kf_head_parse(head, len);
	}
	if (result == KF_HTTP1_INCOMPLETE && kf_http1_is_blank(&head->http1, len))
		return kf_walk_blank(p, flow, w, len);
	if (kf_walk_wait(p, flow, w))
		return 1;
	/* of the request before: a response may come before the backend has all of it */
	if (w->monitor)
		kf_place_release(flow);
	else if (!kf_kept_release(flow))
		return kf_walk_stop(w, KF_REASON_FLOW_BUSY);
	if (result == KF_HTTP1_INCOMPLETE)
		return kf_walk_keep(ctx, p, flow, w, len);
	if (kf_walk_result(w, p, flow, head, result, 0))
		return 1;
	return flow->state == KF_FLOW_CONTENT ? kf_content_keep_head(ctx, p, flow, w) : 0;
}

/* A head goes on. 1: the walk ends here. */
__noinline int kf_walk_head_more(KF_CTX *ctx, struct kf_packet *p, struct kf_flow *flow,
				 struct kf_walk *w)
{
	struct kf_head *head;
	__u32 prior, len;
	int result;

	if (!p || !flow || !w)
		return 1;
	head = kf_place_find(flow);
	if (!head)
		return kf_walk_repeat(w, p);
	prior = head->len;
	if (prior >= KF_HEAD_MAX)
		return kf_walk_refuse(w, p, KF_REASON_HEAD_TOO_LARGE, 0);
	len = kf_ahead_load(ctx, p, w, head);
	if (!len)
		return 1;
	result = kf_head_parse(head, len);
	if (result == KF_HTTP1_INCOMPLETE) {
		if (++head->segments >= KF_HEAD_SEGMENTS)
			return kf_walk_refuse(w, p, KF_REASON_MALFORMED,
					      KF_DETAIL_TOO_MANY_SEGMENTS);
		if (len >= head->ahead_to)
			head->ahead_to = 0;
		return kf_walk_partial(p, flow, w, head, len);
	}
	w->kept = 1;
	w->placed = 1;
	w->ahead_to = head->ahead_to;
	if (result == KF_HTTP1_REQUEST) {
		if (kf_ahead_settle(p, flow, w, head))
			return 1;
		flow->judged.seq = head->seq + head->len; /* egress does not give the place back */
	}
	flow->flags &= ~KF_FLOW_IN_HEAD;
	return kf_walk_result(w, p, flow, head, result, prior);
}

/* The head of @len bytes from w->from on is kept as it is. False where no place is to be had. */
__noinline int kf_walk_keep_head(KF_CTX *ctx, struct kf_packet *p, struct kf_flow *flow,
				 struct kf_walk *w, __u32 len)
{
	struct kf_head *head;

	if (!p || !flow || !w)
		return 0;
	head = kf_kept_place(p, flow);
	if (!head)
		return 0;
	head->seq = p->seq + w->from;
	head->len = kf_head_load(ctx, p->payload_offset + w->from, head, 0, len, KF_HEAD_MAX);
	return head->len == len;
}

/* @len bytes of framing, which stand in this CPU's scratch, have been read, and are kept. */
static __always_inline void kf_walk_frame(struct kf_walk *w, const struct kf_packet *p,
					  struct kf_flow *flow, struct kf_head *head, __u32 len)
{
	kf_frames_keep(head, kf_head_scratch_of(KF_SCRATCH_REQUEST), 0, p->seq + w->at, len);
	w->at += len;
	flow->in.resume_seq = p->seq + w->at;
	flow->judged.seq = flow->in.resume_seq;
}

/* Chunk framing begins or goes on. 1: the walk ends here. */
__noinline int kf_walk_chunks(KF_CTX *ctx, struct kf_packet *p, struct kf_flow *flow,
			      struct kf_walk *w)
{
	struct kf_head *scratch = kf_head_scratch(KF_SCRATCH_REQUEST), *head;
	__u32 consumed = 0, len;
	struct kf_chunk *chunk;
	__u8 detail = 0;
	int result;

	if (!p || !flow || !w || !scratch)
		return 1;
	head = kf_kept_place(p, flow);
	if (head && kf_frames_room(flow, head) < KF_FRAMES_ONCE)
		return kf_walk_stop(w, KF_REASON_FLOW_BUSY);
	if (!head && kf_place_of(flow)) {
		/* it was taken for another flow; what was in it must not come again unseen */
		if (kf_seq_before(flow->in.acked_seq, flow->judged.seq))
			return kf_walk_stop(w, KF_REASON_FLOW_BUSY);
		kf_place_release(flow);
	}
	chunk = (struct kf_chunk *)flow->in.chunk;
	w->loaded = 0;
	len = kf_head_load(ctx, p->payload_offset + w->at, scratch, 0, kf_walk_left(w, p),
			   KF_HEAD_FIRST);
	result = kf_chunk_parse(chunk, scratch->buf, len, &consumed, &detail);
	if (result == KF_CHUNK_MALFORMED)
		return kf_walk_refuse(w, p, KF_REASON_MALFORMED, detail);
	if (head)
		kf_walk_frame(w, p, flow, head, consumed);
	else
		kf_walk_read(w, p, flow, consumed);
	if (result == KF_CHUNK_SKIP)
		kf_walk_skip(w, p, flow, chunk->skip);
	else if (result == KF_CHUNK_END)
		flow->state = KF_FLOW_HEAD;
	return 0;
}

/* One step from a byte that matters to the next. 1: the walk ends. */
static __always_inline int kf_walk_step(KF_CTX *ctx, struct kf_packet *p, struct kf_flow *flow,
					struct kf_walk *w)
{
	switch (flow->state) {
	case KF_FLOW_HEAD:
		if (flow->flags & KF_FLOW_IN_HEAD)
			return kf_walk_head_more(ctx, p, flow, w);
		return kf_walk_head_new(ctx, p, flow, w);
	case KF_FLOW_CHUNKS:
		return kf_walk_chunks(ctx, p, flow, w);
	case KF_FLOW_CONTENT:
		return kf_content_step(ctx, p, flow, w);
	default:
		/* behind a request to upgrade: the response tells what it is (RFC 9110 section 7.8)
		 */
		return kf_walk_wait(p, flow, w) ||
		       kf_walk_refuse(w, p, KF_REASON_MALFORMED, KF_DETAIL_CONNECTION);
	}
}

/* A plain loop, as bpf_loop() would cost one of the eight call frames. */
static __always_inline void kf_walk_run(KF_CTX *ctx, struct kf_packet *p, struct kf_flow *flow,
					struct kf_walk *w)
{
#pragma clang loop unroll(disable)
	for (int i = 0; i < KF_STEPS; i++) {
		if (w->at >= p->payload_len || kf_walk_step(ctx, p, flow, w))
			break;
	}
}

#endif /* KEYFILTER_WALK_SEGMENT_H */
