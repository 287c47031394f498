// SPDX-License-Identifier: GPL-2.0-only
/*
 * libFuzzer for response.h. Three bytes choose how many requests there were, which of them were
 * HEAD and how the stream is cut; the rest is what the backend sends.
 *
 * The outcome must not depend on the cuts, and at no byte may the flow be taken for idle where a
 * second reader, slow and simple, says that a response is running or that it cannot tell.
 *
 *   clang -g -O1 -fsanitize=fuzzer,address,undefined -Iinclude tests/fuzz/response_fuzz.c
 *   ./a.out tests/fuzz/corpus/response
 */
#include <ctype.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include <keyfilter/flowstate.h>
#include <keyfilter/response.h>

#define CHECK(condition)                                                                           \
	do {                                                                                       \
		if (!(condition)) {                                                                \
			fprintf(stderr, "failed: %s\n", #condition);                               \
			abort();                                                                   \
		}                                                                                  \
	} while (0)

/* ---- the second reader ----------------------------------------------------------------------- */

struct oracle {
	const char *text;
	size_t len;
	size_t at;
	uint32_t requests;
	uint32_t asked;
	size_t idle;	  /* so many bytes on the flow is idle; -1: it is not, or nobody can tell */
	int may_be_lost;  /* extensions and trailers, which chunk.h reads more closely */
	long long length; /* of the head read last; -1: it has none */
	int chunked;
	int old; /* HTTP/1.0 */
};

/* The line at o->at, without its CRLF, which is then behind us; NULL if it has no end. */
static const char *o_line(struct oracle *o, size_t *len)
{
	const char *line = o->text + o->at;

	for (size_t i = 0; o->at + i + 1 < o->len; i++)
		if (line[i] == '\r' && line[i + 1] == '\n') {
			*len = i;
			o->at += i + 2;
			return line;
		}
	return NULL;
}

static int o_is_text(const char *text, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if (((unsigned char)text[i] < ' ' && text[i] != '\t') || text[i] == 127)
			return 0;
	return 1;
}

static int o_is_digits(const char *text, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if (text[i] < '0' || text[i] > '9')
			return 0;
	return len > 0;
}

static int o_is_name(const char *text, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if (text[i] <= ' ' || text[i] >= 127 || strchr("\"(),/:;<=>?@[\\]{}", text[i]))
			return 0;
	return len > 0;
}

/* The status; -1: not a status line. */
static int o_status(struct oracle *o)
{
	const char *line;
	size_t len;

	line = o_line(o, &len);
	if (!line || len < 12 || memcmp(line, "HTTP/1.", 7) != 0 || line[8] != ' ' ||
	    (line[7] != '0' && line[7] != '1') || !o_is_digits(line + 9, 3))
		return -1;
	o->old = line[7] == '0';
	if (line[9] < '1' || line[9] > '5' || (len > 12 && line[12] != ' '))
		return -1;
	return o_is_text(line, len) ? atoi((char[]){ line[9], line[10], line[11], 0 }) : -1;
}

/* One field line that has @len bytes; 0: a doubtful one. */
static int o_field(struct oracle *o, const char *line, size_t len)
{
	const char *colon = memchr(line, ':', len), *value, *end = line + len;
	char digits[20] = "";

	if (!colon || !o_is_name(line, (size_t)(colon - line)) || !o_is_text(line, len))
		return 0;
	for (value = colon + 1; value < end && (*value == ' ' || *value == '\t');)
		value++;
	while (end > value && (end[-1] == ' ' || end[-1] == '\t'))
		end--;
	if (colon - line == 14 && !strncasecmp(line, "content-length", 14)) {
		if (o->chunked || o->length >= 0 || end - value > 18 ||
		    !o_is_digits(value, (size_t)(end - value)))
			return 0;
		memcpy(digits, value, (size_t)(end - value));
		o->length = atoll(digits);
	}
	if (colon - line == 17 && !strncasecmp(line, "transfer-encoding", 17)) {
		if (o->chunked || o->length >= 0 || end - value != 7 ||
		    strncasecmp(value, "chunked", 7) != 0)
			return 0;
		o->chunked = 1;
	}
	return 1;
}

static int o_fields(struct oracle *o)
{
	const char *line;
	size_t len;

	o->length = -1;
	o->chunked = 0;
	while ((line = o_line(o, &len)) && len)
		if (!o_field(o, line, len))
			return 0;
	return line != NULL;
}

static int o_chunks(struct oracle *o)
{
	const char *line;
	size_t len, digits, size;

	for (;;) {
		line = o_line(o, &len);
		if (!line)
			return 0;
		for (digits = 0, size = 0; digits < len && isxdigit((unsigned char)line[digits]);)
			size = size * 16 + strtoul((char[]){ line[digits++], 0 }, NULL, 16);
		if (!digits || digits > 15 || (digits < len && line[digits] != ';'))
			return 0;
		o->may_be_lost |= digits < len;
		if (!size)
			break;
		if (size > o->len - o->at)
			return 0;
		o->at += size;
		line = o_line(o, &len);
		if (!line || len)
			return 0;
	}
	while ((line = o_line(o, &len)) && len)
		o->may_be_lost = 1;
	return line != NULL;
}

/* Response number @n; 0: it does not end here, or nobody can tell. */
static int o_response(struct oracle *o, uint32_t n)
{
	int status, none;

	do {
		status = o_status(o);
		if (status < 0 || status == 101 || !o_fields(o))
			return 0;
		if (status < 200 && (o->chunked || o->length >= 0 || o->old))
			return 0;
	} while (status < 200);
	none = status == 204 || status == 304 || (o->asked >> n % 32 & 1);
	if ((status == 204 && (o->chunked || o->length > 0)) || (o->chunked && o->old))
		return 0;
	if (none)
		return 1;
	if (o->chunked)
		return o_chunks(o);
	if (o->length < 0 || (unsigned long long)o->length > o->len - o->at)
		return 0;
	o->at += (size_t)o->length;
	return 1;
}

static void o_read(struct oracle *o)
{
	o->idle = (size_t)-1;
	for (uint32_t n = 0; n < o->requests; n++)
		if (o->requests - n > 31 || !o_response(o, n))
			return;
	o->idle = o->at;
}

/* ---- the comparison -------------------------------------------------------------------------- */

#define FIRST 0xfffff800u /* so that numbers wrap */

static void step(struct kf_flow *flow, const uint8_t *data, uint32_t len)
{
	static const char noise[] = "HTTP/1.1 200 OK\r\n\r\n";
	static uint8_t buf[KF_HTTP1_BUFFER];
	uint32_t at = kf_response_next(flow, flow->response.state) - FIRST;
	uint32_t load = len - at;

	load = load > 1024 ? 1024 : load;
	memcpy(buf, data + at, load);
	for (uint32_t i = load; i < load + 160; i++)
		buf[i] = (uint8_t)noise[i % (sizeof(noise) - 1)];
	if (flow->response.state == KF_RESPONSE_HEAD)
		flow->response.state = (uint8_t)kf_response_head(flow, buf, load);
	else
		flow->response.state = (uint8_t)kf_response_chunks(flow, buf, load);
}

static int is_idle(const struct kf_flow *flow)
{
	return flow->response.state == KF_RESPONSE_HEAD && !flow->response.skip &&
	       flow->response.requests == flow->response.ended &&
	       flow->out.seq == flow->response.seq;
}

/* In pieces of @piece bytes. */
static struct kf_flow parse(const struct oracle *o, size_t piece)
{
	const uint8_t *data = (const uint8_t *)o->text;
	struct kf_flow flow = { .response.requests = o->requests,
				.response.head_asked = o->asked,
				.response.seq = FIRST,
				.out.seq = FIRST };

	for (size_t sent = 0; sent < o->len;) {
		if (kf_flow_is_followed(&flow))
			CHECK(is_idle(&flow) == (sent == o->idle));
		sent += o->len - sent < piece ? o->len - sent : piece;
		flow.out.seq = FIRST + (uint32_t)sent;
		while (kf_flow_is_followed(&flow) &&
		       (int32_t)(kf_response_next(&flow, flow.response.state) - flow.out.seq) < 0)
			step(&flow, data, (uint32_t)sent);
	}
	if (o->idle == o->len && !o->may_be_lost)
		CHECK(is_idle(&flow));
	CHECK(!is_idle(&flow) || o->idle == o->len);
	return flow;
}

static void compare(const struct kf_flow *a, const struct kf_flow *b)
{
	CHECK(a->response.state == b->response.state && a->response.ended == b->response.ended);
	CHECK(!kf_flow_is_followed(a) || a->response.seq == b->response.seq);
	CHECK(!kf_flow_is_followed(a) || a->response.skip == b->response.skip);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct oracle o = { .text = (const char *)data + 3, .len = size - 3 };
	struct kf_flow whole, parts;

	if (size < 4 || size > 8192)
		return 0;
	o.requests = data[0] % 34;
	o.asked = data[1] * 0x01010101u;
	o_read(&o);
	whole = parse(&o, size);
	parts = parse(&o, data[2] + 1u);
	compare(&parts, &whole);
	parts = parse(&o, 1);
	compare(&parts, &whole);
	return 0;
}
