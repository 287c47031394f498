/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * http1_field.h - field lines: where a name and a value begin and end, and which field it is.
 *
 * A step at a time. The common line, a name of A-Za-z0-9- up to 32 bytes and a value up to 70,
 * takes one step; http1_once.h is asked only for the fields that decide. Sources: RFC 9112 section
 * 5, RFC 9110 section 5.
 */
#ifndef KEYFILTER_HTTP1_FIELD_H
#define KEYFILTER_HTTP1_FIELD_H

#include "http1_char.h"
#include "http1_once.h"
#include "http1_state.h"
#include "http1_subprotocol.h"
#include "swar.h"

/* ---- lines ----------------------------------------------------------------------------------- */

/* The next control byte at or behind @off, or 64 bytes on if none comes before that. */
KF_INLINE __u32 kf_http1_skip_text(const __u8 *buf, __u32 offset)
{
	__u64 off = kf_http1_bound(offset);
	const __u8 *at = buf + off;

	for (__u32 i = 0; i < 64; i += 8) {
		__u64 mask = kf_swar_control(kf_swar_load(at + i));

		if (mask)
			return (__u32)(off + i + kf_swar_first(mask));
	}
	return (__u32)off + 64;
}

/* ---- long lines ------------------------------------------------------------------------------ */

/* In the value of h->field. */
KF_INLINE long kf_http1_value_more(struct kf_http1 *h, const __u8 *buf, __u32 len)
{
	__u32 off = kf_http1_skip_text(buf, h->cursor);
	__u8 c = kf_http1_byte(buf, off);

	h->cursor = off < len ? off : len;
	if (kf_http1_is_long(h->line_off, h->cursor))
		return kf_http1_large(h);
	if (off >= len)
		return KF_HTTP1_STOP;
	if (c == '\r') {
		if (off + 1 >= len)
			return KF_HTTP1_STOP;
		if (kf_http1_byte(buf, off + 1) != '\n')
			return kf_http1_fault(h, KF_DETAIL_BARE_CR);
		kf_http1_go(h, KF_HTTP1_AT_FIELD, off + 2);
		if (++h->fields > KF_HTTP1_FIELDS_MAX)
			return kf_http1_large(h);
		if (h->field == KF_FIELD_WEBSOCKET_PROTOCOL)
			return kf_http1_subprotocol_begin(
				h, (struct kf_http1_text){ .off = h->value_off, .end = off });
		return h->field ? kf_http1_value_late(h, buf, off) : KF_HTTP1_ON;
	}
	if (c != '\t' && (c < 0x20 || c == 0x7f))
		return kf_http1_fault(h, kf_http1_char_detail(c, KF_DETAIL_CONTROL_BYTE));
	h->cursor = off + 1;
	return KF_HTTP1_ON;
}

/* At the blank line: its CR stands at @off. */
KF_INLINE long kf_http1_head_end(struct kf_http1 *h, const __u8 *buf, __u32 len, __u32 off)
{
	if (off + 1 >= len)
		return KF_HTTP1_STOP;
	if (kf_http1_byte(buf, off + 1) != '\n')
		return kf_http1_fault(h, KF_DETAIL_BARE_CR);
	if (!(h->seen & 1u << KF_FIELD_HOST))
		return kf_http1_fault(h, KF_DETAIL_HOST_MISSING);
	if ((h->content_length || h->chunked) && (KF_METHODS_BARE >> (h->method & 31) & 1))
		return kf_http1_fault(h, KF_DETAIL_CONTENT);
	h->head_len = off + 2;
	h->state = KF_HTTP1_AT_END;
	return KF_HTTP1_STOP;
}

/* A name that started at h->line_off cannot go on with @c. */
KF_INLINE long kf_http1_name_fault(struct kf_http1 *h, __u32 off, __u8 c)
{
	if (c == '\r')
		return kf_http1_fault(h, KF_DETAIL_FIELD_NAME);
	if (c == ' ' || c == '\t')
		return kf_http1_fault(h, off == h->line_off ? KF_DETAIL_OBS_FOLD
							    : KF_DETAIL_SPACE_BEFORE_COLON);
	return kf_http1_fault(h, kf_http1_char_detail(c, KF_DETAIL_FIELD_NAME));
}

/*
 * The line at h->line_off is not the common one: its name stops at @off, before 32 bytes, at
 * something else than ':'; or it is longer; or it is the blank line.
 */
static __attribute__((noinline)) long kf_http1_name_stop(struct kf_http1 *h, const __u8 *buf,
							 __u32 len, __u32 off)
{
	__u8 c = kf_http1_byte(buf, off);

	if (c == '\r' && off == h->line_off)
		return kf_http1_head_end(h, buf, len, off);
	if (off == h->line_off ? !kf_http1_char_is(c, KF_CHAR_TOKEN)
			       : c != ':' && !kf_http1_char_is(c, KF_CHAR_TOKEN))
		return kf_http1_name_fault(h, off, c);
	kf_http1_name_begin(h);
	return kf_http1_go(h, KF_HTTP1_AT_NAME, h->line_off);
}

/* How far kf_http1_scan_name() came. */
struct kf_http1_scan {
	const __u8 *at; /* the word in which the name ends */
	__u64 text;	/* that word */
	__u64 mask; /* what in it does not belong to a common name; 0: 32 bytes are not enough */
};

