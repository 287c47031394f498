// SPDX-License-Identifier: GPL-2.0-only
/*
 * response.h: responses as real servers send them, and as none should, in segments cut at every
 * place. What counts is when a flow is taken for idle: never before the last byte of the last
 * response, and then at once.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include <keyfilter/flowstate.h>
#include <keyfilter/response.h>

#define FIRST 0xffffff80u /* the backend's first number, so that all but the shortest wrap */

/* ---- a flow, as bpf/response.h drives it ---------------------------------------------------- */

static struct kf_flow flow_new(__u32 requests, __u32 head_asked)
{
	return (struct kf_flow){ .requests = requests,
				 .head_asked = head_asked,
				 .response_seq = FIRST,
				 .out_seq = FIRST };
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
	enum kf_response_state state = flow->response_state;
	const __u8 *data = bytes;
	__u32 at, left;

	if ((__s32)(seq + len - flow->out_seq) > 0)
		flow->out_seq = seq + len;
	if (!kf_flow_is_followed(flow) || (__s32)(seq + len - flow->response_seq) <= 0)
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
	flow->response_state = (__u8)state;
}

static _Bool is_idle(const struct kf_flow *flow)
{
	return flow->response_state == KF_RESPONSE_HEAD && !flow->response_skip &&
	       flow->requests == flow->responses && flow->out_seq == flow->response_seq;
}

#define SEND(flow_, text_) send_segment(flow_, (flow_)->out_seq, text_, sizeof(text_) - 1)

