/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * http1.h - reads the head of one HTTP/1.1 request, strictly.
 *
 * Contract: kf_http1_begin(), then kf_http1_parse() over the head's bytes as they come, always with
 * the same buffer and a length that only grows. The reader keeps every cursor in struct kf_http1,
 * so it continues where it stopped, and the caller owns struct and buffer (in the kernel: a map
 * value; one thread at a time). Offsets are bytes from the start of the buffer. Bytes at and past
 * the length are garbage: they are loaded, up to 128 of them, and never decide anything. No result
 * depends on how the bytes were cut into calls.
 *
 * What is accepted is RFC 9112 (and 9110, 3986) as far as any two servers read it alike; what they
 * could read differently is KF_HTTP1_MALFORMED with a cause in `detail` (design, section 5). The
 * parts: http1_target.h reads the request line, http1_field.h the lines, http1_value.h the fields
 * that decide. http1_state.h holds the result struct.
 */
#ifndef KEYFILTER_HTTP1_H
#define KEYFILTER_HTTP1_H

#include "http1_state.h"
#include "http1_value.h"
#include "http1_field.h"
#include "http1_target.h"

enum kf_http1_result {
	KF_HTTP1_INCOMPLETE, /* no fault so far; call again with more bytes */
	KF_HTTP1_REQUEST,    /* the head is complete, struct kf_http1 says what it holds */
	KF_HTTP1_MALFORMED,  /* h->detail says why */
	KF_HTTP1_TOO_LARGE, /* no fault, but over KF_HEAD_MAX bytes, or over a limit of its lines */
};

/* Prepares @h for a new head; @key_sources is a mask of KF_KEY_*. */
KF_INLINE void kf_http1_begin(struct kf_http1 *h, __u32 key_sources)
{
	__builtin_memset(h, 0, sizeof(*h));
	h->key_sources = (__u8)(key_sources & KF_KEY_ANY);
}

/*
 * Field lines in one step: where returns are mitigated (SRSO), one costs as much as half a short
 * line. More of them gain little, and the verifier reads all of it once more for each.
 */
#define KF_HTTP1_LINES 3

/* One step: request line, a few lines, a piece of a long line, a byte that needs a closer look. */
static long kf_http1_step(unsigned int index, void *context)
{
	struct kf_http1_run *run = context;
	struct kf_http1 *h = run->h;
	long stop;

	(void)index;
	if (h->state < KF_HTTP1_AT_FIELD) {
		stop = kf_http1_request_line(h, run->buf, run->len);
		if (stop || h->state != KF_HTTP1_AT_FIELD)
			return stop;
	}
	if (h->state > KF_HTTP1_AT_FIELD)
		return kf_http1_field_more(h, run->buf, run->len);
	for (int i = 0; i < KF_HTTP1_LINES; i++) {
		stop = kf_http1_field_line(h, run->buf, run->len);
		if (stop || h->state != KF_HTTP1_AT_FIELD)
			return stop;
	}
	return KF_HTTP1_ON;
}

/*
 * A bound that is never reached: a step passes a byte, moves on to a later state of the same byte,
 * or starts one line again to read it closely; that is less than four steps a byte.
 */
#define KF_HTTP1_STEPS (4 * KF_HEAD_MAX)

/*
 * Reads on. @buf has room for KF_HTTP1_BUFFER bytes, the first @len of them are the request's; @len
 * is at most KF_HEAD_MAX and may reach past the head. After KF_HTTP1_REQUEST the head is
 * h->head_len bytes long. Once it has returned anything but KF_HTTP1_INCOMPLETE, it returns the
 * same again until kf_http1_begin().
 */
KF_INLINE enum kf_http1_result kf_http1_parse(struct kf_http1 *h, const __u8 *buf, __u32 len)
{
	struct kf_http1_run run = { .h = h, .buf = buf, .len = len };

	if (len > KF_HEAD_MAX)
		return KF_HTTP1_TOO_LARGE;
	if (h->state < KF_HTTP1_AT_END)
		kf_loop(KF_HTTP1_STEPS, kf_http1_step, &run);
	if (h->state == KF_HTTP1_AT_END)
		return KF_HTTP1_REQUEST;
	if (h->state == KF_HTTP1_AT_FAULT)
		return KF_HTTP1_MALFORMED;
	if (h->state == KF_HTTP1_AT_LARGE)
		return KF_HTTP1_TOO_LARGE;
	return len >= KF_HEAD_MAX ? KF_HTTP1_TOO_LARGE : KF_HTTP1_INCOMPLETE;
}

/*
 * After KF_HTTP1_INCOMPLETE for @len bytes: whether they are whole empty lines and nothing else, so
 * that no head has begun yet. Old clients send one behind a body (RFC 9112 section 2.2).
 */
KF_INLINE _Bool kf_http1_is_blank(const struct kf_http1 *h, __u32 len)
{
	return len && h->state == KF_HTTP1_AT_START && h->method_off == len;
}

#endif /* KEYFILTER_HTTP1_H */
