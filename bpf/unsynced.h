/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * unsynced.h - connections whose position in their stream is not known, and how it is found.
 *
 * They were there before the attach, or monitor mode has lost them (KF_FLOW_UNSYNCED). Their data
 * passes until a request begins; from there on they are read like any other.
 */
#ifndef KEYFILTER_UNSYNCED_H
#define KEYFILTER_UNSYNCED_H

#include "flow.h"

#define KF_UNSYNCED_MAX 56 /* of kf_flow.seen: a minute */
#define KF_LOOK_NEW	16 /* bytes of a segment that are looked at */

/*
 * Does @text look like the start of a request: empty lines, three capital letters or more, and a
 * space? Or does it end among the letters?
 */
static __always_inline bool kf_unsynced_is_request(const __u8 *text, __u32 len)
{
	__u32 letters = 0;

#pragma unroll
	for (__u32 i = 0; i < KF_LOOK_NEW; i++) {
		if (i >= len)
			return letters;
		if (text[i] >= 'A' && text[i] <= 'Z')
			letters++;
		else if (letters || (text[i] != '\r' && text[i] != '\n'))
			return letters > 2 && text[i] == ' ';
	}
	return letters;
}

/* Does the segment at @p look as if a request began with it? */
__noinline int kf_unsynced_looks_new(KF_CTX *ctx, struct kf_packet *p)
{
	__u8 text[KF_LOOK_NEW] = {};
	__u32 len;

	if (!p || !p->payload_len)
		return 0;
	len = p->payload_len < sizeof(text) ? p->payload_len : sizeof(text);
	if (kf_ctx_load(ctx, p->payload_offset, text, kf_length(len, sizeof(text))))
		return 1;
	return kf_unsynced_is_request(text, len);
}

/*
 * From here on the flow is read: its client begins a request, and what the backend has said so far
 * belongs to earlier ones. If it goes on with one of these the responses are lost.
 */
static __always_inline void kf_unsynced_sync(struct kf_flow *flow)
{
	flow->in.resume_seq = flow->in.acked_seq;
	flow->judged.seq = flow->in.acked_seq;
	flow->judged.from = flow->in.acked_seq;
	flow->state = KF_FLOW_HEAD;
	flow->response.seq = flow->out.seq;
	flow->response.skip = 0;
	__builtin_memset(flow->response.chunk, 0, sizeof(flow->response.chunk));
	/* a full barrier: egress reads no response before it sees all of this */
	(void)__sync_lock_test_and_set(&flow->response.ended, flow->response.requests);
	*(volatile __u8 *)&flow->response.state = KF_RESPONSE_HEAD;
}

/*
 * Does the backend have in order all that it was sent, and is it known what that is? Otherwise it
 * may hold bytes behind a gap, and what is judged next would be completed by them, unseen.
 */
__noinline int kf_unsynced_is_whole(KF_CTX *ctx, struct kf_packet *p, struct kf_flow *flow)
{
	struct kf_socket socket = {};

	if (!p || !flow)
		return 0;
	if (kf_socket_state(ctx, p, &socket)) {
		if (!(flow->out.flags & KF_FLOW_ACK_SEEN)) {
			flow->in.acked_seq = socket.rcv_nxt;
			flow->out.seq = socket.snd_nxt;
			flow->out.low = socket.snd_una - KF_OUT_WINDOW / 2;
			flow->out.flags |= KF_FLOW_ACK_SEEN;
		} else if (kf_seq_before(flow->in.acked_seq, socket.rcv_nxt)) {
			flow->in.acked_seq = socket.rcv_nxt;
		}
	}
	if (!(flow->out.flags & KF_FLOW_ACK_SEEN) || socket.has_later)
		return 0;
	return !(flow->flags & KF_FLOW_SENT) ||
	       !kf_seq_before(flow->in.acked_seq, flow->in.resume_seq);
}

/* What passes unread: the backend may have it, up to the end of @p. */
static __always_inline int kf_unsynced_pass(const struct kf_packet *p, struct kf_flow *flow)
{
	__u32 end = p->seq + p->payload_len;

	if (!(flow->flags & KF_FLOW_SENT) || kf_seq_before(flow->in.resume_seq, end))
		flow->in.resume_seq = end;
	flow->flags |= KF_FLOW_SENT;
	return KF_REASON_ADOPTED;
}

/* Under the flow's lock. */
static __always_inline int kf_unsynced_locked(KF_CTX *ctx, struct kf_packet *p,
					      struct kf_flow *flow)
{
	__u32 end = p->seq + p->payload_len;
	int whole;

	if (!(flow->out.flags & KF_FLOW_CAUGHT_UP) && !kf_unsynced_looks_new(ctx, p)) {
		/* what is open may be a head: its client does not end the stream here */
		if (!p->monitor &&
		    ((p->tcp_flags & KF_TCP_FIN) || kf_flow_now() - flow->since > KF_UNSYNCED_MAX))
			return KF_REASON_NO_FLOW;
		return kf_unsynced_pass(p, flow);
	}
	whole = kf_unsynced_is_whole(ctx, p, flow);
	if (!(flow->out.flags & KF_FLOW_ACK_SEEN))
		return KF_REASON_NO_FLOW;
	if (!kf_seq_before(flow->in.acked_seq, end))
		return KF_REASON_ADOPTED;
	if (!whole) /* TCP brings it again */
		return p->monitor ? kf_unsynced_pass(p, flow) : KF_REASON_UNACKED;
	kf_unsynced_sync(flow);
	return 0;
}

/*
 * A connection from before the attach, or one that monitor mode has lost. Once the backend has
 * answered all it was sent, what the client sends next is a head, and judged. So is, before that,
 * what looks like the beginning of a request, once the backend has acknowledged all that passed. A
 * client that lets neither happen has a minute.
 */
static __noinline int kf_unsynced_judge(KF_CTX *ctx, struct kf_packet *p, struct kf_flow *flow)
{
	struct kf_config *config = kf_config_get();
	int reason = 0;

	if (!config || !kf_flow_lock(flow))
		return KF_REASON_FLOW_BUSY;
	if (flow->cookie == kf_flow_hash(config->flow_secret, &p->key) &&
	    flow->state == KF_FLOW_UNSYNCED)
		reason = kf_unsynced_locked(ctx, p, flow);
	kf_flow_unlock(flow);
	return reason;
}

#endif /* KEYFILTER_UNSYNCED_H */
