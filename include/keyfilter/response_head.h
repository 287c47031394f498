/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * response_head.h - reads the head of one HTTP/1.1 response, for what frames its body.
 *
 * A part of response.h, which has the contract and says what is doubtful. Two readers in one: byte
 * by byte, with all that is known in struct kf_response, for what is cut or uncommon; and whole
 * lines, eight bytes at a time, for the rest. They must agree on every line (response_fuzz.c).
 */
#ifndef KEYFILTER_RESPONSE_HEAD_H
#define KEYFILTER_RESPONSE_HEAD_H

#include "http1.h"

#define KF_RESPONSE_HEAD_MAX   16384 /* bytes of one head */
#define KF_RESPONSE_READ_MAX   1024  /* and of it in one call */
#define KF_RESPONSE_DIGITS_MAX 18    /* of Content-Length: below 2^60 */

enum kf_response_at {
	KF_RESPONSE_AT_VERSION,
	KF_RESPONSE_AT_STATUS,
	KF_RESPONSE_AT_STATUS_END,
	KF_RESPONSE_AT_LINE, /* at the first byte of a field line, or of the blank line */
	KF_RESPONSE_AT_NAME,
	KF_RESPONSE_AT_TEXT,  /* in the reason phrase, or in a value that does not matter */
	KF_RESPONSE_AT_VALUE, /* in one that does */
	KF_RESPONSE_AT_TAIL,  /* in white space behind it */
	KF_RESPONSE_AT_LINE_LF,
	KF_RESPONSE_AT_LAST_LF,
	KF_RESPONSE_AT_END,
	KF_RESPONSE_AT_FAULT,
};

/* The fields that frame; as bits what a head has, or which of them a name may still become. */
#define KF_RESPONSE_LENGTH   0x01u
#define KF_RESPONSE_TRANSFER 0x02u

/* What is known of the head that is being read. All zero: nothing was read yet. */
struct kf_response {
	__u64 length;	/* Content-Length so far */
	__u16 head_len; /* bytes of it behind us */
	__u16 used;	/* of these in this call */
	__u16 status;
	__u8 state; /* enum kf_response_at */
	__u8 item;  /* bytes of this name, digits of this number, letters of this word */
	__u8 field; /* the line's, once its name is read; before, what it may become */
	__u8 seen;
	__u8 old; /* HTTP/1.0 */
	__u8 pad[5];
};
_Static_assert(sizeof(struct kf_response) == 24, "struct kf_response changed its size");

/* What a step returns. */
#define KF_RESPONSE_ON	 0
#define KF_RESPONSE_STOP 1

KF_INLINE long kf_response_go(struct kf_response *r, enum kf_response_at state)
{
	r->state = (__u8)state;
	r->item = 0;
	return KF_RESPONSE_ON;
}

KF_INLINE long kf_response_fault(struct kf_response *r)
{
	r->state = KF_RESPONSE_AT_FAULT;
	return KF_RESPONSE_STOP;
}

/* ---- byte by byte: pieces of lines, and all that is not common ------------------------------- */

/* Byte @index, 0 to 23, of a word of up to 24 characters. */
KF_INLINE __u8 kf_response_letter(__u64 first, __u64 second, __u64 third, __u32 index)
{
	__u64 word = index < 8 ? first : index < 16 ? second : third;

	return (__u8)(word >> ((index & 7) * 8));
}

#define KF_T KF_SWAR_TEXT

/* "HTTP/1.1 200 OK": this version or 1.0, then three digits. */
KF_INLINE long kf_response_version(struct kf_response *r, __u8 byte)
{
	__u8 want =
		kf_response_letter(KF_T('H', 'T', 'T', 'P', '/', '1', '.', '1'), ' ', 0, r->item);

	if (byte != want && !(r->item == 7 && byte == '0'))
		return kf_response_fault(r);
	if (r->item == 7)
		r->old = byte == '0';
	return ++r->item < 9 ? KF_RESPONSE_ON : kf_response_go(r, KF_RESPONSE_AT_STATUS);
}

KF_INLINE long kf_response_status(struct kf_response *r, __u8 byte)
{
	if (byte < '0' || byte > '9' || (!r->item && (byte < '1' || byte > '5')))
		return kf_response_fault(r);
	r->status = (__u16)(r->status * 10 + byte - '0');
	return ++r->item < 3 ? KF_RESPONSE_ON : kf_response_go(r, KF_RESPONSE_AT_STATUS_END);
}

