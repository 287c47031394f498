/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * refusal.h - a flow whose request is refused, or whose running request ends: what is due when.
 *
 * Nothing is sent here. What a client's segment leads to is done by answer.h, what a backend's
 * leads to by cut.h.
 */
#ifndef KEYFILTER_REFUSAL_H
#define KEYFILTER_REFUSAL_H

#include <keyfilter/flowstate.h>

#include "flow.h"
#include "key.h"
#include "service.h"

enum kf_refusal_step {
	KF_REFUSAL_NOTHING, /* the segment is dropped; one without data passes */
	KF_REFUSAL_ANSWER,  /* the client is told why */
	KF_REFUSAL_LINGER,  /* it was told: does it have to be told again, or has it gone on? */
	KF_REFUSAL_CLOSED,  /* the backend has closed, and no answer can follow its FIN */
	KF_REFUSAL_LATE,    /* the answer was to be instead of a response, and that has begun */
	KF_REFUSAL_RESET,   /* both ends are reset */
};

/*
 * What is to be done now that a segment of the client came which acknowledges up to @ack. Ingress
 * asks whether there is anything, and answer.h, which asks again under the flow's lock, does it.
 */
static __always_inline enum kf_refusal_step kf_refusal_next(const struct kf_flow *flow, __u32 ack)
{
	if (flow->cut)
		return KF_REFUSAL_RESET;
	if (flow->state == KF_FLOW_ANSWERED)
		return KF_REFUSAL_LINGER;
	if (flow->state != KF_FLOW_REFUSED || (flow->answer.flags & KF_ANSWER_SILENT))
		return KF_REFUSAL_NOTHING;
	if (flow->out.flags & KF_FLOW_FIN_OUT)
		return flow->flags & KF_FLOW_ACKED_OUT ? KF_REFUSAL_CLOSED : KF_REFUSAL_NOTHING;
	if ((flow->answer.flags & KF_ANSWER_OWN) && !kf_flow_is_waiting(flow))
		return KF_REFUSAL_LATE;
	return kf_flow_is_answerable(flow, ack) ? KF_REFUSAL_ANSWER : KF_REFUSAL_NOTHING;
}

/* Is it kf_answer()'s turn? A late answer is noticed there only. */
static __always_inline bool kf_refusal_is_due(const struct kf_flow *flow, __u32 ack)
{
	enum kf_refusal_step step = kf_refusal_next(flow, ack);

	return step != KF_REFUSAL_NOTHING && step != KF_REFUSAL_LATE;
}

/* A segment of a flow that is refused, answered or cut. */
static __always_inline int kf_refusal_segment(const struct kf_flow *flow, const struct kf_packet *p,
					      struct kf_outcome *out)
{
	out->answer = kf_refusal_is_due(flow, p->ack);
	return KF_REASON_FLOW_REFUSED;
}

/* Does @p, of a refused flow, hold what the backend may still miss? */
static __always_inline bool kf_refusal_is_before(const struct kf_flow *flow,
						 const struct kf_packet *p)
{
	return flow->state == KF_FLOW_REFUSED &&
	       kf_seq_before(flow->in.acked_seq, flow->in.resume_seq) &&
	       kf_seq_before(p->seq, flow->in.resume_seq);
}

/* Why the running request of @flow, which @p is of, must end; 0: it need not. */
static __always_inline int kf_refusal_revoked(const struct kf_flow *flow, const struct kf_packet *p)
{
	int reason;

	if (p->monitor || flow->slot == KF_SLOT_NONE || !kf_flow_is_running(flow))
		return 0;
	reason = kf_key_live(flow->slot, flow->slot_check);
	return reason == KF_REASON_ADMITTED ? 0 : reason;
}

/* Both ends of @flow are reset from now on. */
static __always_inline int kf_refusal_cut(struct kf_flow *flow, int reason, struct kf_outcome *out)
{
	flow->cut = reason;
	out->cut = 1;
	out->answer = 1;
	return reason;
}

/* Was the end of the running request of @flow decided already? Then it was counted and told. */
static __always_inline bool kf_refusal_is_decided(const struct kf_flow *flow)
{
	return flow->cut || flow->state == KF_FLOW_ANSWERED ||
	       (flow->state == KF_FLOW_REFUSED && (flow->answer.flags & KF_ANSWER_OWN));
}

/*
 * The running request of @flow, whose key may not be used any longer, waits for its response: may
 * its client be answered instead of reset? A reset there looks like a broken backend, which a proxy
 * takes out of service for everybody.
 */
static __always_inline bool kf_refusal_may_tell(const struct kf_flow *flow, int reason)
{
	const __u64 told = 1ull << KF_REASON_UNKNOWN_KEY | 1ull << KF_REASON_KEY_DISABLED |
			   1ull << KF_REASON_KEY_EXPIRED;
	struct kf_service *service = kf_service_at(flow->service);

	return (told >> (reason & 63) & 1) && service && service->refuse == KF_REFUSE_REPLY &&
	       kf_flow_is_waiting(flow);
}

/* Its client will be told @reason; under the flow's lock. */
static __always_inline void kf_refusal_note_own(struct kf_flow *flow, int reason)
{
	bool head = flow->response.head_asked >> ((flow->response.requests - 1) & 31) & 1;

	flow->answer.flags = KF_ANSWER_OWN | (head ? KF_ANSWER_NO_BODY : 0);
	flow->answer.reason = reason;
	flow->answer.detail = 0;
	flow->answer.retry_after = 0;
	flow->answer.request_id = (__u64)bpf_get_prandom_u32() << 32 | bpf_get_prandom_u32();
	flow->state = KF_FLOW_REFUSED;
}

/*
 * The running request of @flow must end for @reason, and @p of its client is the occasion: it is
 * answered, or both ends are reset. Counted and told by the CPU that comes first. Returns the
 * reason of the packet.
 */
__noinline int kf_refusal_end(struct kf_packet *p, struct kf_flow *flow, struct kf_outcome *out,
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
	} else if (kf_refusal_is_decided(flow)) {
		reason = kf_refusal_segment(flow, p, out);
	} else if (p->ack == flow->out.seq && kf_refusal_may_tell(flow, reason)) {
		kf_refusal_note_own(flow, reason);
		out->request_id = flow->answer.request_id;
		out->cut = 1;
		out->answer = 1;
	} else {
		kf_refusal_cut(flow, reason, out);
	}
	kf_flow_unlock(flow);
	return reason;
}

#endif /* KEYFILTER_REFUSAL_H */
