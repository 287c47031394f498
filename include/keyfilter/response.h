/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * response.h - follows the backend's responses on one flow: is one running, and where does it end?
 *
 * Owned by egress (bpf/response.h); compiled into the unit tests and the fuzzer too. The state is
 * in struct kf_flow: response.seq is where the next response begins, or, in its body, the next byte
 * of framing, or the body's end; response.chunk holds struct kf_response while a head is read and
 * struct kf_chunk while chunks are. No response is running where response.state is
 * KF_RESPONSE_HEAD, requests == ended and all that was sent ends at response.seq.
 *
 * Contract: kf_response_next() tells which byte is read next; kf_response_head() or
 * kf_response_chunks(), by the state, reads on in the bytes that stand there, at least one, cut
 * anywhere; the state it returns is the flow's new one, which the caller stores. One CPU at a time.
 * No byte is kept: a head may come in any number of pieces, and no result depends on the cuts. The
 * buffer's capacity is that of http1.h's, and bytes behind the length never decide anything.
 *
 * The backend is trusted to speak HTTP; what is doubtful is KF_RESPONSE_LOST for good, for it is
 * better to believe that a response is running than to speak into one. So: HTTP/1.1, or HTTP/1.0
 * without `chunked`; no bare CR or LF, no obs-fold, no control byte, names are tokens; one
 * Content-Length or `chunked` alone (RFC 9112 section 6.3), whatever the status; at most 31
 * responses to come. A response that ends with the connection is KF_RESPONSE_CLOSING, a 101
 * KF_RESPONSE_SWITCHED. A response that no admitted request awaits is KF_RESPONSE_STRAY: the
 * backend has read something as a request that was none here.
 */
#ifndef KEYFILTER_RESPONSE_H
#define KEYFILTER_RESPONSE_H

#include "abi.h"
#include "chunk.h"
#include "response_head.h"

#define KF_RESPONSE_DUE_MAX   31	 /* kf_flow.response.head_asked tells no more apart */
#define KF_RESPONSE_SKIP_ONCE (1u << 30) /* response.seq runs ahead by no more: it cannot wrap */

KF_STATIC_ASSERT(sizeof(struct kf_response) <= sizeof(((struct kf_flow *)0)->response.chunk),
		 "struct kf_response outgrew its place in struct kf_flow");
KF_STATIC_ASSERT(sizeof(struct kf_chunk) <= sizeof(((struct kf_flow *)0)->response.chunk),
		 "struct kf_chunk outgrew its place in struct kf_flow");

/* ---- the flow -------------------------------------------------------------------------------- */

KF_INLINE struct kf_response *kf_response_of(struct kf_flow *flow)
{
	return (struct kf_response *)flow->response.chunk;
}

/*
 * May a response begin? KF_RESPONSE_HEAD, or what becomes of the responses: STRAY where none is to
 * come, LOST where more are to come than head_asked tells apart. Ingress writes the bit before it
 * counts the request, so a reader of the bit asks again.
 */
KF_INLINE enum kf_response_state kf_response_due(const struct kf_flow *flow)
{
	__u32 due = *(const volatile __u32 *)&flow->response.requests - flow->response.ended;

	if (!due)
		return KF_RESPONSE_STRAY;
	return due > KF_RESPONSE_DUE_MAX ? KF_RESPONSE_LOST : KF_RESPONSE_HEAD;
}

/* The sequence number of the byte to read next. A head moves response.seq only when complete. */
KF_INLINE __u32 kf_response_next(struct kf_flow *flow, enum kf_response_state state)
{
	return flow->response.seq +
	       (state == KF_RESPONSE_HEAD ? kf_response_of(flow)->head_len : 0);
}

/* Moves on to the end of @len bytes of body, which need not have been sent yet. */
KF_INLINE void kf_response_skip(struct kf_flow *flow, __u32 framing, __u64 len)
{
	__u32 now = len > KF_RESPONSE_SKIP_ONCE ? KF_RESPONSE_SKIP_ONCE : (__u32)len;

	flow->response.skip = len - now;
	*(volatile __u32 *)&flow->response.seq = flow->response.seq + framing + now;
}

/*
 * A final response ends at response.seq. Ingress of another CPU takes equal counts for the end of
 * all responses, so it must not see the new one before the new response.seq: a full barrier.
 */
KF_INLINE void kf_response_done(struct kf_flow *flow)
{
	__u32 responses = flow->response.ended + 1;

	__builtin_memset(flow->response.chunk, 0, sizeof(flow->response.chunk));
	(void)__sync_lock_test_and_set(&flow->response.ended, responses);
}

/* The skipping of a body longer than 2^30 bytes goes on. */
KF_INLINE void kf_response_skip_more(struct kf_flow *flow, enum kf_response_state state)
{
	kf_response_skip(flow, 0, flow->response.skip);
	if (!flow->response.skip && state == KF_RESPONSE_HEAD)
		kf_response_done(flow);
}

