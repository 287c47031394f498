/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * head.h - stage 5: collect a request head and read it.
 *
 * A head that lies in one segment is read from the CPU's scratch. One that goes on in the next
 * segment moves to a place of its own behind the scratch places of kf_heads, until its blank line
 * arrives. Its pieces are passed on meanwhile, all but the last: the backend never holds the whole
 * head before it was judged.
 */
#ifndef KEYFILTER_HEAD_H
#define KEYFILTER_HEAD_H

#include "flow.h"
#include "maps.bpf.h"
#include "place.h"

#define KF_HEAD_FIRST	 1024 /* bytes read at first: nearly all heads are shorter */
#define KF_HEAD_SEGMENTS 64

__noinline int kf_head_parse(struct kf_head *head, __u32 len)
{
	if (!head)
		return KF_HTTP1_MALFORMED;
	return kf_http1_parse(&head->http1, head->buf, len);
}

/* Does `upgrade:` stand at @at of @head, in whatever case? The colon has the bit of lower case. */
static __always_inline bool kf_head_is_upgrade(const struct kf_head *head, __u32 at)
{
	const __u64 name = KF_SWAR_TEXT('u', 'p', 'g', 'r', 'a', 'd', 'e', ':');

	return (kf_http1_word(head->buf, at) | KF_HTTP1_LOWER) == name;
}

/*
 * In the first @len bytes of a head that goes on: where does a line begin that is `Upgrade`, and
 * whose value has begun, but not for a websocket if @websocket? 0: it does not end so.
 */
static __always_inline __u32 kf_head_upgrade_open(const struct kf_head *head, __u32 len,
						  bool websocket)
{
	const struct kf_http1 *h = &head->http1;
	__u32 start = h->state > KF_HTTP1_AT_FIELD ? h->line_off : h->cursor, at = start + 8;
	__u8 first;

	if (h->state < KF_HTTP1_AT_FIELD || at >= len || !kf_head_is_upgrade(head, start))
		return 0;
	first = kf_http1_byte(head->buf, at);
	if (first == ' ')
		first = at + 1 < len ? kf_http1_byte(head->buf, at + 1) : ' ';
	return first == ' ' || (websocket && (first | 0x20) == 'w') ? 0 : start;
}

/* Loads up to @avail bytes of the frame to @head->buf + @at; returns how many, 0 if it cannot. */
static __always_inline __u32 kf_head_load(KF_CTX *ctx, __u32 offset, struct kf_head *head, __u32 at,
					  __u32 avail, __u32 most)
{
	__u32 len = avail > most ? most : avail;

	if (!len || len > KF_HEAD_MAX || at >= KF_HEAD_MAX)
		return 0;
	at &= KF_HEAD_MAX - 1;
	KF_LAUNDER(at);
	len = kf_length(len, KF_HEAD_MAX);
	if (kf_ctx_load(ctx, offset, head->buf + at, len))
		return 0;
	return len;
}

#endif /* KEYFILTER_HEAD_H */
