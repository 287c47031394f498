/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * http1_run.h - runs one head through the reader in every way it could arrive, for http1_*_test.c.
 *
 * The buffer ends at a page that may not be read, and what lies behind the head is noise. A head is
 * read whole, byte by byte, and cut in two at every place, each time with other noise; the outcomes
 * must be the same.
 */
#ifndef KF_HTTP1_RUN_H
#define KF_HTTP1_RUN_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <keyfilter/http1.h>

/* A buffer of KF_HTTP1_BUFFER bytes before the end of the world; lives as long as the test. */
static inline __u8 *http1_buffer(void)
{
	static __u8 *buffer;
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	size_t room = (KF_HTTP1_BUFFER + page - 1) / page * page;
	__u8 *map;

	if (buffer)
		return buffer;
	map = mmap(NULL, room + page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	assert_true(map != MAP_FAILED);
	assert_int_equal(mprotect(map + room, page, PROT_NONE), 0);
	buffer = map + room - KF_HTTP1_BUFFER;
	return buffer;
}

#define NOISE 512 /* bytes; the reader looks at 128 of them */

/* Fills what lies behind @len with bytes that would matter if they were read as the request's. */
static inline void http1_noise(__u8 *buf, size_t len, unsigned int seed)
{
	static const char *const texts[] = { "\r\n\r\n", "\r\nContent-Length: 7\r\n\r\n",
					     ": key=",	 " HTTP/1.1\r\nHost: a\r\n\r\n",
					     "//../%2f", "\0\n\x7f" };
	const char *text = texts[seed % 6];
	size_t size = seed % 6 == 5 ? 3 : strlen(text);

	for (size_t i = len; i < KF_HTTP1_BUFFER && i < len + NOISE; i++)
		buf[i] = seed % 7 == 6 ? (__u8)(rand_r(&seed) >> 8) : (__u8)text[(i - len) % size];
}

/* What counts of an outcome: equal for equal heads, however they came. */
static inline void http1_assert_same(const struct kf_http1 *a, enum kf_http1_result ra,
				     const struct kf_http1 *b, enum kf_http1_result rb,
				     const char *how, size_t cut)
{
	_Bool same =
		ra == rb && a->detail == b->detail &&
		(ra != KF_HTTP1_REQUEST || !memcmp(a, b, offsetof(struct kf_http1, key_sources)));

	if (!same)
		fail_msg("%s at %zu: %d %s, whole: %d %s", how, cut, ra, kf_detail_name(a->detail),
			 rb, kf_detail_name(b->detail));
}

static inline enum kf_http1_result http1_cut(struct kf_http1 *h, __u32 sources, const __u8 *head,
					     size_t len, size_t cut, unsigned int seed)
{
	__u8 *buf = http1_buffer();
	enum kf_http1_result result;

	memcpy(buf, head, cut);
	http1_noise(buf, cut, seed);
	kf_http1_begin(h, sources);
	result = kf_http1_parse(h, buf, (__u32)cut);
	if (result != KF_HTTP1_INCOMPLETE)
		return result;
	memcpy(buf, head, len);
	http1_noise(buf, len, seed + 1);
	return kf_http1_parse(h, buf, (__u32)len);
}

static inline enum kf_http1_result http1_drip(struct kf_http1 *h, __u32 sources, const __u8 *head,
					      size_t len, unsigned int seed)
{
	enum kf_http1_result result = KF_HTTP1_INCOMPLETE;
	__u8 *buf = http1_buffer();

	kf_http1_begin(h, sources);
	http1_noise(buf, 0, seed);
	for (size_t i = 0; i <= len && result == KF_HTTP1_INCOMPLETE; i++) {
		if (i)
			buf[i - 1] = head[i - 1];
		result = kf_http1_parse(h, buf, (__u32)i);
	}
	return result;
}

/* Reads @head in every way; @h and the result are those of the whole. */
static inline enum kf_http1_result http1_run(struct kf_http1 *h, __u32 sources, const void *head,
					     size_t len)
{
	enum kf_http1_result whole, other;
	struct kf_http1 h2;

	whole = http1_cut(h, sources, head, len, len, 0);
	for (unsigned int seed = 1; seed < 14; seed++) {
		other = http1_cut(&h2, sources, head, len, len, seed);
		http1_assert_same(&h2, other, h, whole, "noise", seed);
	}
	for (size_t cut = 0; cut < len; cut++) {
		other = http1_cut(&h2, sources, head, len, cut, (unsigned int)cut);
		http1_assert_same(&h2, other, h, whole, "cut", cut);
	}
	for (unsigned int seed = 0; seed < 7; seed++) {
		other = http1_drip(&h2, sources, head, len, seed);
		http1_assert_same(&h2, other, h, whole, "drip", seed);
	}
	memcpy(http1_buffer(), head, len); /* so that the caller can look up offsets */
	return whole;
}

#endif /* KF_HTTP1_RUN_H */