/* Some servers leave out the space before a reason phrase that is empty. */
KF_INLINE long kf_response_status_end(struct kf_response *r, __u8 byte)
{
	if (byte == ' ')
		return kf_response_go(r, KF_RESPONSE_AT_TEXT);
	return byte == '\r' ? kf_response_go(r, KF_RESPONSE_AT_LINE_LF) : kf_response_fault(r);
}

/* A field that frames may stand once, and not beside the other one. */
KF_INLINE long kf_response_field(struct kf_response *r, __u8 field)
{
	if (r->seen)
		return kf_response_fault(r);
	r->seen = field;
	return KF_RESPONSE_ON;
}

/* The name is complete. One that only begins like `Transfer-Encoding` is shorter than it. */
KF_INLINE long kf_response_colon(struct kf_response *r)
{
	if (!(r->field == KF_RESPONSE_LENGTH && r->item == 14) &&
	    !(r->field == KF_RESPONSE_TRANSFER && r->item == 17))
		return kf_response_go(r, KF_RESPONSE_AT_TEXT);
	kf_response_go(r, KF_RESPONSE_AT_VALUE);
	return kf_response_field(r, r->field);
}

KF_INLINE long kf_response_name(struct kf_response *r, __u8 byte)
{
	__u8 lower = byte | 0x20;

	if (!kf_http1_char_is(byte, KF_CHAR_TOKEN))
		return byte == ':' ? kf_response_colon(r) : kf_response_fault(r);
	if (lower != kf_response_letter(KF_T('c', 'o', 'n', 't', 'e', 'n', 't', '-'),
					KF_T('l', 'e', 'n', 'g', 't', 'h', 0, 0), 0, r->item))
		r->field &= ~KF_RESPONSE_LENGTH;
	if (lower != kf_response_letter(KF_T('t', 'r', 'a', 'n', 's', 'f', 'e', 'r'),
					KF_T('-', 'e', 'n', 'c', 'o', 'd', 'i', 'n'), 'g', r->item))
		r->field &= ~KF_RESPONSE_TRANSFER;
	if (r->item < 23)
		r->item++;
	return KF_RESPONSE_ON;
}

KF_INLINE long kf_response_line_begin(struct kf_response *r, __u8 byte)
{
	if (byte == '\r')
		return kf_response_go(r, KF_RESPONSE_AT_LAST_LF);
	if (byte == ':')
		return kf_response_fault(r);
	r->field = KF_RESPONSE_LENGTH | KF_RESPONSE_TRANSFER;
	kf_response_go(r, KF_RESPONSE_AT_NAME);
	return kf_response_name(r, byte);
}

KF_INLINE long kf_response_text(struct kf_response *r, __u8 byte)
{
	if (byte == '\r')
		return kf_response_go(r, KF_RESPONSE_AT_LINE_LF);
	return (byte < 0x20 && byte != '\t') || byte == 0x7f ? kf_response_fault(r)
							     : KF_RESPONSE_ON;
}

/* A value that frames: 1*DIGIT or `chunked`, white space around it. */
KF_INLINE long kf_response_value(struct kf_response *r, __u8 byte)
{
	_Bool number = r->field == KF_RESPONSE_LENGTH;
	_Bool whole = number ? r->item > 0 : r->item == 7;

	if (byte == ' ' || byte == '\t') {
		if (!r->item)
			return KF_RESPONSE_ON;
		return whole ? kf_response_go(r, KF_RESPONSE_AT_TAIL) : kf_response_fault(r);
	}
	if (byte == '\r')
		return whole ? kf_response_go(r, KF_RESPONSE_AT_LINE_LF) : kf_response_fault(r);
	if (number) {
		if (byte < '0' || byte > '9' || r->item >= KF_RESPONSE_DIGITS_MAX)
			return kf_response_fault(r);
		r->length = r->length * 10 + byte - '0';
	} else if ((byte | 0x20) !=
		   kf_response_letter(KF_T('c', 'h', 'u', 'n', 'k', 'e', 'd', 0), 0, 0, r->item)) {
		return kf_response_fault(r);
	}
	r->item++;
	return KF_RESPONSE_ON;
}

KF_INLINE long kf_response_tail(struct kf_response *r, __u8 byte)
{
	if (byte == '\r')
		return kf_response_go(r, KF_RESPONSE_AT_LINE_LF);
	return byte == ' ' || byte == '\t' ? KF_RESPONSE_ON : kf_response_fault(r);
}

