/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * flow.h - stage 4: which connection is this, and has its client really shaken hands?
 *
 * A flow is made when a client acknowledges the SYN-ACK that egress saw (kf_embryos), or when the
 * local socket is established and has not received a byte yet. Either proves that the client
 * receives what is sent to its address, so no address can be framed, and tells the client's first
 * sequence number, so that no byte of the stream goes unread. Flows are never evicted: where the
 * table is full new connections are refused. They end with the FINs acknowledged in both
 * directions, with a RST whose numbers only its sender knows, with the FIN of a client that was
 * answered, or by the controller's sweep.
 *
 * Elements of a preallocated hash are reused at once, so a pointer may turn into another flow's.
 * The flow lock (busy) closes that: an element is deleted only while locked and stays locked, and
 * who takes the lock compares the cookie.
 */
#ifndef KEYFILTER_FLOW_H
#define KEYFILTER_FLOW_H

#include <keyfilter/flowhash.h>
#include <keyfilter/flowstate.h>
#include <asm-generic/errno-base.h>
#include <bpf/bpf_core_read.h>

#include "key.h"
#include "maps.bpf.h"
#include "packet.h"
#include "service.h"

#define KF_TCP_ESTABLISHED 1
#define KF_OUT_WINDOW	   (1u << 26) /* more than a client can leave unacknowledged */

/* The members of the kernel's struct tcp_sock that are read; CO-RE finds where they are. */
struct rb_node;

struct rb_root {
	struct rb_node *rb_node;
} __attribute__((preserve_access_index));

struct tcp_sock {
	__u64 bytes_received;
	__u32 rcv_nxt;
	__u32 snd_una;
	__u32 snd_nxt;
	struct rb_root out_of_order_queue;
} __attribute__((preserve_access_index));

/* Sequence numbers wrap: RFC 9293 section 3.4. */
static __always_inline bool kf_seq_before(__u32 a, __u32 b)
{
	return (__s32)(a - b) < 0;
}

static __always_inline bool kf_flow_lock(struct kf_flow *flow)
{
	return __sync_val_compare_and_swap(&flow->busy, 0, 1) == 0;
}

static __always_inline void kf_flow_unlock(struct kf_flow *flow)
{
	__sync_lock_test_and_set(&flow->busy, 0);
}

static __always_inline __u32 kf_head_place(const struct kf_flow *flow)
{
	return *(volatile const __u32 *)&flow->head & KF_FLOW_HEAD_PLACE;
}

/*
 * Ends the taking that @taken, read from flow->head, stands for. False where that is over already:
 * ingress and egress both give places back, and the flow may have taken the same one anew since.
 * The CPU that takes the number off the flow gives the place back, unless the place has become
 * another flow's: that moves the deadline, and never back to a value that it had.
 */
static __always_inline bool kf_head_give_back(struct kf_flow *flow, __u32 taken)
{
	__u32 none = (taken | KF_FLOW_HEAD_PLACE) + 1;
	struct kf_head *head;
	__u64 deadline;

	if (!(taken & KF_FLOW_HEAD_PLACE) ||
	    __sync_val_compare_and_swap(&flow->head, taken, none) != taken)
		return false;
	head = kf_head_at(taken & KF_FLOW_HEAD_PLACE);
	if (!head)
		return true;
	deadline = *(volatile __u64 *)&head->deadline_ns;
	if (*(volatile __u64 *)&head->owner != flow->cookie || deadline == KF_HEAD_MOVING ||
	    __sync_val_compare_and_swap(&head->deadline_ns, deadline, KF_HEAD_MOVING) != deadline)
		return true;
	*(volatile __u64 *)&head->owner = 0;
	*(volatile __u64 *)&head->deadline_ns = 0;
	return true;
}

