/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * content.h - a part of stages 5 to 7: the content of a request whose key is judged by it.
 *
 * A key that may call some models only, or draws on money, is judged by the model that the
 * request's JSON names. Its head is admitted first, and passes; then each segment of content is
 * read as it passes, whatever its framing. The one that completes the JSON does not pass before the
 * model was found in the sets of the key and its group: so a backend never holds the whole content
 * of a refused request.
 *
 * All that was read is kept, in pages (pages.h): it may come again, in segments that begin and end
 * anywhere, and must be the same. What comes behind a gap is kept there, too, and passes unread;
 * when the gap closes it is read with the segment that closes it, which does not pass where any of
 * that is refused (as in ahead.h).
 */
#ifndef KEYFILTER_CONTENT_H
#define KEYFILTER_CONTENT_H

#include <keyfilter/body.h>
#include <keyfilter/chunk.h>

#include "flow.h"
#include "group.h"
#include "kept.h"
#include "key.h"
#include "pages.h"
#include "walk.h"

#define KF_CONTENT_MAX	 (1u << 30)    /* bytes of a head and what follows: sequence numbers wrap */
#define KF_CONTENT_AHEAD (512u * 1024) /* bytes that may pass behind a gap, and wait to be read */
#define KF_CONTENT_STEPS 256	       /* stretches of these that are read in one go */

/* kf_head.content_state */
#define KF_CONTENT_CHUNKED 0x1u
#define KF_CONTENT_ENDED   0x2u /* chunked: the last chunk is behind us */
#define KF_CONTENT_ALLOWED 0x4u /* the JSON is complete, and its model allowed */
#define KF_CONTENT_NAMED   0x8u /* the path has named a model; the JSON need not */

/* The order in which a fault of body.h becomes a detail. */
KF_STATIC_ASSERT(KF_DETAIL_BODY_COUNT - KF_DETAIL_BODY_NOT_OBJECT ==
			 KF_BODY_FAULT_COUNT - KF_BODY_FAULT_NOT_OBJECT,
		 "details and faults of a body differ");

static __always_inline __u8 kf_content_detail(enum kf_body_fault fault)
{
	return KF_DETAIL_BODY_NOT_OBJECT + (fault - KF_BODY_FAULT_NOT_OBJECT);
}

/* ---- it begins ------------------------------------------------------------------------------- */

/*
 * Content follows the head in @head and is to be read: it gets a place. 1: there is none to be had
 * now, and the walk ends.
 */
__noinline int kf_content_begin(struct kf_packet *p, struct kf_flow *flow, struct kf_walk *w,
				struct kf_head *head)
{
	struct kf_head *place = head;

	if (!p || !flow || !w || !head)
		return 1;
	/* framing of the content before stands in this segment, and its digest is not made yet */
	if (!w->placed && w->judged != w->from)
		return kf_walk_stop(w, KF_REASON_FLOW_BUSY);
	/* first, so that egress does not give the place back: see kf_egress_release() */
	flow->state = KF_FLOW_CONTENT;
	if (!w->placed)
		place = kf_kept_place(p, flow);
	if (!place) {
		flow->state = KF_FLOW_HEAD;
		return kf_walk_stop(w, KF_REASON_HEADS_FULL);
	}
	if (!w->placed)
		place->seq = p->seq + w->at;
	flow->in.ahead = 0;
	place->ahead_to = w->ahead_to > head->http1.head_len ? w->ahead_to : 0;
	place->content = head->http1.content_length;
	place->content_state = w->named ? KF_CONTENT_NAMED : 0;
	place->named[0] = w->named_tag[0];
	place->named[1] = w->named_tag[1];
	if (head->http1.chunked) {
		place->content = 0;
		place->content_state |= KF_CONTENT_CHUNKED;
		kf_chunk_begin((struct kf_chunk *)flow->in.chunk);
	}
	place->pages_first = 1;
	place->pages_end = 1;
	kf_body_begin(&place->body);
	w->kept = 1;
	w->partial = 1;
	return 0;
}

