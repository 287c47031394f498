/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * kept.h - judged bytes themselves, kept in the flow's place until the backend acknowledges them.
 *
 * A digest (digest.h) can be compared only with all of what it is of. A sender that loses a segment
 * of several times the path's MSS, as segmentation offload makes them, sends it again in smaller
 * ones. So what does not fit the smallest of these is kept as it is, and any range of it compared:
 * - heads of more than KF_KEPT_MIN bytes, and all that come in pieces, in the first half of buf,
 *   and content that is read behind them, in further pages (pages.h);
 * - the framing of chunks in the second (frames.h).
 * Where no place is to be had a digest stands for them.
 */
#ifndef KEYFILTER_KEPT_H
#define KEYFILTER_KEPT_H

#include "flow.h"
#include "frames.h"
#include "head.h"
#include "pages.h"

#define KF_KEPT_MIN 512 /* no path that carries HTTP has a smaller MSS (RFC 9293: 536) */

/* ---- the place ------------------------------------------------------------------------------- */

/* The place for what is judged of @flow, taken if it has none. NULL: there is none to be had. */
static __always_inline struct kf_head *kf_kept_place(struct kf_packet *p, struct kf_flow *flow)
{
	if (!kf_place_of(flow) && kf_place_take(p, flow))
		return NULL;
	return kf_place_find(flow);
}

/*
 * Does the backend miss anything of what is in the place? Nothing is written: egress may give the
 * place back meanwhile, and another flow take it.
 */
static __always_inline bool kf_kept_is_open(const struct kf_flow *flow, struct kf_head *head)
{
	const struct kf_frame *last = kf_frames_at(head, head->frames_next - 1);

	if (head->len && kf_seq_before(flow->in.acked_seq, head->seq + head->len))
		return true;
	return head->frames_first != head->frames_next &&
	       kf_seq_before(flow->in.acked_seq, last->seq + last->len);
}

/* Gives the flow's place back where the backend has all that was judged; false where it has not. */
__noinline int kf_kept_release(struct kf_flow *flow)
{
	struct kf_head *head;

	if (!flow)
		return 0;
	if (kf_place_of(flow) && kf_seq_before(flow->in.acked_seq, flow->judged.seq)) {
		head = kf_place_find(flow);
		/* what is judged and not in the place has a digest, so that may be more */
		if (!head || kf_kept_is_open(flow, head))
			return 0;
	}
	kf_place_release(flow);
	return 1;
}

/* Do the bytes of @p that @head keeps, and that are not acknowledged, differ from these? */
static __always_inline int kf_kept_differs(KF_CTX *ctx, struct kf_packet *p, struct kf_flow *flow,
					   struct kf_head *head)
{
	__s32 acked = flow->in.acked_seq - head->seq;
	int result = kf_pages_differ(ctx, p, head, acked > 0 ? acked : 0, head->len);

	if (result == KF_PAGES_SAME && kf_frames_differ(ctx, p, flow, head))
		return KF_PAGES_DIFFER;
	return result;
}

/*
 * 0 where what @p repeats of the bytes in the flow's place is the same; MALFORMED where it is not;
 * UNACKED where the place, or a page, is another flow's by now.
 */
__noinline int kf_kept_compare(KF_CTX *ctx, struct kf_packet *p, struct kf_flow *flow)
{
	int result = KF_PAGES_GONE;
	struct kf_head *head;

	if (!p || !flow)
		return KF_REASON_UNACKED;
	if (!kf_place_of(flow))
		return 0;
	head = kf_place_find(flow);
	if (head)
		result = kf_kept_differs(ctx, p, flow, head);
	if (result == KF_PAGES_SAME)
		return 0;
	/* egress has given the place back: the backend has it all */
	if (!kf_seq_before(flow->in.acked_seq, flow->judged.seq))
		return 0;
	return result == KF_PAGES_DIFFER && kf_place_find(flow) ? KF_REASON_MALFORMED
								: KF_REASON_UNACKED;
}

#endif /* KEYFILTER_KEPT_H */
