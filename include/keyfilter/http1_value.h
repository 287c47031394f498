/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * http1_value.h - the values of the fields that decide: keys, framing, Host, Upgrade and their
 * like.
 *
 * For a line that is complete, given where the value is; its bytes are known to hold no control
 * byte but HTAB, and a CR stands behind it. Writes the results of struct kf_http1. Each function
 * returns what a step returns (http1_state.h). What is common is done in place and in registers; a
 * loop, whose cursors have to live in struct kf_http1, is for what is long or odd.
 */
#ifndef KEYFILTER_HTTP1_VALUE_H
#define KEYFILTER_HTTP1_VALUE_H

#include "http1_char.h"
#include "http1_state.h"
#include "swar.h"

/* Or it on: letters become lower case, digits and the hyphen stay. */
#define KF_HTTP1_LOWER KF_SWAR(0x20)

/* ---- optional white space around a value (RFC 9110 section 5.6.3) ---------------------------- */

/* The bytes from @off up to @end. */
struct kf_http1_text {
	__u32 off;
	__u32 end;
};

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

KF_INLINE void kf_http1_trim(struct kf_http1 *h, const __u8 *buf, struct kf_http1_text *t)
{
	struct kf_http1_run run = { .h = h, .buf = buf };

	/* nearly every value has none left: look before looping */
	if (!kf_http1_is_space(kf_http1_byte(buf, t->off)) &&
	    !kf_http1_is_space(kf_http1_byte(buf, t->end - 1)))
		return;
	h->value_off = t->off;
	h->value_end = t->end;
	kf_loop(KF_HEAD_MAX, kf_http1_trim_start, &run);
	kf_loop(KF_HEAD_MAX, kf_http1_trim_end, &run);
	t->off = h->value_off;
	t->end = h->value_end;
}

/* ---- keys ------------------------------------------------------------------------------------ */

/*
 * The next byte at or behind @offset that is not VCHAR, or 64 bytes on if none comes before that.
 */
KF_INLINE __u32 kf_http1_skip_vchar(const __u8 *buf, __u32 offset)
{
	__u64 off = kf_http1_bound(offset);
	const __u8 *at = buf + off;

#pragma GCC unroll 8
	for (__u32 i = 0; i < 64; i += 8) {
		__u64 mask = kf_swar_not_vchar(kf_swar_load(at + i));

		if (mask)
			return (__u32)(off + i + kf_swar_first(mask));
	}
	return (__u32)off + 64;
}

