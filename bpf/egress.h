/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * egress.h - the backend's side of a flow.
 *
 * Proves handshakes (the SYN-ACK's numbers), tells how far the backend has acknowledged, when it
 * answered and when the flow ended; and ends the streams of keys and sources that are not to have
 * them any longer, and those in which the backend says what nobody admitted has asked for. Nothing
 * else is dropped here but a SYN-ACK that meets its flow in the middle of a judgement, and a
 * segment of a response that leaves a gap before it: TCP sends them again.
 */
#ifndef KEYFILTER_EGRESS_H
#define KEYFILTER_EGRESS_H

#include "cut.h"
#include "handshake.h"
#include "penalty.h"
#include "response.h"
#include "segment.h"
#include "service.h"
#include "source.h"

/* Is it a sound segment of a service? */
static __always_inline bool kf_egress_read(KF_CTX *ctx, struct kf_packet *p)
{
	enum kf_l3_result result;
	struct kf_l3 l3 = {};
	__be16 *ports = kf_segment_ports(ctx, &l3, &result);

	return ports && kf_segment_read(ctx, KF_EGRESS, &l3, ports, p) &&
	       (!p->detail || p->detail == KF_DETAIL_URGENT);
}

/*
 * The backend accepts a new connection, so an older one of the same addresses is dead to it: its
 * flow must go, or bytes of the new one would pass as long read.
 */
static __always_inline int kf_egress_syn_ack(const struct kf_packet *p,
					     const struct kf_config *config)
{
	struct kf_flow *flow = bpf_map_lookup_elem(&kf_flows, &p->key);
	__u64 hash = kf_flow_hash(config->flow_secret, &p->key);
	__u32 server_first = p->seq + 1;
	struct kf_embryo *embryo;

	if (flow) {
		if (flow->in.first == p->ack && flow->out.first == server_first)
			return KF_VERDICT_PASS;	   /* sent again */
		if (flow->state == KF_FLOW_CLOSED) /* and locked, by the controller */
			bpf_map_delete_elem(&kf_flows, &p->key);
		else if (!kf_flow_delete(flow, &p->key))
			return KF_VERDICT_DROP;
	}
	embryo = kf_handshake_at(config, hash);
	if (embryo)
		kf_handshake_store(embryo, hash, kf_handshake_numbers(p->ack, server_first));
	return KF_VERDICT_PASS;
}

/* Has the backend seen all that the client sent so far when it said this? */
static __always_inline void kf_egress_answer(const struct kf_packet *p, struct kf_flow *flow)
{
	if (!(flow->out.flags & KF_FLOW_CAUGHT_UP) &&
	    (!(flow->flags & KF_FLOW_SENT) || !kf_seq_before(p->ack, flow->in.resume_seq)))
		flow->out.flags |= KF_FLOW_CAUGHT_UP;
}

/*
 * Two CPUs may send for one flow: the number never goes back. Each way out is a full barrier, for
 * kf_egress_is_late(), but that of a segment that brings nothing.
 */
static __always_inline void kf_egress_advance(__u32 *seq, __u32 to, bool bare)
{
	for (int i = 0; i < 4; i++) {
		__u32 from = *(volatile __u32 *)seq;

		if (!kf_seq_before(from, to)) {
			if (!bare)
				__sync_fetch_and_add(seq, 0);
			return;
		}
		if (__sync_val_compare_and_swap(seq, from, to) == from)
			return;
	}
}

/* How far the backend has sent, and so what a client may acknowledge. */
static __always_inline void kf_egress_sent(const struct kf_packet *p, struct kf_flow *flow)
{
	__u32 brings = p->payload_len + !!(p->tcp_flags & KF_TCP_FIN), end = p->seq + brings;

	if (!flow->out.first && !(flow->out.flags & KF_FLOW_ACK_SEEN)) {
		flow->out.seq = end;
		flow->out.low = p->seq - KF_OUT_WINDOW / 2;
	}
	kf_egress_advance(&flow->out.seq, end, !brings);
	if (flow->out.seq - flow->out.low > KF_OUT_WINDOW)
		flow->out.low = flow->out.seq - KF_OUT_WINDOW / 2;
}

/*
 * An answer of ours may stand where @p does: another CPU has begun it since this one looked at the
 * key, and before it moved out.seq. See kf_reply_begin().
 */
static __always_inline bool kf_egress_is_late(const struct kf_packet *p, struct kf_flow *flow)
{
	return !p->monitor && (p->payload_len || (p->tcp_flags & KF_TCP_FIN)) &&
	       *(volatile __u8 *)&flow->state == KF_FLOW_ANSWERED;
}

/*
 * Gives the flow's place back where nothing in it has to be compared any more, and nothing will be
 * put into it. Ingress makes known what it takes a place for before it takes one; so it is asked
 * after the taking was read, behind a full barrier, and what holds then holds for that taking.
 */
static __always_inline void kf_egress_release(struct kf_flow *flow)
{
	__u32 taken;

	if (!kf_place_of(flow))
		return;
	taken = __sync_fetch_and_add(&flow->head, 0);
	if (*(volatile __u8 *)&flow->state != KF_FLOW_CHUNKS &&
	    *(volatile __u8 *)&flow->state != KF_FLOW_CONTENT &&
	    !(*(volatile __u8 *)&flow->flags & KF_FLOW_IN_HEAD) &&
	    !kf_seq_before(flow->in.acked_seq, *(volatile __u32 *)&flow->judged.seq))
		kf_place_give_back(flow, taken);
}

/* True where @p has to come again (response.h). */
static __always_inline bool kf_egress_follow(KF_CTX *ctx, struct kf_packet *p, struct kf_flow *flow)
{
	bool again = false;

	kf_egress_sent(p, flow);
	if (!(flow->out.flags & KF_FLOW_ACK_SEEN)) {
		if (flow->state == KF_FLOW_UNSYNCED || kf_seq_before(flow->in.acked_seq, p->ack))
			flow->in.acked_seq = p->ack;
		flow->out.flags |= KF_FLOW_ACK_SEEN;
	} else if (kf_seq_before(flow->in.acked_seq, p->ack)) {
		flow->in.acked_seq = p->ack;
	}
	kf_egress_release(flow);
	if (p->payload_len && flow->state == KF_FLOW_UNSYNCED)
		kf_egress_answer(p, flow);
	if (p->payload_len && kf_flow_is_followed(flow))
		again = kf_response_follow(ctx, p, flow);
	if (p->tcp_flags & KF_TCP_FIN) {
		flow->out.fin_seq = p->seq + p->payload_len + 1;
		flow->out.flags |= KF_FLOW_FIN_OUT;
	}
	if ((flow->flags & KF_FLOW_FIN_IN) && p->ack == flow->in.fin_seq) {
		flow->out.flags |= KF_FLOW_ACKED_IN;
		if (kf_flow_is_over(flow))
			kf_flow_delete(flow, &p->key);
	}
	return again;
}

/* The lists have changed since this flow's source was looked up in them. */
static __always_inline bool kf_egress_denied(const struct kf_packet *p, struct kf_flow *flow,
					     const struct kf_config *config)
{
	__u32 generation = *(volatile const __u32 *)&config->source_generation;

	if (flow->source_generation == generation)
		return false;
	if (kf_source_is_denied(p, config))
		return true;
	flow->source_generation = generation;
	return false;
}

/* Why the stream of @flow must end now; 0: it need not. */
static __always_inline int kf_egress_revoked(const struct kf_packet *p, struct kf_flow *flow,
					     const struct kf_config *config)
{
	struct kf_penalty *penalty;
	int reason;

	if (p->monitor)
		return 0;
	reason = kf_refusal_revoked(flow, p);
	if (reason)
		return reason;
	if (kf_egress_denied(p, flow, config))
		return KF_REASON_SOURCE_DENIED;
	penalty = kf_penalty_find(config, p->key.client);
	if (penalty && kf_penalty_in_force(penalty) && !kf_source_is_allowed(p, config))
		return KF_REASON_SOURCE_PENALISED;
	return 0;
}

static __always_inline int kf_egress_flow(KF_CTX *ctx, struct kf_scratch *scratch,
					  struct kf_flow *flow, const struct kf_config *config)
{
	struct kf_packet *p = &scratch->packet;
	bool reset = p->tcp_flags & KF_TCP_RST, over, again = false;
	int reason;

	kf_flow_touch(flow);
	over = flow->cut || flow->state == KF_FLOW_ANSWERED;
	if (over && !reset && !p->monitor)
		return kf_cut_again(ctx, p, flow);
	reason = over ? 0 : kf_egress_revoked(p, flow, config);
	if (reason && (!reset || kf_flow_is_running(flow)))
		return kf_cut_begin(ctx, scratch, flow, reason);
	if (reset)
		return kf_cut_pass_reset(p, flow);
	if (p->tcp_flags & KF_TCP_ACK)
		again = kf_egress_follow(ctx, p, flow);
	if (kf_egress_is_late(p, flow))
		return kf_cut_again(ctx, p, flow);
	if (!p->monitor && flow->response.state == KF_RESPONSE_STRAY) {
		p->detail = KF_DETAIL_RESPONSE_STRAY;
		return kf_cut_begin(ctx, scratch, flow, KF_REASON_MALFORMED);
	}
	return again ? KF_VERDICT_DROP : KF_VERDICT_PASS;
}

static __always_inline int kf_egress(KF_CTX *ctx)
{
	struct kf_scratch *scratch = kf_scratch_get(KF_EGRESS);
	struct kf_config *config = kf_config_get();
	struct kf_service *service;
	struct kf_packet *p;
	struct kf_flow *flow;

	if (!scratch || !config)
		return KF_VERDICT_PASS;
	if (ctx->mark && ctx->mark == config->answer_mark) { /* ours, out of kf_answer() */
		ctx->mark = 0;
		return KF_VERDICT_PASS;
	}
	if (!kf_egress_read(ctx, &scratch->packet))
		return KF_VERDICT_PASS;
	p = &scratch->packet;
	if ((p->tcp_flags & (KF_TCP_SYN | KF_TCP_ACK)) == (KF_TCP_SYN | KF_TCP_ACK))
		return kf_egress_syn_ack(p, config);
	flow = bpf_map_lookup_elem(&kf_flows, &p->key);
	service = kf_service_at(p->service);
	if (!flow || !service)
		return KF_VERDICT_PASS;
	p->monitor = service->mode == KF_MODE_MONITOR;
	return kf_egress_flow(ctx, scratch, flow, config);
}

#endif /* KEYFILTER_EGRESS_H */
