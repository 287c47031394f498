// SPDX-License-Identifier: GPL-2.0-only
/* response.h over a connection: its requests, segments that are repeated or missed, and limits. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "response_run.h"

static void counts_requests(void **state)
{
	static const char empty[] = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
	static const char interim[] = "HTTP/1.1 100 Continue\r\n\r\n";
	struct kf_flow flow = flow_new(0, 0);

	assert_true(is_idle(&flow));
	for (__u32 i = 1; i <= 100; i++) { /* one after the other */
		flow.response.requests = i;
		assert_false(is_idle(&flow));
		SEND(&flow, empty);
		assert_true(is_idle(&flow));
	}
	SEND(&flow, empty); /* nobody asked: a time-out, or worse */
	assert_int_equal(flow.response.state, KF_RESPONSE_STRAY);

	flow = run("unasked", flow_new(0, 0), empty, sizeof(empty) - 1);
	assert_int_equal(flow.response.state, KF_RESPONSE_STRAY);
	flow = run("unasked 100", flow_new(0, 0), interim, sizeof(interim) - 1);
	assert_int_equal(flow.response.state, KF_RESPONSE_STRAY);
	flow = flow_new(0, 0);
	SEND(&flow, "HTTP/1.1 408 Request Time-out\r\nContent-");
	flow.response.requests = 1; /* which this is no response to */
	SEND(&flow, "Length: 0\r\n\r\n");
	assert_int_equal(flow.response.state, KF_RESPONSE_STRAY);
	flow = flow_new(2, 0);
	SEND(&flow, empty);
	assert_int_equal(flow.response.state, KF_RESPONSE_HEAD);
	assert_false(is_idle(&flow)); /* one to come */
}

static void knows_32_methods(void **state)
{
	static const char head[] = "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n";
	struct kf_flow flow = flow_new(31, 0);

	flow.response.ended = 0;
	SEND(&flow, head);
	assert_int_equal(flow.response.state, KF_RESPONSE_HEAD);
	flow = flow_new(32, 0); /* one more, and bits would be told by the wrong request */
	SEND(&flow, head);
	assert_int_equal(flow.response.state, KF_RESPONSE_LOST);

	for (__u32 n = 0; n < 70; n++) {
		flow = flow_new(n + 1, 1u << (n % 32));
		flow.response.ended = n;
		SEND(&flow, head);
		assert_true(is_idle(&flow));
		flow = flow_new(n + 1, ~(1u << (n % 32)));
		flow.response.ended = n;
		SEND(&flow, head);
		assert_false(is_idle(&flow));
		SEND(&flow, "body");
		assert_true(is_idle(&flow));
	}
	flow = flow_new(0, 0); /* the count wraps */
	flow.response.ended = (__u32)-1;
	SEND(&flow, head);
	SEND(&flow, "body");
	assert_true(is_idle(&flow));
}

#define HEAD	"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
#define CHUNKED HEAD "5\r\nhello\r\n0\r\n\r\n"

static void reads_nothing_twice(void **state)
{
	static const char bytes[] = CHUNKED;
	const __u32 len = sizeof(bytes) - 1;

	for (__u32 cut = 1; cut < len; cut++) {
		for (__u32 from = 0; from <= cut; from++) {
			struct kf_flow flow = flow_new(1, 0);

			send_segment(&flow, FIRST, bytes, cut);
			send_segment(&flow, FIRST, bytes, cut);
			send_segment(&flow, FIRST + from, bytes + from, cut - from);
			assert_false(is_idle(&flow));
			send_segment(&flow, FIRST + from, bytes + from, len - from);
			assert_true(is_idle(&flow));
			send_segment(&flow, FIRST + from, bytes + from, len - from);
			assert_true(is_idle(&flow));
		}
	}
}

static void loses_what_it_misses(void **state)
{
	static const char bytes[] = CHUNKED;
	const __u32 len = sizeof(bytes) - 1;

	for (__u32 cut = 0; cut < len - 1; cut++) {
		struct kf_flow flow = flow_new(1, 0);

		send_segment(&flow, FIRST, bytes, cut);
		send_segment(&flow, FIRST + cut + 1, bytes + cut + 1, len - cut - 1);
		/* in the data, which nobody reads, nothing is missed */
		if (cut >= sizeof(HEAD "5\r\n") - 1 && cut < sizeof(HEAD "5\r\nhello") - 1) {
			assert_true(is_idle(&flow));
			continue;
		}
		assert_int_equal(flow.response.state, KF_RESPONSE_LOST);
		send_segment(&flow, FIRST + cut, bytes + cut, len - cut);
		assert_int_equal(flow.response.state, KF_RESPONSE_LOST);
	}
}

