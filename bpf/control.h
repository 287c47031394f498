/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * control.h - segments without data: they complete a handshake, end a flow, or are the occasion to
 * tell a client something.
 *
 * A flow ends with the FINs acknowledged in both directions, with a RST whose numbers only its
 * sender knows, with the FIN of a client that was answered, or by the controller's sweep.
 */
#ifndef KEYFILTER_CONTROL_H
#define KEYFILTER_CONTROL_H

#include "handshake.h"
#include "refusal.h"

/*
 * The stack takes a RST that has exactly the number it expects next (RFC 5961 section 3.2), and
 * then says nothing. The flow ends with it only where all that passed has been acknowledged:
 * otherwise the RST may be one that the stack throws away, and what it holds back would be read a
 * second time. One that may be right lets the controller sweep the flow sooner; a blind one does
 * nothing.
 */
static __always_inline void kf_control_reset(KF_CTX *ctx, struct kf_packet *p, struct kf_flow *flow)
{
	if (flow->state == KF_FLOW_UNSYNCED)
		return; /* its numbers may not be known yet */
	if (flow->cut)
		return; /* ours, or too late */
	if (flow->state == KF_FLOW_ANSWERED) {
		/* ours, for the backend, acknowledge nothing: the client is still listened to */
		if (kf_flow_owns(flow, p) && !kf_seq_before(p->seq, flow->answer.ack))
			kf_flow_delete(flow, &p->key);
		return;
	}
	if (p->seq != flow->in.acked_seq)
		kf_flow_ask_socket(ctx, p, flow);
	if (p->seq == flow->in.acked_seq && kf_flow_is_at_end(flow, p->seq)) {
		/* the stack may throw it away still, and then the stream must not go on unseen */
		if ((flow->flags & KF_FLOW_IN_HEAD) || kf_flow_is_running(flow)) {
			flow->answer.flags |= KF_ANSWER_CLIENT_RESET;
			flow->cut = KF_REASON_FLOW_REFUSED;
		} else {
			kf_flow_delete(flow, &p->key);
		}
	} else if (kf_flow_expects(flow, p->seq))
		flow->flags |= KF_FLOW_RST_IN;
}

/* Without data, of a flow that owns it. 0: it passes as what it is. */
static __always_inline int kf_control_owned(struct kf_flow *flow, struct kf_packet *p,
					    struct kf_outcome *out)
{
	int reason;

	if (kf_refusal_is_due(flow, p->ack))
		return kf_refusal_segment(flow, p, out);
	reason = kf_refusal_revoked(flow, p);
	return reason ? kf_refusal_end(p, flow, out, reason) : 0;
}

/* A segment without data: SYN, ACK, FIN, RST. The reason that it is counted under. */
static __always_inline int kf_control(KF_CTX *ctx, struct kf_packet *p, struct kf_outcome *out)
{
	int refused;
	struct kf_flow *flow;

	if (p->tcp_flags & KF_TCP_SYN)
		return KF_REASON_CONTROL;
	flow = bpf_map_lookup_elem(&kf_flows, &p->key);
	if (flow && (p->tcp_flags & KF_TCP_RST)) {
		kf_control_reset(ctx, p, flow);
	} else if (flow && kf_flow_owns(flow, p)) {
		kf_flow_touch(flow);
		out->slot = flow->slot;
		refused = kf_control_owned(flow, p, out);
		if (refused)
			return refused;
		kf_flow_follow_in(flow, p);
	} else if (!flow && (p->tcp_flags & (KF_TCP_RST | KF_TCP_ACK)) == KF_TCP_ACK) {
		/* dropped, so that the backend repeats its SYN-ACK: there may be room by then */
		if (kf_handshake_complete(ctx) == KF_REASON_FLOWS_FULL)
			return KF_REASON_FLOWS_FULL;
	}
	return KF_REASON_CONTROL;
}

#endif /* KEYFILTER_CONTROL_H */
