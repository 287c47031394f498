/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * cut.h - a running request ends, and a segment of its backend is the occasion.
 *
 * Where not a byte of the response has been sent the client is answered, as if its request had been
 * refused: the segment becomes the answer. Otherwise both ends are reset, and it becomes the
 * client's RST. Either way the backend gets a RST. What the client's segments lead to is decided by
 * kf_refusal_end() and done by answer.h; the first of them, ingress, egress or the controller,
 * counts the cut and tells it.
 */
#ifndef KEYFILTER_BPF_CUT_H
#define KEYFILTER_BPF_CUT_H

#include "count.h"
#include "event.h"
#include "refusal.h"
#include "reply.h"
#include "turn.h"

#define KF_CUT_TRIES 64 /* to take the lock: about as long as judging a segment takes */

/* The backend's RST, as if its client had sent it: exactly what it expects next. */
static __always_inline bool kf_cut_reset_backend(struct __sk_buff *skb, struct kf_packet *p)
{
	struct kf_turn t = { .seq = p->ack, .flags = KF_TCP_RST, .swap_macs = 1 };

	if (!(p->tcp_flags & KF_TCP_ACK) || kf_turn_put(skb, p, &t))
		return false;
	bpf_clone_redirect(skb, skb->ifindex, BPF_F_INGRESS);
	return true;
}

static __always_inline int kf_cut_reset_both(struct __sk_buff *skb, struct kf_packet *p,
					     struct kf_flow *flow)
{
	struct kf_turn t = {
		.seq = p->seq,
		.ack = p->ack,
		.flags = KF_TCP_RST | KF_TCP_ACK,
		.to_client = 1,
	};

	if (kf_cut_reset_backend(skb, p)) {
		flow->answer.flags |= KF_ANSWER_RESET;
		t.swap_macs = 1; /* back */
	}
	if (!flow->cut || (flow->answer.flags & KF_ANSWER_CLIENT_RESET) || kf_turn_put(skb, p, &t))
		return KF_VERDICT_DROP;
	flow->answer.flags |= KF_ANSWER_CLIENT_RESET;
	return KF_VERDICT_PASS;
}

/*
 * A segment @p of the backend, on a flow that is cut or answered. The backend gets a RST, and so
 * does a client of a cut flow that has had none: the segment becomes it, and passes. Takes the
 * flow's lock; where another CPU has it TCP brings the segment again.
 */
static __noinline int kf_cut_again(struct __sk_buff *skb, struct kf_packet *p, struct kf_flow *flow)
{
	struct kf_config *config = kf_config_get();
	int verdict = KF_VERDICT_DROP;

	if (!config || !kf_flow_lock(flow))
		return verdict;
	if (flow->cookie == kf_flow_hash(config->flow_secret, &p->key))
		verdict = kf_cut_reset_both(skb, p, flow);
	kf_flow_unlock(flow);
	return verdict;
}

/*
 * The backend resets, or somebody in its name: a stack that does not know the connection, as the
 * host's of a container, answers any segment with a RST whose number that segment chose. Only the
 * numbers that the backend itself would use end the flow (RFC 9293 section 3.10.7.4).
 */
static __always_inline bool kf_cut_is_backends(const struct kf_packet *p,
					       const struct kf_flow *flow)
{
	return (p->tcp_flags & KF_TCP_ACK) && p->seq == flow->out.seq &&
	       !kf_seq_before(p->ack, flow->in.acked_seq);
}

/* The RST @p. A client that was answered or reset hears nothing of it. */
static __always_inline int kf_cut_pass_reset(const struct kf_packet *p, struct kf_flow *flow)
{
	if (!p->monitor &&
	    (flow->state == KF_FLOW_ANSWERED || (flow->answer.flags & KF_ANSWER_CLIENT_RESET)))
		return KF_VERDICT_DROP;
	if (kf_cut_is_backends(p, flow))
		kf_flow_delete(flow, &p->key);
	else
		flow->out.flags |= KF_FLOW_RST_OUT;
	return KF_VERDICT_PASS;
}

/* ---- the first occasion ---------------------------------------------------------------------- */

/*
 * Has the client all that the backend has sent? Once the backend is reset nobody sends it again,
 * and an answer behind a gap is never read. A local socket knows; of a container's it is known only
 * where the last request's own segment acknowledged it.
 */
static __always_inline bool kf_cut_has_all(struct __sk_buff *skb, struct kf_packet *p,
					   const struct kf_flow *flow)
{
	struct kf_socket socket = {};

	return flow->answer.seq == flow->out.seq ||
	       (kf_socket_state(skb, p, &socket) && socket.snd_una == flow->out.seq);
}

