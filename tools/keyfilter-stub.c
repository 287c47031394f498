// SPDX-License-Identifier: GPL-2.0-only
/*
 * keyfilter-stub - a backend that behaves like a model server and remembers what reached it.
 *
 * It speaks HTTP/1.1 with keep-alive, pipelining, Content-Length and chunked bodies and
 * `Expect: 100-continue`, and answers in the shapes of the OpenAI (/v1/...), Anthropic
 * (/v1/messages) and Gemini (/v1beta/...) APIs: a JSON answer, or a stream of tokens at --rate
 * where the body asks for "stream":true or the target for :streamGenerateContent. Every JSON answer
 * names the size and CRC-32 of the body that arrived, so that a client can tell it arrived whole.
 * "think_ms":N in the body lets it compute for so long before the first byte of its answer; it
 * gives up when its client is gone.
 *
 * --log appends one JSON object a line: "open" a connection, "head" the complete head of a request
 * (the request line, its x-marker, its size), "body" a complete body, "close" a connection, with
 * the bytes of an incomplete head that were left in it, and the errno that ended it. That log is a
 * test's proof of what a backend held. One thread a connection; it trusts its clients and is not
 * for production.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <getopt.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define BUFFER_SIZE (256 * 1024)
#define BODY_KEPT   4096 /* of a body, enough to see what it asks for */

static struct settings {
	unsigned int port;
	double rate;	     /* tokens a second of a stream */
	unsigned int tokens; /* of an answer, where the request does not say */
	FILE *log;
} settings = { .port = 8000, .rate = 50, .tokens = 20 };

struct connection {
	int fd;
	unsigned int number;
	int error;   /* of its socket; 0: none */
	size_t have; /* bytes in buffer */
	char buffer[BUFFER_SIZE];
};

struct request {
	char line[2048];
	char marker[256];
	size_t head_size;
	long long content_length; /* -1: none */
	bool chunked, expects_continue, close;
	char body[BODY_KEPT + 1]; /* its first bytes */
	size_t body_size;
	uint32_t body_crc;
};

/* ---- the log -------------------------------------------------------------------------------- */

static void log_string(FILE *file, const char *text)
{
	for (; *text; text++) {
		if (*text == '"' || *text == '\\')
			fprintf(file, "\\%c", *text);
		else if ((unsigned char)*text < 0x20)
			fprintf(file, "\\u%04x", *text);
		else
			fputc(*text, file);
	}
}

/* One line: event, connection, the time, and what @format adds. */
static void log_event(const struct connection *c, const struct request *request, const char *event,
		      const char *format, ...) __attribute__((format(printf, 4, 5)));
static void log_event(const struct connection *c, const struct request *request, const char *event,
		      const char *format, ...)
{
	struct timespec now;
	va_list args;

	if (!settings.log)
		return;
	clock_gettime(CLOCK_REALTIME, &now);
	flockfile(settings.log);
	fprintf(settings.log, "{\"event\":\"%s\",\"connection\":%u,\"time\":%lld.%06ld", event,
		c->number, (long long)now.tv_sec, now.tv_nsec / 1000);
	if (request) {
		fprintf(settings.log, ",\"request\":\"");
		log_string(settings.log, request->line);
		fprintf(settings.log, "\",\"marker\":\"");
		log_string(settings.log, request->marker);
		fputc('"', settings.log);
	}
	va_start(args, format);
	vfprintf(settings.log, format, args);
	va_end(args);
	fprintf(settings.log, "}\n");
	fflush(settings.log);
	funlockfile(settings.log);
}

/* ---- bytes ---------------------------------------------------------------------------------- */

static uint32_t crc32_add(uint32_t crc, const char *bytes, size_t size)
{
	crc = ~crc;
	for (size_t i = 0; i < size; i++) {
		crc ^= (uint8_t)bytes[i];
		for (int bit = 0; bit < 8; bit++)
			crc = crc >> 1 ^ (0xedb88320u & -(crc & 1));
	}
	return ~crc;
}

/* Reads more behind what is there. False: the peer is done, or the buffer is full. */
static bool connection_fill(struct connection *c)
{
	ssize_t got;

	if (c->have == sizeof(c->buffer) - 1)
		return false;
	do
		got = read(c->fd, c->buffer + c->have, sizeof(c->buffer) - 1 - c->have);
	while (got < 0 && errno == EINTR);
	if (got < 0)
		c->error = errno;
	if (got <= 0)
		return false;
	c->have += got;
	c->buffer[c->have] = 0;
	return true;
}

