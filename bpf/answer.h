/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * answer.h - what a client is told whose request was refused, or whose stream is cut.
 *
 * In TC, for all modes: XDP hands over what needs an answer with another EtherType
 * (kf_ctx_answer()), TC calls straight. The client's segment itself becomes the answer, by way of a
 * clone, and then the RST for the backend, which goes up through ingress again. Nothing of what
 * came ever passes.
 *
 * After its answer a flow lingers (KF_FLOW_ANSWERED): the backend is gone, so it is here that the
 * client's remaining data is acknowledged and discarded, that the answer is sent again if it was
 * lost, and that the client's FIN is acknowledged. A RST in their place could overtake the answer.
 * All of it happens when the client sends something: there are no timers here, and the controller
 * sweeps what falls silent.
 */
#ifndef KEYFILTER_ANSWER_H
#define KEYFILTER_ANSWER_H

#include "count.h"
#include "ingress.h"
#include "refusal.h"
#include "reply.h"
#include "service.h"

#define KF_LINGER_TICKS	 28	     /* of kf_flow.seen: 30 seconds */
#define KF_LINGER_BYTES	 (64u << 20) /* discarded behind the refused request's first byte */
#define KF_ANSWER_REPEAT 190	     /* of kf_flow.answer.ms: 200 milliseconds */

/* ---- what is sent ---------------------------------------------------------------------------- */

/* The frame, which was turned, to the client. What is lost on the way the client asks for again. */
static __always_inline void kf_answer_send(struct __sk_buff *skb)
{
	struct kf_config *config = kf_config_get();
	__u32 mark = skb->mark;

	if (!config)
		return;
	skb->mark = config->answer_mark; /* our own egress lets it pass */
	bpf_clone_redirect(skb, skb->ifindex, 0);
	skb->mark = mark;
}

/*
 * What the backend expects next, if all that passed has come to it. A RST that misses it leads to
 * an ACK that names it (RFC 5961 section 3.2), and that is answered on egress.
 */
static __always_inline __u32 kf_answer_backend_seq(const struct kf_flow *flow,
						   const struct kf_packet *p)
{
	__u32 seq = kf_seq_before(p->seq, flow->in.resume_seq) ? p->seq : flow->in.resume_seq;

	return kf_seq_before(seq, flow->in.acked_seq) ? flow->in.acked_seq : seq;
}

/* The frame, which was turned to the client if @turned, becomes the RST for the backend, once. */
static __always_inline int kf_answer_reset_backend(struct __sk_buff *skb, struct kf_packet *p,
						   struct kf_flow *flow, bool turned)
{
	struct kf_turn t = {
		.seq = kf_answer_backend_seq(flow, p),
		.flags = KF_TCP_RST,
		.swap_macs = turned,
	};

	if ((flow->answer.flags & KF_ANSWER_RESET) || kf_turn_put(skb, p, &t))
		return TC_ACT_SHOT;
	flow->answer.flags |= KF_ANSWER_RESET;
	/* anew, as its EtherType was another one when the stack read it */
	return bpf_redirect(skb->ifindex, BPF_F_INGRESS);
}

/* RFC 9293 section 3.10.7: a RST where the client expects it. Never in answer to one. */
static __always_inline bool kf_answer_reset_client(struct __sk_buff *skb, struct kf_packet *p,
						   struct kf_flow *flow)
{
	struct kf_turn t = {
		.seq = p->ack,
		.flags = KF_TCP_RST,
		.to_client = 1,
		.swap_macs = 1,
	};

	if (kf_turn_put(skb, p, &t))
		return false;
	kf_answer_send(skb);
	flow->answer.flags |= KF_ANSWER_CLIENT_RESET;
	return true;
}

/* ---- the states ------------------------------------------------------------------------------ */

/* The flow is cut: both ends are reset. False where the client cannot be. */
static __always_inline bool kf_answer_cut(struct __sk_buff *skb, struct kf_packet *p,
					  struct kf_flow *flow, int *verdict)
{
	bool turned = kf_answer_reset_client(skb, p, flow);

	*verdict = kf_answer_reset_backend(skb, p, flow, turned);
	return turned;
}

/* The text in the image goes out as one segment, the only one, with the FIN. */
static __always_inline bool kf_answer_text(struct __sk_buff *skb, struct kf_packet *p,
					   const struct kf_flow *flow)
{
	struct kf_turn t = { .swap_macs = 1 };

	kf_reply_turn(skb, p, flow, &t);
	if (kf_turn_put(skb, p, &t))
		return false;
	kf_answer_send(skb);
	return true;
}

/* The number after all that @p brings. */
static __always_inline __u32 kf_answer_sent(const struct kf_packet *p)
{
	return p->seq + p->payload_len + !!(p->tcp_flags & KF_TCP_FIN);
}

static __always_inline void kf_answer_note_fin(struct kf_flow *flow, const struct kf_packet *p)
{
	if (!(p->tcp_flags & KF_TCP_FIN))
		return;
	flow->flags |= KF_FLOW_FIN_IN;
	flow->in.fin_seq = kf_answer_sent(p);
}

