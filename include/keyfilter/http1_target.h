/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * http1_target.h - the request line: method SP request-target SP HTTP-version CRLF.
 *
 * Called by http1.h, a step at a time. Two things are decided by the target, the protocol and the
 * key in the query; so a spelling of either that servers undo differently is refused, and what no
 * two of them read differently passes. Refused are empty and dot segments, encoded letters, digits
 * and dots in the path, a path that names another protocol once its encodings and parameters are
 * undone, another letter case of the known prefixes, and names in the query that only decode to
 * `key`. Absolute-form passes where it agrees with Host. Sources: RFC 9112 section 2.2 and 3, RFC
 * 3986 section 3.3, 3.4 and 6.2.2.
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

/* ---- protocol ------------------------------------------------------------------------------- */

/* The path is of @protocol, if it is spelled as all servers know it; @same tells. */
KF_INLINE _Bool kf_http1_is_of(struct kf_http1 *h, enum kf_protocol protocol, _Bool same)
{
	h->protocol = (__u8)protocol;
	if (!same) /* the same resource to some servers, and none to others */
		kf_http1_fault(h, KF_DETAIL_TARGET);
	return 1;
}

/* Is the segment at the '/' at @off of the path, which ends before value_end, a version? */
KF_INLINE _Bool kf_http1_is_version(struct kf_http1 *h, const __u8 *buf, __u32 off)
{
	const __u64 beta = KF_SWAR_TEXT('/', 'v', '1', 'b', 'e', 't', 'a', '/');
	const __u64 alpha = KF_SWAR_TEXT('/', 'v', '1', 'a', 'l', 'p', 'h', 'a');
	const __u64 messages = KF_SWAR_TEXT('m', 'e', 's', 's', 'a', 'g', 'e', 's');
	__u64 first = kf_http1_word(buf, off), lower = first | KF_HTTP1_LOWER;
	__u64 second = kf_http1_word(buf, off + 4);
	__u8 next = kf_http1_byte(buf, off + 12);
	__u32 left = h->value_end - off;

	if (left >= 8 && lower == beta)
		return kf_http1_is_of(h, KF_PROTOCOL_GEMINI, first == beta);
	if (left >= 9 && lower == alpha && (second >> 32 & 0xff) == '/')
		return kf_http1_is_of(h, KF_PROTOCOL_GEMINI, first == alpha);
	if (left < 4 || (lower & kf_swar_low(4)) != KF_SWAR_TEXT('/', 'v', '1', '/', 0, 0, 0, 0))
		return 0;
	if (left >= 12 && (left == 12 || next == '/') && (second | KF_HTTP1_LOWER) == messages)
		return kf_http1_is_of(h, KF_PROTOCOL_ANTHROPIC,
				      second == messages && !((first ^ lower) & kf_swar_low(4)));
	return 1;
}

/* From the '/' at value_off, or a byte behind it, to the next one. */
static long kf_http1_version_step(unsigned int index, void *context)
{
	struct kf_http1_run *run = context;
	struct kf_http1 *h = run->h;
	__u32 off = h->value_off;
	__u64 word = kf_http1_word(run->buf, off), mask;

	(void)index;
	if (off >= h->value_end || ((word & 0xff) == '/' && kf_http1_is_version(h, run->buf, off)))
		return KF_HTTP1_STOP;
	mask = KF_SWAR_IS(word & ~KF_SWAR_HIGH, '/') & ~word & KF_SWAR_HIGH & ~0xffull;
	h->value_off = off + (mask ? (__u32)kf_swar_first(mask) : 8);
	return KF_HTTP1_ON;
}

/* Does the path end with a method of Gemini's, behind its last ':', which stands at line_off? */
KF_INLINE _Bool kf_http1_is_gemini_verb(const struct kf_http1 *h, const __u8 *buf)
{
	__u64 word = kf_http1_word(buf, h->line_off);

	switch (h->value_end - h->line_off) {
	case 12:
		return word == KF_SWAR_TEXT(':', 'c', 'o', 'u', 'n', 't', 'T', 'o'); /* kens */
	case 13:
		return word == KF_SWAR_TEXT(':', 'e', 'm', 'b', 'e', 'd', 'C', 'o'); /* ntent */
	case 16:
		return word == KF_SWAR_TEXT(':', 'g', 'e', 'n', 'e', 'r', 'a', 't'); /* eContent */
	case 19:
		return word ==
		       KF_SWAR_TEXT(':', 'b', 'a', 't', 'c', 'h', 'E', 'm'); /* bedContents */
	case 22:
		return word ==
		       KF_SWAR_TEXT(':', 's', 't', 'r', 'e', 'a', 'm', 'G'); /* enerate... */
	default:
		return 0;
	}
}

