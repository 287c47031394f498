/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * judge.h - the data of a flow: what passes at one look-up, and what has to be read.
 *
 * A segment that ends at or before resume_seq holds body bytes, or is a retransmission of bytes
 * that the backend has acknowledged: it passes unread. One that begins after resume_seq is dropped,
 * and TCP sends it again in order. All others are judged under the flow's lock (segment.h).
 *
 * What a refusal leads to is decided here, and done by answer.h: see kf_judge_refused().
 */
#ifndef KEYFILTER_JUDGE_H
#define KEYFILTER_JUDGE_H

#include "segment.h"
#include "service.h"

/* In monitor mode nothing is dropped: a flow that cannot be followed is picked up again later. */
static __always_inline int kf_flow_lose(struct kf_flow *flow, __u32 end)
{
	kf_head_release(flow);
	flow->state = KF_FLOW_UNSYNCED;
	flow->response_state = KF_RESPONSE_LOST;
	flow->out_flags &= ~KF_FLOW_CAUGHT_UP;
	flow->flags = (flow->flags & ~KF_FLOW_SWAP) | KF_FLOW_SENT;
	flow->resume_seq = end;
	flow->since = kf_flow_now();
	flow->skip = 0;
	return KF_REASON_ADOPTED;
}

/*
 * A segment that repeats judged bytes must repeat them exactly. 0, or the reason to drop it:
 * UNACKED where it cuts a judged stretch in two and so cannot be compared.
 */
__noinline int kf_judged_compare(KF_CTX *ctx, struct kf_packet *p, struct kf_flow *flow)
{
	__u32 end;

	if (!p || !flow)
		return KF_REASON_UNACKED;
	end = p->seq + p->payload_len;
	for (int i = 0; i < KF_JUDGED_MAX; i++) {
		const struct kf_judged *judged = &flow->judged[i];
		__u32 judged_end = judged->seq + judged->len;

		if (!kf_judged_is_open(judged, flow->acked_seq))
			continue;
		if (!kf_seq_before(p->seq, judged_end) || !kf_seq_before(judged->seq, end))
			continue;
		if (kf_seq_before(judged->seq, p->seq) || kf_seq_before(end, judged_end))
			return KF_REASON_UNACKED;
		if (kf_digest_of(ctx, p->payload_offset + (judged->seq - p->seq), judged->len) !=
		    judged->digest) {
			p->detail = KF_DETAIL_OVERLAP_DIFFERS;
			return KF_REASON_MALFORMED;
		}
	}
	return 0;
}

static __always_inline struct kf_judged *kf_judged_next(struct kf_flow *flow)
{
	return &flow->judged[flow->judged_next & (KF_JUDGED_MAX - 1)];
}

/* Keeps the digest of the payload's judged bytes until the backend has them. */
static __always_inline void kf_judged_keep(KF_CTX *ctx, const struct kf_packet *p,
					   struct kf_flow *flow, const struct kf_walk *w)
{
	struct kf_judged *judged = kf_judged_next(flow);
	__u32 len = w->judged - w->from;

	if (w->judged <= w->from)
		return;
	judged->seq = p->seq + w->from;
	judged->len = len;
	if (len <= w->loaded && len <= KF_DIGEST_BLOCK)
		judged->digest = kf_digest_scratch(len);
	else
		judged->digest = kf_digest_of(ctx, p->payload_offset + w->from, len);
	flow->judged_next++;
	flow->judged_seq = judged->seq + len;
}

/* The neutralised field, in every copy of the segment that the backend may take. 0 or a reason. */
static __always_inline int kf_flow_swap(KF_CTX *ctx, const struct kf_packet *p,
					struct kf_flow *flow)
{
	__u32 at = flow->swap_seq - p->seq;
	__u8 text[3], first;