/* The head of w->head bytes, which ends before w->at, is copied to the place. 1: it cannot be. */
__noinline int kf_content_keep_head(KF_CTX *ctx, struct kf_packet *p, struct kf_flow *flow,
				    struct kf_walk *w)
{
	struct kf_head *head;

	if (!p || !flow || !w)
		return 1;
	head = kf_place_find(flow);
	if (!head)
		return kf_walk_repeat(w, p);
	head->len = kf_head_load(ctx, p->payload_offset + w->at - w->head, head, 0, w->head,
				 KF_HEAD_MAX);
	return head->len == w->head ? 0 : kf_walk_repeat(w, p);
}

/* ---- it is refused, or admitted -------------------------------------------------------------- */

/* Only the framing of what is left is followed: in monitor mode, where all passes. */
static __always_inline int kf_content_give_up(struct kf_packet *p, struct kf_flow *flow,
					      struct kf_walk *w, struct kf_head *head)
{
	flow->state = head->content_state & KF_CONTENT_CHUNKED ? KF_FLOW_CHUNKS : KF_FLOW_HEAD;
	kf_walk_skip(w, p, flow, head->content);
	kf_place_release(flow);
	return 0;
}

/*
 * The content is refused. Nothing of @p passes, now or again, not even what was sound in it: so no
 * server has enough of the request to serve it.
 */
__noinline int kf_content_refuse(struct kf_packet *p, struct kf_flow *flow, struct kf_walk *w,
				 struct kf_head *head, __u32 cause)
{
	struct kf_slot *slot;

	if (!p || !flow || !w || !head)
		return 1;
	slot = kf_key_slot(flow->slot, flow->slot_check);
	if (slot)
		kf_key_count(slot, KF_REASON_MODEL_NOT_ALLOWED, 0);
	w->slot = flow->slot;
	w->protocol = flow->answer.protocol;
	w->retry_after = (cause & 0xff) == KF_REASON_HEAD_TIMEOUT;
	kf_walk_refuse(w, p, cause & 0xff, cause >> 8);
	if (w->monitor && (cause & 0xff) != KF_REASON_MALFORMED)
		return kf_content_give_up(p, flow, w, head);
	flow->in.resume_seq = p->seq + w->from;
	w->at = 0;
	return 1;
}

/* The two numbers in one: global functions have five arguments at most. */
#define KF_CONTENT_CAUSE(reason, detail) ((reason) | (__u32)(detail) << 8)

/* May the flow's key call the model of the JSON in @head? A cause to refuse it, or 0. */
static __always_inline __u32 kf_content_judge(struct kf_flow *flow, struct kf_head *head)
{
	bool named = head->content_state & KF_CONTENT_NAMED;
	enum kf_body_fault fault = kf_body_end(&head->body, !named);
	struct kf_slot *slot;
	int reason;

	if (fault)
		return KF_CONTENT_CAUSE(KF_REASON_BODY_NOT_READABLE, kf_content_detail(fault));
	if (kf_body_has(&head->body, KF_BODY_CHOOSER))
		return KF_CONTENT_CAUSE(KF_REASON_BODY_NOT_READABLE, KF_DETAIL_BODY_CHOOSER);
	slot = kf_key_slot(flow->slot, flow->slot_check);
	if (!slot)
		return KF_REASON_UNKNOWN_KEY;
	if (!kf_body_has(&head->body, KF_BODY_MODEL))
		return 0;
	if (named && kf_key_tag_equal((const __u8 *)head->body.tag, (const __u8 *)head->named))
		return 0;
	reason = kf_group_judge_tag(slot, head->body.tag);
	return reason == KF_REASON_ADMITTED ? 0 : reason;
}

/* All that is there was read, and is sound so far. 1: the walk ends here. */
static __always_inline int kf_content_settle(struct kf_packet *p, struct kf_flow *flow,
					     struct kf_walk *w, struct kf_head *head)
{
	__u32 state = head->content_state, cause;
	struct kf_slot *slot;
	bool ended;

