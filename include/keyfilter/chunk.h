/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * chunk.h - follows the framing of one chunked body, strictly, without reading its data.
 *
 * Contract: kf_chunk_begin() behind a head with `chunked`, then kf_chunk_parse() over the bytes
 * that follow, cut anywhere. It consumes framing, says how many bytes of data to pass over, and is
 * called again behind them. All it needs is struct kf_chunk (in the kernel: part of the flow's map
 * value; the caller sees to it that one CPU at a time is in here); no byte is looked at twice, and
 * no result depends on how the bytes were cut. Source: RFC 9112 section 7.1, read without the white
 * space it allows for old senders. Bytes are taken one by one: framing is a few of them in each
 * chunk.
 *
 * A client's chunk is at most 2^31 - 1 bytes, and its size at most 8 digits: some servers keep 32
 * bits of a size, and would find the next request where we see data (seen: JDK HttpServer). A
 * backend is read as it writes (kf_chunk_begin_wide()).
 */
#ifndef KEYFILTER_CHUNK_H
#define KEYFILTER_CHUNK_H

#include <linux/types.h>
#include "detail.h"
#include "http1_char.h"
#include "loop.h"
#include "swar.h"

#define KF_CHUNK_PARSE_MAX   1024u	 /* bytes in one call */
#define KF_CHUNK_SIZE_MAX    0x7fffffffu /* bytes of data in a client's chunk */
#define KF_CHUNK_DIGITS_MAX  8		 /* of its size, leading zeros included */
#define KF_CHUNK_DIGITS_WIDE 15		 /* of a backend's: sizes stay below 2^60 */
#define KF_CHUNK_LINE_MAX    1024 /* bytes of a size line, extensions included, without its CRLF */
#define KF_CHUNK_TRAILER_MAX 8192 /* bytes of the trailer section, blank line included */
#define KF_CHUNK_FIELDS_MAX  100  /* fields in it, as in a head */

enum kf_chunk_result {
	KF_CHUNK_MORE, /* all bytes consumed, framing goes on */
	KF_CHUNK_SKIP, /* `skip` bytes of data follow the consumed ones; call again behind them */
	KF_CHUNK_END,  /* the body is over behind the consumed bytes */
	KF_CHUNK_MALFORMED,
};

enum kf_chunk_at {
	KF_CHUNK_AT_SIZE,
	KF_CHUNK_AT_NAME,  /* of an extension */
	KF_CHUNK_AT_VALUE, /* at its first byte */
	KF_CHUNK_AT_TOKEN, /* in a value that is a token */
	KF_CHUNK_AT_QUOTED,
	KF_CHUNK_AT_ESCAPED, /* behind a backslash in a quoted value */
	KF_CHUNK_AT_QUOTED_END,
	KF_CHUNK_AT_SIZE_LF,
	KF_CHUNK_AT_DATA_CR, /* behind the data */
	KF_CHUNK_AT_DATA_LF,
	KF_CHUNK_AT_TRAILER, /* at the first byte of a trailer field, or of the last line */
	KF_CHUNK_AT_TRAILER_NAME,
	KF_CHUNK_AT_TRAILER_VALUE,
	KF_CHUNK_AT_TRAILER_LF,
	KF_CHUNK_AT_LAST_LF,
	KF_CHUNK_AT_END,
	KF_CHUNK_AT_FAULT,
};

struct kf_chunk {
	__u64 skip;	 /* bytes of data in this chunk; complete with KF_CHUNK_SKIP */
	__u32 name_hash; /* of the trailer field's name so far */
	__u16 line;	 /* bytes of this size line so far */
	__u16 trailer;	 /* bytes of the trailer section so far */
	__u16 used;	 /* bytes consumed by this call */
	__u8 state;	 /* enum kf_chunk_at */
	__u8 item;	 /* bytes of this size, or 1 in a name or value that has begun */
	__u8 detail;	 /* enum kf_detail, of KF_CHUNK_MALFORMED */
	__u8 result;	 /* enum kf_chunk_result, of this call */
	__u8 wide;	 /* a backend's body: sizes may be longer */
	__u8 fields;	 /* of the trailer section so far */
};
_Static_assert(sizeof(struct kf_chunk) == 24, "struct kf_chunk changed its size");

