/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * pages.h - the bytes of one request as they came, kept until the backend acknowledges them.
 *
 * A head, and the content behind it where that is read, stand in the flow's place (place.h) from
 * the number head->seq on: the first KF_HEAD_MAX bytes in the place itself, which is page 0, and so
 * many in each further page, a place of its own. Pages follow each other; those that the backend
 * has acknowledged whole are given back. One that another flow has taken, after seconds in which
 * nothing moved, is gone.
 */
#ifndef KEYFILTER_PAGES_H
#define KEYFILTER_PAGES_H

#include <keyfilter/swar.h>

#include "flow.h"
#include "head.h"

#define KF_PAGES_BLOCK 64 /* bytes compared at a time */

/* The number in kf_heads of the page with the byte @at of what @head keeps; 0: it is not kept. */
static __always_inline __u32 kf_pages_place(const struct kf_head *head, __u32 at)
{
	__u32 number = at / KF_HEAD_MAX;

	if (number < head->pages_first || number >= head->pages_end)
		return 0;
	number &= KF_PAGES - 1;
	KF_LAUNDER(number);
	return head->pages[number & (KF_PAGES - 1)];
}

/* That page, to be read. NULL: it is gone. */
static __always_inline struct kf_head *kf_pages_find(struct kf_head *head, __u64 owner, __u32 at)
{
	struct kf_head *page;
	__u32 place;

	if (at < KF_HEAD_MAX)
		return head;
	place = kf_pages_place(head, at);
	page = kf_head_at(place);
	return place && page && *(volatile __u64 *)&page->owner == owner ? page : NULL;
}

/* The same, to be written to: nobody takes it meanwhile. */
static __always_inline struct kf_head *kf_pages_hold(struct kf_head *head, __u64 owner, __u32 at)
{
	return at < KF_HEAD_MAX ? head : kf_place_hold(kf_pages_place(head, at), owner);
}

/* Is there a page for the byte @at, the next one? It is taken where it has to be. */
__noinline int kf_pages_extend(struct kf_packet *p, struct kf_flow *flow, struct kf_head *head,
			       __u32 at)
{
	__u32 number = at / KF_HEAD_MAX, place;

	if (!p || !flow || !head || number > head->pages_end)
		return 0;
	if (number < head->pages_end)
		return 1;
	if (number - head->pages_first >= KF_PAGES)
		return 0;
	place = kf_place_get(p, flow, KF_PLACE_PAGES);
	if (!place)
		return 0;
	number &= KF_PAGES - 1;
	KF_LAUNDER(number);
	head->pages[number & (KF_PAGES - 1)] = place;
	head->pages_end++;
	return 1;
}

/* Gives back what lies before the byte @at of what @head keeps. */
static __always_inline void kf_pages_forget(struct kf_flow *flow, struct kf_head *head, __s32 at)
{
	__u32 number = at > 0 ? (__u32)at / KF_HEAD_MAX : 0;

	if (number > head->pages_first)
		kf_place_pages_free(flow, head, number);
}

/* ---- what comes again ------------------------------------------------------------------------ */

enum kf_pages_result {
	KF_PAGES_SAME,
	KF_PAGES_DIFFER,
	KF_PAGES_GONE, /* it cannot be compared any more */
};

struct kf_pages_walk {
	KF_CTX *ctx;
	struct kf_head *head;
	struct kf_head *scratch;
	__u64 owner;
	__u32 offset; /* in the frame */
	__u32 at;     /* in what is kept */
	__u32 left;
	__u32 result; /* enum kf_pages_result */
};

/* Do the first @len bytes, 1 to KF_PAGES_BLOCK, at @kept and @came differ? */
static __always_inline bool kf_pages_block_differs(const __u8 *kept, const __u8 *came, __u32 len)
{
	__u64 differs = 0;

#pragma unroll
	for (__u32 i = 0; i < KF_PAGES_BLOCK; i += 8) {
		__u64 word = kf_swar_load(kept + i) ^ kf_swar_load(came + i);

		if (len < i + 8)
			word &= len > i ? kf_swar_low(len - i) : 0;
		differs |= word;
	}
	return differs != 0;
}

static long kf_pages_step(__u32 index, void *context)
{
	struct kf_pages_walk *walk = context;
	__u32 at = walk->at & (KF_HEAD_MAX - 1);
	__u32 len = walk->left > KF_PAGES_BLOCK ? KF_PAGES_BLOCK : walk->left;
	struct kf_head *page;

	if (!len)
		return 1;
	if (len > KF_HEAD_MAX - at)
		len = KF_HEAD_MAX - at;
	page = kf_pages_find(walk->head, walk->owner, walk->at);
	if (!page) {
		walk->result = KF_PAGES_GONE;
		return 1;
	}
	len = kf_length(len, KF_PAGES_BLOCK);
	KF_LAUNDER(at);
	if (kf_ctx_load(walk->ctx, walk->offset, walk->scratch->buf, len) ||
	    kf_pages_block_differs(page->buf + (at & (KF_HEAD_MAX - 1)), walk->scratch->buf, len)) {
		/* asked again, for another flow may have written there meanwhile */
		page = kf_pages_find(walk->head, walk->owner, walk->at);
		walk->result = page ? KF_PAGES_DIFFER : KF_PAGES_GONE;
		return 1;
	}
	walk->offset += len;
	walk->at += len;
	walk->left -= len;
	return 0;
}

/* As many as there are blocks in 512 KiB, the largest packet; each page cuts one in two. */
#define KF_PAGES_STEPS (512 * 1024 / KF_PAGES_BLOCK + KF_PAGES)

/* Do the bytes of @p that @head keeps, from @from to @to of these, differ from what it keeps? */
__noinline int kf_pages_differ(KF_CTX *ctx, struct kf_packet *p, struct kf_head *head, __u32 from,
			       __u32 to)
{
	struct kf_pages_walk walk = { .ctx = ctx,
				      .head = head,
				      .scratch = kf_head_scratch(KF_SCRATCH_COMPARED) };
	__s32 at, end;

	if (!p || !head || !walk.scratch)
		return KF_PAGES_DIFFER;
	at = p->seq - head->seq;
	end = at + p->payload_len;
	if (end > (__s32)to)
		end = to;
	walk.offset = p->payload_offset;
	if (at < (__s32)from) {
		walk.offset += from - at;
		at = from;
	}
	if (at >= end)
		return KF_PAGES_SAME;
	walk.owner = head->owner;
	walk.at = at;
	walk.left = end - at;
	kf_loop(KF_PAGES_STEPS, kf_pages_step, &walk);
	return walk.result;
}

#endif /* KEYFILTER_PAGES_H */
