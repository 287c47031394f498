/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * response_run.h - runs responses through response.h in segments cut at every place, for tests that
 * include it once, after cmocka.h.
 */
#ifndef KEYFILTER_TEST_RESPONSE_RUN_H
#define KEYFILTER_TEST_RESPONSE_RUN_H

#include <stdio.h>
#include <string.h>

#include <keyfilter/flowstate.h>
#include <keyfilter/response.h>

#pragma GCC diagnostic ignored "-Wunused-function" /* not every test needs all of it */

#define FIRST 0xffffff80u /* the backend's first number, so that all but the shortest wrap */

static struct kf_flow flow_new(__u32 requests, __u32 head_asked)
{
	return (struct kf_flow){ .response.requests = requests,
				 .response.head_asked = head_asked,
				 .response.seq = FIRST,
				 .out.seq = FIRST };
}

/* @len bytes in a buffer as the readers want it, with what would matter if it were read behind. */
static const __u8 *loaded(const __u8 *bytes, __u32 len)
{
	static const char *const noise[] = { "\r\n\r\nContent-Length: 3\r\n\r\n0\r\n\r\n",
					     "HTTP/1.1 200 OK\r\n\r\n", "0000000\r\n" };
	static __u8 buf[KF_HTTP1_BUFFER];
	static unsigned int turn;
	const char *text = noise[++turn % 3];
	size_t from = turn % 2 ? turn : 0, size = strlen(text);

	memcpy(buf, bytes, len);
	for (size_t i = len; i < len + 160; i++)
		buf[i] = (__u8)text[(i + from) % size];
	return buf;
}

static void send_segment(struct kf_flow *flow, __u32 seq, const void *bytes, __u32 len)
{
	enum kf_response_state state = flow->response.state;
	const __u8 *data = bytes;
	__u32 at, left;

	if ((__s32)(seq + len - flow->out.seq) > 0)
		flow->out.seq = seq + len;
	if (!kf_flow_is_followed(flow) || (__s32)(seq + len - flow->response.seq) <= 0)
		return;
	at = kf_response_next(flow, state) - seq;
	if ((__s32)at < 0)
		state = KF_RESPONSE_LOST;
	while (state <= KF_RESPONSE_CHUNKS && at < len) {
		left = len - at > 1024 ? 1024 : len - at;
		if (state == KF_RESPONSE_HEAD)
			state = kf_response_head(flow, loaded(data + at, left), left);
		else
			state = kf_response_chunks(flow, loaded(data + at, left), left);
		at = kf_response_next(flow, state) - seq;
	}
	flow->response.state = (__u8)state;
}

static _Bool is_idle(const struct kf_flow *flow)
{
	return flow->response.state == KF_RESPONSE_HEAD && !flow->response.skip &&
	       flow->response.requests == flow->response.ended &&
	       flow->out.seq == flow->response.seq;
}

#define SEND(flow_, text_) send_segment(flow_, (flow_)->out.seq, text_, sizeof(text_) - 1)

/* What counts of a flow that stands between two bytes, however it came there. */
static void assert_same(const struct kf_flow *a, const struct kf_flow *b, const char *title,
			size_t cut)
{
	if (a->response.state != b->response.state || a->response.ended != b->response.ended ||
	    is_idle(a) != is_idle(b) ||
	    (kf_flow_is_followed(a) &&
	     (a->response.seq != b->response.seq || a->response.skip != b->response.skip)))
		fail_msg("%s, cut at %zu: state %u, %u responses, at %u; whole: %u, %u, %u", title,
			 cut, a->response.state, a->response.ended, a->response.seq - FIRST,
			 b->response.state, b->response.ended, b->response.seq - FIRST);
}

/* Sends @len bytes whole, in two pieces and byte by byte; the flow afterwards. */
static struct kf_flow run(const char *title, struct kf_flow start, const char *bytes, size_t len)
{
	struct kf_flow whole = start, parts;

	send_segment(&whole, FIRST, bytes, (__u32)len);
	for (size_t cut = 1; cut < len; cut++) {
		parts = start;
		send_segment(&parts, FIRST, bytes, (__u32)cut);
		if (is_idle(&parts))
			fail_msg("%s: idle after %zu bytes", title, cut);
		send_segment(&parts, FIRST + (__u32)cut, bytes + cut, (__u32)(len - cut));
		assert_same(&parts, &whole, title, cut);
	}
	parts = start;
	for (size_t i = 0; i < len; i++) {
		if (i && is_idle(&parts))
			fail_msg("%s: idle at byte %zu", title, i);
		send_segment(&parts, FIRST + (__u32)i, bytes + i, 1);
	}
	assert_same(&parts, &whole, title, (size_t)-1);
	return whole;
}

#define DATE "Mon, 06 Jan 2025 10:11:12 GMT"
#define SSE  "data: {\"id\":\"cmpl-1\",\"choices\":[{\"index\":0,\"text\":\"Hi\"}]}\n\n" /* 0x3b */

struct response {
	const char *title;
	const char *bytes;
	size_t len;
	_Bool head;
};

#endif /* KEYFILTER_TEST_RESPONSE_RUN_H */
