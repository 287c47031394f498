/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * http1_value.h - the values of the fields that decide: keys, framing, Host, Upgrade and their like.
 *
 * Called by http1_field.h once such a line is complete, with h->field, and the value's bytes from
 * h->value_off to h->value_end, known to hold no control byte but HTAB. Writes the results of
 * struct kf_http1. Each function returns what a step returns (http1_state.h).
 */
#ifndef KEYFILTER_HTTP1_VALUE_H
#define KEYFILTER_HTTP1_VALUE_H

#include "http1_char.h"
#include "http1_state.h"
#include "swar.h"

#define KF_HTTP1_LOWER KF_SWAR(0x20) /* or it on: letters become lower case, digits and '-' stay */

/* ---- optional white space around a value (RFC 9110 section 5.6.3) ------------------------------ */

KF_INLINE _Bool kf_http1_is_space(__u8 c)
{
	return c == ' ' || c == '\t';
}

/* A value ends before a CR, so this stops there at the latest. */
static long kf_http1_trim_start(unsigned int index, void *context)
{
	struct kf_http1_run *run = context;

	(void)index;
	if (!kf_http1_is_space(kf_http1_byte(run->buf, run->h->value_off)))
		return KF_HTTP1_STOP;
	run->h->value_off++;
	return KF_HTTP1_ON;
}

static long kf_http1_trim_end(unsigned int index, void *context)
{
	struct kf_http1_run *run = context;
	__u32 end = run->h->value_end;

	(void)index;
	if (end <= run->h->value_off || !kf_http1_is_space(kf_http1_byte(run->buf, end - 1)))
		return KF_HTTP1_STOP;
	run->h->value_end = end - 1;
	return KF_HTTP1_ON;
}

/* Nearly every value has none left: look before looping. */
KF_INLINE void kf_http1_trim(struct kf_http1 *h, const __u8 *buf)
{
	struct kf_http1_run run = { .h = h, .buf = buf };

	if (kf_http1_is_space(kf_http1_byte(buf, h->value_off)))
		kf_loop(KF_HEAD_MAX, kf_http1_trim_start, &run);
	if (kf_http1_is_space(kf_http1_byte(buf, h->value_end - 1)))
		kf_loop(KF_HEAD_MAX, kf_http1_trim_end, &run);
}

/* ---- keys --------------------------------------------------------------------------------------- */

/* Moves value_off to the next byte that is not VCHAR; the one behind a trimmed value is not. */
static long kf_http1_skip_vchar(unsigned int index, void *context)
{
	struct kf_http1_run *run = context;
	__u64 off = kf_http1_bound(run->h->value_off);
	const __u8 *at = run->buf + off;

	(void)index;
	for (__u32 i = 0; i < 64; i += 8) {
		__u64 mask = kf_swar_not_vchar(kf_swar_load(at + i));

		if (mask) {
			run->h->value_off = (__u32)(off + i + kf_swar_first(mask));
			return KF_HTTP1_STOP;
		}
	}
	run->h->value_off = (__u32)off + 64;
	return KF_HTTP1_ON;
}

/* One word of the comparison of key_off with value_off; value_end bytes are left. */
static long kf_http1_compare_keys(unsigned int index, void *context)
{
	struct kf_http1_run *run = context;
	struct kf_http1 *h = run->h;
	__u64 first = kf_http1_word(run->buf, h->key_off + index * 8);
	__u64 second = kf_http1_word(run->buf, h->value_off + index * 8);

	if ((first ^ second) & kf_swar_low(h->value_end)) {
		h->detail = KF_DETAIL_KEYS_DISAGREE;
		return KF_HTTP1_STOP;
	}
	if (h->value_end <= 8)
		return KF_HTTP1_STOP;
	h->value_end -= 8;
	return KF_HTTP1_ON;
}

/* A key of @len bytes stands at @off: the first is taken, any other must be equal. */
KF_INLINE long kf_http1_key(struct kf_http1 *h, const __u8 *buf, __u8 source, __u32 off, __u32 len)
{
	struct kf_http1_run run = { .h = h, .buf = buf };

	if (!len)
		return KF_HTTP1_ON;
	if (!h->key_len) {
		h->key_off = off;
		h->key_len = len;
		h->key_source = source;
		return KF_HTTP1_ON;
	}
	if (h->key_len != len)
		return kf_http1_fault(h, KF_DETAIL_KEYS_DISAGREE);
	h->value_off = off;
	h->value_end = len;
	kf_loop(KF_HEAD_MAX / 8, kf_http1_compare_keys, &run);
	return h->detail ? kf_http1_fault(h, KF_DETAIL_KEYS_DISAGREE) : KF_HTTP1_ON;
}