/* The head in @r is complete. */
KF_INLINE enum kf_response_state kf_response_begin_body(struct kf_flow *flow)
{
	struct kf_response *r = kf_response_of(flow);
	__u32 head_asked =
		*(volatile __u32 *)&flow->response.head_asked >> (flow->response.ended & 31) & 1;
	__u32 head_len = r->head_len;
	__u64 length = r->length;

	if (kf_response_due(flow) != KF_RESPONSE_HEAD)
		return KF_RESPONSE_LOST;
	switch (kf_response_body(r, head_asked)) {
	case KF_RESPONSE_BODY_INTERIM:
		kf_response_skip(flow, head_len, 0);
		__builtin_memset(r, 0, sizeof(*r));
		return KF_RESPONSE_HEAD;
	case KF_RESPONSE_BODY_CHUNKED:
		kf_response_skip(flow, head_len, 0);
		kf_chunk_begin_wide((struct kf_chunk *)flow->response.chunk);
		return KF_RESPONSE_CHUNKS;
	case KF_RESPONSE_BODY_NONE:
		kf_response_skip(flow, head_len, 0);
		kf_response_done(flow);
		return KF_RESPONSE_HEAD;
	case KF_RESPONSE_BODY_LENGTH:
		kf_response_skip(flow, head_len, length);
		__builtin_memset(r, 0, sizeof(*r));
		if (!flow->response.skip)
			kf_response_done(flow);
		return KF_RESPONSE_HEAD;
	case KF_RESPONSE_BODY_SWITCHED:
		return KF_RESPONSE_SWITCHED;
	case KF_RESPONSE_BODY_CLOSE:
		return KF_RESPONSE_CLOSING;
	default:
		return KF_RESPONSE_LOST;
	}
}

/* In KF_RESPONSE_HEAD: reads on in the @len bytes at kf_response_next(), which are at @buf. */
KF_INLINE enum kf_response_state kf_response_head(struct kf_flow *flow, const __u8 *buf, __u32 len)
{
	struct kf_response *r = kf_response_of(flow);
	enum kf_response_state due;

	if (flow->response.skip) {
		kf_response_skip_more(flow, KF_RESPONSE_HEAD);
		return KF_RESPONSE_HEAD;
	}
	due = kf_response_due(flow);
	if (due != KF_RESPONSE_HEAD)
		return due;
	kf_response_parse(r, buf, len);
	if (r->state == KF_RESPONSE_AT_END)
		return kf_response_begin_body(flow);
	return r->state == KF_RESPONSE_AT_FAULT ? KF_RESPONSE_LOST : KF_RESPONSE_HEAD;
}

/* ---- chunks ---------------------------------------------------------------------------------- */

/* The value of the number in the @len hexadecimal digits of @word, 1 to 7; -1: they are not all. */
KF_INLINE long kf_response_hex(__u64 word, __u32 len)
{
	__u64 n = word << (64 - len * 8), seven = n & ~KF_SWAR_HIGH, lower = seven | KF_SWAR(0x20);
	__u64 digit = KF_SWAR_FROM(seven, '0') & ~KF_SWAR_OVER(seven, '9');
	__u64 letter = KF_SWAR_FROM(lower, 'a') & ~KF_SWAR_OVER(lower, 'f');
	__u64 wrong = (~(digit | letter) | n) & KF_SWAR_HIGH;

	if (wrong & ~kf_swar_low(8 - len))
		return -1;
	n = (n & KF_SWAR(0x0f)) + ((n >> 6 & KF_SWAR(1)) * 9);
	n = ((n << 4) + (n >> 8)) & 0x00ff00ff00ff00ffull;
	n = ((n << 8) + (n >> 16)) & 0x0000ffff0000ffffull;
	return (long)(((n << 16) + (n >> 32)) & 0xffffffff);
}

/* The size line at @at of @buf, if it is "1a3\r\n" and nothing else; returns its length, or 0. */
KF_INLINE __u32 kf_response_size_line(struct kf_chunk *c, const __u8 *buf, __u32 at, __u32 len)
{
	__u64 word = kf_swar_load(buf + at), mask = kf_swar_control(word);
	__u32 digits;
	long size;

	if (!mask)
		return 0;
	digits = (__u32)kf_swar_first(mask);
	at += digits;
	if (!digits || at + 2 > len || buf[at] != '\r' || buf[at + 1] != '\n')
		return 0;
	size = kf_response_hex(word, digits);
	if (size <= 0)
		return 0;
	kf_chunk_go(c, KF_CHUNK_AT_DATA_CR);
	c->skip = (__u64)size;
	c->line = 0;
	return digits + 2;
}

/*
 * What each chunk of a stream costs: the end of the data before it, its size, or both. Leaves @c as
 * kf_chunk_parse() would; returns how many bytes it was, 0 where that must read them.
 */
KF_INLINE __u32 kf_response_frame_chunk(struct kf_chunk *c, const __u8 *buf, __u32 len)
{
	if (c->state == KF_CHUNK_AT_SIZE && !c->line)
		return kf_response_size_line(c, buf, 0, len);
	if (c->state != KF_CHUNK_AT_DATA_CR || len < 2 || buf[0] != '\r' || buf[1] != '\n')
		return 0;
	kf_chunk_go(c, KF_CHUNK_AT_SIZE);
	c->skip = 0;
	c->line = 0;
	return 2 + kf_response_size_line(c, buf, 2, len);
}

/* In KF_RESPONSE_CHUNKS: likewise. */
KF_INLINE enum kf_response_state kf_response_chunks(struct kf_flow *flow, const __u8 *buf,
						    __u32 len)
{
	struct kf_chunk *c = (struct kf_chunk *)flow->response.chunk;
	enum kf_chunk_result result = KF_CHUNK_MORE;
	__u32 consumed;
	__u8 detail;

	if (flow->response.skip) {
		kf_response_skip_more(flow, KF_RESPONSE_CHUNKS);
		return KF_RESPONSE_CHUNKS;
	}
	consumed = kf_response_frame_chunk(c, buf, len);
	if (!consumed)
		result = kf_chunk_parse(c, buf, len, &consumed, &detail);
	if (result == KF_CHUNK_MALFORMED)
		return KF_RESPONSE_LOST;
	kf_response_skip(flow, consumed, c->state == KF_CHUNK_AT_DATA_CR ? c->skip : 0);
	if (result != KF_CHUNK_END)
		return KF_RESPONSE_CHUNKS;
	kf_response_done(flow);
	return KF_RESPONSE_HEAD;
}

#endif /* KEYFILTER_RESPONSE_H */