/* On from value_off to the next byte that is not VCHAR. */
static long kf_http1_skip_vchars(unsigned int index, void *context)
{
	struct kf_http1_run *run = context;
	__u32 stop = kf_http1_skip_vchar(run->buf, run->h->value_off);
	_Bool more = stop == run->h->value_off + 64;

	(void)index;
	run->h->value_off = stop;
	return more ? KF_HTTP1_ON : KF_HTTP1_STOP;
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

/* A key is found: the first is taken, any other must be equal. */
KF_INLINE long kf_http1_key(struct kf_http1 *h, const __u8 *buf, __u8 source,
			    struct kf_http1_text t)
{
	struct kf_http1_run run = { .h = h, .buf = buf };
	__u32 len = t.end - t.off;

	if (!len)
		return KF_HTTP1_ON;
	if (!h->key_len) {
		h->key_off = t.off;
		h->key_len = len;
		h->key_source = source;
		return KF_HTTP1_ON;
	}
	if (h->key_len != len)
		return kf_http1_fault(h, KF_DETAIL_KEYS_DISAGREE);
	h->value_off = t.off;
	h->value_end = len;
	kf_loop(KF_HEAD_MAX / 8, kf_http1_compare_keys, &run);
	return h->detail ? kf_http1_fault(h, KF_DETAIL_KEYS_DISAGREE) : KF_HTTP1_ON;
}

/* The whole trimmed value is the key; no VCHAR stands behind it. */
KF_INLINE long kf_http1_value_key(struct kf_http1 *h, const __u8 *buf, __u8 source,
				  struct kf_http1_text t)
{
	struct kf_http1_run run = { .h = h, .buf = buf };
	__u32 stop = kf_http1_skip_vchar(buf, t.off);

	if (stop == t.off + 64) {
		h->value_off = stop;
		kf_loop(KF_HEAD_MAX / 64, kf_http1_skip_vchars, &run);
		stop = h->value_off;
	}
	if (stop != t.end)
		return kf_http1_fault(h, KF_DETAIL_KEY_BYTES);
	return kf_http1_key(h, buf, source, t);
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
 * RFC 9110 section 11.4: auth-scheme 1*SP token68. Moves @t to the key; returns whether there is
 * one, or else another scheme, or nothing.
 */
KF_INLINE _Bool kf_http1_bearer(struct kf_http1 *h, const __u8 *buf, struct kf_http1_text *t)
{
	struct kf_http1_run run = { .h = h, .buf = buf };
	__u64 scheme = (kf_http1_word(buf, t->off) | KF_HTTP1_LOWER) & kf_swar_low(6);
	__u8 next = kf_http1_byte(buf, t->off + 6);

	if (t->end - t->off <= 6 || scheme != KF_SWAR_TEXT('b', 'e', 'a', 'r', 'e', 'r', 0, 0))
		return 0;
	/*
	 * a scheme set off by HTAB is one to some servers: leave it there, where no key may have it
	 */
	if (next != ' ') {
		t->off += 6;
		return next == '\t';
	}
	t->off += 7;
	if (kf_http1_byte(buf, t->off) != ' ')
		return 1;
	h->value_off = t->off;
	kf_loop(KF_HEAD_MAX, kf_http1_skip_spaces, &run);
	t->off = h->value_off;
	return 1;
}

/* ---- framing (RFC 9112 section 6) ------------------------------------------------------------ */

/*
 * A body of more bytes can be sent in chunks. Servers that keep a length in 31 or 32 bits would
 * find the next request inside it.
 */
#define KF_HTTP1_LENGTH_MAX    0x7fffffffu
#define KF_HTTP1_LENGTH_DIGITS 10 /* leading zeros included */
#define KF_HTTP1_NO_NUMBER     (~0ull)

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

/* RFC 9110 section 8.6: 1*DIGIT. More than 10 of them are refused whatever they say. */
KF_INLINE long kf_http1_value_length(struct kf_http1 *h, const __u8 *buf, struct kf_http1_text t)
{
	__u32 end = t.end, len = t.end - t.off;
	__u64 low, high;

	if (!len)
		return kf_http1_fault(h, KF_DETAIL_LENGTH_NOT_DIGITS);
	low = kf_http1_digits(buf, end, len);
	high = len > 8 ? kf_http1_digits(buf, end - 8, len - 8) : 0;
	if (low == KF_HTTP1_NO_NUMBER || high == KF_HTTP1_NO_NUMBER)
		return kf_http1_fault(h, KF_DETAIL_LENGTH_NOT_DIGITS);
	h->content_length = high * 100000000 + low;
	if (len > KF_HTTP1_LENGTH_DIGITS || h->content_length > KF_HTTP1_LENGTH_MAX)
		return kf_http1_fault(h, KF_DETAIL_LENGTH_OVERFLOW);
	h->has_content_length = 1;
	return h->chunked ? kf_http1_fault(h, KF_DETAIL_LENGTH_AND_ENCODING) : KF_HTTP1_ON;
}

/* Exactly `chunked`, and in HTTP/1.1 only: HTTP/1.0 has no transfer codings (RFC 9112 6.1). */
KF_INLINE long kf_http1_value_transfer(struct kf_http1 *h, const __u8 *buf, struct kf_http1_text t)
{
	__u32 len = t.end - t.off;
	__u64 word = (kf_http1_word(buf, t.off) | KF_HTTP1_LOWER) & kf_swar_low(7);

	if (h->minor == 0 || len != 7 || word != KF_SWAR_TEXT('c', 'h', 'u', 'n', 'k', 'e', 'd', 0))
		return kf_http1_fault(h, KF_DETAIL_TRANSFER_ENCODING);
	h->chunked = 1;
	return h->has_content_length ? kf_http1_fault(h, KF_DETAIL_LENGTH_AND_ENCODING)
				     : KF_HTTP1_ON;
}

/* ---- the others ------------------------------------------------------------------------------ */

/* The next byte at or behind @offset that cannot stand in a host, or 32 bytes on. */
KF_INLINE __u32 kf_http1_skip_host(const __u8 *buf, __u32 offset)
{
	__u64 off = kf_http1_bound(offset);
	const __u8 *at = buf + off;

	for (__u32 i = 0; i < 32; i += 8) {
		__u64 mask = kf_swar_not_host(kf_swar_load(at + i));

		if (mask)
			return (__u32)(off + i + kf_swar_first(mask));
	}
	return (__u32)off + 32;
}

/* On from value_off to the next byte that cannot. */
static long kf_http1_skip_hosts(unsigned int index, void *context)
{
	struct kf_http1_run *run = context;
	__u32 stop = kf_http1_skip_host(run->buf, run->h->value_off);
	_Bool more = stop == run->h->value_off + 32;

	(void)index;
	run->h->value_off = stop;
	return more ? KF_HTTP1_ON : KF_HTTP1_STOP;
}

#define KF_HTTP1_HOST_MAX 288 /* a name of 255 bytes, a colon and a port, in whole steps */

/* The target has an authority of its own: Host is compared with it in the next steps. */
KF_INLINE long kf_http1_agree_begin(struct kf_http1 *h, struct kf_http1_text t)
{
	if (t.end - t.off != h->authority_len)
		return kf_http1_fault(h, KF_DETAIL_HOST_DISAGREES);
	h->value_off = t.off;
	h->value_end = 0; /* bytes compared */
	h->state = KF_HTTP1_AT_AGREE;
	return KF_HTTP1_ON;
}

/*
 * RFC 9112 section 3.2. Narrower than RFC 3986: no userinfo, no percent-encoding, no sub-delims; an
 * empty Host is only right for a target that has no authority, which no API client sends.
 */
KF_INLINE long kf_http1_value_host(struct kf_http1 *h, const __u8 *buf, struct kf_http1_text t)
{
	struct kf_http1_run run = { .h = h, .buf = buf };
	__u32 stop = kf_http1_skip_host(buf, t.off);

	if (stop == t.off + 32) {
		h->value_off = stop;
		kf_loop(KF_HTTP1_HOST_MAX / 32 - 1, kf_http1_skip_hosts, &run);
		stop = h->value_off;
	}
	if (t.off == t.end || stop != t.end)
		return kf_http1_fault(h, KF_DETAIL_HOST);
	return h->authority_len ? kf_http1_agree_begin(h, t) : KF_HTTP1_ON;
}

/* RFC 9110 section 10.1.1; from HTTP/1.0 it is to be ignored. */
KF_INLINE long kf_http1_value_expect(struct kf_http1 *h, const __u8 *buf, struct kf_http1_text t)
{
	__u32 len = t.end - t.off;
	__u64 first = kf_http1_word(buf, t.off) | KF_HTTP1_LOWER;
	__u64 rest = (kf_http1_word(buf, t.off + 8) | KF_HTTP1_LOWER) & kf_swar_low(4);

	if (len != 12 || first != KF_SWAR_TEXT('1', '0', '0', '-', 'c', 'o', 'n', 't') ||
	    rest != KF_SWAR_TEXT('i', 'n', 'u', 'e', 0, 0, 0, 0))
		return kf_http1_fault(h, KF_DETAIL_EXPECT);
	h->expect_continue = h->minor;
	return KF_HTTP1_ON;
}

KF_INLINE long kf_http1_value_upgrade(struct kf_http1 *h, const __u8 *buf, struct kf_http1_text t)
{
	__u32 len = t.end - t.off;
	__u64 first = kf_http1_word(buf, t.off) | KF_HTTP1_LOWER;
	__u8 last = kf_http1_byte(buf, t.off + 8) | 0x20;

	h->upgrade_name_off = h->line_off;
	h->upgrade_off = t.off;
	h->upgrade_len = len;
	if (len == 3 && (first & kf_swar_low(3)) == KF_SWAR_TEXT('h', '2', 'c', 0, 0, 0, 0, 0))
		h->upgrade = KF_UPGRADE_H2C;
	else if (len == 9 && last == 't' &&
		 first == KF_SWAR_TEXT('w', 'e', 'b', 's', 'o', 'c', 'k', 'e'))
		h->upgrade = KF_UPGRADE_WEBSOCKET;
	else
		h->upgrade = KF_UPGRADE_OTHER;
	return KF_HTTP1_ON;
}

KF_INLINE long kf_http1_value_encoding(struct kf_http1 *h, const __u8 *buf, struct kf_http1_text t)
{
	__u32 len = t.end - t.off;
	__u64 word = kf_http1_word(buf, t.off) | KF_HTTP1_LOWER;

	if (len && (len != 8 || word != KF_SWAR_TEXT('i', 'd', 'e', 'n', 't', 'i', 't', 'y')))
		h->content_encoded = 1;
	return KF_HTTP1_ON;
}

#endif /* KEYFILTER_HTTP1_VALUE_H */