KF_INLINE void kf_chunk_begin(struct kf_chunk *c)
{
	__builtin_memset(c, 0, sizeof(*c));
}

/* The same for a body that the backend sends. */
KF_INLINE void kf_chunk_begin_wide(struct kf_chunk *c)
{
	kf_chunk_begin(c);
	c->wide = 1;
}

/* What a step returns. */
#define KF_CHUNK_ON   0
#define KF_CHUNK_STOP 1

KF_INLINE long kf_chunk_fault(struct kf_chunk *c, enum kf_detail detail)
{
	c->detail = (__u8)detail;
	c->state = KF_CHUNK_AT_FAULT;
	c->result = KF_CHUNK_MALFORMED;
	return KF_CHUNK_STOP;
}

KF_INLINE long kf_chunk_go(struct kf_chunk *c, enum kf_chunk_at state)
{
	c->state = (__u8)state;
	c->item = 0;
	return KF_CHUNK_ON;
}

/* ---- the size line --------------------------------------------------------------------------- */

/* What may stand behind a complete size, name or value: another extension, or the line's end. */
KF_INLINE long kf_chunk_item_end(struct kf_chunk *c, __u8 byte, enum kf_detail otherwise)
{
	if (byte == '\r')
		return kf_chunk_go(c, KF_CHUNK_AT_SIZE_LF);
	if (byte == ';')
		return kf_chunk_go(c, KF_CHUNK_AT_NAME);
	return kf_chunk_fault(c, kf_http1_char_detail(byte, otherwise));
}

KF_INLINE long kf_chunk_size(struct kf_chunk *c, __u8 byte)
{
	if (kf_http1_char_is(byte, KF_CHAR_HEX)) {
		if (c->item >= (c->wide ? KF_CHUNK_DIGITS_WIDE : KF_CHUNK_DIGITS_MAX))
			return kf_chunk_fault(c, KF_DETAIL_CHUNK_TOO_LARGE);
		c->item++;
		c->skip = c->skip << 4 | kf_http1_char_hex(byte);
		if (c->skip > KF_CHUNK_SIZE_MAX && !c->wide)
			return kf_chunk_fault(c, KF_DETAIL_CHUNK_TOO_LARGE);
		return KF_CHUNK_ON;
	}
	if (!c->item)
		return kf_chunk_fault(c, kf_http1_char_detail(byte, KF_DETAIL_CHUNK_SIZE));
	return kf_chunk_item_end(c, byte, KF_DETAIL_CHUNK_SIZE);
}

/* In the name or in the token that is the value; both are one token at least. */
KF_INLINE long kf_chunk_token(struct kf_chunk *c, __u8 byte)
{
	if (kf_http1_char_is(byte, KF_CHAR_TOKEN)) {
		c->item = 1;
		return KF_CHUNK_ON;
	}
	if (!c->item)
		return kf_chunk_fault(c, kf_http1_char_detail(byte, KF_DETAIL_CHUNK_EXTENSION));
	if (byte == '=' && c->state == KF_CHUNK_AT_NAME)
		return kf_chunk_go(c, KF_CHUNK_AT_VALUE);
	return kf_chunk_item_end(c, byte, KF_DETAIL_CHUNK_EXTENSION);
}

KF_INLINE long kf_chunk_value(struct kf_chunk *c, __u8 byte)
{
	if (byte == '"')
		return kf_chunk_go(c, KF_CHUNK_AT_QUOTED);
	c->state = KF_CHUNK_AT_TOKEN;
	return kf_chunk_token(c, byte);
}