static void connection_consume(struct connection *c, size_t size)
{
	c->have -= size;
	memmove(c->buffer, c->buffer + size, c->have);
	c->buffer[c->have] = 0;
}

static bool connection_write(struct connection *c, const char *bytes, size_t size)
{
	while (size) {
		ssize_t put = send(c->fd, bytes, size, MSG_NOSIGNAL);

		if (put < 0 && errno == EINTR)
			continue;
		if (put < 0) {
			c->error = errno;
			return false;
		}
		bytes += put;
		size -= put;
	}
	return true;
}

/* ---- the request ---------------------------------------------------------------------------- */

static void request_field(struct request *request, char *line)
{
	char *value = strchr(line, ':');

	if (!value)
		return;
	*value++ = 0;
	value += strspn(value, " \t");
	if (!strcasecmp(line, "x-marker"))
		snprintf(request->marker, sizeof(request->marker), "%s", value);
	else if (!strcasecmp(line, "content-length"))
		request->content_length = strtoll(value, NULL, 10);
	else if (!strcasecmp(line, "transfer-encoding"))
		request->chunked = true;
	else if (!strcasecmp(line, "expect"))
		request->expects_continue = true;
	else if (!strcasecmp(line, "connection"))
		request->close = !strncasecmp(value, "close", 5);
}

/* Reads as leniently as a careless server might: bare LF ends a line, and so the head. */
static bool request_read_head(struct connection *c, struct request *request)
{
	char *end, *crlf, *lf, *line, *rest;

	for (;;) {
		crlf = strstr(c->buffer, "\r\n\r\n");
		lf = strstr(c->buffer, "\n\n");
		if (crlf || lf)
			break;
		if (!connection_fill(c))
			return false;
	}
	end = lf && (!crlf || lf < crlf) ? lf + 2 : crlf + 4;
	request->head_size = end - c->buffer;
	request->content_length = -1;
	end[-1] = 0;
	line = strtok_r(c->buffer, "\r\n", &rest);
	snprintf(request->line, sizeof(request->line), "%s", line ? line : "");
	while ((line = strtok_r(NULL, "\r\n", &rest)))
		request_field(request, line);
	connection_consume(c, request->head_size);
	log_event(c, request, "head", ",\"head_bytes\":%zu", request->head_size);
	return true;
}

/* Takes @size body bytes off the connection. */
static bool request_take(struct connection *c, struct request *request, size_t size)
{
	while (size) {
		size_t part, kept;

		if (!c->have && !connection_fill(c))
			return false;
		part = size < c->have ? size : c->have;
		if (request->body_size < BODY_KEPT) {
			kept = BODY_KEPT - request->body_size;
			kept = kept < part ? kept : part;
			memcpy(request->body + request->body_size, c->buffer, kept);
			request->body[request->body_size + kept] = 0;
		}
		request->body_crc = crc32_add(request->body_crc, c->buffer, part);
		request->body_size += part;
		connection_consume(c, part);
		size -= part;
	}
	return true;
}

/* Takes a line with its end off the connection, for chunk sizes and trailers. */
static bool request_take_line(struct connection *c, char *line, size_t size)
{
	char *end;

	while (!(end = strstr(c->buffer, "\r\n")))
		if (!connection_fill(c))
			return false;
	snprintf(line, size, "%.*s", (int)(end - c->buffer), c->buffer);
	connection_consume(c, end + 2 - c->buffer);
	return true;
}

static bool request_read_chunks(struct connection *c, struct request *request)
{
	char line[1024];
	size_t size;

	do {
		if (!request_take_line(c, line, sizeof(line)))
			return false;
		size = strtoull(line, NULL, 16);
		if (!request_take(c, request, size))
			return false;
		if (size && !request_take_line(c, line, sizeof(line)))
			return false;
	} while (size);
	do /* trailers */
		if (!request_take_line(c, line, sizeof(line)))
			return false;
	while (*line);
	return true;
}

