/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * ingress.h - the pipeline of what clients send, in eight stages:
 *
 *   packet   is it TCP, and to which port? (packet.h)
 *   service  is it for a protected address and port? (service.h)
 *   source   is the client's address denied or penalised? (source.h, penalty.h)
 *   flow     which connection is it of, and where does the next request begin? (flow.h, judge.h)
 *   head     the request's head, from as many segments as it comes in (walk_segment.h, head.h)
 *   tag      the hash of its key, and the key's slot (key.h)
 *   policy   may this key be used now, from here, for this? (key.h, group.h, model.h)
 *   act      pass, drop, or hand over for an answer; count, and tell (answer.h)
 *
 * A segment may hold any number of heads, so head, tag and policy are done for each of them: flow
 * leads there, by the walk of walk_segment.h.
 */
#ifndef KEYFILTER_INGRESS_H
#define KEYFILTER_INGRESS_H

#include "event.h"
#include "judge.h"
#include "penalty_count.h"
#include "plain.h"
#include "reason.h"
#include "segment.h"
#include "service.h"
#include "source.h"
#include "synrate.h"
#include "trim.h"

/* ---- packet and service ---------------------------------------------------------------------- */

/* A packet whose ports are not known; dropped where the stack behind might come to know them. */
static __always_inline void kf_ingress_unread(bool drop, int *verdict)
{
	if (drop) {
		*verdict = KF_VERDICT_DROP;
		kf_count_unread(KF_UNREAD_HEADERS);
	}
}

/*
 * A segment for no service by the address that it names. One whose sender chose its way may come to
 * one all the same, and is dropped where a service has its port.
 */
static __always_inline void kf_ingress_passing(const struct kf_l3 *l3, __u16 port, int *verdict)
{
	if ((l3->met & KF_MET_ROUTED) && kf_service_has_port(port)) {
		*verdict = KF_VERDICT_DROP;
		kf_count_unread(KF_UNREAD_ROUTED);
	}
}

/* The ports of a TCP segment, in the frame; NULL, with a verdict, for what else there is. */
static __always_inline __be16 *kf_ingress_packet(KF_CTX *ctx, struct kf_l3 *l3, int *verdict)
{
	enum kf_l3_result result;
	__be16 *ports = kf_segment_ports(ctx, l3, &result);

	*verdict = KF_VERDICT_PASS;
	if (result != KF_L3_TCP)
		kf_ingress_unread(result == KF_L3_DROP, verdict);
	else if (!ports) /* behind more headers than lie in reach: the stack would find them */
		kf_ingress_unread(l3->l4_offset + 4 <= kf_ctx_len(ctx), verdict);
	return ports;
}

/* Fills @p in. False, with a verdict, for what is not for a service. */
static __always_inline bool kf_ingress_fill(KF_CTX *ctx, struct kf_packet *p,
					    const struct kf_l3 *l3, __be16 *ports, int *verdict)
{
	if (!kf_segment_read(ctx, KF_INGRESS, l3, ports, p)) {
		kf_ingress_passing(l3, p->key.server_port, verdict);
		return false;
	}
	/* the addresses are read again, rather than kept on the stack */
	asm volatile("" ::: "memory");
	if (l3->met & KF_MET_ROUTED)
		p->detail = KF_DETAIL_SOURCE_ROUTE;
	if (l3->ipv6 &&
	    (kf_address_is_mapped(p->key.client) || kf_address_is_mapped(p->key.server)))
		p->detail = KF_DETAIL_ADDRESS;
	return true;
}

/* The service that the segment is for, with @p filled in; NULL, with a verdict, if for none. */
static __always_inline struct kf_service *kf_ingress_service(KF_CTX *ctx, struct kf_packet *p,
							     const struct kf_l3 *l3, __be16 *ports,
							     int *verdict)
{
	struct kf_service *service;

	if (!kf_ingress_fill(ctx, p, l3, ports, verdict))
		return NULL;
	service = kf_service_at(p->service);
	if (service)
		p->monitor = service->mode == KF_MODE_MONITOR;
	return service;
}

/* Reads a packet again that ingress on XDP has handed over, as kf_ingress_fill(). */
static __always_inline bool kf_ingress_read(KF_CTX *ctx, struct kf_packet *p, int *verdict)
{
	struct kf_l3 l3 = {};
	__be16 *ports = kf_ingress_packet(ctx, &l3, verdict);

	return ports && kf_ingress_fill(ctx, p, &l3, ports, verdict);
}

/* ---- source ---------------------------------------------------------------------------------- */

/* A RST of our own, for the backend of a flow that we have ended, comes in here as its client's. */
static __always_inline bool kf_ingress_is_ours(const struct kf_packet *p)
{
	struct kf_flow *flow;

	if (!(p->tcp_flags & KF_TCP_RST))
		return false;
	flow = bpf_map_lookup_elem(&kf_flows, &p->key);
	return flow && (flow->cut || flow->state == KF_FLOW_ANSWERED);
}

