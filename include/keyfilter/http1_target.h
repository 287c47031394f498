/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * http1_target.h - the request line: method SP request-target SP HTTP-version CRLF.
 *
 * Called by http1.h, a step at a time. Two things are decided by the target, the protocol and the
 * key in the query; so a spelling of either that servers undo differently is refused: encoded or
 * empty or dot segments, parameters behind ';' in the first two segments, another letter case of
 * the two known prefixes, encoded names in the query. Sources: RFC 9112 section 3, RFC 3986 section
 * 3.3, 3.4 and 6.2.2.
 */
#ifndef KEYFILTER_HTTP1_TARGET_H
#define KEYFILTER_HTTP1_TARGET_H

#include "http1_char.h"
#include "http1_state.h"
#include "http1_value.h"
#include "swar.h"

/* ---- method --------------------------------------------------------------------------------- */

/* Goes on to the target behind the space at @space. */
KF_INLINE long kf_http1_method_end(struct kf_http1 *h, __u32 space)
{
	h->target_off = space + 1;
	return kf_http1_go(h, KF_HTTP1_AT_TARGET, space + 1);
}

/* A method of up to 7 letters, from its first 8 bytes with zeros behind. Case counts. */
KF_INLINE long kf_http1_method_known(struct kf_http1 *h, __u64 word, __u32 space)
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
	else if (word == KF_SWAR_TEXT('P', 'R', 'I', 0, 0, 0, 0, 0))
		return kf_http1_fault(h, KF_DETAIL_HTTP2_PREFACE); /* RFC 9113 section 3.4 */
	return kf_http1_method_end(h, space);
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
	h->cursor = off + 1;
	return KF_HTTP1_ON;
}

KF_INLINE long kf_http1_method(struct kf_http1 *h, const __u8 *buf, __u32 len)
{
	__u64 word = kf_swar_load(buf);
	__u64 mask = kf_swar_not_name(word);
	__u32 off = mask ? (__u32)kf_swar_first(mask) : 8;
	__u8 c = kf_http1_byte(buf, off);

	if (off >= len)
		return KF_HTTP1_STOP;
	if (!mask || kf_http1_char_is(c, KF_CHAR_TOKEN))
		return kf_http1_go(h, KF_HTTP1_AT_METHOD, off);
	if (c != ' ' || off == 0)
		return kf_http1_method_fault(h, off, c);
	return kf_http1_method_known(h, word & kf_swar_below(mask), off);
}

/* ---- protocol ------------------------------------------------------------------------------- */

/* Counts in name_len the slashes between target_off and encoded_off. */
static long kf_http1_count_slash(unsigned int index, void *context)
{
	struct kf_http1_run *run = context;
	__u32 off = run->h->target_off + index;

	if (off >= run->h->encoded_off)
		return KF_HTTP1_STOP;
	if (kf_http1_byte(run->buf, off) == '/')
		run->h->name_len++;
	return KF_HTTP1_ON;
}

/*
 * Whether the path's first '%' or ';' stands in its first two segments: /v1%2fmessages,
 * /v1;a/messages. Behind them it is common (a model's name) and decides nothing here.
 */
KF_INLINE _Bool kf_http1_encoded_early(struct kf_http1 *h, const __u8 *buf)
{
	struct kf_http1_run run = { .h = h, .buf = buf };

	if (!h->encoded_off)
		return 0;
	h->name_len = 0;
	kf_loop(KF_HEAD_MAX, kf_http1_count_slash, &run);
	return h->name_len < 3;
}

/* A known prefix in another letter case: the same resource to some servers (KF_DETAIL_TARGET). */
KF_INLINE long kf_http1_protocol(struct kf_http1 *h, const __u8 *buf)
{
	__u64 first = kf_http1_word(buf, h->target_off);
	__u64 rest = kf_http1_word(buf, h->target_off + 8) & kf_swar_low(4);
	__u64 lower = first | KF_HTTP1_LOWER;
	__u8 next = kf_http1_byte(buf, h->target_off + 12);

	if (kf_http1_encoded_early(h, buf))
		return kf_http1_fault(h, KF_DETAIL_TARGET_ENCODING);
	if (lower == KF_SWAR_TEXT('/', 'v', '1', 'b', 'e', 't', 'a', '/')) {
		h->protocol = KF_PROTOCOL_GEMINI;
		return first == lower ? KF_HTTP1_ON : kf_http1_fault(h, KF_DETAIL_TARGET);
	}
	if (lower == KF_SWAR_TEXT('/', 'v', '1', '/', 'm', 'e', 's', 's') &&
	    (rest | (KF_HTTP1_LOWER & kf_swar_low(4))) ==
		    KF_SWAR_TEXT('a', 'g', 'e', 's', 0, 0, 0, 0) &&
	    h->path_len >= 12 && (h->path_len == 12 || next == '/')) {
		h->protocol = KF_PROTOCOL_ANTHROPIC;
		if (first != lower || rest != KF_SWAR_TEXT('a', 'g', 'e', 's', 0, 0, 0, 0))
			return kf_http1_fault(h, KF_DETAIL_TARGET);
	}
	return KF_HTTP1_ON;
}