/* The client hears the answer, if it can be made. */
__noinline int kf_answer_reply(struct __sk_buff *skb, struct kf_packet *p, struct kf_flow *flow)
{
	__u32 len;

	if (!p || !flow)
		return 0;
	len = kf_reply_compose(flow);
	if (!len || !kf_reply_fits(skb, p, len) ||
	    !kf_reply_begin(flow, len, p->ack, kf_answer_sent(p)) || !kf_answer_text(skb, p, flow))
		return 0;
	kf_answer_note_fin(flow, p);
	return 1;
}

/* A refused request, and nothing stands before its answer. */
static __always_inline int kf_answer_refused(struct __sk_buff *skb, struct kf_packet *p,
					     struct kf_flow *flow, __u32 refuse)
{
	struct kf_counters *counters = kf_count_of(p->service);
	int verdict = TC_ACT_SHOT;

	if (!counters || refuse == KF_REFUSE_DROP)
		return TC_ACT_SHOT;
	if (refuse == KF_REFUSE_REPLY && kf_answer_reply(skb, p, flow)) {
		counters->replies++;
		return kf_answer_reset_backend(skb, p, flow, true);
	}
	flow->cut = flow->answer.reason;
	if (!kf_answer_cut(skb, p, flow, &verdict))
		counters->replies_failed++;
	else if (refuse == KF_REFUSE_REPLY)
		counters->replies_reset++;
	else
		counters->resets++;
	return verdict;
}

/*
 * The answer has not come to the client yet, or found its window closed. None of its data is
 * acknowledged but what the answer acknowledges: so it will send, and be answered, again.
 */
static __always_inline int kf_answer_again(struct __sk_buff *skb, struct kf_packet *p,
					   struct kf_flow *flow)
{
	__u32 now = kf_reply_ms();

	if (now - flow->answer.ms < KF_ANSWER_REPEAT)
		return TC_ACT_SHOT;
	/* the texts may have been made anew meanwhile: another length is not the answer begun */
	if (kf_reply_compose(flow) != flow->answer.len || !kf_reply_fits(skb, p, flow->answer.len))
		return TC_ACT_SHOT;
	flow->answer.ms = now;
	kf_answer_text(skb, p, flow);
	return TC_ACT_SHOT;
}

/*
 * The client has the answer. Its data is discarded, also what was dropped before it came to know;
 * and its FIN ends the flow.
 */
static __always_inline int kf_answer_taken(struct __sk_buff *skb, struct kf_packet *p,
					   struct kf_flow *flow)
{
	__u32 sent = kf_answer_sent(p);
	struct kf_turn t = {
		.seq = p->ack,
		.flags = KF_TCP_ACK,
		.to_client = 1,
		.swap_macs = 1,
	};

	if (sent != p->seq || kf_seq_before(flow->answer.ack, sent)) {
		if (kf_seq_before(flow->answer.ack, sent))
			flow->answer.ack = sent;
		t.ack = flow->answer.ack;
		kf_turn_timestamps(skb, p, &t);
		if (kf_turn_put(skb, p, &t))
			return TC_ACT_SHOT;
		kf_answer_send(skb);
	}
	if ((flow->flags & KF_FLOW_FIN_IN) && !kf_seq_before(flow->answer.ack, flow->in.fin_seq))
		flow->state = KF_FLOW_CLOSED;
	return TC_ACT_SHOT;
}

static __always_inline int kf_answer_linger(struct __sk_buff *skb, struct kf_packet *p,
					    struct kf_flow *flow)
{
	__s32 discarded = kf_answer_sent(p) - flow->in.resume_seq;
	int verdict = TC_ACT_SHOT;

	if (kf_flow_now() - flow->answer.since > KF_LINGER_TICKS ||
	    discarded > (__s32)KF_LINGER_BYTES) {
		flow->cut = flow->answer.reason;
		kf_answer_cut(skb, p, flow, &verdict);
		return verdict;
	}
	kf_answer_note_fin(flow, p);
	if (p->ack == flow->answer.seq + flow->answer.len + 1)
		return kf_answer_taken(skb, p, flow);
	return kf_answer_again(skb, p, flow);
}

/*
 * The backend has closed by itself, so no answer can follow its FIN. The client knows all that it
 * said, and nobody is left to take its data.
 */
static __always_inline int kf_answer_closed(struct __sk_buff *skb, struct kf_packet *p,
					    struct kf_flow *flow)
{
	int verdict = TC_ACT_SHOT;

	if (kf_answer_sent(p) == p->seq)
		return TC_ACT_SHOT;
	flow->cut = flow->answer.reason;
	kf_answer_cut(skb, p, flow, &verdict);
	return verdict;
}

/* Under the flow's lock. */
static __always_inline int kf_answer_locked(struct __sk_buff *skb, struct kf_packet *p,
					    struct kf_flow *flow)
{
	struct kf_service *service = kf_service_at(p->service);
	int verdict = TC_ACT_SHOT;