KF_INLINE long kf_response_byte(struct kf_response *r, __u8 byte)
{
	switch (r->state) {
	case KF_RESPONSE_AT_VERSION:
		return kf_response_version(r, byte);
	case KF_RESPONSE_AT_STATUS:
		return kf_response_status(r, byte);
	case KF_RESPONSE_AT_STATUS_END:
		return kf_response_status_end(r, byte);
	case KF_RESPONSE_AT_LINE:
		return kf_response_line_begin(r, byte);
	case KF_RESPONSE_AT_NAME:
		return kf_response_name(r, byte);
	case KF_RESPONSE_AT_TEXT:
		return kf_response_text(r, byte);
	case KF_RESPONSE_AT_VALUE:
		return kf_response_value(r, byte);
	case KF_RESPONSE_AT_TAIL:
		return kf_response_tail(r, byte);
	case KF_RESPONSE_AT_LINE_LF:
		return byte == '\n' ? kf_response_go(r, KF_RESPONSE_AT_LINE) : kf_response_fault(r);
	default:
		if (byte != '\n')
			return kf_response_fault(r);
		r->state = KF_RESPONSE_AT_END;
		return KF_RESPONSE_STOP;
	}
}

/* ---- eight bytes at a time ------------------------------------------------------------------- */

/*
 * Each of these takes what is common and lies in the buffer whole. False: nothing was changed, it
 * goes byte by byte.
 */

KF_INLINE _Bool kf_response_status_line(struct kf_response *r, const __u8 *buf, __u32 len)
{
	__u64 at = kf_http1_bound(r->used);
	__u64 rest = kf_http1_word(buf, at + 8);
	__u64 digits = (rest >> 8 & 0xffffff) - 0x303030;

	if (at + 13 > len || kf_http1_word(buf, at) != KF_T('H', 'T', 'T', 'P', '/', '1', '.', '1'))
		return 0;
	/* a space, 100 to 599 with no borrow from digit to digit, a space */
	if ((rest & 0xff000000ffull) != 0x2000000020ull || (digits & 0xf0f0f0) ||
	    ((digits + 0x060606) & 0xf0f0f0) || (digits & 0xff) - 1 > 4)
		return 0;
	r->status = (__u16)((digits & 0xf) * 100 + (digits >> 8 & 0xf) * 10 + (digits >> 16));
	r->used = (__u16)(at + 13);
	kf_response_go(r, KF_RESPONSE_AT_TEXT);
	return 1;
}

/* Are the two bytes at @at the end of a line, and both there? */
KF_INLINE _Bool kf_response_is_crlf(const __u8 *buf, __u64 at, __u32 len)
{
	const __u8 *two = buf + kf_http1_bound(at);

	return at + 2 <= len && two[0] == '\r' && two[1] == '\n';
}

/* On behind the end of a line of text, or 64 bytes on. */
KF_INLINE _Bool kf_response_skip_text(struct kf_response *r, const __u8 *buf, __u32 len)
{
	__u32 stop = kf_http1_skip_text(buf, r->used);

	if (kf_response_is_crlf(buf, stop, len)) {
		r->used = (__u16)(stop + 2);
		kf_response_go(r, KF_RESPONSE_AT_LINE);
		return 1;
	}
	if (stop > len)
		stop = len;
	if (stop == r->used)
		return 0;
	r->used = (__u16)stop;
	return 1;
}

/* The value of a field that frames, @len bytes up to @end. */
KF_INLINE _Bool kf_response_frame(struct kf_response *r, const __u8 *buf, __u32 field, __u32 end,
				  __u32 len)
{
	__u64 number;

	if (r->seen || !len || len > 8)
		return 0;
	if (field == KF_FIELD_TRANSFER_ENCODING) {
		if (len != 7 || ((kf_http1_word(buf, end - 7) | KF_HTTP1_LOWER) & kf_swar_low(7)) !=
					KF_T('c', 'h', 'u', 'n', 'k', 'e', 'd', 0))
			return 0;
		r->seen = KF_RESPONSE_TRANSFER;
		return 1;
	}
	number = kf_http1_digits(buf, end, len);
	if (number == KF_HTTP1_NO_NUMBER)
		return 0;
	r->length = number;
	r->seen = KF_RESPONSE_LENGTH;
	return 1;
}