/* ---- path ----------------------------------------------------------------------------------- */

/* The target ends before @off, the path before it or, with a query, earlier. */
KF_INLINE long kf_http1_target_end(struct kf_http1 *h, const __u8 *buf, __u32 off)
{
	h->target_len = off - h->target_off;
	if (h->state == KF_HTTP1_AT_PATH)
		h->path_len = h->target_len;
	kf_http1_go(h, KF_HTTP1_AT_VERSION, off + 1);
	return kf_http1_protocol(h, buf);
}

/* The decoded byte of the percent-encoding at @off, or one of these. */
#define KF_HTTP1_ESCAPE_CUT 0x100u /* its end has not come yet */
#define KF_HTTP1_ESCAPE_BAD 0x101u

KF_INLINE __u32 kf_http1_escape(const __u8 *buf, __u32 len, __u32 off)
{
	__u8 high = kf_http1_byte(buf, off + 1), low = kf_http1_byte(buf, off + 2);

	if (off + 1 >= len)
		return KF_HTTP1_ESCAPE_CUT;
	if (!kf_http1_char_is(high, KF_CHAR_HEX))
		return KF_HTTP1_ESCAPE_BAD;
	if (off + 2 >= len)
		return KF_HTTP1_ESCAPE_CUT;
	if (!kf_http1_char_is(low, KF_CHAR_HEX))
		return KF_HTTP1_ESCAPE_BAD;
	return kf_http1_char_hex(high) << 4 | kf_http1_char_hex(low);
}

/*
 * A '%' in the path. No client needs to encode an unreserved character; a control byte or a
 * backslash in a path serves no one; and an encoded slash may not make a segment that is a path of
 * its own ("%2f..", "%2f/").
 */
KF_INLINE long kf_http1_path_escape(struct kf_http1 *h, const __u8 *buf, __u32 len, __u32 off)
{
	__u32 byte = kf_http1_escape(buf, len, off);
	__u8 next = kf_http1_byte(buf, off + 3);

	if (byte == KF_HTTP1_ESCAPE_CUT)
		return KF_HTTP1_STOP;
	if (byte == KF_HTTP1_ESCAPE_BAD || byte < 0x20 || byte == 0x7f || byte == '\\' ||
	    byte == '%' || kf_http1_char_is((__u8)byte, KF_CHAR_UNRESERVED))
		return kf_http1_fault(h, KF_DETAIL_TARGET_ENCODING);
	if (byte == '/') {
		if (off + 3 >= len)
			return KF_HTTP1_STOP;
		if (next == '.' || next == '/')
			return kf_http1_fault(h, KF_DETAIL_TARGET_SEGMENT);
	}
	if (!h->encoded_off)
		h->encoded_off = off;
	h->cursor = off + 3;
	return KF_HTTP1_ON;
}

/* A '/' at @off: the segment behind it may be neither empty, unless it is the last, nor dots. */
KF_INLINE long kf_http1_path_slash(struct kf_http1 *h, const __u8 *buf, __u32 len, __u32 off)
{
	__u8 next = kf_http1_byte(buf, off + 1), after = kf_http1_byte(buf, off + 2);

	if (off + 1 >= len)
		return KF_HTTP1_STOP;
	if (next == '/')
		return kf_http1_fault(h, KF_DETAIL_TARGET_SEGMENT);
	if (next == '.') {
		if (off + 2 >= len)
			return KF_HTTP1_STOP;
		if (!kf_http1_char_is(after, KF_CHAR_ALNUM) && after != '-' && after != '_')
			return kf_http1_fault(h, KF_DETAIL_TARGET_SEGMENT);
	}
	h->cursor = off + 1;
	return KF_HTTP1_ON;
}

/* A byte of the path that needs a closer look. */
KF_INLINE long kf_http1_path_stop(struct kf_http1 *h, const __u8 *buf, __u32 len, __u32 off)
{
	__u8 c = kf_http1_byte(buf, off);

	if (c == ' ')
		return kf_http1_target_end(h, buf, off);
	if (c == '/')
		return kf_http1_path_slash(h, buf, len, off);
	h->cursor = off;
	if (c == '%')
		return kf_http1_path_escape(h, buf, len, off);
	if (c == '?') {
		h->path_len = off - h->target_off;
		return kf_http1_go(h, KF_HTTP1_AT_PARAMETER, off + 1);
	}
	if (!kf_http1_char_is(c, KF_CHAR_PATH))
		return kf_http1_fault(h, kf_http1_char_detail(c, KF_DETAIL_TARGET));
	if (c == ';' && !h->encoded_off)
		h->encoded_off = off;
	h->cursor = off + 1;
	return KF_HTTP1_ON;
}

