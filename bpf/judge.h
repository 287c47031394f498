/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * judge.h - the data of a flow: what passes at one look-up, and what has to be read.
 *
 * A segment that ends at or before resume_seq holds body bytes, or is a retransmission of bytes
 * that the backend has acknowledged: it passes unread. One that begins after resume_seq is kept for
 * when its turn comes (ahead.h), or dropped, and TCP sends it again. All others are judged under
 * the flow's lock (walk_segment.h).
 *
 * What a refusal leads to is decided here, and done by answer.h: see kf_judge_refused().
 */
#ifndef KEYFILTER_JUDGE_H
#define KEYFILTER_JUDGE_H

#include "ahead_chunks.h"
#include "control.h"
#include "judged.h"
#include "walk_segment.h"
#include "service.h"
#include "unsynced.h"

/*
 * In monitor mode nothing is dropped: a flow that cannot be followed is picked up again later. If a
 * request has begun on it, of which the filter has judged or passed a piece, the mode enforce does
 * not let it go on: it is as if the minute of KF_UNSYNCED_MAX had passed.
 */
static __always_inline int kf_judge_lose(struct kf_flow *flow, __u32 end)
{
	bool open = (flow->flags & KF_FLOW_IN_HEAD) || flow->in.ahead ||
		    (flow->head & KF_FLOW_HEAD_PLACE);

	kf_place_release(flow);
	flow->flags &= ~KF_FLOW_IN_HEAD;
	flow->state = KF_FLOW_UNSYNCED;
	flow->response.state = KF_RESPONSE_LOST;
	flow->out.flags &= ~KF_FLOW_CAUGHT_UP;
	flow->flags = (flow->flags & ~KF_FLOW_SWAP) | KF_FLOW_SENT;
	flow->in.resume_seq = end;
	flow->since = kf_flow_now() - (open ? KF_UNSYNCED_MAX + 1 : 0);
	flow->in.skip = 0;
	flow->in.ahead = 0;
	return KF_REASON_ADOPTED;
}

/* The neutralised field, in every copy of the segment that the backend may take. 0 or a reason. */
static __always_inline int kf_judge_swap(KF_CTX *ctx, const struct kf_packet *p,
					 struct kf_flow *flow)
{
	__u32 at = flow->in.swap_seq - p->seq;
	__u8 text[3], first;

	if (!(flow->flags & KF_FLOW_SWAP))
		return 0;
	if (!kf_seq_before(flow->in.acked_seq, flow->in.swap_seq + 3)) {
		flow->flags &= ~KF_FLOW_SWAP;
		return 0;
	}
	if (!kf_seq_before(p->seq, flow->in.swap_seq + 3) ||
	    !kf_seq_before(flow->in.swap_seq, p->seq + p->payload_len))
		return 0;
	if (at > p->payload_len || at + 3 > p->payload_len)
		return KF_REASON_UNACKED;
	if (kf_ctx_load(ctx, p->payload_offset + at, text, sizeof(text)))
		return KF_REASON_UNACKED;
	first = text[0];
	text[0] = text[2];
	text[2] = first;
	if (kf_ctx_store(ctx, p->payload_offset + at, text, sizeof(text)))
		return KF_REASON_UNACKED;
	return 0;
}

/* Notes in the flow what its client will be told. */
static __always_inline void kf_judge_note(const struct kf_packet *p, struct kf_flow *flow,
					  const struct kf_walk *w, struct kf_outcome *out)
{
	/* a request whose head was admitted, and whose body then was not sound */
	bool own = flow->state == KF_FLOW_CHUNKS || flow->state == KF_FLOW_CONTENT;
	bool head = own ? flow->response.head_asked >> ((flow->response.requests - 1) & 31) & 1
			: w->method == KF_METHOD_HEAD;

	flow->answer.flags = (own ? KF_ANSWER_OWN : 0) | (head ? KF_ANSWER_NO_BODY : 0);
	if (!own)
		flow->answer.protocol = w->protocol;
	flow->answer.reason = w->reason;
	flow->answer.detail = p->detail;
	flow->answer.retry_after = w->retry_after;
	flow->answer.request_id = (__u64)bpf_get_prandom_u32() << 32 | bpf_get_prandom_u32();
	out->request_id = flow->answer.request_id;
	out->retry_after = w->retry_after;
}

/* What stands before the walk's end passes, and no more. */
static __always_inline int kf_judge_keep(const struct kf_walk *w, struct kf_outcome *out)
{
	out->keep = w->at;
	return w->admitted ? KF_REASON_ADMITTED : KF_REASON_BODY;
}

