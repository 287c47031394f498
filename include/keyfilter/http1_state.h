/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * http1_state.h - what is known of one HTTP/1.1 head: the result and the reader's cursors.
 *
 * Written by the http1_*.h parts only, read by the caller of kf_http1_parse(). The results are
 * valid after KF_HTTP1_REQUEST; `detail` after KF_HTTP1_MALFORMED. See http1.h for the contract.
 */
#ifndef KEYFILTER_HTTP1_STATE_H
#define KEYFILTER_HTTP1_STATE_H

#include <linux/types.h>
#include "detail.h"
#include "loop.h"
#include "swar.h"

#define KF_HEAD_MAX 16384u /* bytes of one head, request line to blank line included */

/*
 * What the weakest servers take: the head is refused as too large before one of them gives up in
 * the middle of it and reads what is left as another request (cpp-httplib: lines of 8,192 bytes
 * with their CRLF, and 100 fields; Apache and nginx: the same lines).
 */
#define KF_HTTP1_LINE_MAX   8190u /* bytes of the request line, or of a field line, without CRLF */
#define KF_HTTP1_FIELDS_MAX 100
#define KF_HTTP1_EMPTY_MAX  1 /* before a request line; some servers take two for an empty head */
#define KF_METHOD_LEN_MAX   16
#define KF_HTTP1_BUFFER	    (2 * KF_HEAD_MAX + 128) /* the buffer always has this capacity */

/* Where a key may stand: bits of key_sources, and one of them as key_source. */
#define KF_KEY_BEARER	 0x01u /* Authorization: Bearer K */
#define KF_KEY_X_API_KEY 0x02u /* x-api-key: K */
#define KF_KEY_API_KEY	 0x04u /* api-key: K */
#define KF_KEY_X_GOOG	 0x08u /* x-goog-api-key: K */
#define KF_KEY_QUERY	 0x10u /* ?key=K in the target */
#define KF_KEY_WEBSOCKET 0x20u /* Sec-WebSocket-Protocol: openai-insecure-api-key.K */
#define KF_KEY_ANY	 0x3fu

enum kf_method {
	KF_METHOD_OTHER, /* passes only where the service adds it */
	KF_METHOD_GET,
	KF_METHOD_HEAD,
	KF_METHOD_POST,
	KF_METHOD_PUT,
	KF_METHOD_DELETE,
	KF_METHOD_OPTIONS,
	KF_METHOD_PATCH,
};

/* These have no content (RFC 9110 section 9.3): some servers leave it for the next request. */
#define KF_METHODS_BARE                                                                            \
	(1u << KF_METHOD_GET | 1u << KF_METHOD_HEAD | 1u << KF_METHOD_DELETE |                     \
	 1u << KF_METHOD_OPTIONS)

/* By the path: see kf_http1_protocol(). The names are those of `group create --protocol`. */
enum kf_protocol {
	KF_PROTOCOL_OPENAI,    /* all that is not one of the others */
	KF_PROTOCOL_ANTHROPIC, /* /v1/messages and what is below it, behind any prefix */
	KF_PROTOCOL_GEMINI,    /* below /v1beta/ or /v1alpha/, likewise, or :generateContent and its
				  kin */
	KF_PROTOCOL_COUNT
};

#define KF_PROTOCOLS_ALL ((1u << KF_PROTOCOL_COUNT) - 1)

enum kf_upgrade {
	KF_UPGRADE_NONE,
	KF_UPGRADE_H2C,	      /* exactly `h2c` */
	KF_UPGRADE_WEBSOCKET, /* exactly `websocket` */
	KF_UPGRADE_OTHER,     /* anything else, lists included */
};