	ended = state & KF_CONTENT_CHUNKED ? state & KF_CONTENT_ENDED : !head->content;
	if (!(state & KF_CONTENT_ALLOWED) && (ended || head->body.state == KF_BODY_AT_END)) {
		cause = kf_content_judge(flow, head);
		if (cause)
			return kf_content_refuse(p, flow, w, head, cause);
		head->content_state |= KF_CONTENT_ALLOWED;
	}
	if (!ended)
		return 0;
	/* a further request came ahead: see kf_ahead_settle() */
	if (head->ahead_to > head->len)
		return kf_content_refuse(p, flow, w, head, KF_REASON_HEAD_TIMEOUT);
	slot = kf_key_slot(flow->slot, flow->slot_check);
	if (slot)
		kf_key_count(slot, KF_REASON_ADMITTED, bpf_ktime_get_boot_ns());
	head->ahead_to = 0;
	flow->state = KF_FLOW_HEAD;
	w->slot = flow->slot;
	w->admitted++;
	return 0;
}

/* ---- it goes on ------------------------------------------------------------------------------ */

/* Reads chunk framing, as kf_content_parse(). */
static __always_inline int kf_content_frame(struct kf_flow *flow, struct kf_head *head,
					    struct kf_head *page, __u32 at, __u32 len)
{
	struct kf_chunk *chunk = (struct kf_chunk *)flow->in.chunk;
	__u32 consumed = 0;
	__u8 detail = 0;
	int result;

	KF_LAUNDER(at);
	result = kf_chunk_parse(chunk, page->buf + (at & (KF_HEAD_MAX - 1)), len, &consumed,
				&detail);
	if (result == KF_CHUNK_MALFORMED)
		return -(int)KF_CONTENT_CAUSE(KF_REASON_MALFORMED, detail);
	if (result == KF_CHUNK_SKIP)
		head->content = chunk->skip;
	else if (result == KF_CHUNK_END)
		head->content_state |= KF_CONTENT_ENDED;
	return consumed;
}

/*
 * Reads some of the @len bytes at @at of @page, a stretch of framing or of data. Returns how many,
 * or a cause to refuse them, negative.
 */
__noinline int kf_content_parse(struct kf_flow *flow, struct kf_head *head, struct kf_head *page,
				__u32 at, __u32 len)
{
	struct kf_config *config = kf_config_get();

	if (!flow || !head || !page || !config)
		return -KF_REASON_HEAD_TIMEOUT;
	at &= KF_HEAD_MAX - 1;
	if (!head->content && (head->content_state & KF_CONTENT_CHUNKED))
		return kf_content_frame(flow, head, page, at, len);
	if (len > head->content)
		len = head->content;
	if (len > KF_HEAD_MAX - at)
		len = KF_HEAD_MAX - at;
	if (kf_body_parse(&head->body, config->secret, page->buf, at, at + len) == KF_BODY_REFUSED)
		return -(int)KF_CONTENT_CAUSE(KF_REASON_BODY_NOT_READABLE,
					      kf_content_detail(head->body.fault));
	head->content -= len;
	return len;
}

/* The next @len bytes of the content stand in @page: reads some of them. 1: the walk ends here. */
__noinline int kf_content_read(struct kf_packet *p, struct kf_flow *flow, struct kf_walk *w,
			       struct kf_head *page, __u32 len)
{
	struct kf_head *head;
	int used;

	if (!p || !flow || !w || !page)
		return 1;
	head = kf_head_at(kf_place_of(flow));
	if (!head)
		return 1;
	used = kf_content_parse(flow, head, page, head->len, len);
	if (used < 0)
		return kf_content_refuse(p, flow, w, head, -used);
	head->len += used;
	w->at += used;
	flow->in.resume_seq = head->seq + head->len;
	flow->judged.seq = flow->in.resume_seq;
	return kf_content_settle(p, flow, w, head);
}