/* What counts of a flow that stands between two bytes, however it came there. */
static void assert_same(const struct kf_flow *a, const struct kf_flow *b, const char *title,
			size_t cut)
{
	if (a->response_state != b->response_state || a->responses != b->responses ||
	    is_idle(a) != is_idle(b) ||
	    (kf_flow_is_followed(a) &&
	     (a->response_seq != b->response_seq || a->response_skip != b->response_skip)))
		fail_msg("%s, cut at %zu: state %u, %u responses, at %u; whole: %u, %u, %u", title,
			 cut, a->response_state, a->responses, a->response_seq - FIRST,
			 b->response_state, b->responses, b->response_seq - FIRST);
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

/* ---- responses whose end is known ----------------------------------------------------------- */

#define DATE "Mon, 06 Jan 2025 10:11:12 GMT"
#define SSE  "data: {\"id\":\"cmpl-1\",\"choices\":[{\"index\":0,\"text\":\"Hi\"}]}\n\n" /* 0x3b */

struct response {
	const char *title;
	const char *bytes;
	size_t len;
	_Bool head;
};

#define OK(title_, bytes_)                                                                         \
	{                                                                                          \
		title_, bytes_, sizeof(bytes_) - 1, 0                                              \
	}
#define OK_HEAD(title_, bytes_)                                                                    \
	{                                                                                          \
		title_, bytes_, sizeof(bytes_) - 1, 1                                              \
	}

static const struct response known[] = {
	OK("uvicorn (vLLM, SGLang)",
	   "HTTP/1.1 200 OK\r\ndate: " DATE "\r\nserver: uvicorn\r\ncontent-length: 15\r\n"
	   "content-type: application/json\r\n\r\n{\"object\":true}"),
	OK("uvicorn, a stream",
	   "HTTP/1.1 200 OK\r\ndate: " DATE "\r\nserver: uvicorn\r\n"
	   "content-type: text/event-stream; charset=utf-8\r\nTransfer-Encoding: chunked\r\n\r\n"
	   "3b\r\n" SSE "\r\n3b\r\n" SSE "\r\ne\r\ndata: [DONE]\n\n\r\n0\r\n\r\n"),
	OK("uvicorn, an error",
	   "HTTP/1.1 422 Unprocessable Entity\r\ndate: " DATE "\r\nserver: uvicorn\r\n"
	   "content-length: 2\r\ncontent-type: application/json\r\n\r\n{}"),
	OK("hyper (TGI)", "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n"
			  "x-compute-type: 1-nvidia-a10g\r\nx-compute-time: 0.423\r\n"
			  "x-compute-characters: 2\r\nx-total-time: 423\r\ncontent-length: 2\r\n"
			  "access-control-allow-origin: *\r\nvary: origin\r\n"
			  "vary: access-control-request-method\r\n"
			  "vary: access-control-request-headers\r\ndate: " DATE "\r\n\r\n[]"),
	OK("hyper, a stream",
	   "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ncache-control: no-cache\r\n"
	   "x-accel-buffering: no\r\ntransfer-encoding: chunked\r\n"
	   "access-control-allow-origin: *\r\ndate: " DATE "\r\n\r\n"
	   "3B\r\n" SSE "\r\n0\r\n\r\n"),
	OK("cpp-httplib (llama.cpp)",
	   "HTTP/1.1 200 OK\r\nAccess-Control-Allow-Origin: \r\nContent-Length: 4\r\n"
	   "Content-Type: application/json; charset=utf-8\r\nKeep-Alive: timeout=5, max=100\r\n"
	   "Server: llama.cpp\r\n\r\nnull"),
	OK("cpp-httplib, a stream",
	   "HTTP/1.1 200 OK\r\nAccess-Control-Allow-Origin: \r\n"
	   "Content-Type: text/event-stream\r\nKeep-Alive: timeout=5, max=100\r\n"
	   "Server: llama.cpp\r\nTransfer-Encoding: chunked\r\n\r\n"
	   "3b\r\n" SSE "\r\n0\r\n\r\n"),
	OK("Node", "HTTP/1.1 200 OK\r\nX-Powered-By: Express\r\n"
		   "Content-Type: application/json; charset=utf-8\r\nContent-Length: 2\r\n"
		   "ETag: W/\"2-vyGp6PvFo4RvsFtPoIWeCReyIC8\"\r\nDate: " DATE "\r\n"
		   "Connection: keep-alive\r\nKeep-Alive: timeout=5\r\n\r\n{}"),
	OK("Node, a stream", "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nDate: " DATE
			     "\r\nConnection: keep-alive\r\nKeep-Alive: timeout=5\r\n"
			     "Transfer-Encoding: chunked\r\n\r\n3b\r\n" SSE "\r\n0\r\n\r\n"),
	OK("Go (Ollama)", "HTTP/1.1 200 OK\r\nContent-Type: application/json; charset=utf-8\r\n"
			  "Date: " DATE "\r\nContent-Length: 17\r\n\r\n{\"version\":\"0.5\"}"),
	OK("Go, a stream with trailers",
	   "HTTP/1.1 200 OK\r\nContent-Type: application/x-ndjson\r\nTrailer: "
	   "X-Tokens\r\nDate: " DATE "\r\nTransfer-Encoding: chunked\r\n\r\n3b\r\n" SSE
	   "\r\n0\r\nX-Tokens: 12\r\n\r\n"),
	OK("nginx", "HTTP/1.1 404 Not Found\r\nServer: nginx/1.22.1\r\nDate: " DATE "\r\n"
		    "Content-Type: text/html\r\nContent-Length: 6\r\nConnection: keep-alive\r\n\r\n"
		    "<html>"),
	OK("nginx, a file", "HTTP/1.1 206 Partial Content\r\nServer: nginx/1.22.1\r\nDate: " DATE
			    "\r\nContent-Type: text/html\r\nContent-Length: 5\r\n"
			    "Last-Modified: " DATE "\r\nConnection: keep-alive\r\n"
			    "ETag: \"63a5b2c1-267\"\r\nContent-Range: bytes 0-4/615\r\n\r\n<!DOC"),
	OK("http.server", "HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n"),
	OK("http.server as HTTP/1.1", "HTTP/1.1 200 OK\r\nServer: SimpleHTTP/0.6 Python/3.11.2\r\n"
				      "Date: " DATE "\r\nContent-type: text/html; charset=utf-8\r\n"
				      "Content-Length: 3\r\n\r\nabc"),
	OK("aiohttp", "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n"
		      "Transfer-Encoding: chunked\r\nDate: " DATE "\r\n"
		      "Server: Python/3.11 aiohttp/3.9.1\r\n\r\n3b\r\n" SSE "\r\n0\r\n\r\n"),
	OK("Java", "HTTP/1.1 200 \r\nContent-Type: application/json\r\n"
		   "Transfer-Encoding: chunked\r\nDate: " DATE "\r\n\r\n2\r\n{}\r\n0\r\n\r\n"),
	OK("no space behind the status", "HTTP/1.1 200\r\nContent-Length: 0\r\n\r\n"),
	OK("obs-text and HTAB", "HTTP/1.1 200 d\xe9j\xe0\tvu\r\nX: a\tb\x80\r\n"
				"content-length:\t 2 \t\r\n\r\nok"),
	OK("no white space, odd names",
	   "HTTP/1.1 200 OK\r\nX_Y!#$%&'*+.^`|~:1\r\nCONTENT-LENGTH:00000000000000002\r\n\r\nok"),
	OK("tRANSFER-eNCODING",
	   "HTTP/1.1 200 "
	   "OK\r\ntRANSFER-eNCODING:cHUNKED\r\n\r\n00001;a=\"b\"\r\n\r\r\n000\r\n\r\n"),
	OK("names that only begin or end alike",
	   "HTTP/1.1 200 OK\r\nContent-Lengt: 7\r\nContent-Lengths: 7\r\nX-Content-Length: 7\r\n"
	   "Transfer-Encodin: gzip\r\nTransfer-Encodings: gzip\r\nContent-Length-Transfer: 9\r\n"
	   "Content_Length: 8\r\nContent-Length: 1\r\n\r\nx"),
	OK("a body that looks like a response",
	   "HTTP/1.1 200 OK\r\nContent-Length: 38\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: "
	   "0\r\n\r\n"),
	OK("a long line",
	   "HTTP/1.1 200 OK\r\nContent-Security-Policy: default-src 'self'; script-src 'self' "
	   "https://cdn.example 'sha256-0123456789012345678901234567890123456789012='; img-src *; "
	   "report-uri https://csp.example/report?a=b&c=d\r\nContent-Length: 1\r\n\r\nx"),
	OK("204", "HTTP/1.1 204 No Content\r\nDate: " DATE "\r\nServer: nginx\r\n\r\n"),
	OK("204 with a length", "HTTP/1.1 204 No Content\r\nContent-Length: 0\r\n\r\n"),
	OK("304", "HTTP/1.1 304 Not Modified\r\nETag: \"1\"\r\nContent-Length: 615\r\n\r\n"),
	OK("304, chunked", "HTTP/1.1 304 Not Modified\r\nTransfer-Encoding: chunked\r\n\r\n"),
	OK("100 first",
	   "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"),
	OK("103 and 102",
	   "HTTP/1.1 103 Early Hints\r\nLink: </style.css>; rel=preload\r\n\r\n"
	   "HTTP/1.1 102 Processing\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"),
	OK_HEAD("HEAD", "HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n"),
	OK_HEAD("HEAD, chunked", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"),
	OK_HEAD("HEAD, neither", "HTTP/1.1 404 Not Found\r\nDate: " DATE "\r\n\r\n"),
	OK_HEAD("HEAD, 100 first", "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\n\r\n"),
};

#define KNOWN (sizeof(known) / sizeof(known[0]))

static void knows_the_end(void **state)
{
	for (size_t i = 0; i < KNOWN; i++) {
		const struct response *r = &known[i];
		struct kf_flow flow = run(r->title, flow_new(1, r->head), r->bytes, r->len);

		if (!is_idle(&flow) || flow.responses != 1)
			fail_msg("%s: state %u, %u responses, at %u of %zu", r->title,
				 flow.response_state, flow.responses, flow.response_seq - FIRST,
				 r->len);
	}
}

/* Every response behind every other one, in one segment and cut. */
static void follows_pipelines(void **state)
{
	char bytes[2048];

	for (size_t i = 0; i < KNOWN; i++) {
		const struct response *a = &known[i], *b = &known[(i * 7 + 3) % KNOWN];
		__u32 asked = a->head | (__u32)b->head << 1;
		struct kf_flow flow;

		memcpy(bytes, a->bytes, a->len);
		memcpy(bytes + a->len, b->bytes, b->len);
		flow = run(a->title, flow_new(2, asked), bytes, a->len + b->len);
		assert_true(is_idle(&flow));
		assert_int_equal(flow.responses, 2);
	}
}

/* ---- responses whose end is not known ------------------------------------------------------- */

#define NO OK

static const struct response lost[] = {
	NO("HTTP/1.0 knows no chunks",
	   "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
	NO("HTTP/1.0 knows no interim responses", "HTTP/1.0 100 Continue\r\n\r\n"),
	NO("HTTP/1.0 knows no other protocols", "HTTP/1.0 101 Switching Protocols\r\n\r\n"),
	NO("HTTP/2", "HTTP/2 200\r\n\r\n"),
	NO("another version", "HTTP/1.2 200 OK\r\nContent-Length: 0\r\n\r\n"),
	NO("no version", "http/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"),
	NO("ICY", "ICY 200 OK\r\n\r\n"),
	NO("an empty line first", "\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"),
	NO("two spaces", "HTTP/1.1  200 OK\r\nContent-Length: 0\r\n\r\n"),
	NO("two digits", "HTTP/1.1 20 OK\r\nContent-Length: 0\r\n\r\n"),
	NO("four digits", "HTTP/1.1 2000 OK\r\nContent-Length: 0\r\n\r\n"),
	NO("status 099", "HTTP/1.1 099 OK\r\nContent-Length: 0\r\n\r\n"),
	NO("status 600", "HTTP/1.1 600 OK\r\nContent-Length: 0\r\n\r\n"),
	NO("letters for a status", "HTTP/1.1 2OO OK\r\nContent-Length: 0\r\n\r\n"),
	NO("':' for a digit", "HTTP/1.1 20: OK\r\nContent-Length: 0\r\n\r\n"),
	NO("'/' for a digit", "HTTP/1.1 2/0 OK\r\nContent-Length: 0\r\n\r\n"),
	NO("NUL in the phrase", "HTTP/1.1 200 O\0K\r\nContent-Length: 0\r\n\r\n"),
	NO("bare LF", "HTTP/1.1 200 OK\nContent-Length: 0\n\n"),
	NO("bare LF in a line", "HTTP/1.1 200 OK\r\nX: a\nContent-Length: 0\r\n\r\n"),
	NO("bare LF ends a length", "HTTP/1.1 200 OK\r\nContent-Length: 0\n\r\n"),
	NO("bare LF ends the head", "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\n"),
	NO("bare CR", "HTTP/1.1 200 OK\r\nX: a\rb\r\nContent-Length: 0\r\n\r\n"),
	NO("bare CR ends the head", "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\r\n"),
	NO("obs-fold", "HTTP/1.1 200 OK\r\nX: a\r\n b\r\nContent-Length: 0\r\n\r\n"),
	NO("obs-fold in a length", "HTTP/1.1 200 OK\r\nContent-Length:\r\n 0\r\n\r\n"),
	NO("a folded first line", "HTTP/1.1 200 OK\r\n\tX: a\r\nContent-Length: 0\r\n\r\n"),
	NO("space before the colon", "HTTP/1.1 200 OK\r\nX : a\r\nContent-Length: 0\r\n\r\n"),
	NO("no name", "HTTP/1.1 200 OK\r\n: a\r\nContent-Length: 0\r\n\r\n"),
	NO("no colon", "HTTP/1.1 200 OK\r\nX\r\nContent-Length: 0\r\n\r\n"),
	NO("obs-text in a name", "HTTP/1.1 200 OK\r\nX\xe9: a\r\nContent-Length: 0\r\n\r\n"),
	NO("a name in quotes", "HTTP/1.1 200 OK\r\n\"X\": a\r\nContent-Length: 0\r\n\r\n"),
	NO("DEL in a value", "HTTP/1.1 200 OK\r\nX: a\x7f\r\nContent-Length: 0\r\n\r\n"),
	NO("both", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n"),
	NO("both, turned", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\n"
			   "\r\n"),
	NO("two lengths", "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nContent-Length: 5\r\n\r\n"),
	NO("the same twice", "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nContent-Length: 0\r\n\r\n"),
	NO("a list", "HTTP/1.1 200 OK\r\nContent-Length: 0, 0\r\n\r\n"),
	NO("an empty length", "HTTP/1.1 200 OK\r\nContent-Length: \r\n\r\n"),
	NO("a sign", "HTTP/1.1 200 OK\r\nContent-Length: +0\r\n\r\n"),
	NO("hexadecimal", "HTTP/1.1 200 OK\r\nContent-Length: 0x0\r\n\r\n"),
	NO("spaces inside", "HTTP/1.1 200 OK\r\nContent-Length: 0 0\r\n\r\n"),
	NO("19 digits", "HTTP/1.1 200 OK\r\nContent-Length: 0000000000000000000\r\n\r\n"),
	NO("gzip, chunked", "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n"),
	NO("chunked twice", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n"
			    "Transfer-Encoding: chunked\r\n\r\n"),
	NO("chunke", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunke\r\n\r\n"),
	NO("chunkedd", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunkedd\r\n\r\n"),
	NO("xchunked", "HTTP/1.1 200 OK\r\nTransfer-Encoding: xchunked\r\n\r\n"),
	NO("identity", "HTTP/1.1 200 OK\r\nTransfer-Encoding: identity\r\n\r\n"),
	NO("204 with a body", "HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\n"),
	NO("204, chunked", "HTTP/1.1 204 No Content\r\nTransfer-Encoding: chunked\r\n\r\n"),
	NO("100 with a length", "HTTP/1.1 100 Continue\r\nContent-Length: 0\r\n\r\n"),
	NO("a bad size", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5g\r\n"),
	NO("no size", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n\r\n"),
	NO("a size and LF", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\nhello"),
	NO("a size and CR",
	   "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\rXhello\r\n0\r\n\r\n"),
	NO("data and CR",
	   "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\rX0\r\n\r\n"),
	NO("data that is too long",
	   "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nxx\r\n0\r\n\r\n"),
	NO("data that is too short",
	   "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nx\r\n0\r\n\r\n"),
	NO("a bad trailer", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nX\r\n\r\n"),
	OK_HEAD("HEAD, both",
		"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n"),
};

static void loses_what_is_doubtful(void **state)
{
	static const char next[] = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";

	for (size_t i = 0; i < sizeof(lost) / sizeof(lost[0]); i++) {
		struct kf_flow flow =
			run(lost[i].title, flow_new(1, lost[i].head), lost[i].bytes, lost[i].len);

		if (flow.response_state != KF_RESPONSE_LOST)
			fail_msg("%s: state %u, at %u of %zu", lost[i].title, flow.response_state,
				 flow.response_seq - FIRST, lost[i].len);
		SEND(&flow, next);
		assert_int_equal(flow.response_state, KF_RESPONSE_LOST);
	}
}

static void tells_a_close(void **state)
{
	static const char *const heads[] = {
		"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n",
		"HTTP/1.0 200 OK\r\n\r\n",
	};

	for (size_t i = 0; i < 2; i++) {
		struct kf_flow flow =
			run("until close", flow_new(1, 0), heads[i], strlen(heads[i]));

		assert_int_equal(flow.response_state, KF_RESPONSE_CLOSING);
		SEND(&flow, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
		assert_int_equal(flow.response_state, KF_RESPONSE_CLOSING);
	}
}

/* A 101 ends what is read; "HTTP/1.1 101" in a body is body. */
static void tells_a_switch(void **state)
{
	static const char head[] = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n";
	struct kf_flow flow = run("a switch", flow_new(1, 0), head, sizeof(head) - 1);

	assert_int_equal(flow.response_state, KF_RESPONSE_SWITCHED);
	SEND(&flow, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
	assert_int_equal(flow.response_state, KF_RESPONSE_SWITCHED);
	flow = flow_new(1, 0);
	SEND(&flow, "HTTP/1.1 200 OK\r\nContent-Length: 24\r\n\r\n");
	SEND(&flow, "HTTP/1.1 101 Switch\r\n\r\n");
	assert_int_equal(flow.response_state, KF_RESPONSE_HEAD);
	assert_false(is_idle(&flow)); /* a byte is missing */
	SEND(&flow, "x");
	assert_true(is_idle(&flow));
}

/* ---- requests ------------------------------------------------------------------------------- */

static void counts_requests(void **state)
{
	static const char empty[] = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
	static const char interim[] = "HTTP/1.1 100 Continue\r\n\r\n";
	struct kf_flow flow = flow_new(0, 0);

	assert_true(is_idle(&flow));
	for (__u32 i = 1; i <= 100; i++) { /* one after the other */
		flow.requests = i;
		assert_false(is_idle(&flow));
		SEND(&flow, empty);
		assert_true(is_idle(&flow));
	}
	SEND(&flow, empty); /* nobody asked: a time-out, or worse */
	assert_int_equal(flow.response_state, KF_RESPONSE_STRAY);

	flow = run("unasked", flow_new(0, 0), empty, sizeof(empty) - 1);
	assert_int_equal(flow.response_state, KF_RESPONSE_STRAY);
	flow = run("unasked 100", flow_new(0, 0), interim, sizeof(interim) - 1);
	assert_int_equal(flow.response_state, KF_RESPONSE_STRAY);
	flow = flow_new(0, 0);
	SEND(&flow, "HTTP/1.1 408 Request Time-out\r\nContent-");
	flow.requests = 1; /* which this is no response to */
	SEND(&flow, "Length: 0\r\n\r\n");
	assert_int_equal(flow.response_state, KF_RESPONSE_STRAY);
	flow = flow_new(2, 0);
	SEND(&flow, empty);
	assert_int_equal(flow.response_state, KF_RESPONSE_HEAD);
	assert_false(is_idle(&flow)); /* one to come */
}

static void knows_32_methods(void **state)
{
	static const char head[] = "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n";
	struct kf_flow flow = flow_new(31, 0);

	flow.responses = 0;
	SEND(&flow, head);
	assert_int_equal(flow.response_state, KF_RESPONSE_HEAD);
	flow = flow_new(32, 0); /* one more, and bits would be told by the wrong request */
	SEND(&flow, head);
	assert_int_equal(flow.response_state, KF_RESPONSE_LOST);

	for (__u32 n = 0; n < 70; n++) {
		flow = flow_new(n + 1, 1u << (n % 32));
		flow.responses = n;
		SEND(&flow, head);
		assert_true(is_idle(&flow));
		flow = flow_new(n + 1, ~(1u << (n % 32)));
		flow.responses = n;
		SEND(&flow, head);
		assert_false(is_idle(&flow));
		SEND(&flow, "body");
		assert_true(is_idle(&flow));
	}
	flow = flow_new(0, 0); /* the count wraps */
	flow.responses = (__u32)-1;
	SEND(&flow, head);
	SEND(&flow, "body");
	assert_true(is_idle(&flow));
}

/* ---- segments ------------------------------------------------------------------------------- */

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
		assert_int_equal(flow.response_state, KF_RESPONSE_LOST);
		send_segment(&flow, FIRST + cut, bytes + cut, len - cut);
		assert_int_equal(flow.response_state, KF_RESPONSE_LOST);
	}
}

/* @len bytes of body, in segments of 64,000. */
static void send_body(struct kf_flow *flow, __u64 len)
{
	static const __u8 zeros[64000];

	while (len) {
		__u32 now = len > sizeof(zeros) ? sizeof(zeros) : (__u32)len;

		assert_false(is_idle(flow));
		send_segment(flow, flow->out_seq, zeros, now);
		len -= now;
	}
}

static void follows_long_bodies(void **state)
{
	struct kf_flow flow = flow_new(1, 0);

	SEND(&flow, "HTTP/1.1 200 OK\r\nContent-Length: 6000000000\r\n\r\n");
	assert_int_equal(flow.responses, 0);
	send_body(&flow, 6000000000);
	assert_true(is_idle(&flow));
	assert_int_equal(flow.responses, 1);

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
		assert_int_equal(flow.response_state, fill ? KF_RESPONSE_LOST : KF_RESPONSE_HEAD);
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
		cmocka_unit_test(knows_the_end),	  cmocka_unit_test(follows_pipelines),
		cmocka_unit_test(loses_what_is_doubtful), cmocka_unit_test(tells_a_close),
		cmocka_unit_test(tells_a_switch),	  cmocka_unit_test(counts_requests),
		cmocka_unit_test(knows_32_methods),	  cmocka_unit_test(reads_nothing_twice),
		cmocka_unit_test(loses_what_it_misses),	  cmocka_unit_test(follows_long_bodies),
		cmocka_unit_test(bounds_heads),		  cmocka_unit_test(reads_sizes),
	};

	return cmocka_run_group_tests_name("response", tests, NULL, NULL);
}