/*
 * Words overlap by a byte, so that no pair of '.' and '/' falls between two of them; for the same
 * reason the last byte is read again when more bytes come.
 */
KF_INLINE long kf_http1_path(struct kf_http1 *h, const __u8 *buf, __u32 len)
{
	__u32 off = (__u32)kf_http1_bound(h->cursor), stop = off + 56;
	const __u8 *at = buf + off;

#pragma GCC unroll 8
	for (__u32 i = 0; i < 56; i += 7) {
		__u64 word = kf_swar_load(at + i);
		__u64 mask = kf_swar_not_target(word) | kf_swar_dot_slash_pair(word);

		if (mask) {
			stop = off + i + (__u32)kf_swar_first(mask);
			break;
		}
	}
	if (stop < len) {
		h->cursor = stop;
		return kf_http1_path_stop(h, buf, len, stop);
	}
	if (len - 1 > off)
		h->cursor = len - 1;
	return KF_HTTP1_STOP;
}

/* ---- query ---------------------------------------------------------------------------------- */

/* At a parameter's name: is it `key`? Waits only while what is there could become that. */
KF_INLINE long kf_http1_parameter(struct kf_http1 *h, const __u8 *buf, __u32 len)
{
	__u32 off = h->cursor, have = len - off;
	__u64 word = kf_http1_word(buf, off) & kf_swar_low(4);
	__u64 key = KF_SWAR_TEXT('k', 'e', 'y', '=', 0, 0, 0, 0);
	__u8 end = (__u8)(word >> 24);

	if (off >= len || (have < 4 && !((word ^ key) & kf_swar_low(have))))
		return KF_HTTP1_STOP;
	h->in_name = 1;
	h->field = KF_FIELD_NONE;
	h->state = KF_HTTP1_AT_QUERY;
	if ((word ^ key) & kf_swar_low(3) || (end != '=' && end != '&' && end != ' '))
		return KF_HTTP1_ON;
	if (kf_http1_again(h, KF_FIELD_QUERY))
		return kf_http1_fault(h, KF_DETAIL_KEY_TWICE);
	if (end == '=') {
		h->field = KF_FIELD_QUERY;
		h->in_name = 0;
		h->cursor = off + 4;
		h->value_off = off + 4;
	}
	return KF_HTTP1_ON;
}

/* A parameter ends before @off; if it is the key, take it. */
KF_INLINE void kf_http1_parameter_end(struct kf_http1 *h, __u32 off)
{
	__u32 field = h->field;

	h->field = KF_FIELD_NONE;
	if (field != KF_FIELD_QUERY || !(h->key_sources & KF_KEY_QUERY))
		return;
	/* the head's first key, so there is none yet to compare it with */
	h->key_off = h->value_off;
	h->key_len = off - h->value_off;
	h->key_source = h->key_len ? KF_KEY_QUERY : 0;
}

/*
 * A '%' in the query: a name that only decodes to `key` is one to some servers, and so is one with
 * white space or a NUL around it.
 */
KF_INLINE long kf_http1_query_escape(struct kf_http1 *h, const __u8 *buf, __u32 len, __u32 off)
{
	__u32 byte = kf_http1_escape(buf, len, off);

	if (byte == KF_HTTP1_ESCAPE_CUT)
		return KF_HTTP1_STOP;
	if (byte == KF_HTTP1_ESCAPE_BAD)
		return kf_http1_fault(h, KF_DETAIL_TARGET_ENCODING);
	if (h->in_name && h->key_sources & KF_KEY_QUERY &&
	    (byte <= 0x20 || kf_http1_char_is((__u8)byte, KF_CHAR_UNRESERVED)))
		return kf_http1_fault(h, KF_DETAIL_QUERY);
	h->cursor = off + 3;
	return KF_HTTP1_ON;
}

/* A byte of the query that needs a closer look. */
KF_INLINE long kf_http1_query_stop(struct kf_http1 *h, const __u8 *buf, __u32 len, __u32 off)
{
	__u8 c = kf_http1_byte(buf, off);

	if (c == ' ' || c == '&') {
		kf_http1_parameter_end(h, off);
		if (c == ' ')
			return kf_http1_target_end(h, buf, off);
		return kf_http1_go(h, KF_HTTP1_AT_PARAMETER, off + 1);
	}
	h->cursor = off;
	if (c == '%')
		return kf_http1_query_escape(h, buf, len, off);
	if (!kf_http1_char_is(c, KF_CHAR_QUERY))
		return kf_http1_fault(h, kf_http1_char_detail(c, KF_DETAIL_TARGET));
	/* some servers part parameters by ';' too, or trim a space off a name, and find a key there
	 */
	if ((c == ';' || (c == '+' && h->in_name)) && h->key_sources & KF_KEY_QUERY)
		return kf_http1_fault(h, KF_DETAIL_QUERY);
	if (c == '=')
		h->in_name = 0;
	h->cursor = off + 1;
	return KF_HTTP1_ON;
}