/* Before @p is read: nothing in it stands against what came ahead of it. A cause, or 0. */
static __always_inline __u32 kf_content_meet(KF_CTX *ctx, struct kf_packet *p, struct kf_head *head)
{
	if ((p->tcp_flags & KF_TCP_FIN) &&
	    kf_seq_before(p->seq + p->payload_len, head->seq + head->ahead_to))
		return KF_CONTENT_CAUSE(KF_REASON_MALFORMED, KF_DETAIL_TRUNCATED);
	if (kf_pages_differ(ctx, p, head, head->ahead_from, head->ahead_to))
		return KF_CONTENT_CAUSE(KF_REASON_MALFORMED, KF_DETAIL_OVERLAP_DIFFERS);
	return 0;
}

/* One stretch of @p, from w->at on. 1: the walk ends here. */
__noinline int kf_content_step(KF_CTX *ctx, struct kf_packet *p, struct kf_flow *flow,
			       struct kf_walk *w)
{
	struct kf_head *head, *page;
	__u32 at, len, cause;

	if (!p || !flow || !w)
		return 1;
	head = kf_place_find(flow);
	if (!head)
		return kf_walk_repeat(w, p);
	at = head->len;
	if (at > KF_CONTENT_MAX)
		return kf_content_refuse(
			p, flow, w, head,
			KF_CONTENT_CAUSE(KF_REASON_BODY_NOT_READABLE, KF_DETAIL_BODY_TOO_LARGE));
	if (head->ahead_to && w->at == w->from) {
		cause = kf_content_meet(ctx, p, head);
		if (cause)
			return kf_content_refuse(p, flow, w, head, cause);
	}
	kf_pages_forget(flow, head, flow->in.acked_seq - head->seq);
	if (!kf_pages_extend(p, flow, head, at))
		return kf_walk_stop(w, KF_REASON_HEADS_FULL);
	page = kf_pages_hold(head, flow->cookie, at);
	if (!page)
		return kf_walk_repeat(w, p);
	at &= KF_HEAD_MAX - 1;
	len = kf_head_load(ctx, p->payload_offset + w->at, page, at, kf_walk_left(w, p),
			   KF_HEAD_MAX - at);
	if (!len)
		return kf_walk_stop(w, KF_REASON_OUT_OF_ORDER);
	return kf_content_read(p, flow, w, page, len);
}

/* ---- ahead of a gap -------------------------------------------------------------------------- */

/* May @p, which stands from @from to @to of what @head keeps, be kept ahead? Else a reason. */
static __always_inline int kf_content_may_lead(KF_CTX *ctx, struct kf_packet *p,
					       struct kf_head *head, __u32 from, __u32 to)
{
	if ((p->tcp_flags & KF_TCP_FIN) || to < from || to - head->len > KF_CONTENT_AHEAD)
		return KF_REASON_OUT_OF_ORDER;
	/* what follows this request has to wait */
	if (!(head->content_state & KF_CONTENT_CHUNKED) && to - head->len > head->content)
		return KF_REASON_OUT_OF_ORDER;
	if (!head->ahead_to)
		return 0;
	if (from > head->ahead_to || to < head->ahead_from)
		return KF_REASON_OUT_OF_ORDER;
	if (kf_pages_differ(ctx, p, head, head->ahead_from, head->ahead_to)) {
		p->detail = KF_DETAIL_OVERLAP_DIFFERS;
		return KF_REASON_MALFORMED;
	}
	return 0;
}

/* Takes the pages up to the byte before @to, or as many as there are to be had. */
static __always_inline bool kf_content_take(struct kf_packet *p, struct kf_flow *flow,
					    struct kf_head *head, __u32 to)
{
#pragma clang loop unroll(disable)
	for (__u32 i = 0; i < KF_CONTENT_AHEAD / KF_HEAD_MAX + 2; i++) {
		__u32 at = head->pages_end * KF_HEAD_MAX;

		if (at >= to)
			return true;
		if (!kf_pages_extend(p, flow, head, at))
			return false;
	}
	return head->pages_end * KF_HEAD_MAX >= to;
}