/* Where the reader stands. In this order: request line, fields, the end. */
enum kf_http1_at {
	KF_HTTP1_AT_START,
	KF_HTTP1_AT_METHOD,    /* in a method that is not a plain word of up to 7 letters */
	KF_HTTP1_AT_TARGET,    /* at the target's first byte */
	KF_HTTP1_AT_AUTHORITY, /* of a target in absolute-form */
	KF_HTTP1_AT_PATH,
	KF_HTTP1_AT_PARAMETER, /* at the first byte of a parameter's name */
	KF_HTTP1_AT_QUERY,
	KF_HTTP1_AT_TARGET_END, /* at the space behind `*` */
	KF_HTTP1_AT_VERSION,
	KF_HTTP1_AT_FIELD, /* at the start of a line, or of the blank line */
	KF_HTTP1_AT_NAME,  /* in a name that is read byte by byte */
	KF_HTTP1_AT_VALUE,
	KF_HTTP1_AT_AGREE,	 /* behind Host, which is compared with absolute-form's authority */
	KF_HTTP1_AT_SUBPROTOCOL, /* behind Sec-WebSocket-Protocol, which is searched for a key */
	KF_HTTP1_AT_END,	 /* the head is complete */
	KF_HTTP1_AT_FAULT,	 /* the head is malformed */
	KF_HTTP1_AT_LARGE,	 /* a line is too long, or there are too many */
};

/* The fields that decide. */
enum kf_http1_field {
	KF_FIELD_NONE,
	KF_FIELD_AUTHORIZATION,
	KF_FIELD_X_API_KEY,
	KF_FIELD_API_KEY,
	KF_FIELD_X_GOOG,
	KF_FIELD_QUERY,		     /* not a field, but it may stand once like one */
	KF_FIELD_WEBSOCKET_PROTOCOL, /* may stand more often, but with one key */
	KF_FIELD_HOST,
	KF_FIELD_CONTENT_LENGTH,
	KF_FIELD_TRANSFER_ENCODING,
	KF_FIELD_EXPECT,
	KF_FIELD_UPGRADE,
	KF_FIELD_CONNECTION,
	KF_FIELD_CONTENT_ENCODING,
	KF_FIELD_CONTENT_TYPE,
};

/* What Content-Type says that the content is (RFC 9110 section 8.3). */
enum kf_media {
	KF_MEDIA_NONE,	/* nothing: the field is not there */
	KF_MEDIA_JSON,	/* application/json, in UTF-8 as far as it says */
	KF_MEDIA_OTHER, /* anything else, and a field that stands twice */
	KF_MEDIA_FORM,	/* multipart/form-data */
};

struct kf_http1 {
	/* results */
	__u64 content_length; /* bytes; 0 without has_content_length */
	__u32 head_len;	      /* bytes, blank line included */
	__u32 target_off;     /* of its path: behind the authority of absolute-form */
	__u32 path_len;	      /* bytes of the target before '?' */
	__u32 target_len;
	__u32 key_off;
	__u32 key_len;		/* 0: no key */
	__u32 upgrade_name_off; /* of the field name `Upgrade`; 0: none */
	__u32 upgrade_off;	/* of its value, */
	__u32 upgrade_len;	/* and that one's bytes */
	__u8 key_source;	/* KF_KEY_*; 0: no key */
	__u8 method;		/* enum kf_method */
	__u8 protocol;		/* enum kf_protocol */
	__u8 minor;		/* of the version HTTP/1.x: 0 or 1 */
	__u8 has_content_length;
	__u8 chunked; /* Transfer-Encoding: chunked */
	__u8 expect_continue;
	__u8 upgrade;	       /* enum kf_upgrade */
	__u8 connection_close; /* Connection names `close` */
	__u8 connection_keep_alive;
	__u8 connection_upgrade;
	__u8 content_encoded; /* Content-Encoding is there and not empty or `identity` */
	__u8 media;	      /* enum kf_media */
	__u8 detail;	      /* enum kf_detail */
	__u8 method_off;      /* bytes of the empty lines before it */
	__u8 method_len;
	__u8 lists_models; /* the path is /v1/models, or below it, behind any prefix */

