// SPDX-License-Identifier: GPL-2.0-only
/*
 * stack_test - what passes makes no request in the backend that was not judged, whatever the stack
 * in front of it takes or throws away.
 *
 *   stack_test [OBJECT_DIR STREAMS SEED]
 *
 * A stream is up to three requests, each in two versions of the same length: with the key and
 * without, with a body that looks like a request, in chunks; or of a key that may call one model,
 * with bodies that name it and others. Its client sends pieces of both, cut
 * anywhere, in any order, again and again. A stack takes some of what passes, the first copy of
 * each byte, and throws the rest away, as it does for a wrong checksum. The server behind it reads
 * what is there in order; it must not find a head without the key, a sound `Upgrade`, a whole body
 * with another model, or the end of the stream in the middle of a request. Without arguments: the
 * objects of $KF_BUILD (build).
 */
#include <err.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <keyfilter/abi.h>
#include <keyfilter/body.h>
#include <keyfilter/http1.h>

#include "frame.h"
#include "world.h"

#define KF_CLIENT_ISN	0xfffffe00u /* the numbers wrap */
#define KF_SERVER_ISN	7000u
#define KF_STREAM_MAX	4800
#define KF_TEXT_MIN	320 /* the longest of kf_texts, with the field that fills it up */
#define KF_STREAMS_ONCE 100 /* in one world */
#define KF_REFUSED_MAX	4   /* segments of a refused flow, until its stream is given up */
#define KF_THIEVES	10

/* Chunks whose data looks like framing and like requests. */
#define KF_MANY                                                                                    \
	"1\r\n0\r\n2\r\n\r\n\r\n1a\r\nGET /x HTTP/1.1\r\nHost: h\r\n\r\n8\r\n\r\n0\r\n\r\n5\r\n"   \
	"1e\r\n\r\nGET /x HTTP/1.1\r\nHost: h\r\n\r\n\r\n3\r\n0\r\n\r\n03\r\n1\r\n\r\n"            \
	"1\r\n\r\r\n1\r\n\n\r\n5;x=\"0;\"\r\nhello\r\n"

/* In order, up to the end of the list: version 0 and 1 of a request are any two. K is the key. */
static const struct kf_text {
	const char *head, *body;
} kf_texts[] = {
	{ "GET /key HTTP/1.1\r\nHost: a\r\nx-api-key: K\r\n", "" },
	{ "GET /key HTTP/1.1\r\nHost: a\r\nUpgrade: h2c\r\nx-api-key: K\r\n", "" },
	{ "GET /none HTTP/1.1\r\nHost: a\r\nx-api-kez: K\r\n", "" },
	{ "GET /bad HTTP/1.1\r\nHost: a\r\nx-api-key: B\r\n", "" },
	{ "GET /two HTTP/1.1\r\nHost: a\r\nx-api-key: K\r\n\r\nGET / HTTP/1.1\r\nHost: h\r\n", "" },
	{ "POST /body HTTP/1.1\r\nHost: a\r\nx-api-key: K\r\nContent-Length: 28\r\n",
	  "GET /x HTTP/1.1\r\nHost: h\r\n\r\n." },
	{ "POST /none HTTP/1.1\r\nHost: a\r\nx-api-key: K\r\nContent-Length: 00\r\n",
	  "GET /x HTTP/1.1\r\nHost: h\r\n\r\n." },
	{ "POST /chunk HTTP/1.1\r\nHost: a\r\nx-api-key: K\r\nTransfer-Encoding: chunked\r\n",
	  "1c\r\nGET /x HTTP/1.1\r\nHost: h\r\n\r\n.\r\n0\r\n\r\n" },
	{ "POST /chunk HTTP/1.1\r\nHost: a\r\nx-api-key: K\r\nTransfer-Encoding: chunked\r\n",
	  "00\r\n\r\nGET /x HTTP/1.1\r\nHost: h\r\n\r\n0\r\n\r\n" },
	{ "POST /chunk HTTP/1.1\r\nHost: a\r\nx-api-key: K\r\nTransfer-Encoding: chunked\r\n",
	  "5\r\nhello\r\n12\r\nGET /0\r\n\r\nGET /1\r\n\r\n\r\n0\r\nT: x\r\n\r\n" },
	{ "POST /many HTTP/1.1\r\nHost: a\r\nx-api-key: K\r\nTransfer-Encoding: chunked\r\n",
	  KF_MANY "0\r\n\r\n" },
	{ "POST /many HTTP/1.1\r\nHost: a\r\nx-api-key: K\r\nTransfer-Encoding: chunked\r\n",
	  KF_MANY "0\r\n\r\nGET /x HTTP/1.1\r\nHost: h\r\n\r\n" },
};
#define KF_TEXTS (sizeof(kf_texts) / sizeof(kf_texts[0]))