/* Gives the flow's place in kf_heads back, whatever is in it. */
static __always_inline void kf_head_release(struct kf_flow *flow)
{
	kf_head_give_back(flow, *(volatile __u32 *)&flow->head);
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
	kf_head_release(flow);
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

static __always_inline struct kf_embryo *kf_embryo_at(const struct kf_config *config, __u64 hash)
{
	__u32 index = (hash >> 32) & config->embryo_mask;

	return bpf_map_lookup_elem(&kf_embryos, &index);
}

/* Both numbers in one load, so that no half of another handshake is read. */
static __always_inline __u64 kf_embryo_numbers(__u32 client_first, __u32 server_first)
{
	return (__u64)server_first << 32 | client_first;
}

static __always_inline void kf_embryo_store(struct kf_embryo *embryo, __u64 hash, __u64 numbers)
{
	*(volatile __u64 *)&embryo->cookie = 0;
	*(volatile __u64 *)&embryo->client_first = numbers;
	*(volatile __u64 *)&embryo->cookie = hash;
}

/* The handshake that @p completes, or NULL. */
static __always_inline struct kf_embryo *kf_embryo_find(const struct kf_config *config, __u64 hash,
							const struct kf_packet *p,
							__u32 *client_first)
{
	struct kf_embryo *embryo = kf_embryo_at(config, hash);
	__u64 numbers;

	if (!embryo || *(volatile __u64 *)&embryo->cookie != hash)
		return NULL;
	numbers = *(volatile __u64 *)&embryo->client_first;
	if (*(volatile __u64 *)&embryo->cookie != hash || numbers >> 32 != p->ack)
		return NULL;
	*client_first = numbers;
	return embryo;
}

struct kf_socket {
	__u32 rcv_nxt;	/* what it expects next */
	__u32 snd_una;	/* what its client has not acknowledged yet */
	__u32 snd_nxt;	/* what it sends next */
	__u8 untouched; /* 1: it holds no byte of its client */
	__u8 has_later; /* 1: it holds bytes behind some that it misses */
	__u16 state;	/* KF_TCP_ESTABLISHED or another one of net/tcp_states.h; 0: no socket */
};

/*
 * Where the backend's socket stands, if it is local and established. 0 where there is no such
 * socket (a container behind a published port, for one).
 */
__noinline int kf_socket_state(KF_CTX *ctx, struct kf_packet *p, struct kf_socket *out)
{
	struct bpf_sock_tuple tuple;
	struct tcp_sock *tp;
	struct bpf_sock *sk;
	int found = 0;
	__u32 size;

	if (!p || !out)
		return 0;
	if (p->ipv6) {
		__builtin_memcpy(tuple.ipv6.saddr, p->key.client, 16);
		__builtin_memcpy(tuple.ipv6.daddr, p->key.server, 16);
		tuple.ipv6.sport = bpf_htons(p->key.client_port);
		tuple.ipv6.dport = bpf_htons(p->key.server_port);
		size = sizeof(tuple.ipv6);
	} else {
		__builtin_memcpy(&tuple.ipv4.saddr, p->key.client + 12, 4);
		__builtin_memcpy(&tuple.ipv4.daddr, p->key.server + 12, 4);
		tuple.ipv4.sport = bpf_htons(p->key.client_port);
		tuple.ipv4.dport = bpf_htons(p->key.server_port);
		size = sizeof(tuple.ipv4);
	}
	sk = bpf_skc_lookup_tcp(ctx, &tuple, size, BPF_F_CURRENT_NETNS, 0);
	if (!sk)
		return 0;
	out->state = sk->state;
	if (sk->state == KF_TCP_ESTABLISHED) {
		tp = bpf_skc_to_tcp_sock(sk);
		if (tp) {
			out->rcv_nxt = tp->rcv_nxt;
			out->snd_una = tp->snd_una;
			out->snd_nxt = tp->snd_nxt;
			out->has_later = !!tp->out_of_order_queue.rb_node;
			asm volatile("" ::: "memory"); /* no arithmetic on that pointer */
			out->untouched = !tp->bytes_received && !out->has_later;
			found = 1;
		}
	}
	bpf_sk_release(sk);
	return found;
}

/* The client's first sequence number, as the socket tells it: data may complete a handshake. */
static __always_inline bool kf_socket_start(KF_CTX *ctx, struct kf_packet *p, __u32 *client_first)
{
	struct kf_socket socket = {};

	if (!p->payload_len || !kf_socket_state(ctx, p, &socket) || !socket.untouched)
		return false;
	if (p->ack != socket.snd_una || p->ack != socket.snd_nxt)
		return false;
	*client_first = socket.rcv_nxt;
	return true;
}

/*
 * Makes the flow that the ingress packet in this CPU's scratch proves. NULL with @reason where
 * there is no proof (NO_FLOW) or no room (FLOWS_FULL).
 */
static __noinline struct kf_flow *kf_flow_create(KF_CTX *ctx, int *reason)
{
	struct kf_scratch *scratch = kf_scratch_get(KF_INGRESS);
	struct kf_config *config = kf_config_get();
	struct kf_embryo *embryo;
	struct kf_packet *p;
	struct kf_flow *fresh;
	__u32 client_first = 0;
	__u64 hash;
	long err;

	*reason = KF_REASON_NO_FLOW;
	if (!config || !scratch)
		return NULL;
	p = &scratch->packet;
	hash = kf_flow_hash(config->flow_secret, &p->key);
	embryo = kf_embryo_find(config, hash, p, &client_first);
	if (!embryo && !kf_socket_start(ctx, p, &client_first))
		return NULL;
	fresh = &scratch->flow;
	__builtin_memset(fresh, 0, sizeof(*fresh));
	fresh->cookie = hash;
	fresh->slot = KF_SLOT_NONE;
	fresh->service = p->service;
	fresh->client_first = client_first;
	fresh->head = p->ack & ~KF_FLOW_HEAD_PLACE; /* not as an older flow of this element began */
	fresh->server_first = p->ack;
	fresh->resume_seq = client_first;
	fresh->judged_seq = client_first;
	fresh->acked_seq = client_first;
	fresh->kept_from = client_first;
	fresh->out_seq = p->ack;
	fresh->out_low = p->ack;
	fresh->response_seq = p->ack;
	fresh->source_generation = config->source_generation;
	fresh->seen = kf_flow_now();
	err = bpf_map_update_elem(&kf_flows, &p->key, fresh, BPF_NOEXIST);
	if (err == -E2BIG)
		*reason = KF_REASON_FLOWS_FULL;
	/* one handshake makes one flow: a second one would read the stream anew */
	if (!err && embryo)
		embryo->cookie = 0;
	return bpf_map_lookup_elem(&kf_flows, &p->key);
}

/*
 * Does @p belong to the connection that @flow is of? It must acknowledge something that the backend
 * has sent, and its data must not begin before the stream (RFC 5961 section 5): with SYN cookies a
 * backend may have other handshakes open for the same addresses, whose numbers this flow does not
 * follow, and a cookie leaves the client's first number open by three; who sends blindly knows
 * neither.
 */
static __always_inline bool kf_flow_owns(const struct kf_flow *flow, const struct kf_packet *p)
{
	if (!(p->tcp_flags & KF_TCP_ACK))
		return false;
	if (!flow->server_first && !(flow->out_flags & KF_FLOW_ACK_SEEN))
		return true; /* adopted, and the backend has not spoken yet */
	if (p->ack - flow->out_low > flow->out_seq - flow->out_low)
		return false;
	return !p->payload_len || !flow->server_first || (flow->flags & KF_FLOW_LONG) ||
	       !kf_seq_before(p->seq, flow->client_first);
}

/* Asks the local socket, where there is one, how far the backend has come. */
static __always_inline void kf_flow_ask_socket(KF_CTX *ctx, struct kf_packet *p,
					       struct kf_flow *flow)
{
	struct kf_socket socket = {};

	if (kf_socket_state(ctx, p, &socket) && kf_seq_before(flow->acked_seq, socket.rcv_nxt))
		flow->acked_seq = socket.rcv_nxt;
}

/* Is @seq where a client that has nothing lost would go on? Not for an unsynced flow. */
static __always_inline bool kf_flow_expects(const struct kf_flow *flow, __u32 seq)
{
	return flow->state != KF_FLOW_UNSYNCED &&
	       seq - flow->acked_seq <= flow->resume_seq - flow->acked_seq;
}

/*
 * Has kf_answer() something to say to the client now that this segment of it came? Where nothing
 * is said the segment is dropped, or, without data, passes.
 */
static __always_inline bool kf_flow_wants_answer(const struct kf_flow *flow, __u32 ack)
{
	if (flow->cut || flow->state == KF_FLOW_ANSWERED)
		return true;
	if (flow->state != KF_FLOW_REFUSED)
		return false;
	if (flow->answer_flags & KF_ANSWER_SILENT)
		return false;
	if (flow->out_flags & KF_FLOW_FIN_OUT)
		return flow->flags & KF_FLOW_ACKED_OUT; /* no answer can follow its FIN */
	return kf_flow_is_answerable(flow, ack);
}

/* A segment of a flow that is refused, answered or cut. */
static __always_inline int kf_flow_refused(const struct kf_flow *flow, const struct kf_packet *p,
					   struct kf_outcome *out)
{
	out->answer = kf_flow_wants_answer(flow, p->ack);
	return KF_REASON_FLOW_REFUSED;
}

/* Does @p, of a refused flow, hold what the backend may still miss? */
static __always_inline bool kf_flow_is_refused_before(const struct kf_flow *flow,
						      const struct kf_packet *p)
{
	return flow->state == KF_FLOW_REFUSED && kf_seq_before(flow->acked_seq, flow->resume_seq) &&
	       kf_seq_before(p->seq, flow->resume_seq);
}

/* Why the running request of @flow, which @p is of, must end; 0: it need not. */
static __always_inline int kf_flow_revoked(const struct kf_flow *flow, const struct kf_packet *p)
{
	int reason;

	if (p->monitor || flow->slot == KF_SLOT_NONE || !kf_flow_is_running(flow))
		return 0;
	reason = kf_key_live(flow->slot, flow->slot_check);
	return reason == KF_REASON_ADMITTED ? 0 : reason;
}

/* Both ends of @flow are reset from now on. */
static __always_inline int kf_flow_cut(struct kf_flow *flow, int reason, struct kf_outcome *out)
{
	flow->cut = reason;
	out->cut = 1;
	out->answer = 1;
	return reason;
}

/* Was the end of the running request of @flow decided already? Then it was counted and told. */
static __always_inline bool kf_flow_is_ended(const struct kf_flow *flow)
{
	return flow->cut || flow->state == KF_FLOW_ANSWERED ||
	       (flow->state == KF_FLOW_REFUSED && (flow->answer_flags & KF_ANSWER_OWN));
}

/*
 * The running request of @flow, whose key may not be used any longer, waits for its response: may
 * its client be answered instead of reset? A reset there looks like a broken backend, which a proxy
 * takes out of service for everybody.
 */
static __always_inline bool kf_flow_may_tell(const struct kf_flow *flow, int reason)
{
	const __u64 told = 1ull << KF_REASON_UNKNOWN_KEY | 1ull << KF_REASON_KEY_DISABLED |
			   1ull << KF_REASON_KEY_EXPIRED;
	struct kf_service *service = kf_service_at(flow->service);

	return (told >> (reason & 63) & 1) && service && service->refuse == KF_REFUSE_REPLY &&
	       kf_flow_is_waiting(flow);
}

/* Its client will be told @reason; under the flow's lock. */
static __always_inline void kf_flow_note_own(struct kf_flow *flow, int reason)
{
	bool head = flow->head_asked >> ((flow->requests - 1) & 31) & 1;

	flow->answer_flags = KF_ANSWER_OWN | (head ? KF_ANSWER_NO_BODY : 0);
	flow->reason = reason;
	flow->detail = 0;
	flow->retry_after = 0;
	flow->request_id = (__u64)bpf_get_prandom_u32() << 32 | bpf_get_prandom_u32();
	flow->state = KF_FLOW_REFUSED;
}

/*
 * The running request of @flow must end for @reason, and @p of its client is the occasion: it is
 * answered, or both ends are reset. Counted and told by the CPU that comes first. Returns the
 * reason of the packet.
 */
__noinline int kf_flow_end(struct kf_packet *p, struct kf_flow *flow, struct kf_outcome *out,
			   __u32 reason)
{
	struct kf_config *config = kf_config_get();

	if (!p || !flow || !out || !config)
		return KF_REASON_NO_FLOW;
	/* TCP brings it again, or the next one is the occasion */
	if (!kf_flow_lock(flow))
		return KF_REASON_FLOW_BUSY;
	if (flow->cookie != kf_flow_hash(config->flow_secret, &p->key)) {
		reason = KF_REASON_NO_FLOW;
	} else if (kf_flow_is_ended(flow)) {
		reason = kf_flow_refused(flow, p, out);
	} else if (p->ack == flow->out_seq && kf_flow_may_tell(flow, reason)) {
		kf_flow_note_own(flow, reason);
		out->request_id = flow->request_id;
		out->cut = 1;
		out->answer = 1;
	} else {
		kf_flow_cut(flow, reason, out);
	}
	kf_flow_unlock(flow);
	return reason;
}

static __always_inline bool kf_flow_is_over(const struct kf_flow *flow)
{
	const __u8 in = KF_FLOW_FIN_IN | KF_FLOW_ACKED_OUT;
	const __u8 out = KF_FLOW_FIN_OUT | KF_FLOW_ACKED_IN;

	return (flow->flags & in) == in && (flow->out_flags & out) == out;
}

/* The end of a flow as the client's segments tell it. */
static __always_inline void kf_flow_follow_in(struct kf_flow *flow, const struct kf_packet *p)
{
	if ((p->tcp_flags & KF_TCP_FIN) && kf_flow_expects(flow, p->seq + p->payload_len)) {
		flow->fin_in_seq = p->seq + p->payload_len + 1;
		flow->flags |= KF_FLOW_FIN_IN;
	}
	if ((flow->out_flags & KF_FLOW_FIN_OUT) && p->ack == flow->fin_out_seq) {
		flow->flags |= KF_FLOW_ACKED_OUT;
		if (kf_flow_is_over(flow))
			kf_flow_delete(flow, &p->key);
	}
}

/* Where the client's next byte would stand, its FIN counted. */
static __always_inline bool kf_flow_is_at_end(const struct kf_flow *flow, __u32 seq)
{
	if (seq == flow->resume_seq)
		return true;
	return (flow->flags & KF_FLOW_FIN_IN) && seq == flow->fin_in_seq &&
	       seq == flow->resume_seq + 1;
}

/*
 * The stack takes a RST that has exactly the number it expects next (RFC 5961 section 3.2), and
 * then says nothing. The flow ends with it only where all that passed has been acknowledged:
 * otherwise the RST may be one that the stack throws away, and what it holds back would be read a
 * second time. One that may be right lets the controller sweep the flow sooner; a blind one does
 * nothing.
 */
static __always_inline void kf_flow_reset_in(KF_CTX *ctx, struct kf_packet *p, struct kf_flow *flow)
{
	if (flow->state == KF_FLOW_UNSYNCED)
		return; /* its numbers may not be known yet */
	if (flow->cut)
		return; /* ours, or too late */
	if (flow->state == KF_FLOW_ANSWERED) {
		/* ours, for the backend, acknowledge nothing: the client is still listened to */
		if (kf_flow_owns(flow, p) && !kf_seq_before(p->seq, flow->answer_ack))
			kf_flow_delete(flow, &p->key);
		return;
	}
	if (p->seq != flow->acked_seq)
		kf_flow_ask_socket(ctx, p, flow);
	if (p->seq == flow->acked_seq && kf_flow_is_at_end(flow, p->seq)) {
		/* the stack may throw it away still, and then the stream must not go on unseen */
		if ((flow->flags & KF_FLOW_IN_HEAD) || kf_flow_is_running(flow)) {
			flow->answer_flags |= KF_ANSWER_CLIENT_RESET;
			flow->cut = KF_REASON_FLOW_REFUSED;
		} else {
			kf_flow_delete(flow, &p->key);
		}
	} else if (kf_flow_expects(flow, p->seq))
		flow->flags |= KF_FLOW_RST_IN;
}

/* Without data, of a flow that owns it. 0: it passes as what it is. */
static __always_inline int kf_flow_control_owned(struct kf_flow *flow, struct kf_packet *p,
						 struct kf_outcome *out)
{
	int reason;

	if (kf_flow_wants_answer(flow, p->ack))
		return kf_flow_refused(flow, p, out);
	reason = kf_flow_revoked(flow, p);
	return reason ? kf_flow_end(p, flow, out, reason) : 0;
}

/*
 * A segment without data: SYN, ACK, FIN, RST. It can only complete a handshake or end a flow; or be
 * the occasion to tell a client something.
 */
static __always_inline int kf_flow_control(KF_CTX *ctx, struct kf_packet *p, struct kf_outcome *out)
{
	int reason = KF_REASON_CONTROL, refused;
	struct kf_flow *flow;

	if (p->tcp_flags & KF_TCP_SYN)
		return KF_REASON_CONTROL;
	flow = bpf_map_lookup_elem(&kf_flows, &p->key);
	if (flow && (p->tcp_flags & KF_TCP_RST)) {
		kf_flow_reset_in(ctx, p, flow);
	} else if (flow && kf_flow_owns(flow, p)) {
		kf_flow_touch(flow);
		out->slot = flow->slot;
		refused = kf_flow_control_owned(flow, p, out);
		if (refused)
			return refused;
		kf_flow_follow_in(flow, p);
	} else if (!flow && (p->tcp_flags & (KF_TCP_RST | KF_TCP_ACK)) == KF_TCP_ACK) {
		kf_flow_create(ctx, &reason);
	}
	/* without its last ACK the backend repeats the SYN-ACK, and there may be room then */
	return reason == KF_REASON_FLOWS_FULL ? reason : KF_REASON_CONTROL;
}

#endif /* KEYFILTER_FLOW_H */