	if (!(flow->flags & KF_FLOW_SWAP))
		return 0;
	if (!kf_seq_before(flow->acked_seq, flow->swap_seq + 3)) {
		flow->flags &= ~KF_FLOW_SWAP;
		return 0;
	}
	if (!kf_seq_before(p->seq, flow->swap_seq + 3) ||
	    !kf_seq_before(flow->swap_seq, p->seq + p->payload_len))
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
static __always_inline void kf_judge_note(struct kf_flow *flow, const struct kf_walk *w,
					  struct kf_outcome *out)
{
	/* a request whose head was admitted, and whose body then was not sound */
	bool own = flow->state == KF_FLOW_CHUNKS;
	bool head = own ? flow->head_asked >> ((flow->requests - 1) & 31) & 1
			: w->method == KF_METHOD_HEAD;

	flow->answer_flags = (own ? KF_ANSWER_OWN : 0) | (head ? KF_ANSWER_NO_BODY : 0);
	if (!own)
		flow->protocol = w->protocol;
	flow->reason = w->reason;
	flow->retry_after = w->retry_after;
	flow->request_id = (__u64)bpf_get_prandom_u32() << 32 | bpf_get_prandom_u32();
	out->request_id = flow->request_id;
	out->retry_after = w->retry_after;
	out->failed = 1;
}

/* What stands before the walk's end passes, and no more. */
static __always_inline void kf_judge_keep(const struct kf_walk *w, struct kf_outcome *out)
{
	out->reason = w->admitted ? KF_REASON_ADMITTED : KF_REASON_BODY;
	out->keep = w->at;
}

/*
 * The walk ended in a refusal. What stands before the refused bytes passes, where the backend has
 * to have it still. Then
 * - no response is running: the client is answered at once;
 * - one is: the client's next packet after its end is answered (kf_flow_wants_answer());
 * - its end cannot be known: the backend gets a FIN in the place of the refused bytes, finishes
 *   what it has and closes, and the client's next attempt is answered on a connection of its own.
 */
__noinline int kf_judge_refused(struct kf_packet *p, struct kf_flow *flow, struct kf_walk *w,
				__u32 refuse, struct kf_outcome *out)
{
	if (!p || !flow || !w || !out)
		return 0;
	out->reason = w->reason;
	if (w->monitor) {
		kf_flow_lose(flow, p->seq + p->payload_len);
		return 0;
	}
	if (w->reason == KF_REASON_HEADS_FULL)
		return 0; /* nothing wrong with it: it comes again, there may be a place then */
	if (w->reason == KF_REASON_FLOW_BUSY) {
		/* a flow is one key's at a time: another one's request waits, TCP brings it again
		 */
		if (w->at)
			kf_judge_keep(w, out);
		return 0;
	}
	kf_judge_note(flow, w, out);
	kf_head_release(flow);
	flow->state = KF_FLOW_REFUSED;
	if (w->admitted || (w->at && !(flow->answer_flags & KF_ANSWER_OWN) &&
			    kf_seq_before(flow->acked_seq, flow->resume_seq))) {
		kf_judge_keep(w, out);
		out->refusal = w->reason;
	}
	if (refuse == KF_REFUSE_DROP) {
		flow->answer_flags |= KF_ANSWER_SILENT;
		return 0;
	}
	if ((flow->answer_flags & KF_ANSWER_OWN) && flow->requests == flow->responses) {
		out->reason = kf_flow_cut(flow, w->reason, out);
	} else if (flow->response_state == KF_RESPONSE_LOST) {
		flow->answer_flags |= KF_ANSWER_FIN;
		kf_judge_keep(w, out);
		out->refusal = w->reason;
		out->fin = 1;
	} else if (out->keep == KF_KEEP_ALL) {
		out->answer = kf_flow_is_answerable(flow, p->ack);
	}
	return 0;
}

static __always_inline void kf_judge_walk(KF_CTX *ctx, struct kf_packet *p, struct kf_flow *flow,
					  const struct kf_service *service, struct kf_outcome *out)
{
	struct kf_scratch *scratch = kf_scratch_get(KF_INGRESS);
	struct kf_walk *w;

	if (!scratch)
		return;
	w = &scratch->walk;
	__builtin_memset(w, 0, sizeof(*w));
	w->from = flow->resume_seq - p->seq;
	w->at = w->from;
	w->judged = w->from;
	w->slot = KF_SLOT_NONE;
	w->key_sources = service->key_sources;
	w->monitor = service->mode == KF_MODE_MONITOR;
	if (w->monitor || flow->response_state == KF_RESPONSE_LOST || !kf_flow_is_answering(flow))
		w->held = KF_SLOT_NONE;
	else
		w->held = flow->slot;
	w->websocket = !!(service->flags & KF_SERVICE_WEBSOCKET);
	kf_walk_run(ctx, p, flow, w);
	if (!w->reason && w->at < p->payload_len) {
		/* its steps are used up: TCP brings the rest again, unless this was the end */
		if (p->tcp_flags & KF_TCP_FIN)
			kf_walk_refuse(w, p, KF_REASON_MALFORMED, KF_DETAIL_TOO_MANY_REQUESTS);
		out->keep = w->at;
	}
	kf_count_requests(p->service, w->admitted, w->refused);
	kf_judged_keep(ctx, p, flow, w);
	out->slot = w->slot;
	out->admitted = !!w->admitted;
	if (w->reason && (!w->monitor || w->at < p->payload_len))
		kf_judge_refused(p, flow, w, service->refuse, out);
	else if (w->reason)
		out->reason = w->reason; /* monitor mode */
	else if (w->admitted)
		out->reason = KF_REASON_ADMITTED;
	else if (w->partial)
		out->reason = KF_REASON_HEAD_PARTIAL;
}

/* May this segment's repeated bytes stay? 0, or the reason to drop it. */
static __always_inline int kf_judge_repeated(KF_CTX *ctx, struct kf_packet *p, struct kf_flow *flow,
					     bool monitor, struct kf_outcome *out)
{
	int reason;

	if (!kf_seq_before(p->seq, flow->judged_seq) ||
	    !kf_seq_before(flow->acked_seq, flow->judged_seq))
		return 0;
	reason = kf_judged_compare(ctx, p, flow);
	if (reason == KF_REASON_UNACKED) {
		kf_flow_ask_socket(ctx, p, flow);
		reason = kf_judged_compare(ctx, p, flow);
	}
	/* nobody sends this by accident, and what the backend has is not to be trusted: no answer
	 */
	if (reason == KF_REASON_MALFORMED && !monitor) {
		flow->state = KF_FLOW_REFUSED;
		flow->reason = reason;
		flow->cut = reason;
		out->cut = 1;
		out->answer = 1;
		out->failed = 1;
	}
	return reason;
}

/* Is there room for one more digest? */
static __always_inline bool kf_judge_room(KF_CTX *ctx, struct kf_packet *p, struct kf_flow *flow)
{
	if (!kf_judged_is_open(kf_judged_next(flow), flow->acked_seq))
		return true;
	kf_flow_ask_socket(ctx, p, flow);
	return !kf_judged_is_open(kf_judged_next(flow), flow->acked_seq);
}

/*
 * What the backend has acknowledged is forgotten before the sequence numbers wrap and make it look
 * like something to come. Judging happens at least once in 2^30 bytes: resume_seq runs ahead by no
 * more.
 */
static __always_inline void kf_judge_forget(struct kf_flow *flow)
{
	if (flow->resume_seq - flow->kept_from < KF_SKIP_ONCE / 2)
		return;
	for (int i = 0; i < KF_JUDGED_MAX; i++) {
		if (!kf_judged_is_open(&flow->judged[i], flow->acked_seq))
			flow->judged[i].len = 0;
	}
	if (!kf_seq_before(flow->acked_seq, flow->judged_seq))
		flow->judged_seq = flow->acked_seq;
	if (flow->acked_seq - flow->client_first >= KF_SKIP_ONCE / 2)
		flow->flags |= KF_FLOW_LONG;
	flow->kept_from = flow->acked_seq;
}

/*
 * The flow is refused: only what stands before the refused bytes passes again, for a backend that
 * has not got it yet; and the FIN that takes their place.
 */
static __always_inline void kf_judge_before_refused(const struct kf_packet *p, struct kf_flow *flow,
						    struct kf_outcome *out)
{
	__u32 before = flow->resume_seq - p->seq;