/* quoted-string (RFC 9110 section 5.6.4): no control byte, not even behind a backslash. */
KF_INLINE long kf_chunk_quoted(struct kf_chunk *c, __u8 byte)
{
	_Bool text = byte >= 0x80 || kf_http1_char_is(byte, KF_CHAR_QUOTED);

	if (c->state == KF_CHUNK_AT_ESCAPED) {
		if (!text && byte != '"' && byte != '\\')
			return kf_chunk_fault(
				c, kf_http1_char_detail(byte, KF_DETAIL_CHUNK_EXTENSION));
		return kf_chunk_go(c, KF_CHUNK_AT_QUOTED);
	}
	if (byte == '"')
		return kf_chunk_go(c, KF_CHUNK_AT_QUOTED_END);
	if (byte == '\\')
		return kf_chunk_go(c, KF_CHUNK_AT_ESCAPED);
	if (!text)
		return kf_chunk_fault(c, kf_http1_char_detail(byte, KF_DETAIL_CHUNK_EXTENSION));
	return KF_CHUNK_ON;
}

KF_INLINE long kf_chunk_size_end(struct kf_chunk *c, __u8 byte)
{
	if (byte != '\n')
		return kf_chunk_fault(c, KF_DETAIL_BARE_CR);
	if (!c->skip)
		return kf_chunk_go(c, KF_CHUNK_AT_TRAILER);
	kf_chunk_go(c, KF_CHUNK_AT_DATA_CR);
	c->result = KF_CHUNK_SKIP;
	return KF_CHUNK_STOP;
}

/* Any byte of a size line up to its CR. */
KF_INLINE long kf_chunk_size_line(struct kf_chunk *c, __u8 byte)
{
	if (c->line >= KF_CHUNK_LINE_MAX && byte != '\r')
		return kf_chunk_fault(c, KF_DETAIL_CHUNK_EXTENSION);
	c->line++;
	switch (c->state) {
	case KF_CHUNK_AT_SIZE:
		return kf_chunk_size(c, byte);
	case KF_CHUNK_AT_NAME:
	case KF_CHUNK_AT_TOKEN:
		return kf_chunk_token(c, byte);
	case KF_CHUNK_AT_VALUE:
		return kf_chunk_value(c, byte);
	case KF_CHUNK_AT_QUOTED_END:
		return kf_chunk_item_end(c, byte, KF_DETAIL_CHUNK_EXTENSION);
	default:
		return kf_chunk_quoted(c, byte);
	}
}

/* ---- behind the data ------------------------------------------------------------------------- */

KF_INLINE long kf_chunk_data_end(struct kf_chunk *c, __u8 byte)
{
	if (c->state == KF_CHUNK_AT_DATA_CR) {
		if (byte != '\r')
			return kf_chunk_fault(c, KF_DETAIL_CHUNK_DATA_END);
		return kf_chunk_go(c, KF_CHUNK_AT_DATA_LF);
	}
	if (byte != '\n')
		return kf_chunk_fault(c, KF_DETAIL_CHUNK_DATA_END);
	c->skip = 0;
	c->line = 0;
	return kf_chunk_go(c, KF_CHUNK_AT_SIZE);
}

/* ---- trailer fields (RFC 9112 section 7.1.2) ------------------------------------------------- */

/* FNV-1a over the folded name: http1_char.h. */
#define KF_CHUNK_HASH_BEGIN 0x811c9dc5u
#define KF_CHUNK_HASH_PRIME 0x01000193u

/*
 * Fields that frame, route, authenticate or describe the body may not come behind it (RFC 9110
 * section 6.5.1): some servers merge trailers into the head. By hash, since no name is kept;
 * another name with the same hash would be refused too, which harms nobody. chunk_test.c has the
 * names.
 */