/* Copies one stretch of @p, from the byte @done on, to its page. How many bytes; 0: it cannot. */
__noinline __u32 kf_content_copy(KF_CTX *ctx, struct kf_packet *p, struct kf_flow *flow,
				 struct kf_head *head, __u32 done)
{
	struct kf_head *page;
	__u32 at;

	if (!p || !flow || !head || done >= p->payload_len)
		return 0;
	at = p->seq + done - head->seq;
	page = kf_pages_hold(head, flow->cookie, at);
	if (!page)
		return 0;
	at &= KF_HEAD_MAX - 1;
	return kf_head_load(ctx, p->payload_offset + done, page, at, p->payload_len - done,
			    KF_HEAD_MAX - at);
}

/*
 * What becomes of @p, which begins behind a gap: BODY where it may pass; OUT_OF_ORDER: it is
 * dropped; MALFORMED: it repeats other bytes than came ahead before.
 */
__noinline int kf_content_keep_ahead(KF_CTX *ctx, struct kf_packet *p, struct kf_flow *flow)
{
	__u32 from, to, done = 0, len;
	struct kf_head *head;
	int reason;

	if (!p || !flow)
		return KF_REASON_OUT_OF_ORDER;
	head = kf_place_find(flow);
	if (!head || (flow->flags & KF_FLOW_HELD))
		return KF_REASON_OUT_OF_ORDER;
	from = p->seq - head->seq;
	to = from + p->payload_len;
	reason = kf_content_may_lead(ctx, p, head, from, to);
	if (reason)
		return reason;
	if (!kf_content_take(p, flow, head, to))
		return KF_REASON_OUT_OF_ORDER;
#pragma clang loop unroll(disable)
	for (int i = 0; i < 64 && done < p->payload_len; i++) {
		len = kf_content_copy(ctx, p, flow, head, done);
		if (!len)
			return KF_REASON_OUT_OF_ORDER;
		done += len;
	}
	if (done < p->payload_len)
		return KF_REASON_OUT_OF_ORDER;
	kf_ahead_note(p, head);
	return KF_REASON_BODY;
}

/* Reads a stretch of what came ahead. 1: no further one follows, or the walk ends. */
static __always_inline int kf_content_read_more(struct kf_packet *p, struct kf_flow *flow,
						struct kf_walk *w)
{
	struct kf_head *head = kf_head_at(kf_place_of(flow)), *page;
	__u32 at, len;

	if (!head || head->len < head->ahead_from || head->len >= head->ahead_to)
		return 1;
	at = head->len;
	page = kf_pages_find(head, flow->cookie, at);
	if (!page)
		return kf_walk_repeat(w, p);
	len = KF_HEAD_MAX - (at & (KF_HEAD_MAX - 1));
	if (len > head->ahead_to - at)
		len = head->ahead_to - at;
	return kf_content_read(p, flow, w, page, len);
}

/* The walk over @p is over: reads what came ahead of it, as far as that follows now. */
__noinline int kf_content_read_ahead(struct kf_packet *p, struct kf_flow *flow, struct kf_walk *w)
{
	struct kf_head *head;

	if (!p || !flow || !w)
		return 0;
#pragma clang loop unroll(disable)
	for (int i = 0; i < KF_CONTENT_STEPS; i++) {
		if (flow->state != KF_FLOW_CONTENT || kf_content_read_more(p, flow, w))
			break;
	}
	head = kf_head_at(kf_place_of(flow));
	if (w->reason || !head || !head->ahead_to || head->len < head->ahead_from)
		return 0;
	if (head->len < head->ahead_to) /* too many chunks to read in one go */
		return kf_content_refuse(p, flow, w, head, KF_REASON_HEAD_TIMEOUT);
	head->ahead_to = 0;
	return 0;
}

#endif /* KEYFILTER_CONTENT_H */
