/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * http1_field.h - field lines: where a name and a value begin and end, and which field it is.
 *
 * Called by http1.h, a step at a time. The common line, a name of A-Za-z0-9- up to 32 bytes and a
 * value up to 70, takes one step; http1_value.h is asked only for the fields that decide. Sources:
 * RFC 9112 section 5, RFC 9110 section 5.
 */
#ifndef KEYFILTER_HTTP1_FIELD_H
#define KEYFILTER_HTTP1_FIELD_H

#include "http1_char.h"
#include "http1_state.h"
#include "http1_value.h"
#include "swar.h"

/* ---- which field ---------------------------------------------------------------------------- */

struct kf_http1_name {
	__u64 word[3]; /* lower case, first byte lowest */
	__u64 field;   /* enum kf_http1_field */
};

/*
 * A perfect hash: KF_HTTP1_NAME_HASH was searched for so that each name has a place of its own;
 * http1_test.c checks that each is found where it stands.
 */
#define KF_HTTP1_NAME_HASH 0x6816de060a04ef49ull

#define KF_T		   KF_SWAR_TEXT
/* clang-format off */
static const struct kf_http1_name kf_http1_names[16] = {
	[0] = { { KF_T('c', 'o', 'n', 't', 'e', 'n', 't', '-'),
		  KF_T('e', 'n', 'c', 'o', 'd', 'i', 'n', 'g') },
		KF_FIELD_CONTENT_ENCODING },
	[2] = { { KF_T('s', 'e', 'c', '-', 'w', 'e', 'b', 's'),
		  KF_T('o', 'c', 'k', 'e', 't', '-', 'p', 'r'),
		  KF_T('o', 't', 'o', 'c', 'o', 'l', 0, 0) },
		KF_FIELD_WEBSOCKET_PROTOCOL },
	[3] = { { KF_T('c', 'o', 'n', 'n', 'e', 'c', 't', 'i'), KF_T('o', 'n', 0, 0, 0, 0, 0, 0) },
		KF_FIELD_CONNECTION },
	[4] = { { KF_T('x', '-', 'g', 'o', 'o', 'g', '-', 'a'),
		  KF_T('p', 'i', '-', 'k', 'e', 'y', 0, 0) },
		KF_FIELD_X_GOOG },
	[6] = { { KF_T('e', 'x', 'p', 'e', 'c', 't', 0, 0) }, KF_FIELD_EXPECT },
	[7] = { { KF_T('c', 'o', 'n', 't', 'e', 'n', 't', '-'),
		   KF_T('l', 'e', 'n', 'g', 't', 'h', 0, 0) },
		 KF_FIELD_CONTENT_LENGTH },
	[9] = { { KF_T('a', 'u', 't', 'h', 'o', 'r', 'i', 'z'),
		  KF_T('a', 't', 'i', 'o', 'n', 0, 0, 0) },
		KF_FIELD_AUTHORIZATION },
	[10] = { { KF_T('h', 'o', 's', 't', 0, 0, 0, 0) }, KF_FIELD_HOST },
	[11] = { { KF_T('u', 'p', 'g', 'r', 'a', 'd', 'e', 0) }, KF_FIELD_UPGRADE },
	[12] = { { KF_T('a', 'p', 'i', '-', 'k', 'e', 'y', 0) }, KF_FIELD_API_KEY },
	[14] = { { KF_T('t', 'r', 'a', 'n', 's', 'f', 'e', 'r'),
		   KF_T('-', 'e', 'n', 'c', 'o', 'd', 'i', 'n'), 'g' },
		 KF_FIELD_TRANSFER_ENCODING },
	[15] = { { KF_T('x', '-', 'a', 'p', 'i', '-', 'k', 'e'), 'y' }, KF_FIELD_X_API_KEY },
};
/* clang-format on */
#undef KF_T

/* The field whose name, in lower case and padded with zeros, is these three words. */
KF_INLINE __u32 kf_http1_lookup(__u64 first, __u64 second, __u64 third)
{
	const struct kf_http1_name *name;
	__u64 slot = ((first ^ second) * KF_HTTP1_NAME_HASH) >> 60;

	name = &kf_http1_names[slot & 15];
	if (name->word[0] != first || name->word[1] != second || name->word[2] != third)
		return KF_FIELD_NONE;
	return (__u32)name->field;
}

/* ---- names byte by byte, for Connection's tokens and odd field names ------------------------ */