KF_INLINE _Bool kf_chunk_trailer_forbidden(__u32 hash)
{
	static const __u32 forbidden[] = {
		0x4df9451du, /* content-length */
		0xddb4744cu, /* transfer-encoding */
		0xaffea56fu, /* host */
		0x913657beu, /* authorization */
		0xa01f18bbu, /* proxy-authorization */
		0xec985c4cu, /* x-api-key */
		0x5ff64785u, /* api-key */
		0x8a7293a5u, /* x-goog-api-key */
		0x38b99ed9u, /* connection */
		0x32c09da6u, /* proxy-connection */
		0xe18edb80u, /* keep-alive */
		0xdc97cc77u, /* upgrade */
		0x96da6b58u, /* expect */
		0x3c453eb2u, /* te */
		0x816fede0u, /* trailer */
		0x03e2ed88u, /* content-encoding */
		0xfcf70995u, /* content-type */
		0xd3ecfa4au, /* content-range */
		0x893b4c2eu, /* content-location */
		0xfadc0cd2u, /* range */
		0x77a740bfu, /* cookie */
		0x588604abu, /* forwarded */
		0xadb2f988u, /* x-forwarded-for */
		0x28867067u, /* x-forwarded-host */
		0x2eb2af39u, /* x-forwarded-proto */
		0xe37b3c60u, /* x-real-ip */
		0x43b27f93u, /* x-http-method-override */
		0xd5b978fbu, /* sec-websocket-protocol */
	};
	_Bool found = 0;

#pragma GCC unroll 32
	for (__u32 i = 0; i < sizeof(forbidden) / sizeof(forbidden[0]); i++)
		found |= forbidden[i] == hash;
	return found;
}

KF_INLINE long kf_chunk_trailer_name(struct kf_chunk *c, __u8 byte)
{
	_Bool first = c->state == KF_CHUNK_AT_TRAILER;

	if (first) {
		c->name_hash = KF_CHUNK_HASH_BEGIN;
		c->state = KF_CHUNK_AT_TRAILER_NAME;
	}
	if (kf_http1_char_is(byte, KF_CHAR_TOKEN)) {
		c->name_hash = (c->name_hash ^ kf_http1_char_fold(byte)) * KF_CHUNK_HASH_PRIME;
		return KF_CHUNK_ON;
	}
	if (first && byte == '\r')
		return kf_chunk_go(c, KF_CHUNK_AT_LAST_LF);
	if (byte == ' ' || byte == '\t')
		return kf_chunk_fault(c, first ? KF_DETAIL_OBS_FOLD : KF_DETAIL_SPACE_BEFORE_COLON);
	if (first || byte != ':')
		return kf_chunk_fault(
			c, byte == '\r' ? KF_DETAIL_CHUNK_TRAILER
					: kf_http1_char_detail(byte, KF_DETAIL_CHUNK_TRAILER));
	if (kf_chunk_trailer_forbidden(c->name_hash))
		return kf_chunk_fault(c, KF_DETAIL_CHUNK_TRAILER_FIELD);
	if (++c->fields > KF_CHUNK_FIELDS_MAX)
		return kf_chunk_fault(c, KF_DETAIL_CHUNK_TRAILER_SIZE);
	return kf_chunk_go(c, KF_CHUNK_AT_TRAILER_VALUE);
}

/*
 * White space in a client's value is refused, unless it stands before it: a server that knows no
 * trailers may take two bytes behind the last chunk for a CRLF, whatever they are, and the rest of
 * `x:GET /path HTTP/1.1` for the next request (seen: JDK HttpServer). There is no request line
 * without a space; to Python's http.server 0x85 and 0xa0 are ones too.
 */
KF_INLINE _Bool kf_chunk_is_request(struct kf_chunk *c, __u8 byte)
{
	if (byte == ' ' || byte == '\t')
		return c->item && !c->wide;
	c->item = 1;
	return (byte == 0x85 || byte == 0xa0) && !c->wide;
}