/* A field line, or the blank line; the same walk as kf_http1_field_line(), which see. */
KF_INLINE _Bool kf_response_line(struct kf_response *r, const __u8 *buf, __u32 len)
{
	__u64 start = kf_http1_bound(r->used), end, stop;
	struct kf_http1_scan s = { .at = buf + start };
	__u32 field = kf_http1_scan_name(&s);
	const __u8 *at = s.at, *colon = at + (s.mask ? kf_swar_first(s.mask) : 7);

	end = kf_http1_offset(buf, colon);
	if (end == start && kf_response_is_crlf(buf, start, len)) {
		r->used = (__u16)(start + 2);
		r->state = KF_RESPONSE_AT_END;
		return 1;
	}
	if (!s.mask || *colon != ':' || end == start || end >= len)
		return 0;
#pragma GCC unroll 10
	for (__u32 i = 0; i < 10; i++) {
		s.mask = kf_swar_control(s.text);
		if (s.mask)
			break;
		at += 8;
		s.text = kf_swar_load(at);
	}
	stop = kf_http1_offset(buf, at) + (s.mask ? kf_swar_first(s.mask) : 0);
	if (!kf_response_is_crlf(buf, stop, len))
		return 0;
	if (field == KF_FIELD_CONTENT_LENGTH || field == KF_FIELD_TRANSFER_ENCODING) {
		end += 1 + (kf_http1_byte(buf, end + 1) == ' ');
		if (!kf_response_frame(r, buf, field, (__u32)stop, (__u32)(stop - end)))
			return 0;
	}
	r->used = (__u16)(stop + 2);
	return 1;
}

/* ---- a head ---------------------------------------------------------------------------------- */

struct kf_response_run {
	struct kf_response *r;
	const __u8 *buf;
	__u32 len;
	__u32 pad;
};

static long kf_response_step(unsigned int index, void *context)
{
	struct kf_response_run *run = context;
	struct kf_response *r = run->r;
	_Bool done = 0;
	__u8 byte;

	(void)index;
	if (r->used >= run->len)
		return KF_RESPONSE_STOP;
	if (r->state == KF_RESPONSE_AT_LINE)
		done = kf_response_line(r, run->buf, run->len);
	else if (r->state == KF_RESPONSE_AT_TEXT)
		done = kf_response_skip_text(r, run->buf, run->len);
	else if (r->state == KF_RESPONSE_AT_VERSION && !r->item)
		done = kf_response_status_line(r, run->buf, run->len);
	if (done)
		return r->state == KF_RESPONSE_AT_END;
	byte = kf_http1_byte(run->buf, r->used);
	r->used++;
	return kf_response_byte(r, byte);
}

/*
 * Reads on in a head; r->state tells how far it came: KF_RESPONSE_AT_END, its r->head_len bytes are
 * complete; KF_RESPONSE_AT_FAULT; or any other, and all bytes were consumed, up to
 * KF_RESPONSE_READ_MAX of them.
 */
KF_INLINE void kf_response_parse(struct kf_response *r, const __u8 *buf, __u32 len)
{
	struct kf_response_run run = { .r = r, .buf = buf };
	__u32 most = KF_RESPONSE_HEAD_MAX - r->head_len;

	run.len = len > KF_RESPONSE_READ_MAX ? KF_RESPONSE_READ_MAX : len;
	if (run.len > most)
		run.len = most;
	r->used = 0;
	kf_loop(KF_RESPONSE_READ_MAX, kf_response_step, &run);
	r->head_len += r->used;
	if (r->head_len >= KF_RESPONSE_HEAD_MAX && r->state != KF_RESPONSE_AT_END)
		kf_response_fault(r);
}

enum kf_response_body {
	KF_RESPONSE_BODY_NONE,
	KF_RESPONSE_BODY_LENGTH,
	KF_RESPONSE_BODY_CHUNKED,
	KF_RESPONSE_BODY_INTERIM,  /* none, and another head follows */
	KF_RESPONSE_BODY_SWITCHED, /* what follows is another protocol */
	KF_RESPONSE_BODY_CLOSE,	   /* until the connection is closed */
	KF_RESPONSE_BODY_UNKNOWN,
};

/*
 * RFC 9112 section 6.3. A length of 0 with 204 is against RFC 9110 section 8.6, and harms nobody.
 */
KF_INLINE enum kf_response_body kf_response_body(const struct kf_response *r, _Bool head_asked)
{
	_Bool transfer = r->seen == KF_RESPONSE_TRANSFER;

	if (r->status == 101 && !r->old)
		return KF_RESPONSE_BODY_SWITCHED;
	if (r->status < 200)
		return r->seen || r->old ? KF_RESPONSE_BODY_UNKNOWN : KF_RESPONSE_BODY_INTERIM;
	if ((r->status == 204 && (transfer || r->length)) || (transfer && r->old))
		return KF_RESPONSE_BODY_UNKNOWN;
	if (head_asked || r->status == 204 || r->status == 304)
		return KF_RESPONSE_BODY_NONE;
	if (transfer)
		return KF_RESPONSE_BODY_CHUNKED;
	return r->seen ? KF_RESPONSE_BODY_LENGTH : KF_RESPONSE_BODY_CLOSE;
}

#undef KF_T

#endif /* KEYFILTER_RESPONSE_HEAD_H */