	out->reason = KF_REASON_BODY;
	if (before >= p->payload_len)
		return;
	out->keep = before;
	out->fin = kf_flow_is_finned(flow);
	if (out->fin)
		flow->answer_flags |= KF_ANSWER_FIN;
}

/* Under the flow's lock. */
static __always_inline void kf_judge_locked(KF_CTX *ctx, struct kf_packet *p, struct kf_flow *flow,
					    const struct kf_service *service,
					    struct kf_outcome *out)
{
	bool monitor = service->mode == KF_MODE_MONITOR;
	__u32 end = p->seq + p->payload_len;
	int reason;

	if (flow->cut || flow->state == KF_FLOW_ANSWERED) {
		out->reason = KF_REASON_FLOW_REFUSED; /* by another CPU, meanwhile */
		return;
	}
	kf_judge_forget(flow);
	if (flow->skip && kf_seq_before(flow->resume_seq, end))
		kf_flow_skip(flow, flow->skip);
	if (kf_seq_before(flow->resume_seq, p->seq)) {
		out->reason = KF_REASON_OUT_OF_ORDER;
		if (monitor)
			kf_flow_lose(flow, end);
		return;
	}
	reason = kf_judge_repeated(ctx, p, flow, monitor, out);
	if (reason) {
		out->reason = reason;
		return;
	}
	if (flow->state == KF_FLOW_REFUSED) {
		kf_judge_before_refused(p, flow, out);
	} else if (kf_seq_before(flow->resume_seq, end)) {
		if (!kf_judge_room(ctx, p, flow) && !monitor) {
			out->reason = KF_REASON_UNACKED;
			return;
		}
		kf_judge_walk(ctx, p, flow, service, out);
	}
	reason = kf_flow_swap(ctx, p, flow);
	if (reason)
		out->reason = reason;
}

/* A segment that has to be read, or compared. */
__noinline int kf_judge_slow(KF_CTX *ctx, struct kf_packet *p, struct kf_flow *flow,
			     struct kf_outcome *out)
{
	struct kf_config *config = kf_config_get();
	struct kf_service *service;