KF_INLINE long kf_chunk_trailer_value(struct kf_chunk *c, __u8 byte)
{
	if (c->state == KF_CHUNK_AT_TRAILER_LF) {
		if (byte != '\n')
			return kf_chunk_fault(c, KF_DETAIL_BARE_CR);
		return kf_chunk_go(c, KF_CHUNK_AT_TRAILER);
	}
	if (byte == '\r')
		return kf_chunk_go(c, KF_CHUNK_AT_TRAILER_LF);
	if (byte != '\t' && (byte < 0x20 || byte == 0x7f))
		return kf_chunk_fault(c, kf_http1_char_detail(byte, KF_DETAIL_CONTROL_BYTE));
	if (kf_chunk_is_request(c, byte))
		return kf_chunk_fault(c, KF_DETAIL_CHUNK_TRAILER_FIELD);
	return KF_CHUNK_ON;
}

KF_INLINE long kf_chunk_trailer(struct kf_chunk *c, __u8 byte)
{
	if (c->trailer >= KF_CHUNK_TRAILER_MAX)
		return kf_chunk_fault(c, KF_DETAIL_CHUNK_TRAILER_SIZE);
	c->trailer++;
	if (c->state == KF_CHUNK_AT_LAST_LF) {
		if (byte != '\n')
			return kf_chunk_fault(c, KF_DETAIL_BARE_CR);
		kf_chunk_go(c, KF_CHUNK_AT_END);
		c->result = KF_CHUNK_END;
		return KF_CHUNK_STOP;
	}
	if (c->state <= KF_CHUNK_AT_TRAILER_NAME)
		return kf_chunk_trailer_name(c, byte);
	return kf_chunk_trailer_value(c, byte);
}

/* ---- all of it ------------------------------------------------------------------------------- */

struct kf_chunk_run {
	struct kf_chunk *c;
	const __u8 *buf;
};

/* The byte at @index. */
static long kf_chunk_step(unsigned int index, void *context)
{
	struct kf_chunk_run *run = context;
	struct kf_chunk *c = run->c;
	__u8 byte;

	index &= KF_CHUNK_PARSE_MAX - 1;
	KF_LAUNDER(index);
	byte = run->buf[index];
	c->used = (__u16)(index + 1);
	if (c->state < KF_CHUNK_AT_SIZE_LF)
		return kf_chunk_size_line(c, byte);
	if (c->state == KF_CHUNK_AT_SIZE_LF)
		return kf_chunk_size_end(c, byte);
	if (c->state < KF_CHUNK_AT_TRAILER)
		return kf_chunk_data_end(c, byte);
	return kf_chunk_trailer(c, byte);
}

/*
 * Reads on in the @len bytes at @buf; more than KF_CHUNK_PARSE_MAX are not looked at in this call.
 * @consumed is how many of them were framing: with KF_CHUNK_MORE all that were looked at, with
 * KF_CHUNK_MALFORMED up to the byte at fault. @detail is written with KF_CHUNK_MALFORMED only. Once
 * it has returned KF_CHUNK_END or KF_CHUNK_MALFORMED it consumes nothing and returns the same again
 * until kf_chunk_begin().
 */
KF_INLINE enum kf_chunk_result kf_chunk_parse(struct kf_chunk *c, const __u8 *buf, __u32 len,
					      __u32 *consumed, __u8 *detail)
{
	struct kf_chunk_run run = { .c = c, .buf = buf };

	c->used = 0;
	if (len > KF_CHUNK_PARSE_MAX)
		len = KF_CHUNK_PARSE_MAX;
	if (c->state < KF_CHUNK_AT_END) {
		c->result = KF_CHUNK_MORE;
		kf_loop(len, kf_chunk_step, &run);
	}
	*consumed = c->used;
	if (c->result == KF_CHUNK_MALFORMED)
		*detail = c->detail;
	return (enum kf_chunk_result)c->result;
}

#endif /* KEYFILTER_CHUNK_H */
