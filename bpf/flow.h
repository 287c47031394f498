/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * flow.h - which connection a segment is of.
 *
 * Flows are never evicted. Elements of a preallocated hash are reused at once, so a pointer may
 * turn into another flow's. The flow lock (busy) closes that: an element is deleted only while
 * locked and stays locked, and the CPU that takes the lock compares the cookie.
 */
#ifndef KEYFILTER_FLOW_H
#define KEYFILTER_FLOW_H

#include <keyfilter/flowhash.h>
#include <keyfilter/flowstate.h>

#include "maps.bpf.h"
#include "packet.h"
#include "place.h"
#include "seq.h"
#include "socket.h"

#define KF_OUT_WINDOW (1u << 26) /* more than a client can leave unacknowledged */
#define KF_SKIP_ONCE  (1u << 30) /* resume_seq runs ahead by no more, so that it cannot wrap */

static __always_inline bool kf_flow_lock(struct kf_flow *flow)
{
	return __sync_val_compare_and_swap(&flow->busy, 0, 1) == 0;
}

static __always_inline void kf_flow_unlock(struct kf_flow *flow)
{
	__sync_lock_test_and_set(&flow->busy, 0);
}

/*
 * Deletes @flow unless a CPU is judging it now; then false. Where the map is busy the flow is a
 * closed one, and the controller's sweep or the next SYN-ACK takes it.
 */
static __always_inline bool kf_flow_delete(struct kf_flow *flow, const struct kf_flow_key *key)
{
	if (!kf_flow_lock(flow))
		return false;
	flow->state = KF_FLOW_CLOSED;
	kf_place_release(flow);
	bpf_map_delete_elem(&kf_flows, key);
	return true;
}

/* The clock of kf_flow.seen: about seconds. */
static __always_inline __u32 kf_flow_now(void)
{
	return bpf_ktime_get_coarse_ns() >> 30;
}

static __always_inline void kf_flow_touch(struct kf_flow *flow)
{
	__u32 now = kf_flow_now();

	if (flow->seen != now)
		flow->seen = now;
}

/*
 * Does @p belong to the connection that @flow is of? It must acknowledge something that the backend
 * has sent, and its data must not begin before the stream (RFC 5961 section 5). With SYN cookies a
 * backend may have other handshakes open for the same addresses, whose numbers this flow does not
 * follow, and a cookie leaves the client's first number open by three. A sender that does not see
 * the backend's segments knows neither.
 */
static __always_inline bool kf_flow_owns(const struct kf_flow *flow, const struct kf_packet *p)
{
	if (!(p->tcp_flags & KF_TCP_ACK))
		return false;
	if (!flow->out.first && !(flow->out.flags & KF_FLOW_ACK_SEEN))
		return true; /* adopted, and the backend has not spoken yet */
	if (p->ack - flow->out.low > flow->out.seq - flow->out.low)
		return false;
	return !p->payload_len || !flow->out.first || (flow->flags & KF_FLOW_LONG) ||
	       !kf_seq_before(p->seq, flow->in.first);
}

/* Asks the local socket, where there is one, how far the backend has come. */
static __always_inline void kf_flow_ask_socket(KF_CTX *ctx, struct kf_packet *p,
					       struct kf_flow *flow)
{
	struct kf_socket socket = {};

	if (kf_socket_state(ctx, p, &socket) && kf_seq_before(flow->in.acked_seq, socket.rcv_nxt))
		flow->in.acked_seq = socket.rcv_nxt;
}

/* Is @seq where a client that has nothing lost would go on? Not for an unsynced flow. */
static __always_inline bool kf_flow_expects(const struct kf_flow *flow, __u32 seq)
{
	return flow->state != KF_FLOW_UNSYNCED &&
	       seq - flow->in.acked_seq <= flow->in.resume_seq - flow->in.acked_seq;
}

static __always_inline bool kf_flow_is_over(const struct kf_flow *flow)
{
	const __u8 in = KF_FLOW_FIN_IN | KF_FLOW_ACKED_OUT;
	const __u8 out = KF_FLOW_FIN_OUT | KF_FLOW_ACKED_IN;

	return (flow->flags & in) == in && (flow->out.flags & out) == out;
}

/* The end of a flow as the client's segments tell it. */
static __always_inline void kf_flow_follow_in(struct kf_flow *flow, const struct kf_packet *p)
{
	if ((p->tcp_flags & KF_TCP_FIN) && kf_flow_expects(flow, p->seq + p->payload_len)) {
		flow->in.fin_seq = p->seq + p->payload_len + 1;
		flow->flags |= KF_FLOW_FIN_IN;
	}
	if ((flow->out.flags & KF_FLOW_FIN_OUT) && p->ack == flow->out.fin_seq) {
		flow->flags |= KF_FLOW_ACKED_OUT;
		if (kf_flow_is_over(flow))
			kf_flow_delete(flow, &p->key);
	}
}

/* Where the client's next byte would stand, its FIN counted. */
static __always_inline bool kf_flow_is_at_end(const struct kf_flow *flow, __u32 seq)
{
	if (seq == flow->in.resume_seq)
		return true;
	return (flow->flags & KF_FLOW_FIN_IN) && seq == flow->in.fin_seq &&
	       seq == flow->in.resume_seq + 1;
}

/* Body bytes: nothing in them matters. */
static __always_inline void kf_flow_skip(struct kf_flow *flow, __u64 len)
{
	__u32 now = len > KF_SKIP_ONCE ? KF_SKIP_ONCE : len;

	flow->in.resume_seq += now;
	flow->in.skip = len - now;
}

#endif /* KEYFILTER_FLOW_H */
