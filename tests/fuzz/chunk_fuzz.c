// SPDX-License-Identifier: GPL-2.0-only
/*
 * libFuzzer for chunk.h. The first byte chooses how the body is cut, the rest is the body.
 *
 * The outcome must not depend on the cuts, and must be that of a second reader that has the whole
 * body before it and takes it apart line by line.
 *
 *   clang -g -O1 -fsanitize=fuzzer,address,undefined -Iinclude tests/fuzz/chunk_fuzz.c
 *   ./a.out tests/fuzz/corpus/chunk
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include <keyfilter/chunk.h>

#define CHECK(condition)                                                                           \
	do {                                                                                       \
		if (!(condition)) {                                                                \
			fprintf(stderr, "failed: %s\n", #condition);                               \
			abort();                                                                   \
		}                                                                                  \
	} while (0)

/* ---- the second reader: the length of the body, 0 if it is not complete, -1 if malformed ----- */

static int o_token(int c)
{
	return c > ' ' && c < 127 && !strchr("\"(),/:;<=>?@[\\]{}", c);
}

/* @line without its CRLF, from behind the digits; 1 if it is nothing but extensions. */
static int o_extensions(const uint8_t *line, size_t len)
{
	size_t i = 0, start;

	while (i < len) {
		if (line[i++] != ';')
			return 0;
		for (start = i; i < len && o_token(line[i]);)
			i++;
		if (i == start)
			return 0;
		if (i == len || line[i] != '=')
			continue;
		i++;
		if (i < len && line[i] == '"') {
			for (i++; i < len && line[i] != '"'; i++) {
				if (line[i] == '\\')
					i++;
				if (i >= len || (line[i] < ' ' && line[i] != '\t') ||
				    line[i] == 127)
					return 0;
			}
			if (i++ >= len)
				return 0;
			continue;
		}
		for (start = i; i < len && o_token(line[i]);)
			i++;
		if (i == start)
			return 0;
	}
	return 1;
}

static int o_trailer(const uint8_t *line, size_t len)
{
	static const char *const forbidden[] = {
		"content-length",
		"transfer-encoding",
		"host",
		"authorization",
		"proxy-authorization",
		"x-api-key",
		"api-key",
		"x-goog-api-key",
		"connection",
		"proxy-connection",
		"keep-alive",
		"upgrade",
		"expect",
		"te",
		"trailer",
		"content-encoding",
		"content-type",
		"content-range",
		"content-location",
		"range",
		"cookie",
		"forwarded",
		"x-forwarded-for",
		"x-forwarded-host",
		"x-forwarded-proto",
		"x-real-ip",
		"x-http-method-override",
	};
	const uint8_t *colon = memchr(line, ':', len);
	size_t name = colon ? (size_t)(colon - line) : 0;
	char folded[32];

	if (!name)
		return 0;
	for (size_t i = 0; i < name; i++) {
		if (!o_token(line[i]))
			return 0;
		if (i < sizeof(folded))
			folded[i] = strchr("!#$%&'*+-.^_`|~", line[i]) ? '-' : (char)line[i];
	}
	for (size_t i = 0; i < sizeof(forbidden) / sizeof(forbidden[0]); i++)
		if (name == strlen(forbidden[i]) && !strncasecmp(folded, forbidden[i], name))
			return 0;
	for (size_t i = name; i < len; i++)
		if ((line[i] < ' ' && line[i] != '\t') || line[i] == 127)
			return 0;
	return 1;
}

/* The length of the line at @text without its CRLF; -1 if it has none. */
static long o_line(const uint8_t *text, size_t len)
{
	for (size_t i = 0; i + 1 < len; i++)
		if (text[i] == '\r' && text[i + 1] == '\n')
			return (long)i;
	return -1;
}

static long o_trailers(const uint8_t *body, size_t at, size_t len)
{
	size_t start = at, fields = 0;
	long line;

	while ((line = o_line(body + at, len - at)) > 0) {
		if (!o_trailer(body + at, (size_t)line) || ++fields > 100)
			return -1;
		at += (size_t)line + 2;
	}
	if (line < 0)
		return 0;
	at += 2;
	return at - start > KF_CHUNK_TRAILER_MAX ? -1 : (long)at;
}

static long o_read(const uint8_t *body, size_t len)
{
	size_t at = 0;

	for (;;) {
		long line = o_line(body + at, len - at);
		unsigned long long size = 0;
		size_t digits = 0;

		if (line < 0)
			return 0;
		while (digits < (size_t)line && body[at + digits] < 128 && body[at + digits] &&
		       strchr("0123456789abcdefABCDEF", body[at + digits]))
			digits++;
		if (!digits || digits > 8 || line > KF_CHUNK_LINE_MAX ||
		    !o_extensions(body + at + digits, (size_t)line - digits))
			return -1;
		for (size_t i = 0; i < digits; i++)
			size = size * 16 + (unsigned long long)strtol(
						   (char[]){ (char)body[at + i], 0 }, NULL, 16);
		if (size > 0x7fffffff)
			return -1;
		at += (size_t)line + 2;
		if (!size)
			return o_trailers(body, at, len);
		if (size >= len - at)
			return 0;
		at += size;
		if (body[at] != '\r' || (at + 1 < len && body[at + 1] != '\n'))
			return -1;
		at += 2;
		if (at >= len)
			return 0;
	}
}

/* ---- the comparison -------------------------------------------------------------------------- */

/* Reads in pieces of @piece bytes. Returns as o_read() does. */
static long parse(const uint8_t *body, size_t len, size_t piece, uint8_t *detail)
{
	enum kf_chunk_result result;
	uint8_t buffer[1024];
	uint32_t consumed;
	struct kf_chunk c;
	size_t at = 0;

	kf_chunk_begin(&c);
	while (at < len) {
		size_t n = len - at < piece ? len - at : piece;

		memset(buffer, '0', sizeof(buffer));
		memcpy(buffer, body + at, n);
		result = kf_chunk_parse(&c, buffer, (uint32_t)n, &consumed, detail);
		CHECK(consumed <= n);
		at += consumed;
		if (result == KF_CHUNK_MALFORMED)
			return -1;
		if (result == KF_CHUNK_END)
			return (long)at;
		CHECK(result == KF_CHUNK_SKIP || consumed == n);
		if (result == KF_CHUNK_SKIP) {
			CHECK(c.skip && c.skip < 1ull << 31);
			if (c.skip >= len - at)
				return 0;
			at += c.skip;
		}
	}
	return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint8_t detail = 0, other = 0;
	long whole, oracle;

	if (size < 2 || size > 65536)
		return 0;
	whole = parse(data + 1, size - 1, 1024, &detail);
	CHECK(whole == parse(data + 1, size - 1, data[0] + 1u, &other) && detail == other);
	CHECK(whole == parse(data + 1, size - 1, 1, &other) && detail == other);
	CHECK((whole < 0) == (detail != KF_DETAIL_NONE));
	oracle = o_read(data + 1, size - 1);
	/* the reader may know before the line ends what the oracle sees only then */
	CHECK(whole == oracle || (whole < 0 && oracle == 0));
	return 0;
}