/*
 * The first segment that is a version decides, whatever stands before it: a gateway's prefix. What
 * could be taken for one once it is decoded was refused on the way (kf_http1_path_hides()).
 */
KF_INLINE long kf_http1_protocol(struct kf_http1 *h, const __u8 *buf)
{
	struct kf_http1_run run = { .h = h, .buf = buf };

	h->value_off = h->target_off;
	h->value_end = h->target_off + h->path_len;
	if (!kf_http1_is_version(h, buf, h->target_off))
		kf_loop(KF_HEAD_MAX, kf_http1_version_step, &run);
	if (h->line_off && h->protocol == KF_PROTOCOL_OPENAI && kf_http1_is_gemini_verb(h, buf))
		h->protocol = KF_PROTOCOL_GEMINI;
	return h->state == KF_HTTP1_AT_FAULT ? KF_HTTP1_STOP : KF_HTTP1_ON;
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

/* May @c stand behind a segment of dots, so that some servers take that for "." or ".."? */
KF_INLINE _Bool kf_http1_ends_dots(__u8 c)
{
	return c == '/' || c == ' ' || c == '?' || c == ';' || c == '%';
}

/* A segment begins at @off: it may be neither empty, unless it is the last, nor dots. */
KF_INLINE long kf_http1_path_segment(struct kf_http1 *h, const __u8 *buf, __u32 len, __u32 off)
{
	__u8 first = kf_http1_byte(buf, off), second = kf_http1_byte(buf, off + 1);
	__u8 third = kf_http1_byte(buf, off + 2);

	if (off >= len)
		return KF_HTTP1_STOP;
	if (first == '/' || first == ';')
		return kf_http1_fault(h, KF_DETAIL_TARGET_EMPTY_SEGMENT);
	if (first != '.')
		return KF_HTTP1_ON;
	if (off + 1 >= len)
		return KF_HTTP1_STOP;
	if (kf_http1_ends_dots(second))
		return kf_http1_fault(h, KF_DETAIL_TARGET_SEGMENT);
	if (second != '.')
		return KF_HTTP1_ON;
	if (off + 2 >= len)
		return KF_HTTP1_STOP;
	return kf_http1_ends_dots(third) ? kf_http1_fault(h, KF_DETAIL_TARGET_SEGMENT)
					 : KF_HTTP1_ON;
}

/* Are the @count bytes before @off, 8 at most, @text in any case, and all of them the path's? */
KF_INLINE _Bool kf_http1_path_ends(const struct kf_http1 *h, const __u8 *buf, __u32 off, __u64 text,
				   __u32 count)
{
	__u64 word = (kf_http1_word(buf, off - count) | KF_HTTP1_LOWER) & kf_swar_low(count);

	return off - h->target_off >= count && word == text;
}

/*
 * An encoded '/' or a ';' at @off: would a server that decodes the one, or cuts off parameters at
 * the other, find the end of a segment there that decides?
 */
KF_INLINE _Bool kf_http1_path_hides(const struct kf_http1 *h, const __u8 *buf, __u32 off)
{
	return kf_http1_path_ends(h, buf, off, KF_SWAR_TEXT('/', 'v', '1', 0, 0, 0, 0, 0), 3) ||
	       kf_http1_path_ends(h, buf, off, KF_SWAR_TEXT('/', 'v', '1', 'b', 'e', 't', 'a', 0),
				  7) ||
	       kf_http1_path_ends(h, buf, off, KF_SWAR_TEXT('/', 'v', '1', 'a', 'l', 'p', 'h', 'a'),
				  8) ||
	       (kf_http1_path_ends(h, buf, off,
				   KF_SWAR_TEXT('m', 'e', 's', 's', 'a', 'g', 'e', 's'), 8) &&
		kf_http1_path_ends(h, buf, off - 8, KF_SWAR_TEXT('/', 'v', '1', '/', 0, 0, 0, 0),
				   4));
}

/* "%2F" at @off. */
KF_INLINE long kf_http1_path_slash_escape(struct kf_http1 *h, const __u8 *buf, __u32 len, __u32 off)
{
	__u8 first = kf_http1_byte(buf, off + 3) | 0x20, second = kf_http1_byte(buf, off + 4);
	long stop = kf_http1_path_segment(h, buf, len, off + 3);

	if (stop)
		return stop;
	if (first == 'v' && off + 4 >= len)
		return KF_HTTP1_STOP;
	if (kf_http1_byte(buf, off - 1) == '/')
		return kf_http1_fault(h, KF_DETAIL_TARGET_EMPTY_SEGMENT);
	if ((first == 'v' && second == '1') || kf_http1_path_hides(h, buf, off))
		return kf_http1_fault(h, KF_DETAIL_TARGET_ENCODING);
	return KF_HTTP1_ON;
}

/*
 * A '%' in the path. No client needs to encode a letter, a digit or a dot; a control byte or a
 * backslash in a path serves no one; what is encoded twice is decoded once by one server and twice
 * by another. One that begins no encoding stands for itself, but not "%u", which some decode too.
 */
KF_INLINE long kf_http1_path_escape(struct kf_http1 *h, const __u8 *buf, __u32 len, __u32 off)
{
	__u32 byte = kf_http1_escape(buf, len, off);
	__u8 next = kf_http1_byte(buf, off + (byte == '%' ? 3 : 1));
	long stop;

	if (byte == KF_HTTP1_ESCAPE_CUT || (byte == '%' && off + 3 >= len))
		return KF_HTTP1_STOP;
	if (byte == '%' || byte == KF_HTTP1_ESCAPE_BAD) {
		if (kf_http1_char_is(next, KF_CHAR_HEX) || (next | 0x20) == 'u')
			return kf_http1_fault(h, KF_DETAIL_TARGET_ENCODING);
		h->cursor = off + (byte == '%' ? 3 : 1);
		return KF_HTTP1_ON;
	}
	if (byte < 0x20 || byte == 0x7f || byte == '\\' || byte == '.' ||
	    kf_http1_char_is((__u8)byte, KF_CHAR_ALNUM))
		return kf_http1_fault(h, KF_DETAIL_TARGET_ENCODING);
	if (byte == '/') {
		stop = kf_http1_path_slash_escape(h, buf, len, off);
		if (stop)
			return stop;
	}
	h->cursor = off + 3;
	return KF_HTTP1_ON;
}

/* A '/' at @off. */
KF_INLINE long kf_http1_path_slash(struct kf_http1 *h, const __u8 *buf, __u32 len, __u32 off)
{
	long stop = kf_http1_path_segment(h, buf, len, off + 1);

	if (!stop)
		h->cursor = off + 1;
	return stop;
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
	if (c == ';' && kf_http1_byte(buf, off - 1) == '/')
		return kf_http1_fault(h, KF_DETAIL_TARGET_EMPTY_SEGMENT);
	if (c == ';' && kf_http1_path_hides(h, buf, off))
		return kf_http1_fault(h, KF_DETAIL_TARGET_ENCODING);
	if (c == ':')
		h->line_off = off;
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
	if (kf_http1_is_long(h->method_off, stop < len ? stop : len))
		return kf_http1_large(h);
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
	__u8 end = (__u8)(word >> 24), before = kf_http1_byte(buf, off - 1);

	if (off >= len || (have < 4 && !((word ^ key) & kf_swar_low(have))))
		return KF_HTTP1_STOP;
	h->in_name = 1;
	h->field = KF_FIELD_NONE;
	h->state = KF_HTTP1_AT_QUERY;
	h->value_off = off;
	if ((word ^ key) & kf_swar_low(3) || (end != '=' && end != '&' && end != ' '))
		return KF_HTTP1_ON;
	if (before == ';') /* a key to those servers that part parameters there, and to no others */
		return h->key_sources & KF_KEY_QUERY ? kf_http1_fault(h, KF_DETAIL_QUERY)
						     : KF_HTTP1_ON;
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

#define KF_HTTP1_NO_KEY 4u

/*
 * A name that servers decode to `key` is one to them: how many of its letters stand between the
 * name's first byte and @off, 0 to 3. KF_HTTP1_NO_KEY: others do, or no key is taken from here.
 */
KF_INLINE __u32 kf_http1_key_letters(const struct kf_http1 *h, const __u8 *buf, __u32 off)
{
	__u64 key = KF_SWAR_TEXT('k', 'e', 'y', 0, 0, 0, 0, 0);
	__u32 count = off - h->value_off;

	if (!h->in_name || !(h->key_sources & KF_KEY_QUERY) || count > 3 ||
	    ((kf_http1_word(buf, h->value_off) ^ key) & kf_swar_low(count)))
		return KF_HTTP1_NO_KEY;
	return count;
}

/* Would @byte behind @letters of `key` make a key of the name? White space and NUL are cut off. */
KF_INLINE _Bool kf_http1_makes_key(__u32 letters, __u32 byte)
{
	if (letters == 0 || letters == 3)
		return byte <= 0x20 || (letters == 0 && byte == 'k');
	return (letters == 1 && byte == 'e') || (letters == 2 && byte == 'y');
}

/* A '%' in the query. One that begins no encoding stands for itself, or for nothing. */
KF_INLINE long kf_http1_query_escape(struct kf_http1 *h, const __u8 *buf, __u32 len, __u32 off)
{
	__u32 letters = kf_http1_key_letters(h, buf, off), byte = kf_http1_escape(buf, len, off);

	if (byte == KF_HTTP1_ESCAPE_CUT)
		return KF_HTTP1_STOP;
	if (letters < KF_HTTP1_NO_KEY &&
	    (byte == KF_HTTP1_ESCAPE_BAD || kf_http1_makes_key(letters, byte)))
		return kf_http1_fault(h, KF_DETAIL_QUERY);
	h->cursor = off + (byte == KF_HTTP1_ESCAPE_BAD ? 1 : 3);
	return KF_HTTP1_ON;
}

/*
 * Some servers part parameters by ';' too: what follows is looked at as a name, and what stands
 * before may be no key.
 */
KF_INLINE long kf_http1_query_semicolon(struct kf_http1 *h, const __u8 *buf, __u32 off)
{
	if (!(h->key_sources & KF_KEY_QUERY)) {
		h->cursor = off + 1;
		return KF_HTTP1_ON;
	}
	if (h->field == KF_FIELD_QUERY || kf_http1_key_letters(h, buf, off) == 3)
		return kf_http1_fault(h, KF_DETAIL_QUERY);
	return kf_http1_go(h, KF_HTTP1_AT_PARAMETER, off + 1);
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
	if (c == ';')
		return kf_http1_query_semicolon(h, buf, off);
	if (c == '+' && kf_http1_makes_key(kf_http1_key_letters(h, buf, off), ' '))
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
	if (kf_http1_is_long(h->method_off, stop < len ? stop : len))
		return kf_http1_large(h);
	if (stop < len)
		return kf_http1_query_stop(h, buf, len, stop);
	h->cursor = len;
	return KF_HTTP1_STOP;
}

/* ---- the line ------------------------------------------------------------------------------- */

/* `http://` or `https://` at @off: the authority begins behind it. */
KF_INLINE long kf_http1_scheme(struct kf_http1 *h, const __u8 *buf, __u32 len, __u32 off)
{
	__u64 word = kf_http1_word(buf, off);
	__u64 http = (word | (KF_HTTP1_LOWER & kf_swar_low(4))) ^
		     KF_SWAR_TEXT('h', 't', 't', 'p', ':', '/', '/', 0);
	__u64 https = (word | (KF_HTTP1_LOWER & kf_swar_low(5))) ^
		      KF_SWAR_TEXT('h', 't', 't', 'p', 's', ':', '/', '/');
	__u32 have = len - off;

	if (have >= 7 && !(http & kf_swar_low(7)))
		h->authority_off = off + 7;
	else if (have >= 8 && !https)
		h->authority_off = off + 8;
	else if (!(http & kf_swar_low(have)) || !(https & kf_swar_low(have)))
		return KF_HTTP1_STOP;
	else
		return kf_http1_fault(h, KF_DETAIL_TARGET);
	return kf_http1_go(h, KF_HTTP1_AT_AUTHORITY, h->authority_off);
}

/* In the authority, up to the '/' of the path. Host is compared with it (kf_http1_agree()). */
KF_INLINE long kf_http1_authority(struct kf_http1 *h, const __u8 *buf, __u32 len)
{
	__u32 off = kf_http1_skip_host(buf, h->cursor), end = off < len ? off : len;
	__u32 read = end - h->authority_off;
	__u8 c = kf_http1_byte(buf, off);

	if (read > KF_HTTP1_HOST_MAX)
		return kf_http1_fault(h, KF_DETAIL_TARGET);
	if (end == len || off == h->cursor + 32) {
		h->cursor = end;
		return end == len ? KF_HTTP1_STOP : KF_HTTP1_ON;
	}
	if (c != '/' || !read)
		return kf_http1_fault(h, kf_http1_char_detail(c, KF_DETAIL_TARGET));
	h->authority_len = (__u16)read;
	h->target_off = off;
	return kf_http1_go(h, KF_HTTP1_AT_PATH, off);
}

/* origin-form, absolute-form, or `*` with OPTIONS. */
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
	if ((c | 0x20) == 'h')
		return kf_http1_scheme(h, buf, len, off);
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

	if (kf_http1_is_long(h->method_off, off + 8))
		return kf_http1_large(h);
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
	else if (h->state == KF_HTTP1_AT_AUTHORITY)
		return kf_http1_authority(h, buf, len);
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