/* The whole trimmed value is the key. */
KF_INLINE long kf_http1_value_key(struct kf_http1 *h, const __u8 *buf, __u8 source)
{
	struct kf_http1_run run = { .h = h, .buf = buf };
	__u32 off = h->value_off;

	kf_loop(KF_HEAD_MAX / 64 + 1, kf_http1_skip_vchar, &run);
	if (h->value_off != h->value_end)
		return kf_http1_fault(h, KF_DETAIL_KEY_BYTES);
	return kf_http1_key(h, buf, source, off, h->value_end - off);
}

static long kf_http1_skip_spaces(unsigned int index, void *context)
{
	struct kf_http1_run *run = context;

	(void)index;
	if (kf_http1_byte(run->buf, run->h->value_off) != ' ')
		return KF_HTTP1_STOP;
	run->h->value_off++;
	return KF_HTTP1_ON;
}

/*
 * RFC 9110 section 11.4: auth-scheme 1*SP token68. Another scheme, or none, gives no key. A scheme
 * set off by HTAB is one that some servers accept and others do not.
 */
KF_INLINE long kf_http1_value_authorization(struct kf_http1 *h, const __u8 *buf)
{
	struct kf_http1_run run = { .h = h, .buf = buf };
	__u32 len = h->value_end - h->value_off;
	__u64 scheme = (kf_http1_word(buf, h->value_off) | KF_HTTP1_LOWER) & kf_swar_low(6);
	__u8 next = kf_http1_byte(buf, h->value_off + 6);

	if (len <= 6 || scheme != KF_SWAR_TEXT('b', 'e', 'a', 'r', 'e', 'r', 0, 0))
		return KF_HTTP1_ON;
	if (next == '\t')
		return kf_http1_fault(h, KF_DETAIL_KEY_BYTES);
	if (next != ' ')
		return KF_HTTP1_ON;
	h->value_off += 7;
	if (kf_http1_byte(buf, h->value_off) == ' ')
		kf_loop(KF_HEAD_MAX, kf_http1_skip_spaces, &run);
	return kf_http1_value_key(h, buf, KF_KEY_BEARER);
}

/* ---- framing (RFC 9112 section 6) --------------------------------------------------------------- */

#define KF_HTTP1_LENGTH_MAX (1ull << 62)
#define KF_HTTP1_NO_NUMBER  (~0ull)

/*
 * The number in the 8 digits before @end, of which only the last @count, at most 8, are looked at.
 * KF_HTTP1_NO_NUMBER if one of them is no digit. Needs 8 readable bytes before @end: a request line
 * and a field name are longer.
 */
KF_INLINE __u64 kf_http1_digits(const __u8 *buf, __u32 end, __u32 count)
{
	__u64 others = count >= 8 ? 0 : kf_swar_low(8 - count);
	__u64 word = kf_http1_word(buf, end - 8);
	__u64 seven;

	word = (word & ~others) | (KF_SWAR('0') & others);
	seven = word & ~KF_SWAR_HIGH;
	if ((~KF_SWAR_FROM(seven, '0') | KF_SWAR_OVER(seven, '9') | word) & KF_SWAR_HIGH)
		return KF_HTTP1_NO_NUMBER;
	word &= KF_SWAR(0x0f);
	word = (word * 10 + (word >> 8)) & 0x00ff00ff00ff00ffull;
	word = (word * 100 + (word >> 16)) & 0x0000ffff0000ffffull;
	return (word * 10000 + (word >> 32)) & 0xffffffffull;
}

/* RFC 9110 section 8.6: 1*DIGIT. More than 24 of them are refused whatever they say. */
KF_INLINE long kf_http1_value_length(struct kf_http1 *h, const __u8 *buf)
{
	__u32 end = h->value_end;
	__u32 len = end - h->value_off;
	__u64 low, middle, high;

	if (!len)
		return kf_http1_fault(h, KF_DETAIL_LENGTH_NOT_DIGITS);
	low = kf_http1_digits(buf, end, len);
	middle = len > 8 ? kf_http1_digits(buf, end - 8, len - 8) : 0;
	high = len > 16 ? kf_http1_digits(buf, end - 16, len - 16) : 0;
	if (low == KF_HTTP1_NO_NUMBER || middle == KF_HTTP1_NO_NUMBER || high == KF_HTTP1_NO_NUMBER)
		return kf_http1_fault(h, KF_DETAIL_LENGTH_NOT_DIGITS);
	if (len > 24 || high > KF_HTTP1_LENGTH_MAX / 10000000000000000ull)
		return kf_http1_fault(h, KF_DETAIL_LENGTH_OVERFLOW);
	h->content_length = (high * 100000000 + middle) * 100000000 + low;
	if (h->content_length > KF_HTTP1_LENGTH_MAX)
		return kf_http1_fault(h, KF_DETAIL_LENGTH_OVERFLOW);
	h->has_content_length = 1;
	return h->chunked ? kf_http1_fault(h, KF_DETAIL_LENGTH_AND_ENCODING) : KF_HTTP1_ON;
}

