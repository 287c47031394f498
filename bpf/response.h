/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * response.h - follows the backend's responses, segment by segment (keyfilter/response.h).
 *
 * A segment of body bytes costs one comparison. One that covers the next byte that matters is read
 * from there, a head or a chunk's framing at a time, through this CPU's scratch place in kf_heads:
 * egress runs with bottom halves off, so ingress of the same CPU is not in the middle of a head. A
 * segment that begins behind that byte leaves a gap: the one before it was lost between the backend
 * and this filter. It is dropped, and TCP brings both again in order. Where the gap stays open for
 * KF_RESPONSE_GAP_TICKS, as what is missing took another way, the responses are lost for good.
 *
 * Two CPUs may send for one flow at once (a container's segments queued on two CPUs, a
 * retransmission). The flow's lock is ingress's, which may judge a long segment meanwhile, so the
 * responses have a bit of their own, KF_RESPONSE_BUSY in response.state; while it is set nobody
 * takes the flow for idle. A CPU that finds it set waits for about as long as reading a segment
 * takes, and then drops its own segment, which TCP brings again. Nor does it harm where an element
 * of kf_flows becomes another flow's meanwhile: their numbers do not fit.
 */
#ifndef KEYFILTER_BPF_RESPONSE_H
#define KEYFILTER_BPF_RESPONSE_H

#include <keyfilter/response.h>

#include "flow.h"
#include "head.h"

/* Heads, or fours of chunks, in one segment, which may have 64 KiB. */
#define KF_RESPONSE_STEPS	512
#define KF_RESPONSE_CHUNKS_ONCE 4
#define KF_RESPONSE_FRAME	32 /* bytes loaded at a chunk: the end of one, the size of the next */

#define KF_RESPONSE_GAP_TICKS	8 /* of kf_flow.seen: about seconds; TCP repeats sooner than that */

/* Or-ed into kf_flow.response.state while a CPU has it locked, as the first byte of a word. */
#define KF_RESPONSE_BUSY  0x80u
#define KF_RESPONSE_TRIES 64 /* to lock it: about as long as reading a segment takes */

KF_STATIC_ASSERT(__builtin_offsetof(struct kf_flow, response.state) % 4 == 0,
		 "response.state is not the first byte of a word");

/* False where another CPU has the responses of @flow locked; otherwise @state is their state. */
static __always_inline bool kf_response_lock(struct kf_flow *flow, __u32 *state)
{
#pragma clang loop unroll(disable)
	for (int i = 0; i < KF_RESPONSE_TRIES; i++) {
		__u32 word = __sync_fetch_and_or((__u32 *)&flow->response.state, KF_RESPONSE_BUSY);

		*state = word & 0x7f;
		if (!(word & KF_RESPONSE_BUSY))
			return true;
	}
	return false;
}

/* Unlocks and says what they are now. The counts are ordered by kf_response_done() already. */
static __always_inline void kf_response_unlock(struct kf_flow *flow, __u32 state)
{
	*(volatile __u8 *)&flow->response.state = state;
}

/* Where in the payload of @p the next byte stands that matters; at its end or behind: in none. */
static __always_inline __u32 kf_response_offset(const struct kf_packet *p, struct kf_flow *flow,
						__u32 state)
{
	return kf_response_next(flow, state) - p->seq;
}

/* Up to @most of the bytes at @at of the payload, into @scratch; returns how many, 0: it cannot. */
static __always_inline __u32 kf_response_load(KF_CTX *ctx, const struct kf_packet *p,
					      struct kf_head *scratch, __u32 at, __u32 most)
{
	if (at >= p->payload_len)
		return 0;
	return kf_head_load(ctx, p->payload_offset + at, scratch, 0, p->payload_len - at, most);
}

/* Reads on in a head. Returns the new state. */
__noinline int kf_response_read_head(KF_CTX *ctx, struct kf_packet *p, struct kf_flow *flow)
{
	struct kf_head *scratch = kf_head_scratch(KF_SCRATCH_RESPONSE);
	__u32 len;

	if (!p || !flow || !scratch)
		return KF_RESPONSE_LOST;
	len = kf_response_load(ctx, p, scratch, kf_response_offset(p, flow, KF_RESPONSE_HEAD),
			       KF_RESPONSE_READ_MAX);
	return len ? kf_response_head(flow, scratch->buf, len) : KF_RESPONSE_LOST;
}