/* Of a key that may call `m` alone. */
#define KF_JSON(name) "{\"a\":[{\"model\":\"n\",\"x\":\"a \\\" \\u4f60\"}],\"model\":\"" name "\"}"
#define KF_JSON_HEAD  "POST /json HTTP/1.1\r\nHost: a\r\nx-api-key: K\r\n"
static const struct kf_text kf_held_texts[] = {
	{ "GET /key HTTP/1.1\r\nHost: a\r\nx-api-key: K\r\n", "" },
	{ KF_JSON_HEAD "Content-Length: 51\r\n", KF_JSON("m") },
	{ KF_JSON_HEAD "Content-Length: 51\r\n", KF_JSON("n") },
	{ KF_JSON_HEAD "Content-Length: 56\r\n", KF_JSON("m") "  \r\n " },
	{ KF_JSON_HEAD "Content-Length: 56\r\n", KF_JSON("n") "  \r\n " },
	{ KF_JSON_HEAD "Content-Length: 14\r\n", "{\"model\": \"m\"}" },
	{ KF_JSON_HEAD "Content-Length: 14\r\n", "{\"model\": \"n\"}" },
	{ KF_JSON_HEAD "Content-Length: 25\r\n", "{\"model\":\"m\",\"model\":\"n\"}" },
	{ KF_JSON_HEAD "Transfer-Encoding: chunked\r\n",
	  "7\r\n{\"model\r\n1\r\n\"\r\n5\r\n:\"m\"}\r\n0\r\n\r\n" },
	{ KF_JSON_HEAD "Transfer-Encoding: chunked\r\n",
	  "7\r\n{\"model\r\n1\r\n\"\r\n5\r\n:\"n\"}\r\n0\r\n\r\n" },
	{ KF_JSON_HEAD "Transfer-Encoding: chunked\r\n", "33\r\n" KF_JSON("m") "\r\n0\r\n\r\n" },
	{ KF_JSON_HEAD "Transfer-Encoding: chunked\r\n", "33\r\n" KF_JSON("n") "\r\n0\r\n\r\n" },
};
#define KF_HELD_TEXTS (sizeof(kf_held_texts) / sizeof(kf_held_texts[0]))

/* What there is of one stream, on both sides of the filter. */
struct kf_stream {
	uint8_t version[2][KF_STREAM_MAX + 1];
	uint32_t len;
	/* the stack: what it took, how much of that is in order, where the stream ended */
	char got[KF_STREAM_MAX + 1];
	bool has[KF_STREAM_MAX];
	uint32_t next;
	int32_t fin;
	bool fin_taken;
	/* the server */
	uint32_t read, body; /* bytes behind it, and of the body that follows them */
	bool chunks;
	char content[KF_STREAM_MAX + 1]; /* of the request, without framing */
	uint32_t content_len;
	bool held, json; /* the key is held to a model; the request names one in its body */
	uint32_t requests, responses, sent;
	/* the client */
	uint32_t acked;
	uint16_t port;
};

static struct kf_stream s;
static struct kf_world *world;
static struct kf_ran ran;
static _Alignas(4) uint8_t room[2 + KF_FRAME_MAX]; /* the IP header is aligned, as drivers do it */
static enum kf_hook hook;
static uint64_t seed;
static char told[16384]; /* what happened on this stream */
static size_t told_len;

static uint32_t any(uint32_t below)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return (seed >> 16) % below;
}

static bool chance(uint32_t percent)
{
	return any(100) < percent;
}

static __attribute__((format(printf, 1, 2))) void tell(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	if (told_len + 128 < sizeof(told))
		told_len += vsnprintf(told + told_len, 128, format, args);
	va_end(args);
}