/*
 * The walk ended in a refusal, and no response is running: the client is answered at once, or with
 * its next packet where the backend has to have bytes of this one. A request whose body was bad is
 * answered if its own response has not begun. Where a response is in the way, both ends are reset.
 */
__noinline int kf_judge_refused(struct kf_packet *p, struct kf_flow *flow, struct kf_walk *w,
				__u32 refuse, struct kf_outcome *out)
{
	int reason;
	bool own;

	if (!p || !flow || !w || !out)
		return KF_REASON_NO_FLOW;
	reason = w->reason;
	if (w->monitor) {
		kf_judge_lose(flow, p->seq + p->payload_len);
		return reason;
	}
	if (reason == KF_REASON_FLOW_BUSY || reason == KF_REASON_OUT_OF_ORDER ||
	    reason == KF_REASON_HEADS_FULL) {
		/* it waits for its turn, or for a place; TCP brings it again */
		if (reason == KF_REASON_FLOW_BUSY)
			flow->flags |= KF_FLOW_HELD;
		return w->at ? kf_judge_keep(w, out) : reason;
	}
	kf_judge_note(p, flow, w, out);
	/* or later, where the backend may still lack what passed, which is compared till then */
	kf_kept_release(flow);
	flow->flags &= ~KF_FLOW_IN_HEAD;
	flow->state = KF_FLOW_REFUSED;
	/* the odd response is the backend's doing */
	out->failed = p->detail != KF_DETAIL_RESPONSE_UNKNOWN;
	own = flow->answer.flags & KF_ANSWER_OWN;
	if (w->at && !own && kf_seq_before(flow->in.acked_seq, flow->in.resume_seq)) {
		out->refusal = reason;
		reason = kf_judge_keep(w, out);
	}
	if (refuse == KF_REFUSE_DROP) {
		flow->answer.flags |= KF_ANSWER_SILENT;
		return reason;
	}
	if (out->keep == KF_KEEP_ALL)
		out->answer = kf_refusal_next(flow, p->ack) == KF_REFUSAL_ANSWER;
	if (!out->answer && (own || !kf_flow_is_followed(flow)))
		reason = kf_refusal_cut(flow, w->reason, out);
	if (flow->cut)
		kf_place_release(flow); /* nothing of it passes again */
	return reason;
}

/*
 * The client ends its stream at @end of it, in the middle of a head, of chunk framing, or of
 * content that is read. Some servers take the end of the stream for the end of what they read, so
 * the FIN must not come to them.
 */
static __always_inline bool kf_judge_is_truncated(const struct kf_packet *p,
						  const struct kf_flow *flow, __u32 end)
{
	return (p->tcp_flags & KF_TCP_FIN) && !kf_seq_before(flow->in.resume_seq, end) &&
	       ((flow->flags & KF_FLOW_IN_HEAD) || flow->state == KF_FLOW_CHUNKS ||
		flow->state == KF_FLOW_CONTENT);
}

static __always_inline struct kf_walk *kf_judge_walk_begin(const struct kf_packet *p,
							   const struct kf_flow *flow,
							   const struct kf_service *service)
{
	struct kf_scratch *scratch = kf_scratch_get(KF_INGRESS);
	struct kf_walk *w;

	if (!scratch)
		return NULL;
	w = &scratch->walk;
	__builtin_memset(w, 0, sizeof(*w));
	w->from = flow->in.resume_seq - p->seq;
	w->at = w->from;
	w->judged = w->from;
	w->slot = KF_SLOT_NONE;
	w->key_sources = kf_service_key_sources(service);
	w->monitor = service->mode == KF_MODE_MONITOR;
	w->websocket = !!(service->flags & KF_SERVICE_WEBSOCKET);
	return w;
}