static bool request_read_body(struct connection *c, struct request *request)
{
	static const char go_on[] = "HTTP/1.1 100 Continue\r\n\r\n";

	if (request->expects_continue && !connection_write(c, go_on, sizeof(go_on) - 1))
		return false;
	if (request->chunked
		    ? !request_read_chunks(c, request)
		    : !request_take(c, request,
				    request->content_length > 0 ? request->content_length : 0))
		return false;
	log_event(c, request, "body", ",\"body_bytes\":%zu,\"crc32\":\"%08x\"", request->body_size,
		  request->body_crc);
	return true;
}

static unsigned int request_number(const struct request *request, const char *name,
				   unsigned int otherwise)
{
	const char *at = strstr(request->body, name);

	return at ? strtoul(at + strlen(name) + strspn(at + strlen(name), "\": "), NULL, 10)
		  : otherwise;
}

static bool request_streams(const struct request *request)
{
	const char *at = strstr(request->body, "\"stream\"");

	if (strstr(request->line, ":streamGenerateContent"))
		return true;
	return at && !strncmp(at + 8 + strspn(at + 8, ": "), "true", 4);
}

/* ---- the answer ----------------------------------------------------------------------------- */

/* Computes. False: the socket failed meanwhile. */
static bool answer_think(struct connection *c, const struct request *request)
{
	struct pollfd gone = { .fd = c->fd }; /* POLLERR and POLLHUP come unasked */
	socklen_t size = sizeof(c->error);

	if (poll(&gone, 1, (int)request_number(request, "\"think_ms\"", 0)) <= 0)
		return true;
	getsockopt(c->fd, SOL_SOCKET, SO_ERROR, &c->error, &size);
	return false;
}

enum shape { OPENAI, ANTHROPIC, GEMINI };

static enum shape request_shape(const struct request *request)
{
	if (strstr(request->line, " /v1beta/"))
		return GEMINI;
	return strstr(request->line, " /v1/messages") ? ANTHROPIC : OPENAI;
}

static const char *const token_shape[] = {
	[OPENAI] = "data: {\"object\":\"chat.completion.chunk\",\"choices\":[{\"index\":0,"
		   "\"delta\":{\"content\":\"token-%u \"}}]}\n\n",
	[ANTHROPIC] =
		"event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"index\":0,"
		"\"delta\":{\"type\":\"text_delta\",\"text\":\"token-%u \"}}\n\n",
	[GEMINI] =
		"data: {\"candidates\":[{\"content\":{\"parts\":[{\"text\":\"token-%u \"}]}}]}\n\n",
};

static const char *const last_shape[] = {
	[OPENAI] = "data: [DONE]\n\n",
	[ANTHROPIC] = "event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n",
	[GEMINI] = "data: {\"candidates\":[{\"finishReason\":\"STOP\"}]}\n\n",
};

static const char *const answer_shape[] = {
	[OPENAI] = "{\"object\":\"chat.completion\",\"choices\":[{\"index\":0,\"message\":"
		   "{\"role\":\"assistant\",\"content\":\"hello\"},\"finish_reason\":\"stop\"}],",
	[ANTHROPIC] =
		"{\"type\":\"message\",\"role\":\"assistant\",\"content\":[{\"type\":\"text\","
		"\"text\":\"hello\"}],\"stop_reason\":\"end_turn\",",
	[GEMINI] = "{\"candidates\":[{\"content\":{\"parts\":[{\"text\":\"hello\"}]},"
		   "\"finishReason\":\"STOP\"}],",
};

static bool answer_chunk(struct connection *c, const char *text)
{
	char chunk[1024];
	int size = snprintf(chunk, sizeof(chunk), "%zx\r\n%s\r\n", strlen(text), text);

	return connection_write(c, chunk, size);
}

static bool answer_stream(struct connection *c, const struct request *request)
{
	static const char head[] = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n"
				   "transfer-encoding: chunked\r\n\r\n";
	const char *name =
		request_shape(request) == GEMINI ? "\"maxOutputTokens\"" : "\"max_tokens\"";
	unsigned int tokens = request_number(request, name, settings.tokens);
	long long pause = (long long)(1e9 / settings.rate);
	struct timespec wait = { pause / 1000000000, pause % 1000000000 };
	char text[512];

	if (!connection_write(c, head, sizeof(head) - 1))
		return false;
	for (unsigned int i = 0; i < tokens; i++) {
		/* The format is one of three constants above, each with one %u. */
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
		snprintf(text, sizeof(text), token_shape[request_shape(request)], i);
#pragma GCC diagnostic pop
		if (!answer_chunk(c, text))
			return false;
		nanosleep(&wait, NULL);
	}
	return answer_chunk(c, last_shape[request_shape(request)]) &&
	       connection_write(c, "0\r\n\r\n", 5);
}