static void fault(const char *what)
{
	errx(1, "%s\n%sthe server has:\n%.*s", what, told, (int)s.next, s.got);
}

/* ---- the texts ------------------------------------------------------------------------------- */

static void text_head(char *to, const char *from)
{
	for (; *from; from++) {
		bool key = from[0] == 'K' && from[1] == '\r',
		     bad = from[0] == 'B' && from[1] == '\r';

		if (key)
			memcpy(to, kf_world_key(world), 51);
		else if (bad)
			memset(to, 'b', 51);
		else
			*to = *from;
		to += key || bad ? 51 : 1;
	}
	*to = 0;
}

/* One version of a request, of @len bytes: a field makes up for what is missing. */
static void text_make(uint8_t *to, uint32_t len, const struct kf_text *text)
{
	char head[512];
	size_t used, body = strlen(text->body);

	text_head(head, text->head);
	used = strlen(head);
	memset(to, 'p', len);
	memcpy(to, head, used);
	memcpy(to + used, "P: ", 3);
	memcpy(to + len - body - 4, "\r\n\r\n", 4);
	memcpy(to + len - body, text->body, body);
}

/* ---- the server ------------------------------------------------------------------------------ */

/*
 * What the server has of the content, and the @more bytes at @at behind that: what is a whole JSON
 * object asks for the model that is allowed; @ended: and it is whole.
 */
static void server_check(const char *at, uint32_t more, bool ended)
{
	static __u8 buf[KF_BODY_BUFFER];
	const __u64 *secret = (const __u64 *)kf_world_config(world)->secret;
	uint32_t len = s.content_len + more;
	enum kf_body_result result;
	__u8 allowed[16];
	struct kf_body body;

	if (!s.json)
		return;
	memcpy(buf, s.content, s.content_len);
	if (more)
		memcpy(buf + s.content_len, at, more);
	kf_body_begin(&body);
	result = kf_body_parse(&body, secret, buf, 0, len);
	kf_keyhash(secret, (const __u8 *)"m", 1, allowed);
	if (result == KF_BODY_WHOLE && memcmp(body.tag, allowed, sizeof(allowed)) != 0)
		fault("a whole body with another model");
	if (ended && result != KF_BODY_WHOLE)
		fault("a body that cannot be read");
}

static void server_keep(const char *at, uint32_t len)
{
	server_check(at, len, false);
	memcpy(s.content + s.content_len, at, len);
	s.content_len += len;
}

static bool server_chunk(void)
{
	char *line = strstr(s.got + s.read, "\r\n"), *end;
	unsigned long size;

	if (!line)
		return false;
	size = strtoul(s.got + s.read, NULL, 16);
	if (size) {
		s.read = line + 2 - s.got;
		s.body = size + 2;
		return true;
	}
	end = strstr(line, "\r\n\r\n");
	if (!end)
		return false;
	s.read = end + 4 - s.got;
	s.chunks = false;
	s.requests++;
	server_check(NULL, 0, true);
	s.json = false;
	return true;
}

/* The value of @field of the head in @head. */
static const char *server_field(const char *head, const char *field)
{
	const char *at = strstr(head, field);

	return at ? at + strlen(field) + strspn(at + strlen(field), " ") : NULL;
}

static bool server_head(void)
{
	char head[KF_STREAM_MAX + 1], *end = strstr(s.got + s.read, "\r\n\r\n");
	const char *key, *length;

	if (!end)
		return false;
	snprintf(head, sizeof(head), "%.*s", (int)(end + 4 - (s.got + s.read)), s.got + s.read);
	key = server_field(head, "\r\nx-api-key:");
	if (!key || strncmp(key, kf_world_key(world), 51) || strncmp(key + 51, "\r\n", 2))
		fault("a head without the key");
	if (strstr(head, "\r\nUpgrade: h2c\r\n"))
		fault("an Upgrade");
	s.read = end + 4 - s.got;
	length = server_field(head, "\r\nContent-Length:");
	s.body = length ? strtoul(length, NULL, 10) : 0;
	s.chunks = server_field(head, "\r\nTransfer-Encoding:");
	s.requests += !s.chunks && !s.body;
	s.json = s.held && strncmp(head, "POST", 4) == 0;
	s.content_len = 0;
	if (s.json && !s.chunks && !s.body)
		fault("a request that names no model");
	return true;
}