/* May the answer stand where @p of the backend is, or would have gone on? */
static __always_inline bool kf_cut_is_answerable(struct __sk_buff *skb, struct kf_packet *p,
						 const struct kf_flow *flow, int reason)
{
	if (!kf_refusal_may_tell(flow, reason))
		return false;
	if (p->tcp_flags & KF_TCP_RST ? !kf_cut_is_backends(p, flow) : !(p->tcp_flags & KF_TCP_ACK))
		return false;
	/* an ACK or a probe repeats an older number */
	if (p->seq != flow->out.seq && (p->payload_len || (p->tcp_flags & KF_TCP_FIN)))
		return false;
	return kf_cut_has_all(skb, p, flow);
}

/* The frame becomes the answer, and passes; a clone of it has been the backend's RST before. */
static __always_inline bool kf_cut_answer(struct __sk_buff *skb, struct kf_packet *p,
					  struct kf_flow *flow)
{
	__u32 len = kf_reply_compose(flow);
	struct kf_turn t = {};
	__be32 value;

	if (!len || !kf_reply_fits(skb, p, len) ||
	    !kf_reply_begin(flow, len, flow->out.seq, p->ack))
		return false;
	kf_reply_turn(skb, p, flow, &t);
	value = t.ts_value; /* the backend's own, on its way already */
	t.ts_value = t.ts_echo;
	t.ts_echo = value;
	if (!(p->tcp_flags & KF_TCP_RST))
		t.swap_macs = kf_cut_reset_backend(skb, p);
	flow->answer.flags |= KF_ANSWER_RESET;
	return !kf_turn_put(skb, p, &t);
}

static __always_inline void kf_cut_tell(struct __sk_buff *skb, struct kf_scratch *scratch,
					const struct kf_flow *flow, int reason)
{
	struct kf_config *config = kf_config_get();
	struct kf_note *note = &scratch->note;

	__builtin_memset(note, 0, sizeof(*note));
	note->ifindex = kf_ctx_ifindex(skb);
	note->slot = flow->slot;
	note->reason = reason;
	note->kind = KF_EVENT_CUT;
	if (flow->state == KF_FLOW_ANSWERED)
		note->request_id = flow->answer.request_id;
	kf_count_cut(scratch->packet.service);
	if (config)
		kf_event_send(&scratch->packet, config, note);
}

/* Under the flow's lock. True where the client is answered: the frame is the answer. */
static __always_inline bool kf_cut_decide(struct __sk_buff *skb, struct kf_scratch *scratch,
					  struct kf_flow *flow, int reason)
{
	struct kf_counters *counters = kf_count_of(scratch->packet.service);
	struct kf_packet *p = &scratch->packet;
	bool first = !kf_refusal_is_decided(flow), answered = false;

	if (flow->cut || flow->state == KF_FLOW_ANSWERED)
		return false; /* by another CPU, meanwhile */
	if (kf_cut_is_answerable(skb, p, flow, reason)) {
		if (first)
			kf_refusal_note_own(flow, reason);
		answered = kf_cut_answer(skb, p, flow);
	}
	if (!answered)
		flow->cut = reason;
	else if (counters)
		counters->replies++;
	if (first)
		kf_cut_tell(skb, scratch, flow, reason);
	return answered;
}

/* TCP brings a segment again that finds the lock taken, but not a RST. */
static __always_inline bool kf_cut_lock(const struct kf_packet *p, struct kf_flow *flow)
{
	int tries = p->tcp_flags & KF_TCP_RST ? KF_CUT_TRIES : 1;

#pragma clang loop unroll(disable)
	for (int i = 0; i < KF_CUT_TRIES && i < tries; i++) {
		if (kf_flow_lock(flow))
			return true;
	}
	return false;
}

/*
 * The running request of @flow ends for @reason, at the segment in @scratch. Where that is a RST
 * the controller has ended a request that was silent (SOCK_DESTROY), or the backend was quicker: it
 * is turned into the answer, or passes.
 */
static __noinline int kf_cut_begin(struct __sk_buff *skb, struct kf_scratch *scratch,
				   struct kf_flow *flow, int reason)
{
	struct kf_config *config = kf_config_get();
	struct kf_packet *p = &scratch->packet;
	bool reset = p->tcp_flags & KF_TCP_RST;
	int verdict = KF_VERDICT_DROP;

	if (!config)
		return KF_VERDICT_PASS;
	if (!kf_cut_lock(p, flow)) {
		if (!reset)
			return KF_VERDICT_DROP;
		flow->cut = reason;
		kf_cut_tell(skb, scratch, flow, reason);
		return kf_cut_pass_reset(p, flow);
	}
	if (flow->cookie != kf_flow_hash(config->flow_secret, &p->key))
		reset = false; /* another flow's by now */
	else if (kf_cut_decide(skb, scratch, flow, reason)) {
		reset = false;
		verdict = KF_VERDICT_PASS;
	} else if (!reset)
		verdict = kf_cut_reset_both(skb, p, flow);
	kf_flow_unlock(flow);
	return reset ? kf_cut_pass_reset(p, flow) : verdict;
}

#endif /* KEYFILTER_BPF_CUT_H */