/* Exactly `chunked`, and in HTTP/1.1 only: HTTP/1.0 has no transfer codings (RFC 9112 6.1). */
KF_INLINE long kf_http1_value_transfer(struct kf_http1 *h, const __u8 *buf)
{
	__u32 len = h->value_end - h->value_off;
	__u64 word = (kf_http1_word(buf, h->value_off) | KF_HTTP1_LOWER) & kf_swar_low(7);

	if (h->minor == 0 || len != 7 || word != KF_SWAR_TEXT('c', 'h', 'u', 'n', 'k', 'e', 'd', 0))
		return kf_http1_fault(h, KF_DETAIL_TRANSFER_ENCODING);
	h->chunked = 1;
	return h->has_content_length ? kf_http1_fault(h, KF_DETAIL_LENGTH_AND_ENCODING)
				     : KF_HTTP1_ON;
}

/* ---- the others --------------------------------------------------------------------------------- */

/* Moves value_off to the next byte that cannot stand in a host. */
static long kf_http1_skip_host(unsigned int index, void *context)
{
	struct kf_http1_run *run = context;
	__u32 off = run->h->value_off;
	__u64 mask = kf_swar_not_host(kf_http1_word(run->buf, off));

	(void)index;
	run->h->value_off = off + (mask ? (__u32)kf_swar_first(mask) : 8);
	return mask ? KF_HTTP1_STOP : KF_HTTP1_ON;
}

#define KF_HTTP1_HOST_MAX 264 /* a name of 255 bytes, a colon and a port, in whole words */

/*
 * RFC 9112 section 3.2. Narrower than RFC 3986: no userinfo, no percent-encoding, no sub-delims; an
 * empty Host is only right for a target that has no authority, which no API client sends.
 */
KF_INLINE long kf_http1_value_host(struct kf_http1 *h, const __u8 *buf)
{
	struct kf_http1_run run = { .h = h, .buf = buf };
	_Bool empty = h->value_off == h->value_end;

	kf_loop(KF_HTTP1_HOST_MAX / 8, kf_http1_skip_host, &run);
	if (empty || h->value_off != h->value_end)
		return kf_http1_fault(h, KF_DETAIL_HOST);
	return KF_HTTP1_ON;
}

/* RFC 9110 section 10.1.1; from HTTP/1.0 it is to be ignored. */
KF_INLINE long kf_http1_value_expect(struct kf_http1 *h, const __u8 *buf)
{
	__u32 len = h->value_end - h->value_off;
	__u64 first = kf_http1_word(buf, h->value_off) | KF_HTTP1_LOWER;
	__u64 rest = (kf_http1_word(buf, h->value_off + 8) | KF_HTTP1_LOWER) & kf_swar_low(4);

	if (len != 12 || first != KF_SWAR_TEXT('1', '0', '0', '-', 'c', 'o', 'n', 't') ||
	    rest != KF_SWAR_TEXT('i', 'n', 'u', 'e', 0, 0, 0, 0))
		return kf_http1_fault(h, KF_DETAIL_EXPECT);
	h->expect_continue = h->minor;
	return KF_HTTP1_ON;
}

KF_INLINE long kf_http1_value_upgrade(struct kf_http1 *h, const __u8 *buf)
{
	__u32 len = h->value_end - h->value_off;
	__u64 first = kf_http1_word(buf, h->value_off) | KF_HTTP1_LOWER;
	__u8 last = kf_http1_byte(buf, h->value_off + 8) | 0x20;

	h->upgrade_name_off = h->line_off;
	if (len == 3 && (first & kf_swar_low(3)) == KF_SWAR_TEXT('h', '2', 'c', 0, 0, 0, 0, 0))
		h->upgrade = KF_UPGRADE_H2C;
	else if (len == 9 && last == 't' &&
		 first == KF_SWAR_TEXT('w', 'e', 'b', 's', 'o', 'c', 'k', 'e'))
		h->upgrade = KF_UPGRADE_WEBSOCKET;
	else
		h->upgrade = KF_UPGRADE_OTHER;
	return KF_HTTP1_ON;
}

KF_INLINE long kf_http1_value_encoding(struct kf_http1 *h, const __u8 *buf)
{
	__u32 len = h->value_end - h->value_off;
	__u64 word = kf_http1_word(buf, h->value_off) | KF_HTTP1_LOWER;

	if (len && (len != 8 || word != KF_SWAR_TEXT('i', 'd', 'e', 'n', 't', 'i', 't', 'y')))
		h->content_encoded = 1;
	return KF_HTTP1_ON;
}

#endif /* KEYFILTER_HTTP1_VALUE_H */