static bool server_step(void)
{
	uint32_t data;

	if (!s.body)
		return s.chunks ? server_chunk() : server_head();
	data = s.body - (s.chunks ? 2 : 0);
	if (s.read + s.body > s.next) {
		server_check(s.got + s.read, s.next - s.read < data ? s.next - s.read : data,
			     false);
		return false;
	}
	server_keep(s.got + s.read, data);
	s.read += s.body;
	s.body = 0;
	if (s.chunks)
		return true;
	s.requests++;
	server_check(NULL, 0, true);
	s.json = false;
	return true;
}

/* What the stack has in order is read, a zero behind it. */
static void server_read(void)
{
	s.got[s.next] = 0;
	while (s.read < s.next && server_step())
		;
	s.fin_taken = s.fin >= 0 && s.next >= (uint32_t)s.fin;
	/* a body with a length that ends too soon is the server's to notice, and any does */
	if (s.fin_taken && (s.chunks || (s.read < s.next && !s.body)))
		fault("the end of the stream in a request");
}

/* ---- the stack ------------------------------------------------------------------------------- */

static void stack_take(uint32_t at)
{
	static char behind[KF_STREAM_MAX];
	const uint8_t *payload;
	size_t len = kf_frame_payload(ran.frame, &payload);
	bool fin = payload[-20 + 13] & 1; /* no options */

	tell("   takes %zu%s\n", len, fin ? ", FIN" : "");
	for (size_t i = 0; i < len; i++) {
		if (s.has[at + i])
			continue;
		s.has[at + i] = true;
		behind[at + i] = payload[i];
	}
	if (fin && s.fin < 0)
		s.fin = at + len;
	while (s.next < s.len && s.has[s.next] && (s.fin < 0 || s.next < (uint32_t)s.fin)) {
		s.got[s.next] = behind[s.next];
		s.next++;
	}
	server_read();
}

static void stack_send(const char *data)
{
	struct kf_frame_spec spec = {
		.client_port = s.port,
		.reverse = true,
		.seq = KF_SERVER_ISN + 1 + s.sent,
		.ack = KF_CLIENT_ISN + 1 + s.next + s.fin_taken,
		.data = (const uint8_t *)data,
		.len = strlen(data),
	};
	uint8_t *frame = room + 2;

	kf_world_egress(world, frame, kf_frame_build(&spec, frame), &ran);
	tell("   acknowledges %u%s\n", s.next, *data ? ", responds" : "");
	if (ran.passed)
		s.sent += spec.len;
}

/* ---- the client ------------------------------------------------------------------------------ */

static bool client_send(uint16_t port, uint32_t from, uint32_t to, int version, uint8_t flags)
{
	struct kf_frame_spec spec = {
		.client_port = port,
		.seq = KF_CLIENT_ISN + 1 + from,
		.ack = KF_SERVER_ISN + 1 + (port == s.port ? s.acked : 0),
		.flags = flags,
		.data = s.version[version] + from,
		.len = to - from,
	};
	uint8_t *frame = room + 2;

	kf_world_ingress(world, hook, frame, kf_frame_build(&spec, frame), &ran);
	return ran.passed && !ran.redirected;
}

static void client_handshake(uint16_t port)
{
	struct kf_frame_spec spec = {
		.client_port = port,
		.reverse = true,
		.seq = KF_SERVER_ISN,
		.ack = KF_CLIENT_ISN + 1,
		.flags = 0x12,
	};
	uint8_t *frame = room + 2;

	kf_world_egress(world, frame, kf_frame_build(&spec, frame), &ran);
	client_send(port, 0, 0, 0, 0x10);
}

/* How this stream's client, stack and server behave: percentages, and lengths. */
struct kf_manner {
	uint32_t first, ordered, taken, acks, responds, fins, thieves;
	uint32_t size, span;
	bool held; /* the key is, to a model */
};