static bool answer_whole(struct connection *c, const struct request *request)
{
	char body[1024], answer[2048];
	int size;

	size = snprintf(
		body, sizeof(body),
		"%s\"usage\":{\"prompt_tokens\":1,\"completion_tokens\":1,\"total_tokens\":2},"
		"\"received\":{\"bytes\":%zu,\"crc32\":\"%08x\",\"connection\":%u}}\n",
		answer_shape[request_shape(request)], request->body_size, request->body_crc,
		c->number);
	size = snprintf(answer, sizeof(answer),
			"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n"
			"content-length: %d\r\nx-marker: %s\r\n\r\n%s",
			size, request->marker, !strncmp(request->line, "HEAD ", 5) ? "" : body);
	return connection_write(c, answer, size);
}

/* ---- connections ---------------------------------------------------------------------------- */

static void *connection_serve(void *argument)
{
	struct connection *c = argument;
	bool going = true;

	log_event(c, NULL, "open", "%s", "");
	while (going) {
		struct request *request = calloc(1, sizeof(*request));

		going = request && request_read_head(c, request) && request_read_body(c, request) &&
			answer_think(c, request) &&
			(request_streams(request) ? answer_stream(c, request)
						  : answer_whole(c, request)) &&
			!request->close;
		free(request);
	}
	log_event(c, NULL, "close", ",\"unread_bytes\":%zu,\"errno\":%d", c->have, c->error);
	close(c->fd);
	free(c);
	return NULL;
}

static int listen_on(unsigned int port)
{
	struct sockaddr_in6 address = { .sin6_family = AF_INET6, .sin6_port = htons(port) };
	int fd = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return -errno;
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &(int){ 1 }, sizeof(int));
	setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &(int){ 0 }, sizeof(int));
	if (bind(fd, (struct sockaddr *)&address, sizeof(address)) || listen(fd, 4096)) {
		int error = -errno;

		close(fd);
		return error;
	}
	return fd;
}

static void accept_all(int listener)
{
	unsigned int number = 0;
	pthread_attr_t attributes;
	pthread_t thread;

	pthread_attr_init(&attributes);
	pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
	pthread_attr_setstacksize(&attributes, 128 * 1024);
	for (;;) {
		int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
		struct connection *c = fd < 0 ? NULL : calloc(1, sizeof(*c));

		if (!c) {
			close(fd);
			continue;
		}
		setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &(int){ 1 }, sizeof(int));
		c->fd = fd;
		c->number = ++number;
		if (pthread_create(&thread, &attributes, connection_serve, c)) {
			close(fd);
			free(c);
		}
	}
}

static int usage(void)
{
	fputs("usage: keyfilter-stub [--port 8000] [--rate TOKENS-PER-SECOND] [--tokens N]"
	      " [--log FILE]\n",
	      stderr);
	return 2;
}

static bool settings_read(int argc, char **argv)
{
	static const struct option options[] = { { "port", required_argument, NULL, 'p' },
						 { "rate", required_argument, NULL, 'r' },
						 { "tokens", required_argument, NULL, 't' },
						 { "log", required_argument, NULL, 'l' },
						 { 0 } };
	int option;

	while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
		if (option == 'p')
			settings.port = strtoul(optarg, NULL, 10);
		else if (option == 'r')
			settings.rate = strtod(optarg, NULL);
		else if (option == 't')
			settings.tokens = strtoul(optarg, NULL, 10);
		else if (option == 'l')
			settings.log = fopen(optarg, "ae");
		else
			return false;
		if (option == 'l' && !settings.log) {
			fprintf(stderr, "keyfilter-stub: cannot write %s: %s\n", optarg,
				strerror(errno));
			return false;
		}
	}
	return optind == argc && settings.port && settings.port < 65536 && settings.rate > 0;
}

int main(int argc, char **argv)
{
	int listener;

	if (!settings_read(argc, argv))
		return usage();
	signal(SIGPIPE, SIG_IGN);
	listener = listen_on(settings.port);
	if (listener < 0) {
		fprintf(stderr, "keyfilter-stub: cannot listen on port %u: %s\n", settings.port,
			strerror(-listener));
		return 1;
	}
	accept_all(listener);
}
