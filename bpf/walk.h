/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * walk.h - where the reading of a segment stands, and how it moves on and ends.
 *
 * struct kf_walk lies in the CPU's scratch. Each function that ends the walk returns 1.
 */
#ifndef KEYFILTER_WALK_H
#define KEYFILTER_WALK_H

#include "flow.h"
#include "scratch.h"

/* Ends the walk at @at: the segment is dropped, nothing is held against it. */
static __always_inline int kf_walk_stop(struct kf_walk *w, __u8 reason)
{
	w->reason = reason;
	return 1;
}

/* Ends the walk at @at with a refusal. */
static __always_inline int kf_walk_refuse(struct kf_walk *w, struct kf_packet *p, __u8 reason,
					  __u8 detail)
{
	w->refused++;
	p->detail = detail;
	return kf_walk_stop(w, reason);
}

/* The same for a request with which nothing is wrong: its client is told to repeat it. */
static __always_inline int kf_walk_repeat(struct kf_walk *w, struct kf_packet *p)
{
	w->retry_after = 1; /* second */
	return kf_walk_refuse(w, p, KF_REASON_HEAD_TIMEOUT, 0);
}

/* Bytes of the payload that were not read; the walk may stand behind its end (ahead.h). */
static __always_inline __u32 kf_walk_left(const struct kf_walk *w, const struct kf_packet *p)
{
	return w->at < p->payload_len ? p->payload_len - w->at : 0;
}

/* @len bytes from @at on have been read. */
static __always_inline void kf_walk_read(struct kf_walk *w, const struct kf_packet *p,
					 struct kf_flow *flow, __u32 len)
{
	w->at += len;
	w->judged = w->at;
	flow->in.resume_seq = p->seq + w->at;
}

static __always_inline void kf_walk_skip(struct kf_walk *w, const struct kf_packet *p,
					 struct kf_flow *flow, __u64 len)
{
	kf_flow_skip(flow, len);
	w->at = len > kf_walk_left(w, p) ? p->payload_len : w->at + (__u32)len;
}

#endif /* KEYFILTER_WALK_H */