KF_INLINE long kf_http1_query(struct kf_http1 *h, const __u8 *buf, __u32 len)
{
	__u32 off = (__u32)kf_http1_bound(h->cursor), stop = off + 64;
	const __u8 *at = buf + off;

	for (__u32 i = 0; i < 64; i += 8) {
		__u64 mask = kf_swar_not_target(kf_swar_load(at + i));

		if (mask) {
			stop = off + i + (__u32)kf_swar_first(mask);
			break;
		}
	}
	if (stop < len)
		return kf_http1_query_stop(h, buf, len, stop);
	h->cursor = len;
	return KF_HTTP1_STOP;
}

/* ---- the line ------------------------------------------------------------------------------- */

/* origin-form, or `*` with OPTIONS; absolute-form has a second authority besides Host: refused. */
KF_INLINE long kf_http1_target(struct kf_http1 *h, const __u8 *buf, __u32 len)
{
	__u32 off = h->target_off;
	__u8 c = kf_http1_byte(buf, off);

	if (off >= len)
		return KF_HTTP1_STOP;
	if (c == '/')
		return kf_http1_go(h, KF_HTTP1_AT_PATH, off);
	if (c == '*' && h->method == KF_METHOD_OPTIONS)
		return kf_http1_go(h, KF_HTTP1_AT_TARGET_END, off + 1);
	return kf_http1_fault(h, kf_http1_char_detail(c, KF_DETAIL_TARGET));
}

KF_INLINE long kf_http1_asterisk_end(struct kf_http1 *h, const __u8 *buf, __u32 len)
{
	__u32 off = h->cursor;
	__u8 c = kf_http1_byte(buf, off);

	if (off >= len)
		return KF_HTTP1_STOP;
	if (c != ' ')
		return kf_http1_fault(h, kf_http1_char_detail(c, KF_DETAIL_TARGET));
	h->path_len = h->target_len = 1;
	return kf_http1_go(h, KF_HTTP1_AT_VERSION, off + 1);
}

/* Exactly `HTTP/1.1` or `HTTP/1.0` and CRLF; the first byte that differs decides at once. */
KF_INLINE long kf_http1_version(struct kf_http1 *h, const __u8 *buf, __u32 len)
{
	__u32 off = h->cursor, have = len - off;
	__u64 differs =
		kf_http1_word(buf, off) ^ KF_SWAR_TEXT('H', 'T', 'T', 'P', '/', '1', '.', '1');
	__u8 cr = kf_http1_byte(buf, off + 8), lf = kf_http1_byte(buf, off + 9);

	if (off >= len)
		return KF_HTTP1_STOP;
	differs &= kf_swar_low(have);
	if (differs & ~(1ull << 56))
		return kf_http1_fault(h, KF_DETAIL_VERSION);
	if (have > 8 && cr != '\r')
		return kf_http1_fault(h, kf_http1_char_detail(cr, KF_DETAIL_VERSION));
	if (have > 9 && lf != '\n')
		return kf_http1_fault(h, KF_DETAIL_BARE_CR);
	if (have < 10)
		return KF_HTTP1_STOP;
	h->minor = !differs;
	return kf_http1_go(h, KF_HTTP1_AT_FIELD, off + 10);
}

/* The common request line takes one step: each state goes on into the next. */
KF_INLINE long kf_http1_request_line(struct kf_http1 *h, const __u8 *buf, __u32 len)
{
	long stop = KF_HTTP1_ON;

	if (h->state == KF_HTTP1_AT_START)
		stop = kf_http1_method(h, buf, len);
	else if (h->state == KF_HTTP1_AT_METHOD)
		return kf_http1_method_more(h, buf, len);
	else if (h->state == KF_HTTP1_AT_PARAMETER)
		return kf_http1_parameter(h, buf, len);
	else if (h->state == KF_HTTP1_AT_QUERY)
		return kf_http1_query(h, buf, len);
	else if (h->state == KF_HTTP1_AT_TARGET_END)
		return kf_http1_asterisk_end(h, buf, len);
	if (!stop && h->state == KF_HTTP1_AT_TARGET)
		stop = kf_http1_target(h, buf, len);
	if (!stop && h->state == KF_HTTP1_AT_PATH)
		stop = kf_http1_path(h, buf, len);
	if (!stop && h->state == KF_HTTP1_AT_VERSION)
		stop = kf_http1_version(h, buf, len);
	return stop;
}

#endif /* KEYFILTER_HTTP1_TARGET_H */