/* An allow list is above whatever a source has done before. */
static __always_inline bool kf_ingress_is_penalised(const struct kf_packet *p,
						    const struct kf_config *config)
{
	const struct kf_penalty *penalty = kf_penalty_find(config, p->key.client);

	return penalty && kf_penalty_in_force(penalty) && !kf_source_is_allowed(p, config) &&
	       !kf_ingress_is_ours(p);
}

/* Why the source is refused, or 0. */
static __always_inline int kf_ingress_source(const struct kf_packet *p,
					     const struct kf_config *config)
{
	if (kf_ingress_is_penalised(p, config))
		return KF_REASON_SOURCE_PENALISED;
	if (kf_source_is_denied(p, config) && !kf_ingress_is_ours(p))
		return KF_REASON_SOURCE_DENIED;
	return 0;
}

/* What becomes of a penalised source's packet: the cheapest refusal there is, counted only. */
static __always_inline int kf_ingress_shun(const struct kf_packet *p)
{
	kf_count_packet(p->service, KF_REASON_SOURCE_PENALISED);
	return p->monitor ? KF_VERDICT_PASS : KF_VERDICT_DROP;
}

/* ---- flow, and what it leads to -------------------------------------------------------------- */

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

/* The reason that the segment is counted under; what else follows is in @out. */
static __always_inline int kf_ingress_flow(KF_CTX *ctx, struct kf_packet *p, struct kf_outcome *out)
{
	if (p->tcp_flags & KF_TCP_SYN) {
		if (kf_synrate_exceeds(p))
			return KF_REASON_SYN_RATE;
		if (!p->detail)
			p->detail = kf_plain_syn(ctx, p);
	}
	if (p->payload_len == 1 && !p->detail)
		kf_ingress_probe(ctx, p);
	if (p->detail)
		return KF_REASON_MALFORMED;
	if ((p->payload_len || (p->tcp_flags & KF_TCP_FIN)) && !(p->tcp_flags & KF_TCP_RST))
		return kf_judge_data(ctx, p, out);
	return kf_control(ctx, p, out);
}

/* ---- act ------------------------------------------------------------------------------------- */

/* What a refusal leads to beside the packet: an event, counts, and a mark against its source. */
static __noinline void kf_ingress_report(const struct kf_scratch *scratch, __u32 ifindex)
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
		return;
	if (kf_reason_is_told(note.reason))
		kf_event_send(p, config, &note);
	if (out->cut)
		kf_count_cut(p->service);
	service = kf_service_at(p->service);
	if (out->failed && !p->monitor && service && kf_reason_is_failure(note.reason))
		kf_penalty_fail(p, config, service, ifindex);
}

/* A refused request does not pass; its client hears of it from kf_answer(), or not at all. */
static __always_inline int kf_ingress_act(KF_CTX *ctx, struct kf_scratch *scratch,
					  const struct kf_config *config,
					  const struct kf_service *service)
{
	const struct kf_outcome *out = &scratch->outcome;
	struct kf_packet *p = &scratch->packet;
	__u8 reason = out->reason;

	if (out->admitted && !p->monitor)
		kf_penalty_succeed(p, config, service);
	/* keep is KF_KEEP_ALL, more than any payload, where nothing is cut off */
	if (!p->monitor && (out->keep < p->payload_len || out->unfin) &&
	    kf_trim(ctx, p, out->keep < p->payload_len ? out->keep : p->payload_len))
		reason = KF_REASON_UNACKED;
	kf_count_packet(p->service, reason);
	if (out->refusal || !kf_reason_passes(reason))
		kf_ingress_report(scratch, kf_ctx_ifindex(ctx));
	if (p->monitor || kf_reason_passes(reason))
		return KF_VERDICT_PASS;
	return out->answer ? kf_ctx_answer(ctx, p) : KF_VERDICT_DROP;
}

static __always_inline void kf_ingress_begin(struct kf_outcome *out)
{
	__builtin_memset(out, 0, sizeof(*out));
	out->slot = KF_SLOT_NONE;
	out->keep = KF_KEEP_ALL;
}

static __always_inline int kf_ingress(KF_CTX *ctx)
{
	struct kf_scratch *scratch = kf_scratch_get(KF_INGRESS);
	struct kf_config *config = kf_config_get();
	struct kf_service *service;
	struct kf_outcome *out;
	struct kf_packet *p;
	struct kf_l3 l3 = {};
	int verdict, reason;
	__be16 *ports;

	if (!scratch || !config)
		return KF_VERDICT_PASS;
	p = &scratch->packet;
	out = &scratch->outcome;
	ports = kf_ingress_packet(ctx, &l3, &verdict);
	service = ports ? kf_ingress_service(ctx, p, &l3, ports, &verdict) : NULL;
	if (!service)
		return verdict;
	reason = kf_ingress_source(p, config);
	if (reason == KF_REASON_SOURCE_PENALISED)
		return kf_ingress_shun(p);
	kf_ingress_begin(out);
	out->reason = reason ? reason : kf_ingress_flow(ctx, p, out); /* and head, tag, policy */
	return kf_ingress_act(ctx, scratch, config, service);
}

#endif /* KEYFILTER_INGRESS_H */