/* Reads on in the next word of a name; returns it in lower case, zeros behind the name. */
KF_INLINE __u64 kf_http1_scan_word(struct kf_http1_scan *s, __u32 step)
{
	s->at += step;
	s->text = kf_swar_load(s->at);
	s->mask = kf_swar_not_name(s->text);
	return (s->text | KF_HTTP1_LOWER) & (s->mask ? kf_swar_below(s->mask) : ~0ull);
}

/* From a line's start to the end of its name; returns the field it names. */
KF_INLINE __u32 kf_http1_scan_name(struct kf_http1_scan *s)
{
	__u64 first, second, third;

	first = kf_http1_scan_word(s, 0);
	if (s->mask)
		return kf_http1_lookup(first, 0, 0);
	second = kf_http1_scan_word(s, 8);
	if (s->mask)
		return kf_http1_lookup(first, second, 0);
	third = kf_http1_scan_word(s, 8);
	if (s->mask)
		return kf_http1_lookup(first, second, third);
	kf_http1_scan_word(s, 8);
	return KF_FIELD_NONE;
}

/*
 * A line from its start. Nothing is kept until all bytes looked at are the request's own: before
 * that the line is simply read again. The line's end is searched for in the words in which the name
 * was, not from the name's end on: the next line's address is what all lines wait for, and so it
 * waits for one search only.
 */
KF_INLINE long kf_http1_field_line(struct kf_http1 *h, const __u8 *buf, __u32 len)
{
	__u64 start = kf_http1_bound(h->cursor), end, stop;
	struct kf_http1_scan s = { .at = buf + start };
	__u32 field = kf_http1_scan_name(&s);
	const __u8 *at = s.at, *colon = at + (s.mask ? kf_swar_first(s.mask) : 7);
	struct kf_http1_text t;

	end = kf_http1_offset(buf, colon);
	if (end >= len)
		return KF_HTTP1_STOP;
	if (!s.mask || *colon != ':' || end == start) {
		h->line_off = (__u32)start;
		return kf_http1_name_stop(h, buf, len, (__u32)end);
	}
#pragma GCC unroll 10
	for (__u32 i = 0; i < 10; i++) {
		s.mask = kf_swar_control(s.text);
		if (s.mask)
			break;
		at += 8;
		s.text = kf_swar_load(at);
	}
	at += s.mask ? kf_swar_first(s.mask) : 0;
	stop = kf_http1_offset(buf, at);
	if (stop >= len)
		return KF_HTTP1_STOP;
	/* one address, however many words it took: the verifier need not follow each further */
	at = buf + kf_http1_bound(stop);
	t.off = (__u32)end + 1 + (kf_http1_byte(buf, end + 1) == ' ');
	t.end = (__u32)stop;
	h->line_off = (__u32)start;
	if (at[0] == '\r' && at[1] == '\n' && stop + 1 < len) {
		h->cursor = (__u32)stop + 2;
		if (++h->fields > KF_HTTP1_FIELDS_MAX)
			return kf_http1_large(h);
		if (field == KF_FIELD_WEBSOCKET_PROTOCOL)
			return kf_http1_subprotocol_begin(h, t);
		return field ? kf_http1_value(h, buf, field, t) : KF_HTTP1_ON;
	}
	/* a long value, one with HTAB, one cut before LF, a fault: looked at in the next step */
	h->field = (__u8)field;
	h->value_off = t.off;
	return kf_http1_go(h, KF_HTTP1_AT_VALUE, t.end);
}

/* One byte of a name that is read closely. */
KF_INLINE long kf_http1_name_more(struct kf_http1 *h, const __u8 *buf, __u32 len)
{
	__u32 off = h->cursor;
	__u8 c = kf_http1_byte(buf, off);

	if (off >= len)
		return KF_HTTP1_STOP;
	if (c == ':') {
		h->field = (__u8)kf_http1_name_field(h);
		if (h->field && h->odd_name)
			return kf_http1_fault(h, KF_DETAIL_FIELD_ALIAS);
		h->value_off = off + 1;
		return kf_http1_go(h, KF_HTTP1_AT_VALUE, off + 1);
	}
	if (!kf_http1_char_is(c, KF_CHAR_TOKEN))
		return kf_http1_name_fault(h, off, c);
	kf_http1_name_add(h, c);
	h->cursor = off + 1;
	return kf_http1_is_long(h->line_off, off + 1) ? kf_http1_large(h) : KF_HTTP1_ON;
}

/* Inside a line: what kf_http1_field_line() could not take in one step. */
KF_INLINE long kf_http1_field_more(struct kf_http1 *h, const __u8 *buf, __u32 len)
{
	switch (h->state) {
	case KF_HTTP1_AT_NAME:
		return kf_http1_name_more(h, buf, len);
	case KF_HTTP1_AT_AGREE:
		return kf_http1_agree(h, buf);
	case KF_HTTP1_AT_SUBPROTOCOL:
		return kf_http1_subprotocol(h, buf);
	default:
		return kf_http1_value_more(h, buf, len);
	}
}

#endif /* KEYFILTER_HTTP1_FIELD_H */