static __always_inline int kf_judge_walk(KF_CTX *ctx, struct kf_packet *p, struct kf_flow *flow,
					 const struct kf_service *service, struct kf_outcome *out)
{
	struct kf_walk *w = kf_judge_walk_begin(p, flow, service);

	if (!w)
		return KF_REASON_NO_FLOW;
	if (!flow->in.ahead || !kf_ahead_chunks_meet(ctx, p, flow, w))
		kf_walk_run(ctx, p, flow, w);
	if (flow->in.ahead)
		kf_ahead_chunks_read(p, flow, w);
	else if (flow->state == KF_FLOW_CONTENT && !w->reason)
		kf_content_read_ahead(p, flow, w);
	/* its steps are used up: TCP brings the rest again */
	if (!w->reason && w->at < p->payload_len)
		out->keep = w->at;
	else if (!w->reason && kf_judge_is_truncated(p, flow, p->seq + p->payload_len)) {
		w->at = 0;
		kf_walk_refuse(w, p, KF_REASON_MALFORMED, KF_DETAIL_TRUNCATED);
	}
	kf_count_requests(p->service, w->admitted, w->refused);
	kf_judged_keep(ctx, p, flow, w);
	out->slot = w->slot;
	out->admitted = !!w->admitted;
	if (w->reason && (!w->monitor || w->at < p->payload_len))
		return kf_judge_refused(p, flow, w, service->refuse, out);
	if (w->reason)
		return w->reason; /* monitor mode */
	if (w->admitted)
		return KF_REASON_ADMITTED;
	return w->partial ? KF_REASON_HEAD_PARTIAL : KF_REASON_BODY;
}

/*
 * A segment repeats bytes that passed before with other ones. Nobody sends this by accident, and
 * what the backend has is not to be trusted: both ends are reset, without an answer.
 */
static __always_inline void kf_judge_differs(struct kf_flow *flow, struct kf_outcome *out)
{
	flow->state = KF_FLOW_REFUSED;
	flow->answer.reason = KF_REASON_MALFORMED;
	kf_refusal_cut(flow, KF_REASON_MALFORMED, out);
	out->failed = 1;
}

/* May this segment's repeated bytes stay? 0, or the reason to drop it. */
static __always_inline int kf_judge_repeated(KF_CTX *ctx, struct kf_packet *p, struct kf_flow *flow,
					     bool monitor, struct kf_outcome *out)
{
	int reason;

	if (!kf_seq_before(p->seq, flow->judged.seq) ||
	    !kf_seq_before(flow->in.acked_seq, flow->judged.seq))
		return 0;
	reason = kf_judged_compare(ctx, p, flow);
	if (reason == KF_REASON_UNACKED) {
		kf_flow_ask_socket(ctx, p, flow);
		reason = kf_judged_compare(ctx, p, flow);
	}
	if (reason == KF_REASON_MALFORMED && !monitor)
		kf_judge_differs(flow, out);
	return reason;
}

/* Is there room for one more digest? */
static __always_inline bool kf_judge_room(KF_CTX *ctx, struct kf_packet *p, struct kf_flow *flow)
{
	if (!kf_judged_is_open(kf_judged_next(flow), flow->in.acked_seq))
		return true;
	kf_flow_ask_socket(ctx, p, flow);
	return !kf_judged_is_open(kf_judged_next(flow), flow->in.acked_seq);
}

/*
 * What the backend has acknowledged is forgotten before the sequence numbers wrap and make it look
 * like something to come. Judging happens at least once in 2^30 bytes: resume_seq runs ahead by no
 * more.
 */
static __always_inline void kf_judge_forget(struct kf_flow *flow)
{
	if (flow->in.resume_seq - flow->judged.from < KF_SKIP_ONCE / 2)
		return;
	for (int i = 0; i < KF_JUDGED_MAX; i++) {
		if (!kf_judged_is_open(&flow->judged.stretch[i], flow->in.acked_seq))
			flow->judged.stretch[i].len = 0;
	}
	if (!kf_seq_before(flow->in.acked_seq, flow->judged.seq))
		flow->judged.seq = flow->in.acked_seq;
	if (flow->in.acked_seq - flow->in.first >= KF_SKIP_ONCE / 2)
		flow->flags |= KF_FLOW_LONG;
	flow->judged.from = flow->in.acked_seq;
}

/*
 * The flow is refused: only what stands before the refused bytes passes again, for a backend that
 * has not got it yet.
 */
static __always_inline int kf_judge_before_refused(const struct kf_packet *p, struct kf_flow *flow,
						   struct kf_outcome *out)
{
	__u32 before = flow->in.resume_seq - p->seq;

	out->unfin = p->tcp_flags & KF_TCP_FIN;
	if (before < p->payload_len)
		out->keep = before;
	return KF_REASON_BODY;
}