	if (!p || !flow || !out || !config)
		return 0;
	out->reason = KF_REASON_NO_FLOW;
	service = kf_service_at(p->service);
	if (!service)
		return 0;
	if (!kf_flow_lock(flow)) {
		out->reason = KF_REASON_FLOW_BUSY;
		return 0;
	}
	if (flow->cookie == kf_flow_hash(config->flow_secret, &p->key)) {
		kf_flow_touch(flow); /* a body's flow is kept by what egress acknowledges */
		out->reason = KF_REASON_BODY;
		kf_judge_locked(ctx, p, flow, service, out);
	}
	kf_flow_unlock(flow);
	return 0;
}

#define KF_UNSYNCED_MAX 56 /* of kf_flow.seen: a minute */

/*
 * A connection from before the attach, or one that monitor mode has lost. Its position in the
 * stream is unknown until the backend has answered all it was sent: what the client sends next is a
 * head, and judged. A client that never lets it come to that has a minute.
 */
static __noinline int kf_judge_unsynced(KF_CTX *ctx, struct kf_packet *p, struct kf_flow *flow)
{
	__u32 end = p->seq + p->payload_len;
	struct kf_service *service = kf_service_at(p->service);
	struct kf_socket socket = {};

	if (!(flow->out_flags & KF_FLOW_CAUGHT_UP)) {
		flow->resume_seq = end;
		flow->flags |= KF_FLOW_SENT;
		if (service && service->mode == KF_MODE_ENFORCE &&
		    kf_flow_now() - flow->since > KF_UNSYNCED_MAX)
			return KF_REASON_NO_FLOW;
		return KF_REASON_ADOPTED;
	}
	if (!(flow->out_flags & KF_FLOW_ACK_SEEN)) {
		if (!kf_socket_state(ctx, p, &socket))
			return KF_REASON_NO_FLOW;
		flow->acked_seq = socket.rcv_nxt;
		flow->out_seq = socket.snd_nxt;
		flow->out_low = socket.snd_una - KF_OUT_WINDOW / 2;
		flow->out_flags |= KF_FLOW_ACK_SEEN;
	}
	if (!kf_seq_before(flow->acked_seq, end))
		return KF_REASON_ADOPTED;
	flow->resume_seq = flow->acked_seq;
	flow->judged_seq = flow->acked_seq;
	flow->kept_from = flow->acked_seq;
	flow->state = KF_FLOW_HEAD;
	return 0;
}

/* What becomes of a segment with data of @flow. */
static __always_inline int kf_judge_flow(KF_CTX *ctx, struct kf_packet *p, struct kf_flow *flow,
					 struct kf_outcome *out)
{
	__u32 end = p->seq + p->payload_len;
	int reason;

