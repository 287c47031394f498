/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * http1_target.h - the request line: method SP request-target SP HTTP-version CRLF.
 *
 * It is read a step at a time. Two things are decided by the target, the protocol and the
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
#include "http1_method.h"
#include "http1_path.h"
#include "http1_state.h"
#include "http1_value.h"
#include "swar.h"

/* ---- query ----------------------------------------------------------------------------------- */

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

/* ---- the line -------------------------------------------------------------------------------- */

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
