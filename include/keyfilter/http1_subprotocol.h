/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * http1_subprotocol.h - what is read in steps of the reader's own, byte by byte or word by word:
 * the target's authority beside Host, and the list of Sec-WebSocket-Protocol.
 */
#ifndef KEYFILTER_HTTP1_SUBPROTOCOL_H
#define KEYFILTER_HTTP1_SUBPROTOCOL_H

#include "http1_char.h"
#include "http1_once.h"
#include "http1_state.h"
#include "swar.h"

/* ---- Host and absolute-form ------------------------------------------------------------------ */

/*
 * One word of the comparison. RFC 9112 section 3.2.2: a server goes by the target's authority, or
 * by Host, so they must agree. A step of the reader's own, like the next one: a loop in a loop
 * would cost stack.
 */
KF_INLINE long kf_http1_agree(struct kf_http1 *h, const __u8 *buf)
{
	__u32 at = h->value_end, left = h->authority_len - at;
	__u64 first = kf_http1_word(buf, h->authority_off + at) | KF_HTTP1_LOWER;
	__u64 second = kf_http1_word(buf, h->value_off + at) | KF_HTTP1_LOWER;

	if ((first ^ second) & kf_swar_low(left))
		return kf_http1_fault(h, KF_DETAIL_HOST_DISAGREES);
	h->value_end = at + 8;
	if (left <= 8)
		h->state = KF_HTTP1_AT_FIELD;
	return KF_HTTP1_ON;
}

/* ---- Sec-WebSocket-Protocol ------------------------------------------------------------------ */

/*
 * RFC 6455 section 11.3.4: a list of tokens, on one line or on several. A browser cannot set other
 * fields, so OpenAI's Realtime API takes a key from here. The value @t is searched in the next
 * steps; name[0] is the next byte of it, name[1] its end, item_off where a key begins in it.
 */
KF_INLINE long kf_http1_subprotocol_begin(struct kf_http1 *h, struct kf_http1_text t)
{
	if (!(h->key_sources & KF_KEY_WEBSOCKET))
		return KF_HTTP1_ON;
	h->name[0] = t.off;
	h->name[1] = t.end;
	h->item_off = 0;
	h->in_name = 0;
	h->state = KF_HTTP1_AT_SUBPROTOCOL;
	return KF_HTTP1_ON;
}

#define KF_HTTP1_SUBPROTOCOL_LEN 24

/* Is there, at @off, the beginning of a subprotocol that is a key? */
KF_INLINE _Bool kf_http1_is_subprotocol(const __u8 *buf, __u32 off)
{
	return kf_http1_word(buf, off) == KF_SWAR_TEXT('o', 'p', 'e', 'n', 'a', 'i', '-', 'i') &&
	       kf_http1_word(buf, off + 8) ==
		       KF_SWAR_TEXT('n', 's', 'e', 'c', 'u', 'r', 'e', '-') &&
	       kf_http1_word(buf, off + 16) == KF_SWAR_TEXT('a', 'p', 'i', '-', 'k', 'e', 'y', '.');
}

/* An item of the list ends before @off; if it is a key, take it. */
KF_INLINE long kf_http1_subprotocol_end(struct kf_http1 *h, const __u8 *buf, __u32 off)
{
	__u32 item = h->item_off;

	h->in_name = 0;
	h->item_off = 0;
	if (off >= h->name[1])
		h->state = KF_HTTP1_AT_FIELD;
	if (!item)
		return KF_HTTP1_ON;
	h->field = KF_FIELD_WEBSOCKET_PROTOCOL;
	h->value_off = item;
	return kf_http1_value_late(h, buf, off);
}

/* One byte of the list. */
KF_INLINE long kf_http1_subprotocol(struct kf_http1 *h, const __u8 *buf)
{
	__u32 off = (__u32)h->name[0], end = (__u32)h->name[1];
	__u8 c = kf_http1_byte(buf, off);

	h->name[0] = off + 1;
	if (off >= end || c == ',' || kf_http1_is_space(c))
		return kf_http1_subprotocol_end(h, buf, off);
	if (!kf_http1_char_is(c, KF_CHAR_TOKEN))
		return kf_http1_fault(h, KF_DETAIL_KEY_BYTES);
	if (!h->in_name && end - off >= KF_HTTP1_SUBPROTOCOL_LEN &&
	    kf_http1_is_subprotocol(buf, off))
		h->item_off = off + KF_HTTP1_SUBPROTOCOL_LEN;
	h->in_name = 1;
	return KF_HTTP1_ON;
}

#endif /* KEYFILTER_HTTP1_SUBPROTOCOL_H */