	/* the reader's own */
	__u8 key_sources;    /* KF_KEY_* that may give a key */
	__u8 state;	     /* enum kf_http1_at */
	__u8 field;	     /* enum kf_http1_field of the line being read */
	__u8 in_name;	     /* in the query: no '=' yet in this parameter */
	__u8 odd_name;	     /* the name read byte by byte holds other characters than A-Za-z0-9- */
	__u8 fields;	     /* field lines so far */
	__u16 seen;	     /* 1 << enum kf_http1_field */
	__u16 authority_len; /* of absolute-form; 0: origin-form */
	__u32 cursor;	     /* next byte to read */
	__u32 line_off; /* start of the field line being read; in the path: its last ':' or "%3A" */
	__u32 value_off;
	__u32 value_end;
	__u32 name_len; /* bytes of the name that are in name[] or were too many for it */
	__u32 item_off; /* in Sec-WebSocket-Protocol: where a key begins; 0: none */
	__u32 authority_off;
	__u64 name[4]; /* folded name, first byte lowest */
};
_Static_assert(sizeof(struct kf_http1) == 136, "struct kf_http1 changed its size");

/* What a step is given; on the stack of kf_http1_parse(). */
struct kf_http1_run {
	struct kf_http1 *h;
	const __u8 *buf;
	__u32 len;
	__u32 pad;
};

/*
 * Offsets are masked before use, so that the verifier sees 128 readable bytes behind each of them.
 */
#define KF_HTTP1_MASK (2 * KF_HEAD_MAX - 1)

/*
 * @offset as the verifier can follow it; laundered, lest the compiler prove the mask useless. 64
 * bits, or else BPF would clear the upper half again before each use as an address.
 */
KF_INLINE __u64 kf_http1_bound(__u64 offset)
{
	offset &= KF_HTTP1_MASK;
	KF_LAUNDER(offset);
	return offset;
}

/* Where @at is in @buf; laundered, for BPF knows no 32-bit difference of pointers. */
KF_INLINE __u64 kf_http1_offset(const __u8 *buf, const __u8 *at)
{
	__u64 offset = (__u64)(at - buf);

	KF_LAUNDER(offset);
	return offset;
}

KF_INLINE __u8 kf_http1_byte(const __u8 *buf, __u64 offset)
{
	return buf[kf_http1_bound(offset)];
}

KF_INLINE __u64 kf_http1_word(const __u8 *buf, __u64 offset)
{
	return kf_swar_load(buf + kf_http1_bound(offset));
}

/* What a step returns. */
#define KF_HTTP1_ON   0 /* to the next step */
#define KF_HTTP1_STOP 1 /* more bytes are needed, or all is decided */

/* The head is malformed; returned by a step. */
KF_INLINE long kf_http1_fault(struct kf_http1 *h, enum kf_detail detail)
{
	h->detail = (__u8)detail;
	h->state = KF_HTTP1_AT_FAULT;
	return KF_HTTP1_STOP;
}

/* The head is too large; returned by a step. */
KF_INLINE long kf_http1_large(struct kf_http1 *h)
{
	h->state = KF_HTTP1_AT_LARGE;
	return KF_HTTP1_STOP;
}

/* Is a line that began at @start, and of which all up to @end was read, too long? */
KF_INLINE _Bool kf_http1_is_long(__u32 start, __u32 end)
{
	return end - start > KF_HTTP1_LINE_MAX;
}

KF_INLINE long kf_http1_go(struct kf_http1 *h, enum kf_http1_at state, __u32 cursor)
{
	h->state = (__u8)state;
	h->cursor = cursor;
	return KF_HTTP1_ON;
}

/* Notes that @field was met; returns whether it had been before. */
KF_INLINE _Bool kf_http1_again(struct kf_http1 *h, enum kf_http1_field field)
{
	_Bool again = h->seen >> field & 1;

	h->seen |= (__u16)(1u << field);
	return again;
}

#endif /* KEYFILTER_HTTP1_STATE_H */
