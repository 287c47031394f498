/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * http1_method.h - what stands before a request's target: an empty line, the method, a space.
 *
 * A part of the request line (http1_target.h), a step at a time. Which methods are known is decided
 * here; what becomes of another word, by the caller. Sources: RFC 9112 section 2.2 and 3.1, RFC
 * 9110 section 9.
 */
#ifndef KEYFILTER_HTTP1_METHOD_H
#define KEYFILTER_HTTP1_METHOD_H

#include "http1_char.h"
#include "http1_state.h"
#include "swar.h"

/* Goes on to the target behind the space at @space. */
KF_INLINE long kf_http1_method_end(struct kf_http1 *h, __u32 space)
{
	h->method_len = (__u8)(space - h->method_off);
	h->target_off = space + 1;
	return kf_http1_go(h, KF_HTTP1_AT_TARGET, space + 1);
}

/* `PRI `: HTTP/2 with prior knowledge (RFC 9113 section 3.4), or no method of anybody's. */
KF_INLINE long kf_http1_preface(struct kf_http1 *h, const __u8 *buf, __u32 len)
{
	__u32 start = h->method_off, have = len - start;
	__u64 first =
		kf_http1_word(buf, start) ^ KF_SWAR_TEXT('P', 'R', 'I', ' ', '*', ' ', 'H', 'T');
	__u64 second = kf_http1_word(buf, start + 8) ^
		       KF_SWAR_TEXT('T', 'P', '/', '2', '.', '0', '\r', '\n');

	if ((first & kf_swar_low(have)) || (have > 8 && (second & kf_swar_low(have - 8))))
		return kf_http1_fault(h, KF_DETAIL_METHOD);
	return have < 16 ? KF_HTTP1_STOP : kf_http1_fault(h, KF_DETAIL_HTTP2_PREFACE);
}

/* A method of up to 7 letters, from its first 8 bytes with zeros behind. Case counts. */
KF_INLINE long kf_http1_method_known(struct kf_http1 *h, const __u8 *buf, __u32 len, __u64 word,
				     __u32 space)
{
	if (word == KF_SWAR_TEXT('P', 'O', 'S', 'T', 0, 0, 0, 0))
		h->method = KF_METHOD_POST;
	else if (word == KF_SWAR_TEXT('G', 'E', 'T', 0, 0, 0, 0, 0))
		h->method = KF_METHOD_GET;
	else if (word == KF_SWAR_TEXT('O', 'P', 'T', 'I', 'O', 'N', 'S', 0))
		h->method = KF_METHOD_OPTIONS;
	else if (word == KF_SWAR_TEXT('D', 'E', 'L', 'E', 'T', 'E', 0, 0))
		h->method = KF_METHOD_DELETE;
	else if (word == KF_SWAR_TEXT('H', 'E', 'A', 'D', 0, 0, 0, 0))
		h->method = KF_METHOD_HEAD;
	else if (word == KF_SWAR_TEXT('P', 'U', 'T', 0, 0, 0, 0, 0))
		h->method = KF_METHOD_PUT;
	else if (word == KF_SWAR_TEXT('P', 'A', 'T', 'C', 'H', 0, 0, 0))
		h->method = KF_METHOD_PATCH;
	else if (word == KF_SWAR_TEXT('C', 'O', 'N', 'N', 'E', 'C', 'T', 0))
		return kf_http1_fault(h, KF_DETAIL_METHOD_CONNECT);
	else if (word == KF_SWAR_TEXT('T', 'R', 'A', 'C', 'E', 0, 0, 0))
		return kf_http1_fault(h, KF_DETAIL_METHOD);
	else if (word == KF_SWAR_TEXT('P', 'R', 'I', 0, 0, 0, 0, 0))
		return kf_http1_preface(h, buf, len);
	return kf_http1_method_end(h, space);
}

/*
 * RFC 9112 section 2.2: a few empty lines before a request line are passed over; they stay part of
 * the head's bytes. A bare LF is none.
 */
KF_INLINE long kf_http1_empty_line(struct kf_http1 *h, const __u8 *buf, __u32 len)
{
	__u32 start = h->method_off;

	if (start + 1 >= len)
		return KF_HTTP1_STOP;
	if (kf_http1_byte(buf, start + 1) != '\n')
		return kf_http1_fault(h, KF_DETAIL_BARE_CR);
	if (start >= 2 * KF_HTTP1_EMPTY_MAX)
		return kf_http1_fault(h, KF_DETAIL_EMPTY_LINES);
	h->method_off = (__u8)(start + 2);
	return KF_HTTP1_ON;
}

/* What is no token where a method stands. 0x16 begins a TLS record (RFC 8446 section 5.1). */
KF_INLINE long kf_http1_method_fault(struct kf_http1 *h, __u32 off, __u8 c)
{
	if (off == 0 && c == 0x16)
		return kf_http1_fault(h, KF_DETAIL_TLS);
	return kf_http1_fault(h, kf_http1_char_detail(c, KF_DETAIL_REQUEST_LINE));
}

/* A method that is longer, or holds other characters than letters, digits and '-'. */
KF_INLINE long kf_http1_method_more(struct kf_http1 *h, const __u8 *buf, __u32 len)
{
	__u32 off = h->cursor;
	__u8 c = kf_http1_byte(buf, off);

	if (off >= len)
		return KF_HTTP1_STOP;
	if (c == ' ')
		return kf_http1_method_end(h, off);
	if (!kf_http1_char_is(c, KF_CHAR_TOKEN))
		return kf_http1_method_fault(h, off, c);
	if (off - h->method_off >= KF_METHOD_LEN_MAX)
		return kf_http1_fault(h, KF_DETAIL_METHOD);
	h->cursor = off + 1;
	return KF_HTTP1_ON;
}

KF_INLINE long kf_http1_method(struct kf_http1 *h, const __u8 *buf, __u32 len)
{
	__u32 start = h->method_off;
	__u64 word = kf_http1_word(buf, start);
	__u64 mask = kf_swar_not_name(word);
	__u32 off = start + (mask ? (__u32)kf_swar_first(mask) : 8);
	__u8 c = kf_http1_byte(buf, off);

	if (off >= len)
		return KF_HTTP1_STOP;
	if (!mask || kf_http1_char_is(c, KF_CHAR_TOKEN))
		return kf_http1_go(h, KF_HTTP1_AT_METHOD, off);
	if (c == '\r' && off == start)
		return kf_http1_empty_line(h, buf, len);
	if (c != ' ' || off == start)
		return kf_http1_method_fault(h, off, c);
	return kf_http1_method_known(h, buf, len, word & kf_swar_below(mask), off);
}

#endif /* KEYFILTER_HTTP1_METHOD_H */