/* @len bytes of body, in segments of 64,000. */
static void send_body(struct kf_flow *flow, __u64 len)
{
	static const __u8 zeros[64000];

	while (len) {
		__u32 now = len > sizeof(zeros) ? sizeof(zeros) : (__u32)len;

		assert_false(is_idle(flow));
		send_segment(flow, flow->out.seq, zeros, now);
		len -= now;
	}
}

static void follows_long_bodies(void **state)
{
	struct kf_flow flow = flow_new(1, 0);

	SEND(&flow, "HTTP/1.1 200 OK\r\nContent-Length: 6000000000\r\n\r\n");
	assert_int_equal(flow.response.ended, 0);
	send_body(&flow, 6000000000);
	assert_true(is_idle(&flow));
	assert_int_equal(flow.response.ended, 1);

	flow = flow_new(1, 0);
	SEND(&flow, "HTTP/1.1 200 OK\r\nContent-Length: 1073741824\r\n\r\n"); /* 2^30 */
	send_body(&flow, 1073741824);
	assert_true(is_idle(&flow));

	flow = flow_new(1, 0);
	SEND(&flow, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n100000005\r\n");
	send_body(&flow, 0x100000005);
	assert_false(is_idle(&flow));
	SEND(&flow, "\r\n0\r\n\r\n");
	assert_true(is_idle(&flow));
}

static void bounds_heads(void **state)
{
	static char bytes[20000];
	const char *start = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n";
	struct kf_flow flow;

	for (__u32 fill = 0; fill < 2; fill++) {
		/* a head of KF_RESPONSE_HEAD_MAX bytes, and of one more */
		__u32 len = KF_RESPONSE_HEAD_MAX + fill, at = (__u32)strlen(start);

		memset(bytes, 'x', sizeof(bytes));
		memcpy(bytes, start, at);
		bytes[at + 1] = ':';
		memcpy(bytes + len - 4, "\r\n\r\n", 4);
		flow = flow_new(1, 0);
		send_segment(&flow, FIRST, bytes, len);
		assert_int_equal(is_idle(&flow), !fill);
		assert_int_equal(flow.response.state, fill ? KF_RESPONSE_LOST : KF_RESPONSE_HEAD);
		flow = flow_new(1, 0);
		for (__u32 i = 0; i < len; i += 7)
			send_segment(&flow, FIRST + i, bytes + i, len - i < 7 ? len - i : 7);
		assert_int_equal(is_idle(&flow), !fill);
	}
}

/* Each size, by the quick reader and by the one that goes byte by byte. */
static void reads_sizes(void **state)
{
	static const char *const formats[] = { "%x\r\n", "%X\r\n", "0%x\r\n", "\r\n%x\r\n" };

	for (__u32 size = 1; size < 1u << 24; size = size * 3 + 1) {
		for (size_t i = 0; i < 4; i++) {
			struct kf_chunk quick = { 0 }, slow = { 0 };
			__u32 len, consumed, all = 0;
			char text[32];
			__u8 detail;

			len = (__u32)sprintf(text, formats[i], size);
			if (i == 3)
				quick.state = slow.state = KF_CHUNK_AT_DATA_CR;
			assert_int_equal(
				kf_response_frame_chunk(&quick, loaded((__u8 *)text, len), len),
				len);
			while (all < len) {
				kf_chunk_parse(&slow, (__u8 *)text + all, 1, &consumed, &detail);
				all += consumed;
			}
			assert_int_equal(quick.skip, size);
			assert_int_equal(slow.skip, size);
			assert_int_equal(quick.state, slow.state);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(counts_requests),     cmocka_unit_test(knows_32_methods),
		cmocka_unit_test(reads_nothing_twice), cmocka_unit_test(loses_what_it_misses),
		cmocka_unit_test(follows_long_bodies), cmocka_unit_test(bounds_heads),
		cmocka_unit_test(reads_sizes),
	};

	return cmocka_run_group_tests_name("response_flow", tests, NULL, NULL);
}
