/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * ingress.h - the pipeline: packet, service, source, flow, head, tag, policy, act.
 */
#ifndef KEYFILTER_INGRESS_H
#define KEYFILTER_INGRESS_H

#include "judge.h"
#include "service.h"
#include "source.h"
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

/* Stages 1 and 2. False, with a verdict, for what is not for a service. */
static __always_inline bool kf_ingress_read(KF_CTX *ctx, struct kf_packet *p, int *verdict)
{
	void *data = (void *)(long)ctx->data, *data_end = (void *)(long)ctx->data_end;
	struct kf_cursor c = { .pos = data, .end = data_end };
	struct kf_l3 l3 = {};
	enum kf_l3_result result = kf_packet_l3(ctx, &c, data, &l3);
	__be16 *ports;

	*verdict = result == KF_L3_DROP ? KF_VERDICT_DROP : KF_VERDICT_PASS;
	if (result != KF_L3_TCP)
		return false;
	ports = kf_packet_ports(data, data_end, &l3);
	if (!ports) {
		/* there, but behind more headers than lie in reach: the stack would find it */
		if (l3.l4_offset + 4 <= kf_ctx_len(ctx))
			*verdict = KF_VERDICT_DROP;
		return false;
	}
	p->key.client_port = bpf_ntohs(ports[0]);
	p->key.server_port = bpf_ntohs(ports[1]);
	if (!kf_service_find(l3.daddr, l3.ipv6, p->key.server_port, &p->service))
		return false;
	kf_address_copy(p->key.client, l3.saddr, l3.ipv6);
	kf_address_copy(p->key.server, l3.daddr, l3.ipv6);
	p->ipv6 = l3.ipv6;
	p->l3_offset = l3.offset;
	p->l4_offset = l3.l4_offset;
	kf_packet_tcp(ctx, (struct tcphdr *)ports, &l3, p);
	if (l3.ipv6 && (kf_address_is_mapped(p->key.client) || kf_address_is_mapped(p->key.server)))
		p->detail = KF_DETAIL_ADDRESS;
	return true;
}

/* Stages 3 to 7. */
static __always_inline void kf_ingress_judge(KF_CTX *ctx, struct kf_packet *p,
					     const struct kf_config *config, struct kf_outcome *out)
{
	if (kf_source_is_denied(p, config)) {
		out->reason = KF_REASON_SOURCE_DENIED;
		return;
	}
	if (!p->detail && (p->tcp_flags & KF_TCP_SYN) && kf_packet_mptcp(ctx, p))
		p->detail = KF_DETAIL_MPTCP;
	if (p->detail)
		out->reason = KF_REASON_MALFORMED;
	else if (p->payload_len && !(p->tcp_flags & KF_TCP_RST))
		kf_judge_data(ctx, p, out);
	else
		out->reason = kf_flow_control(ctx, p);
}

static __always_inline bool kf_reason_is_told(__u8 reason)
{
	const __u64 told = KF_CLASS_BITS(REFUSE) | 1ull << KF_REASON_SOURCE_DENIED |
			   1ull << KF_REASON_SOURCE_PENALISED | 1ull << KF_REASON_FLOWS_FULL;

	return told >> (reason & 63) & 1;
}

/* Stage 8. A refused request is dropped, and its flow marked. */
static __always_inline int kf_ingress_act(KF_CTX *ctx, struct kf_packet *p,
					  const struct kf_config *config,
					  const struct kf_service *service,
					  const struct kf_outcome *out)
{
	bool monitor = service->mode == KF_MODE_MONITOR;
	__u8 refusal = out->refusal ? out->refusal : out->reason;
	__u8 reason = out->reason;

	/* keep is KF_KEEP_ALL, more than any payload, where nothing is cut off */
	if (!monitor && out->keep < p->payload_len && kf_trim(ctx, p, out->keep))
		reason = KF_REASON_UNACKED;
	kf_count_packet(p->service, reason);
	if (kf_reason_is_told(refusal))
		kf_event_refusal(p, config, kf_ctx_ifindex(ctx), out->slot, refusal, monitor);
	if (monitor || (KF_CLASS_BITS(PASS) >> (reason & 63) & 1))
		return KF_VERDICT_PASS;
	return KF_VERDICT_DROP;
}

static __always_inline int kf_ingress(KF_CTX *ctx)
{
	struct kf_scratch *scratch = kf_scratch_get(KF_INGRESS);
	struct kf_config *config = kf_config_get();
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
	out = &scratch->outcome;
	out->refusal = 0;
	out->slot = KF_SLOT_NONE;
	out->keep = KF_KEEP_ALL;
	kf_ingress_judge(ctx, &scratch->packet, config, out);
	return kf_ingress_act(ctx, &scratch->packet, config, service, out);
}

#endif /* KEYFILTER_INGRESS_H */