KF_INLINE void kf_http1_name_begin(struct kf_http1 *h)
{
	h->name[0] = h->name[1] = h->name[2] = h->name[3] = 0;
	h->name_len = 0;
	h->odd_name = 0;
}

KF_INLINE void kf_http1_name_add(struct kf_http1 *h, __u8 c)
{
	__u32 place = h->name_len;
	__u8 folded = kf_http1_char_fold(c);

	h->odd_name |= folded != (c | 0x20);
	if (place >= 32)
		return;
	h->name[place >> 3 & 3] |= (__u64)folded << (place * 8 & 63);
	h->name_len = place + 1;
}

KF_INLINE __u32 kf_http1_name_field(const struct kf_http1 *h)
{
	return h->name[3] ? KF_FIELD_NONE : kf_http1_lookup(h->name[0], h->name[1], h->name[2]);
}

/* ---- Connection (RFC 9110 section 7.6.1) ---------------------------------------------------- */

/*
 * A field named here is removed by the next hop, after we have judged the request by it: naming one
 * that decides changes what the backend sees. `upgrade` and `close` are what the field is for.
 */
KF_INLINE long kf_http1_connection_token(struct kf_http1 *h)
{
	__u32 field;

	if (!h->name_len)
		return KF_HTTP1_ON;
	field = kf_http1_name_field(h);
	if (field != KF_FIELD_NONE && field != KF_FIELD_UPGRADE)
		return kf_http1_fault(h, KF_DETAIL_CONNECTION);
	if (field == KF_FIELD_UPGRADE)
		h->connection_upgrade = 1;
	if (h->name[0] == KF_SWAR_TEXT('c', 'l', 'o', 's', 'e', 0, 0, 0))
		h->connection_close = 1;
	if (h->name[0] == KF_SWAR_TEXT('k', 'e', 'e', 'p', '-', 'a', 'l', 'i') &&
	    h->name[1] == KF_SWAR_TEXT('v', 'e', 0, 0, 0, 0, 0, 0))
		h->connection_keep_alive = 1;
	kf_http1_name_begin(h);
	return KF_HTTP1_ON;
}

static long kf_http1_connection_step(unsigned int index, void *context)
{
	struct kf_http1_run *run = context;
	struct kf_http1 *h = run->h;
	__u8 c = kf_http1_byte(run->buf, h->value_off);

	(void)index;
	if (h->value_off >= h->value_end) {
		kf_http1_connection_token(h);
		return KF_HTTP1_STOP;
	}
	h->value_off++;
	if (c == ',' || kf_http1_is_space(c))
		return kf_http1_connection_token(h);
	if (!kf_http1_char_is(c, KF_CHAR_TOKEN))
		return kf_http1_fault(h, KF_DETAIL_CONNECTION);
	kf_http1_name_add(h, c);
	return KF_HTTP1_ON;
}

KF_INLINE long kf_http1_value_connection(struct kf_http1 *h, const __u8 *buf,
					 struct kf_http1_text t)
{
	struct kf_http1_run run = { .h = h, .buf = buf };
	__u32 len = t.end - t.off;
	__u64 word = kf_http1_word(buf, t.off) | KF_HTTP1_LOWER;
	__u64 rest = kf_http1_word(buf, t.off + 8) | KF_HTTP1_LOWER;

	/* what every client sends, at once */
	if (len == 10 && word == KF_SWAR_TEXT('k', 'e', 'e', 'p', '-', 'a', 'l', 'i') &&
	    (rest & kf_swar_low(2)) == KF_SWAR_TEXT('v', 'e', 0, 0, 0, 0, 0, 0)) {
		h->connection_keep_alive = 1;
		return KF_HTTP1_ON;
	}
	h->value_off = t.off;
	h->value_end = t.end;
	kf_http1_name_begin(h);
	kf_loop(KF_HEAD_MAX, kf_http1_connection_step, &run);
	return h->state == KF_HTTP1_AT_FAULT ? KF_HTTP1_STOP : KF_HTTP1_ON;
}

/* ---- what may stand once -------------------------------------------------------------------- */