	if (!service || service->mode == KF_MODE_MONITOR || !kf_flow_owns(flow, p))
		return TC_ACT_SHOT;
	switch (kf_refusal_next(flow, p->ack)) {
	case KF_REFUSAL_NOTHING:
		return TC_ACT_SHOT;
	case KF_REFUSAL_ANSWER:
		return kf_answer_refused(skb, p, flow, service->refuse);
	case KF_REFUSAL_LINGER:
		return kf_answer_linger(skb, p, flow);
	case KF_REFUSAL_CLOSED:
		return kf_answer_closed(skb, p, flow);
	case KF_REFUSAL_LATE:
		flow->cut = flow->answer.reason;
		break;
	case KF_REFUSAL_RESET:
		break;
	}
	kf_answer_cut(skb, p, flow, &verdict);
	return verdict;
}

/* The segment in this CPU's ingress scratch, which is the one in @skb. */
static __noinline int kf_answer(struct __sk_buff *skb)
{
	struct kf_scratch *scratch = kf_scratch_get(KF_INGRESS);
	struct kf_config *config = kf_config_get();
	int verdict = TC_ACT_SHOT;
	struct kf_packet *p;
	struct kf_flow *flow;

	if (!scratch || !config)
		return TC_ACT_SHOT;
	p = &scratch->packet;
	flow = bpf_map_lookup_elem(&kf_flows, &p->key);
	if (!flow || (p->tcp_flags & (KF_TCP_RST | KF_TCP_SYN)) || !kf_flow_lock(flow))
		return TC_ACT_SHOT;
	if (flow->cookie == kf_flow_hash(config->flow_secret, &p->key))
		verdict = kf_answer_locked(skb, p, flow);
	if (flow->state == KF_FLOW_CLOSED)
		bpf_map_delete_elem(&kf_flows, &p->key); /* it stays locked */
	else
		kf_flow_unlock(flow);
	return verdict;
}

/* ---- what XDP hands over --------------------------------------------------------------------- */

/*
 * Generic XDP copies a frame without the headroom it wants (Linux 6.9), and the copy has lost
 * skb->mac_len: TC finds it without its Ethernet header, which then is put back. False where the
 * frame has none.
 */
static __noinline bool kf_answer_frame(struct __sk_buff *skb)
{
	__u8 mac[ETH_HLEN], start[ETH_HLEN];
	__u8 differ = 0;

	if (bpf_skb_load_bytes_relative(skb, 0, mac, sizeof(mac), BPF_HDR_START_MAC) ||
	    bpf_skb_load_bytes(skb, 0, start, sizeof(start)))
		return false;
#pragma unroll
	for (int i = 0; i < ETH_HLEN; i++)
		differ |= mac[i] ^ start[i];
	if (!differ)
		return true;
	return !bpf_skb_change_head(skb, sizeof(mac), 0) &&
	       !bpf_skb_store_bytes(skb, 0, mac, sizeof(mac), 0);
}

static __always_inline long kf_answer_ethertype(struct __sk_buff *skb, __u32 l3_offset,
						__be16 proto)
{
	return bpf_skb_store_bytes(skb, l3_offset - 2, &proto, sizeof(proto), 0);
}

/*
 * Where the IP header stands in a frame that XDP has handed over, and in @proto what its EtherType
 * was; 0 for any other frame.
 */
static __always_inline __u32 kf_answer_l3(struct __sk_buff *skb, __be16 *proto)
{
	void *data = (void *)(long)skb->data, *data_end = (void *)(long)skb->data_end;
	struct kf_cursor c = { .pos = data, .end = data_end };
	__u8 *version;

	if (kf_packet_ethernet(&c) != bpf_htons(KF_ETHERTYPE_ANSWER))
		return 0;
	version = c.pos;
	if (version + 1 > (__u8 *)data_end)
		return 0;
	*proto = *version >> 4 == 6 ? bpf_htons(ETH_P_IPV6) : bpf_htons(ETH_P_IP);
	return c.pos - data;
}

/*
 * Anybody on the same network can send this EtherType. It opens nothing: no frame that came with it
 * passes as IP.
 */
static __always_inline int kf_answer_handed(struct __sk_buff *skb)
{
	struct kf_scratch *scratch = kf_scratch_get(KF_INGRESS);
	__u32 l3_offset;
	__be16 proto;
	int verdict;

	l3_offset = kf_answer_l3(skb, &proto);
	if (!l3_offset || !scratch)
		return TC_ACT_UNSPEC;
	if (kf_answer_ethertype(skb, l3_offset, proto))
		return TC_ACT_SHOT;
	if (kf_ingress_read(skb, &scratch->packet, &verdict))
		return scratch->packet.detail ? TC_ACT_SHOT : kf_answer(skb);
	return kf_answer_ethertype(skb, l3_offset, bpf_htons(KF_ETHERTYPE_ANSWER)) ? TC_ACT_SHOT
										   : TC_ACT_UNSPEC;
}

#endif /* KEYFILTER_ANSWER_H */