/* One segment, and what becomes of it. */
static void client_step(const struct kf_manner *m)
{
	uint32_t from = s.next, to;
	int version = !chance(m->first);
	uint8_t flags = 0x10;
	bool passed;

	if (!chance(m->ordered))
		from = (s.next > 60 ? s.next - 60 : 0) + any(m->span);
	if (from >= s.len)
		from = s.next < s.len ? s.next : s.len - 1;
	to = from + 1 + any(m->size);
	if (to > s.len)
		to = s.len;
	if (chance(m->fins)) {
		flags |= 1;
		to = chance(50) ? from : to;
	}
	if (chance(90))
		s.acked = s.sent;
	passed = client_send(s.port, from, to, version, flags);
	tell("%u to %u of version %d%s: %s, reason %d, detail %d\n", from, to, version,
	     flags & 1 ? ", FIN" : "", passed ? "passes" : "dropped", ran.reason, ran.detail);
	if (passed && chance(m->taken))
		stack_take(from);
}

static void stream_begin(const struct kf_manner *m)
{
	uint32_t len = chance(60) ? KF_TEXT_MIN + any(100) : KF_TEXT_MIN + any(1400 - KF_TEXT_MIN);
	uint32_t requests = 1 + any(3);
	uint16_t port = s.port + 1;

	memset(&s, 0, sizeof(s));
	s.fin = -1;
	s.port = port < 10000 ? 10000 : port;
	s.len = len * requests;
	told_len = 0;
	s.held = m->held;
	for (uint32_t i = 0; i < requests; i++) {
		const struct kf_text *texts = m->held ? kf_held_texts : kf_texts;
		uint32_t count = m->held ? KF_HELD_TEXTS : KF_TEXTS;
		uint32_t first = any(count), second = chance(50) ? first : any(count);

		text_make(s.version[0] + i * len, len, &texts[first]);
		text_make(s.version[1] + i * len, len, &texts[second]);
	}
	kf_world_slot(world)->models = m->held;
	kf_world_config(world)->head_timeout_ns = m->thieves ? 0 : 10000000000ull;
	kf_world_heads(world, m->thieves ? 1 : 8);
	client_handshake(s.port);
}

static void stream_run(void)
{
	struct kf_manner m = {
		.first = 50 + any(50),
		.ordered = any(100),
		.taken = 60 + any(41),
		.acks = 10 + any(80),
		.responds = any(60),
		.fins = chance(30) ? 5 : 0,
		.thieves = chance(25) ? 20 : 0,
		.size = chance(50) ? 300 : 5 + any(chance(40) ? 700 : 80),
		.span = chance(50) ? 300 : 1500,
		.held = chance(40),
	};
	uint32_t steps = 40 + any(120), refused = 0;

	hook = chance(20) ? KF_HOOK_XDP : KF_HOOK_TC;
	stream_begin(&m);
	while (steps-- && refused < KF_REFUSED_MAX) {
		if (chance(m.thieves)) { /* of the place */
			client_handshake(9000 + steps % KF_THIEVES);
			client_send(9000 + steps % KF_THIEVES, 0, 20, 0, 0x10);
		}
		client_step(&m);
		refused += ran.reason == KF_REASON_FLOW_REFUSED;
		if (chance(m.acks))
			stack_send("");
		while (s.responses < s.requests && chance(m.responds)) {
			stack_send("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
			s.responses++;
		}
	}
}

static void world_renew(void)
{
	kf_world_reset(world, KF_MODE_ENFORCE, 0, KF_KEY_ANY);
	kf_world_model(world, 1, "m");
}

int main(int argc, char **argv)
{
	unsigned long streams = argc > 2 ? strtoul(argv[2], NULL, 0) : 3000, requests = 0, held = 0;
	uint64_t first = argc > 3 ? strtoull(argv[3], NULL, 0) : 1;
	const char *build = getenv("KF_BUILD");
	char objects[4096];

	snprintf(objects, sizeof(objects), "%s/bpf", build ? build : "build");
	world = kf_world_new(argc > 1 ? argv[1] : objects);
	for (unsigned long i = 0; i < streams; i++) {
		seed = (first << 32 | (i + 1)) * 0x9e3779b97f4a7c15ull | 1;
		if (i % KF_STREAMS_ONCE == 0)
			world_renew();
		stream_run();
		requests += s.requests;
		held += s.held ? s.requests : 0;
	}
	kf_world_free(world);
	fprintf(stderr, "stack_test: %lu streams, %lu requests served, %lu of them of a held key\n",
		streams, requests, held);
	return requests && held ? 0 : 1; /* a server that is asked nothing has nothing to find */
}