/* The cause to name when @field is met again; KF_DETAIL_NONE where that is no fault. */
KF_INLINE enum kf_detail kf_http1_twice(__u32 field)
{
	/* not 16 or 32 bytes: clang would put it into .rodata.cst16, whose BTF no kernel takes */
	static const __u8 twice[17] = {
		[KF_FIELD_AUTHORIZATION] = KF_DETAIL_KEY_TWICE,
		[KF_FIELD_X_API_KEY] = KF_DETAIL_KEY_TWICE,
		[KF_FIELD_API_KEY] = KF_DETAIL_KEY_TWICE,
		[KF_FIELD_X_GOOG] = KF_DETAIL_KEY_TWICE,
		[KF_FIELD_WEBSOCKET_PROTOCOL] = KF_DETAIL_KEY_TWICE,
		[KF_FIELD_HOST] = KF_DETAIL_HOST_TWICE,
		[KF_FIELD_CONTENT_LENGTH] = KF_DETAIL_LENGTH_TWICE,
		[KF_FIELD_TRANSFER_ENCODING] = KF_DETAIL_ENCODING_TWICE,
		[KF_FIELD_EXPECT] = KF_DETAIL_EXPECT,
		[KF_FIELD_UPGRADE] = KF_DETAIL_UPGRADE_TWICE,
	};

	return (enum kf_detail)twice[field & 15];
}

/* The source that @field is, if it may give a key here, or 0. */
KF_INLINE __u8 kf_http1_source(const struct kf_http1 *h, __u32 field)
{
	_Static_assert(1u << (KF_FIELD_AUTHORIZATION - 1) == KF_KEY_BEARER, "order");
	_Static_assert(1u << (KF_FIELD_X_API_KEY - 1) == KF_KEY_X_API_KEY, "order");
	_Static_assert(1u << (KF_FIELD_API_KEY - 1) == KF_KEY_API_KEY, "order");
	_Static_assert(1u << (KF_FIELD_X_GOOG - 1) == KF_KEY_X_GOOG, "order");
	_Static_assert(1u << (KF_FIELD_QUERY - 1) == KF_KEY_QUERY, "order");
	_Static_assert(1u << (KF_FIELD_WEBSOCKET_PROTOCOL - 1) == KF_KEY_WEBSOCKET, "order");

	return (__u8)((1u << ((field - 1) & 31)) & h->key_sources);
}

/* The line of a field that decides is complete; its value is @t, with white space around. */
KF_INLINE long kf_http1_value(struct kf_http1 *h, const __u8 *buf, __u32 field,
			      struct kf_http1_text t)
{
	enum kf_detail twice = kf_http1_twice(field);
	__u8 source;

	if (kf_http1_again(h, field) && twice)
		return kf_http1_fault(h, twice);
	kf_http1_trim(h, buf, &t);
	if (field == KF_FIELD_WEBSOCKET_PROTOCOL) /* not the line's value, but a key in it */
		return kf_http1_key(h, buf, KF_KEY_WEBSOCKET, t);
	if (field <= KF_FIELD_X_GOOG) {
		source = kf_http1_source(h, field);
		if (!source || (source == KF_KEY_BEARER && !kf_http1_bearer(h, buf, &t)))
			return KF_HTTP1_ON;
		return kf_http1_value_key(h, buf, source, t);
	}
	switch (field) {
	case KF_FIELD_HOST:
		return kf_http1_value_host(h, buf, t);
	case KF_FIELD_CONTENT_LENGTH:
		return kf_http1_value_length(h, buf, t);
	case KF_FIELD_CONNECTION:
		return kf_http1_value_connection(h, buf, t);
	case KF_FIELD_TRANSFER_ENCODING:
		return kf_http1_value_transfer(h, buf, t);
	case KF_FIELD_EXPECT:
		return kf_http1_value_expect(h, buf, t);
	case KF_FIELD_UPGRADE:
		return kf_http1_value_upgrade(h, buf, t);
	default:
		return kf_http1_value_encoding(h, buf, t);
	}
}

/* ---- lines ---------------------------------------------------------------------------------- */

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

/* The line that began at h->line_off and went on over several steps is complete before @end. */
static __attribute__((noinline)) long kf_http1_value_late(struct kf_http1 *h, const __u8 *buf,
							  __u32 end)
{
	struct kf_http1_text t = { .off = h->value_off, .end = end };

	return kf_http1_value(h, buf, h->field & 15, t);
}

/* ---- Host and absolute-form ----------------------------------------------------------------- */

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

/* ---- Sec-WebSocket-Protocol ----------------------------------------------------------------- */

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

/* ---- long lines ----------------------------------------------------------------------------- */

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
