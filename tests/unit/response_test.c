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

#include "response_run.h"

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

		if (!is_idle(&flow) || flow.response.ended != 1)
			fail_msg("%s: state %u, %u responses, at %u of %zu", r->title,
				 flow.response.state, flow.response.ended,
				 flow.response.seq - FIRST, r->len);
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
		assert_int_equal(flow.response.ended, 2);
	}
}

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

		if (flow.response.state != KF_RESPONSE_LOST)
			fail_msg("%s: state %u, at %u of %zu", lost[i].title, flow.response.state,
				 flow.response.seq - FIRST, lost[i].len);
		SEND(&flow, next);
		assert_int_equal(flow.response.state, KF_RESPONSE_LOST);
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

		assert_int_equal(flow.response.state, KF_RESPONSE_CLOSING);
		SEND(&flow, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
		assert_int_equal(flow.response.state, KF_RESPONSE_CLOSING);
	}
}

/* A 101 ends what is read; "HTTP/1.1 101" in a body is body. */
static void tells_a_switch(void **state)
{
	static const char head[] = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n";
	struct kf_flow flow = run("a switch", flow_new(1, 0), head, sizeof(head) - 1);

	assert_int_equal(flow.response.state, KF_RESPONSE_SWITCHED);
	SEND(&flow, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
	assert_int_equal(flow.response.state, KF_RESPONSE_SWITCHED);
	flow = flow_new(1, 0);
	SEND(&flow, "HTTP/1.1 200 OK\r\nContent-Length: 24\r\n\r\n");
	SEND(&flow, "HTTP/1.1 101 Switch\r\n\r\n");
	assert_int_equal(flow.response.state, KF_RESPONSE_HEAD);
	assert_false(is_idle(&flow)); /* a byte is missing */
	SEND(&flow, "x");
	assert_true(is_idle(&flow));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(knows_the_end),	  cmocka_unit_test(follows_pipelines),
		cmocka_unit_test(loses_what_is_doubtful), cmocka_unit_test(tells_a_close),
		cmocka_unit_test(tells_a_switch),
	};

	return cmocka_run_group_tests_name("response", tests, NULL, NULL);
}