/* A FIN behind bytes that were judged before, or nothing: 0, or the reason to drop it. */
__noinline int kf_judge_fin(struct kf_packet *p, struct kf_flow *flow, struct kf_outcome *out)
{
	struct kf_config *config = kf_config_get();
	struct kf_service *service;
	struct kf_walk *w;
	__u32 end;

	if (!p || !flow || !out || !config)
		return KF_REASON_NO_FLOW;
	service = kf_service_at(p->service);
	if (!service)
		return KF_REASON_NO_FLOW;
	end = p->seq + p->payload_len;
	if (kf_judge_is_truncated(p, flow, end)) {
		w = kf_judge_walk_begin(p, flow, service);
		if (!w)
			return KF_REASON_NO_FLOW;
		w->from = w->at = w->judged = 0;
		kf_walk_refuse(w, p, KF_REASON_MALFORMED, KF_DETAIL_TRUNCATED);
		kf_count_requests(p->service, 0, w->refused);
		return kf_judge_refused(p, flow, w, service->refuse, out);
	}
	/* it would end the stream in front of judged bytes that the backend may have thrown away */
	if (kf_seq_before(end, flow->judged.seq) &&
	    kf_seq_before(flow->in.acked_seq, flow->judged.seq))
		return KF_REASON_UNACKED;
	return 0;
}

/* An upgrade was asked for: has the response told yet what the stream is from here on? */
static __always_inline void kf_judge_upgrade(struct kf_flow *flow)
{
	if (flow->response.state == KF_RESPONSE_SWITCHED)
		flow->state = KF_FLOW_TUNNEL;
	else if (!kf_flow_is_answering(flow))
		flow->state = KF_FLOW_HEAD;
}

/* What begins behind resume_seq passes where it can be kept (ahead.h). */
static __always_inline int kf_judge_ahead(KF_CTX *ctx, struct kf_packet *p, struct kf_flow *flow,
					  const struct kf_service *service, struct kf_outcome *out)
{
	int reason;

	if (service->mode == KF_MODE_MONITOR) {
		kf_judge_lose(flow, p->seq + p->payload_len);
		return KF_REASON_OUT_OF_ORDER;
	}
	if (flow->state == KF_FLOW_CHUNKS)
		reason = kf_ahead_chunks_keep(ctx, p, flow);
	else if (flow->state == KF_FLOW_CONTENT)
		reason = kf_content_keep_ahead(ctx, p, flow);
	else
		reason = kf_ahead_keep(ctx, p, flow, kf_service_key_sources(service));
	if (reason == KF_REASON_MALFORMED)
		kf_judge_differs(flow, out);
	return reason;
}

/* What does not begin behind resume_seq, and repeats nothing with other bytes. */
static __always_inline int kf_judge_in_order(KF_CTX *ctx, struct kf_packet *p, struct kf_flow *flow,
					     const struct kf_service *service,
					     struct kf_outcome *out)
{
	bool monitor = service->mode == KF_MODE_MONITOR;
	int reason;

	if (flow->state == KF_FLOW_REFUSED)
		return kf_judge_before_refused(p, flow, out);
	if (kf_seq_before(flow->in.resume_seq, p->seq + p->payload_len)) {
		if (!kf_judge_room(ctx, p, flow) && !monitor)
			return KF_REASON_UNACKED;
		return kf_judge_walk(ctx, p, flow, service, out);
	}
	if ((p->tcp_flags & KF_TCP_FIN) && !monitor) {
		reason = kf_judge_fin(p, flow, out);
		if (reason)
			return reason;
	}
	return p->payload_len ? KF_REASON_BODY : KF_REASON_CONTROL;
}

/* Under the flow's lock. */
static __always_inline int kf_judge_locked(KF_CTX *ctx, struct kf_packet *p, struct kf_flow *flow,
					   const struct kf_service *service, struct kf_outcome *out)
{
	int reason, late;

	if (flow->cut || flow->state == KF_FLOW_ANSWERED)
		return KF_REASON_FLOW_REFUSED; /* by another CPU, meanwhile */
	if (flow->state == KF_FLOW_UPGRADING)
		kf_judge_upgrade(flow);
	if (flow->state == KF_FLOW_TUNNEL)
		return KF_REASON_TUNNEL;
	kf_judge_forget(flow);
	if (flow->in.skip && kf_seq_before(flow->in.resume_seq, p->seq + p->payload_len))
		kf_flow_skip(flow, flow->in.skip);
	if (kf_seq_before(flow->in.resume_seq, p->seq))
		return kf_judge_ahead(ctx, p, flow, service, out);
	reason = kf_judge_repeated(ctx, p, flow, service->mode == KF_MODE_MONITOR, out);
	if (reason)
		return reason;
	reason = kf_judge_in_order(ctx, p, flow, service, out);
	late = p->payload_len ? kf_judge_swap(ctx, p, flow) : 0;
	return late ? late : reason;
}

