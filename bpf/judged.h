/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * judged.h - what was judged and has not been acknowledged: kept, and compared with what comes
 * again.
 *
 * As it is, in the flow's place (kept.h), or by its digest (digest.h), of which a flow has room for
 * a few.
 */
#ifndef KEYFILTER_JUDGED_H
#define KEYFILTER_JUDGED_H

#include "digest.h"
#include "kept.h"
#include "walk_segment.h"

static __always_inline bool kf_judged_is_open(const struct kf_judged *judged, __u32 acked)
{
	return judged->len && kf_seq_before(acked, judged->seq + judged->len);
}

/*
 * A segment that repeats judged bytes must repeat them exactly. 0, or the reason to drop it:
 * UNACKED where it cuts a stretch in two of which there is a digest only, and so cannot be
 * compared.
 */
__noinline int kf_judged_compare(KF_CTX *ctx, struct kf_packet *p, struct kf_flow *flow)
{
	int reason;
	__u32 end;

	if (!p || !flow)
		return KF_REASON_UNACKED;
	reason = kf_kept_compare(ctx, p, flow);
	if (reason) {
		if (reason == KF_REASON_MALFORMED)
			p->detail = KF_DETAIL_OVERLAP_DIFFERS;
		return reason;
	}
	end = p->seq + p->payload_len;
	for (int i = 0; i < KF_JUDGED_MAX; i++) {
		const struct kf_judged *judged = &flow->judged.stretch[i];
		__u32 judged_end = judged->seq + judged->len;

		if (!kf_judged_is_open(judged, flow->in.acked_seq))
			continue;
		if (!kf_seq_before(p->seq, judged_end) || !kf_seq_before(judged->seq, end))
			continue;
		if (kf_seq_before(judged->seq, p->seq) || kf_seq_before(end, judged_end))
			return KF_REASON_UNACKED;
		if (kf_digest_of(ctx, p->payload_offset + (judged->seq - p->seq), judged->len) !=
		    judged->digest) {
			p->detail = KF_DETAIL_OVERLAP_DIFFERS;
			return KF_REASON_MALFORMED;
		}
	}
	return 0;
}

static __always_inline struct kf_judged *kf_judged_next(struct kf_flow *flow)
{
	return &flow->judged.stretch[flow->judged.next & (KF_JUDGED_MAX - 1)];
}

/* Keeps the payload's judged bytes, or the digest of them, until the backend has them. */
static __always_inline void kf_judged_keep(KF_CTX *ctx, struct kf_packet *p, struct kf_flow *flow,
					   struct kf_walk *w)
{
	struct kf_judged *judged = kf_judged_next(flow);
	__u32 len = w->judged - w->from;

	if (w->judged <= w->from)
		return;
	if (kf_seq_before(flow->judged.seq, p->seq + w->judged))
		flow->judged.seq = p->seq + w->judged;
	if (w->kept ||
	    (len > KF_KEPT_MIN && w->head == len && kf_walk_keep_head(ctx, p, flow, w, len)))
		return;
	judged->seq = p->seq + w->from;
	judged->len = len;
	if (len <= w->loaded && len <= KF_DIGEST_BLOCK && kf_head_scratch_of(KF_SCRATCH_REQUEST))
		judged->digest = kf_digest_scratch(len);
	else
		judged->digest = kf_digest_of(ctx, p->payload_offset + w->from, len);
	flow->judged.next++;
}

#endif /* KEYFILTER_JUDGED_H */
