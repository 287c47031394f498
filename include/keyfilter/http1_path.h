/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * http1_path.h - the path of a request's target, and the protocol that it names.
 *
 * A part of the request line (http1_target.h, which says what is refused and why), a step at a
 * time. Sources: RFC 3986 section 3.3 and 6.2.2.
 */
#ifndef KEYFILTER_HTTP1_PATH_H
#define KEYFILTER_HTTP1_PATH_H

#include "http1_char.h"
#include "http1_state.h"
#include "http1_value.h"
#include "swar.h"

/* ---- protocol -------------------------------------------------------------------------------- */

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
	const __u64 models = KF_SWAR_TEXT('m', 'o', 'd', 'e', 'l', 's', 0, 0);
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
	h->lists_models = left >= 10 && (second & kf_swar_low(6)) == models &&
			  (left == 10 || (second >> 48 & 0xff) == '/');
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

/* To the '/' behind value_off. */
static long kf_http1_slash_step(unsigned int index, void *context)
{
	struct kf_http1_run *run = context;
	struct kf_http1 *h = run->h;
	__u64 word = kf_http1_word(run->buf, h->value_off);
	__u64 mask = KF_SWAR_IS(word & ~KF_SWAR_HIGH, '/') & ~word & KF_SWAR_HIGH;

	(void)index;
	h->value_off += mask ? (__u32)kf_swar_first(mask) : 8;
	return mask || h->value_off >= h->value_end ? KF_HTTP1_STOP : KF_HTTP1_ON;
}

/*
 * Does the request call a method as Gemini has them, MODEL:METHOD in the path's last segment? Which
 * method does not matter: the list of them grows, and servers differ in what they cut off behind
 * one (a '/', a blank, parameters). Some decode a path before they look for the ':'. OpenAI's paths
 * have a ':' in model names only: in segments before the last, or with GET and DELETE.
 */
KF_INLINE _Bool kf_http1_calls_gemini(struct kf_http1_run *run)
{
	struct kf_http1 *h = run->h;

	if (!h->line_off || (KF_METHODS_BARE >> (h->method & 31) & 1))
		return 0;
	h->value_off = h->line_off;
	kf_loop(KF_HEAD_MAX, kf_http1_slash_step, run);
	return h->value_off + 1 >= h->value_end;
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
	if (h->protocol == KF_PROTOCOL_OPENAI && kf_http1_calls_gemini(&run))
		h->protocol = KF_PROTOCOL_GEMINI;
	return h->state == KF_HTTP1_AT_FAULT ? KF_HTTP1_STOP : KF_HTTP1_ON;
}

/*
 * The protocols that a request may be of, 1 << enum kf_protocol: the one that its path names; but
 * to ask which models there are, GET /v1/models and what is below it, is in all of them.
 */
KF_INLINE __u32 kf_http1_protocols(const struct kf_http1 *h)
{
	if (h->lists_models && (h->method == KF_METHOD_GET || h->method == KF_METHOD_HEAD))
		return KF_PROTOCOLS_ALL;
	return 1u << (h->protocol & 31);
}

/* ---- path ------------------------------------------------------------------------------------ */

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
	if (byte == ':')
		h->line_off = off;
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

#endif /* KEYFILTER_HTTP1_PATH_H */