/* Reads on in the framing of chunks, of a few of them, so that most segments take one call. */
__noinline int kf_response_read_chunks(KF_CTX *ctx, struct kf_packet *p, struct kf_flow *flow)
{
	struct kf_head *scratch = kf_head_scratch(KF_SCRATCH_RESPONSE);
	__u32 len, state = KF_RESPONSE_CHUNKS;

	if (!p || !flow || !scratch)
		return KF_RESPONSE_LOST;
#pragma clang loop unroll(disable)
	for (int i = 0; i < KF_RESPONSE_CHUNKS_ONCE; i++) {
		__u32 at = kf_response_offset(p, flow, KF_RESPONSE_CHUNKS);

		if (i && at >= p->payload_len)
			break;
		len = kf_response_load(ctx, p, scratch, at, KF_RESPONSE_FRAME);
		if (!len)
			return KF_RESPONSE_LOST;
		state = kf_response_chunks(flow, scratch->buf, len);
		if (state != KF_RESPONSE_CHUNKS)
			break;
	}
	return state;
}

struct kf_response_walk {
	KF_CTX *ctx;
	struct kf_packet *p;
	struct kf_flow *flow;
	__u32 state; /* enum kf_response_state */
	__u32 done;  /* 1: the segment holds nothing more that matters */
};

/* Reads on. 1: the walk ends here. */
static __always_inline long kf_response_walk_on(struct kf_response_walk *walk)
{
	if (walk->state == KF_RESPONSE_HEAD)
		walk->state = kf_response_read_head(walk->ctx, walk->p, walk->flow);
	else
		walk->state = kf_response_read_chunks(walk->ctx, walk->p, walk->flow);
	walk->done = kf_response_offset(walk->p, walk->flow, walk->state) >= walk->p->payload_len;
	return walk->done || walk->state > KF_RESPONSE_CHUNKS;
}

static long kf_response_walk_step(__u32 index, void *context)
{
	(void)index;
	return kf_response_walk_on(context);
}

/* A segment came that leaves a gap before it: is what is missing still to be expected? */
static __always_inline bool kf_response_awaits(struct kf_flow *flow)
{
	__u32 now = kf_flow_now();

	if (!flow->response.gap) {
		flow->response.gap = 1;
		flow->since = now;
	}
	return now - flow->since <= KF_RESPONSE_GAP_TICKS;
}

/* Reads what matters in @p, which may hold some of it. 1: @p has to come again. */
__noinline int kf_response_walk(KF_CTX *ctx, struct kf_packet *p, struct kf_flow *flow)
{
	struct kf_response_walk walk = { .ctx = ctx, .p = p, .flow = flow };
	__u32 at;

	if (!p || !flow)
		return 0;
	if (!kf_response_lock(flow, &walk.state))
		return !p->monitor;
	at = kf_response_offset(p, flow, walk.state);
	if ((__s32)at < 0 && walk.state <= KF_RESPONSE_CHUNKS && !p->monitor &&
	    kf_response_awaits(flow)) {
		kf_response_unlock(flow, walk.state);
		return 1;
	}
	if (at < p->payload_len)
		flow->response.gap = 0;
	if ((__s32)at >= 0 && at >= p->payload_len)
		walk.done = 1; /* a piece of a head, sent again */
	else if ((__s32)at >= 0 && walk.state <= KF_RESPONSE_CHUNKS && !kf_response_walk_on(&walk))
		kf_loop(KF_RESPONSE_STEPS, kf_response_walk_step, &walk);
	if (!walk.done && walk.state <= KF_RESPONSE_CHUNKS)
		walk.state = KF_RESPONSE_LOST;
	kf_response_unlock(flow, walk.state);
	return 0;
}

/*
 * The backend sends @p, which has data; not where the responses of @flow are not followed. True
 * where it has to come again.
 */
static __always_inline bool kf_response_follow(KF_CTX *ctx, struct kf_packet *p,
					       struct kf_flow *flow)
{
	return kf_seq_before(flow->response.seq, p->seq + p->payload_len) &&
	       kf_response_walk(ctx, p, flow);
}

#endif /* KEYFILTER_BPF_RESPONSE_H */
