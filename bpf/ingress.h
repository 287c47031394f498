/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * ingress.h - the pipeline: packet, service, source, flow, head, tag, policy, act.
 */
#ifndef KEYFILTER_INGRESS_H
#define KEYFILTER_INGRESS_H

#include "judge.h"
#include "penalty.h"
#include "plain.h"
#include "service.h"
#include "source.h"
#include "synrate.h"
#include "trim.h"

/* The reasons of a class as a set of bits. */
#define KF_CLASS_BITS(wanted)                                                                      \
	({                                                                                         \
		__u64 bits = 0;                                                                    \
		KF_REASONS(KF_CLASS_BIT_##wanted)                                                  \
		bits;                                                                              \
	})
#define KF_CLASS_BIT_PASS(symbol, name, class, status)                                             \
	bits |= KF_CLASS_##class == KF_CLASS_PASS ? 1ull << KF_REASON_##symbol : 0;
#define KF_CLASS_BIT_REFUSE(symbol, name, class, status)                                           \
	bits |= KF_CLASS_##class == KF_CLASS_REFUSE ? 1ull << KF_REASON_##symbol : 0;

KF_STATIC_ASSERT(KF_REASON_COUNT <= 64, "reasons no longer fit one word");

/* A packet whose ports are not known; dropped where the stack behind might come to know them. */
static __always_inline bool kf_ingress_unread(bool drop, int *verdict)
{
	if (drop) {
		*verdict = KF_VERDICT_DROP;
		kf_count_unread(KF_UNREAD_HEADERS);
	}
	return false;
}

/*
 * A segment for no service by the address that it names. One whose sender chose its way may come to
 * one all the same, and is dropped where a service has its port.
 */
static __always_inline bool kf_ingress_passing(const struct kf_l3 *l3, __u16 port, int *verdict)
{
	if ((l3->met & KF_MET_ROUTED) && kf_service_has_port(port)) {
		*verdict = KF_VERDICT_DROP;
		kf_count_unread(KF_UNREAD_ROUTED);
	}
	return false;
}

/* Stages 1 and 2. False, with a verdict, for what is not for a service. */
static __always_inline bool kf_ingress_read(KF_CTX *ctx, struct kf_packet *p, int *verdict)
{
	void *data = (void *)(long)ctx->data, *data_end = (void *)(long)ctx->data_end;
	struct kf_cursor c = { .pos = data, .end = data_end };
	struct kf_l3 l3 = {};
	enum kf_l3_result result = kf_packet_l3(ctx, &c, data, &l3);
	__be16 *ports;

	*verdict = KF_VERDICT_PASS;
	if (result != KF_L3_TCP)
		return kf_ingress_unread(result == KF_L3_DROP, verdict);
	ports = kf_packet_ports(data, data_end, &l3);
	/* there, but behind more headers than lie in reach: the stack would find it */
	if (!ports)
		return kf_ingress_unread(l3.l4_offset + 4 <= kf_ctx_len(ctx), verdict);
	p->key.client_port = bpf_ntohs(ports[0]);
	p->key.server_port = bpf_ntohs(ports[1]);
	if (!kf_service_find(l3.daddr, l3.ipv6, p->key.server_port, &p->service))
		return kf_ingress_passing(&l3, p->key.server_port, verdict);
	kf_address_copy(p->key.client, l3.saddr, l3.ipv6);
	kf_address_copy(p->key.server, l3.daddr, l3.ipv6);
	p->ipv6 = l3.ipv6;
	p->l3_offset = l3.offset;
	p->l4_offset = l3.l4_offset;
	kf_packet_tcp(ctx, (struct tcphdr *)ports, &l3, p);
	/* the addresses are read again, rather than kept on the stack */
	asm volatile("" ::: "memory");
	if (l3.met & KF_MET_ROUTED)
		p->detail = KF_DETAIL_SOURCE_ROUTE;
	if (l3.ipv6 && (kf_address_is_mapped(p->key.client) || kf_address_is_mapped(p->key.server)))
		p->detail = KF_DETAIL_ADDRESS;
	return true;
}

/* A SYN: KF_REASON_SYN_RATE, or 0. That address is not proven, see synrate.h. */
__noinline int kf_ingress_syn(KF_CTX *ctx, struct kf_packet *p)
{
	struct kf_config *config = kf_config_get();
	struct kf_service *service;

	if (!p || !config)
		return 0;
	service = kf_service_at(p->service);
	if (service && service->syn_interval_ns && !(p->tcp_flags & KF_TCP_ACK) &&
	    !kf_syn_conforms(config, service, p->key.client) && !kf_source_is_allowed(p, config))
		return KF_REASON_SYN_RATE;
	if (!p->detail)
		p->detail = kf_plain_syn(ctx, p);
	return 0;
}

/* A keep-alive probe loses its byte, and is a segment without data then. */
static __always_inline void kf_ingress_probe(KF_CTX *ctx, struct kf_packet *p)
{
	if (!kf_plain_is_probe(p))
		return;
	if (p->monitor)
		p->payload_len = 0;
	else
		kf_plain_data(ctx, p);
}

/* Stages 4 to 7. */
static __always_inline void kf_ingress_judge(KF_CTX *ctx, struct kf_packet *p,
					     struct kf_outcome *out)
{
	if (p->tcp_flags & KF_TCP_SYN)
		out->reason = kf_ingress_syn(ctx, p);
	if (out->reason)
		return;
	if (p->payload_len == 1 && !p->detail)
		kf_ingress_probe(ctx, p);
	if (p->detail)
		out->reason = KF_REASON_MALFORMED;
	else if ((p->payload_len || (p->tcp_flags & KF_TCP_FIN)) && !(p->tcp_flags & KF_TCP_RST))
		kf_judge_data(ctx, p, out);
	else
		out->reason = kf_control(ctx, p, out);
}

static __always_inline bool kf_reason_is_told(__u8 reason)
{
	const __u64 told = KF_CLASS_BITS(REFUSE) | 1ull << KF_REASON_SOURCE_DENIED |
			   1ull << KF_REASON_FLOWS_FULL;

	return told >> (reason & 63) & 1;
}

/* Is it held against the source? What costs its client money or patience is not. */
static __always_inline bool kf_reason_is_failure(__u8 reason)
{
	const __u64 failures = 1ull << KF_REASON_NO_KEY | 1ull << KF_REASON_UNKNOWN_KEY |
			       1ull << KF_REASON_KEY_DISABLED | 1ull << KF_REASON_KEY_EXPIRED |
			       1ull << KF_REASON_IP_NOT_ALLOWED | 1ull << KF_REASON_MALFORMED |
			       1ull << KF_REASON_HEAD_TOO_LARGE;

	return failures >> (reason & 63) & 1;
}

/* What a refusal leads to beside the packet: an event, and a mark against its source. */
static __noinline int kf_ingress_tell(const struct kf_scratch *scratch, __u32 ifindex)
{
	const struct kf_outcome *out = &scratch->outcome;
	const struct kf_packet *p = &scratch->packet;
	struct kf_config *config = kf_config_get();
	struct kf_note note = {
		.request_id = out->request_id,
		.retry_after = out->retry_after,
		.ifindex = ifindex,
		.slot = out->slot,
		.reason = out->refusal ? out->refusal : out->reason,
		.kind = out->cut ? KF_EVENT_CUT : KF_EVENT_REFUSED,
		.monitor = p->monitor,
	};
	struct kf_service *service;

	if (!config)
		return 0;
	if (kf_reason_is_told(note.reason))
		kf_event_send(p, config, &note);
	if (out->cut)
		kf_count_cut(p->service);
	service = kf_service_at(p->service);
	if (out->failed && !p->monitor && service && kf_reason_is_failure(note.reason))
		kf_penalty_fail(p, config, service, ifindex);
	return 0;
}

/*
 * Stage 8. A refused request does not pass; its client hears of it from kf_answer(), or not at all.
 */
static __always_inline int kf_ingress_act(KF_CTX *ctx, struct kf_scratch *scratch)
{
	const struct kf_outcome *out = &scratch->outcome;
	struct kf_packet *p = &scratch->packet;
	__u8 reason = out->reason;

	/* keep is KF_KEEP_ALL, more than any payload, where nothing is cut off */
	if (!p->monitor && (out->keep < p->payload_len || out->unfin) &&
	    kf_trim(ctx, p, out->keep < p->payload_len ? out->keep : p->payload_len))
		reason = KF_REASON_UNACKED;
	kf_count_packet(p->service, reason);
	if (out->refusal || !(KF_CLASS_BITS(PASS) >> (reason & 63) & 1))
		kf_ingress_tell(scratch, kf_ctx_ifindex(ctx));
	if (p->monitor || (KF_CLASS_BITS(PASS) >> (reason & 63) & 1))
		return KF_VERDICT_PASS;
	return out->answer ? kf_ctx_answer(ctx, p) : KF_VERDICT_DROP;
}

/* A RST of our own, for the backend of a flow that we have ended, comes in here as its client's. */
static __always_inline bool kf_ingress_is_ours(const struct kf_packet *p)
{
	struct kf_flow *flow;

	if (!(p->tcp_flags & KF_TCP_RST))
		return false;
	flow = bpf_map_lookup_elem(&kf_flows, &p->key);
	return flow && (flow->cut || flow->state == KF_FLOW_ANSWERED);
}

/* Stage 3. An allow list is above whatever a source has done before. */
static __always_inline bool kf_ingress_penalised(const struct kf_packet *p,
						 const struct kf_config *config,
						 const struct kf_penalty *penalty)
{
	return penalty && kf_penalty_in_force(penalty) && !kf_source_is_allowed(p, config) &&
	       !kf_ingress_is_ours(p);
}

static __always_inline int kf_ingress(KF_CTX *ctx)
{
	struct kf_scratch *scratch = kf_scratch_get(KF_INGRESS);
	struct kf_config *config = kf_config_get();
	struct kf_penalty *penalty;
	struct kf_service *service;
	struct kf_outcome *out;
	int verdict;

	if (!scratch || !config)
		return KF_VERDICT_PASS;
	if (!kf_ingress_read(ctx, &scratch->packet, &verdict))
		return verdict;
	service = kf_service_at(scratch->packet.service);
	if (!service)
		return KF_VERDICT_PASS;
	scratch->packet.monitor = service->mode == KF_MODE_MONITOR;
	penalty = kf_penalty_find(config, scratch->packet.key.client);
	if (kf_ingress_penalised(&scratch->packet, config, penalty)) {
		kf_count_packet(scratch->packet.service, KF_REASON_SOURCE_PENALISED);
		return scratch->packet.monitor ? KF_VERDICT_PASS : KF_VERDICT_DROP;
	}
	out = &scratch->outcome;
	__builtin_memset(out, 0, sizeof(*out));
	out->slot = KF_SLOT_NONE;
	out->keep = KF_KEEP_ALL;
	if (kf_source_is_denied(&scratch->packet, config) && !kf_ingress_is_ours(&scratch->packet))
		out->reason = KF_REASON_SOURCE_DENIED;
	else
		kf_ingress_judge(ctx, &scratch->packet, out);
	if (out->admitted && !scratch->packet.monitor)
		kf_penalty_succeed(&scratch->packet, config, service);
	return kf_ingress_act(ctx, scratch);
}

#endif /* KEYFILTER_INGRESS_H */