	if (flow->cut)
		return kf_flow_refused(flow, p, out);
	switch (flow->state) {
	case KF_FLOW_CLOSED:
		return KF_REASON_NO_FLOW;
	case KF_FLOW_REFUSED:
	case KF_FLOW_ANSWERED:
		if (!kf_flow_owns(flow, p))
			return KF_REASON_FLOW_REFUSED;
		if (kf_flow_is_refused_before(flow, p))
			break;
		return kf_flow_refused(flow, p, out);
	case KF_FLOW_TUNNEL:
		if (!kf_flow_owns(flow, p))
			return KF_REASON_NO_FLOW;
		reason = kf_key_still(flow->slot, flow->slot_check, p->key.client);
		if (reason == KF_REASON_ADMITTED)
			return KF_REASON_TUNNEL;
		return p->monitor ? reason : kf_flow_cut(flow, reason, out);
	case KF_FLOW_UNSYNCED:
		reason = kf_judge_unsynced(ctx, p, flow);
		if (reason)
			return reason;
	}
	if (!kf_flow_owns(flow, p))
		return KF_REASON_NO_FLOW;
	reason = kf_flow_revoked(flow, p);
	if (reason)
		return kf_flow_cut(flow, reason, out);
	/* all behind resume_seq, and nothing judged in it that the backend may still take */
	if (!kf_seq_before(flow->resume_seq, end) &&
	    (!kf_seq_before(p->seq, flow->judged_seq) ||
	     !kf_seq_before(flow->acked_seq, flow->judged_seq)))
		return KF_REASON_BODY;
	kf_judge_slow(ctx, p, flow, out);
	return out->reason;
}

/* A segment with data. */
static __always_inline void kf_judge_data(KF_CTX *ctx, struct kf_packet *p, struct kf_outcome *out)
{
	struct kf_flow *flow = bpf_map_lookup_elem(&kf_flows, &p->key);
	int reason = KF_REASON_NO_FLOW;

	if (!flow)
		flow = kf_flow_create(ctx, &reason);
	out->reason = reason;
	if (!flow)
		return;
	out->slot = flow->slot;
	out->reason = kf_judge_flow(ctx, p, flow, out);
	if (p->tcp_flags & KF_TCP_FIN)
		kf_flow_follow_in(flow, p);
}

#endif /* KEYFILTER_JUDGE_H */