/* A segment that has to be read, or compared. */
__noinline int kf_judge_slow(KF_CTX *ctx, struct kf_packet *p, struct kf_flow *flow,
			     struct kf_outcome *out)
{
	struct kf_config *config = kf_config_get();
	int reason = KF_REASON_NO_FLOW;
	struct kf_service *service;

	if (!p || !flow || !out || !config)
		return reason;
	service = kf_service_at(p->service);
	if (!service)
		return reason;
	if (!kf_flow_lock(flow))
		return KF_REASON_FLOW_BUSY;
	if (flow->cookie == kf_flow_hash(config->flow_secret, &p->key)) {
		kf_flow_touch(flow); /* a body's flow is kept by what egress acknowledges */
		reason = kf_judge_locked(ctx, p, flow, service, out);
	}
	kf_flow_unlock(flow);
	return reason;
}

/* What becomes of a segment of @flow with data, or with a FIN. */
static __always_inline int kf_judge_flow(KF_CTX *ctx, struct kf_packet *p, struct kf_flow *flow,
					 struct kf_outcome *out)
{
	__u32 end = p->seq + p->payload_len;
	int reason;

	if (flow->cut)
		return kf_refusal_segment(flow, p, out);
	switch (flow->state) {
	case KF_FLOW_CLOSED:
		return KF_REASON_NO_FLOW;
	case KF_FLOW_REFUSED:
	case KF_FLOW_ANSWERED:
		if (!kf_flow_owns(flow, p))
			return KF_REASON_FLOW_REFUSED;
		if (kf_refusal_is_before(flow, p))
			break;
		return kf_refusal_segment(flow, p, out);
	case KF_FLOW_TUNNEL:
		if (!kf_flow_owns(flow, p))
			return KF_REASON_NO_FLOW;
		reason = kf_key_still(flow->slot, flow->slot_check, p->key.client,
				      flow->answer.protocol);
		if (reason == KF_REASON_ADMITTED)
			return KF_REASON_TUNNEL;
		return p->monitor ? reason : kf_refusal_end(p, flow, out, reason);
	case KF_FLOW_UNSYNCED:
		reason = kf_unsynced_judge(ctx, p, flow);
		if (reason)
			return reason;
	}
	if (!kf_flow_owns(flow, p))
		return KF_REASON_NO_FLOW;
	reason = kf_refusal_revoked(flow, p);
	if (reason)
		return kf_refusal_end(p, flow, out, reason);
	/* all behind resume_seq, and nothing judged in it that the backend may still take */
	if (!(p->tcp_flags & KF_TCP_FIN) && !kf_seq_before(flow->in.resume_seq, end) &&
	    (!kf_seq_before(p->seq, flow->judged.seq) ||
	     !kf_seq_before(flow->in.acked_seq, flow->judged.seq)))
		return KF_REASON_BODY;
	return kf_judge_slow(ctx, p, flow, out);
}

/*
 * A FIN of a connection that has no flow. It may be one that was given up in the middle of a head,
 * so it passes only where a local socket tells that this is not an established connection.
 */
static __noinline int kf_judge_fin_alone(KF_CTX *ctx, struct kf_packet *p, struct kf_outcome *out)
{
	int reason = kf_control(ctx, p, out);
	struct kf_socket socket = {};

	if (reason != KF_REASON_CONTROL || bpf_map_lookup_elem(&kf_flows, &p->key))
		return reason;
	kf_socket_state(ctx, p, &socket);
	if (!p->monitor && (!socket.state || socket.state == KF_TCP_ESTABLISHED))
		reason = KF_REASON_NO_FLOW;
	return reason;
}

/* A segment with data, or with a FIN. The reason that it is counted under. */
static __always_inline int kf_judge_data(KF_CTX *ctx, struct kf_packet *p, struct kf_outcome *out)
{
	struct kf_flow *flow = bpf_map_lookup_elem(&kf_flows, &p->key);
	int reason;

	if (!flow && !p->payload_len)
		return kf_judge_fin_alone(ctx, p, out);
	if (!flow) {
		reason = kf_handshake_complete(ctx);
		if (reason)
			return reason;
		flow = bpf_map_lookup_elem(&kf_flows, &p->key);
	}
	if (!flow)
		return KF_REASON_NO_FLOW;
	out->slot = flow->slot;
	reason = kf_judge_flow(ctx, p, flow, out);
	if (p->tcp_flags & KF_TCP_FIN)
		kf_flow_follow_in(flow, p);
	return reason;
}

#endif /* KEYFILTER_JUDGE_H */
