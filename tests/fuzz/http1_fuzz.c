// SPDX-License-Identifier: GPL-2.0-only
/*
 * libFuzzer for http1.h. The first two bytes choose a cut and the key sources, the rest is the
 * head.
 *
 * Three properties: the outcome does not depend on where the bytes are cut, nor on what lies behind
 * them; and a head that is accepted says the same to a second reader, written byte by byte from the
 * RFCs and from nothing in include/: where the head ends, how the body is framed, which key, method
 * and protocol. What the second reader refuses, the first must refuse too. The other way round only
 * what the second knows how to judge is compared, and that is all of the grammar.
 *
 *   clang -g -O1 -fsanitize=fuzzer,address,undefined -Iinclude tests/fuzz/http1_fuzz.c
 *   ./a.out tests/fuzz/corpus/http1
 */
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include <keyfilter/http1.h>

/* ---- the second reader ---------------------------------------------------------------------- */

struct oracle {
	int complete, faulty;
	size_t head_len, target_off, target_len;
	const uint8_t *key;
	size_t key_len;
	int keys, hosts, lengths, encodings, expects, upgrades;
	int seen_query, seen_key[4];
	unsigned long long length;
	int minor, expect;
};

static int o_token(int c)
{
	return c > ' ' && c < 127 && !strchr("\"(),/:;<=>?@[\\]{}", c);
}

static int o_hex(int c)
{
	return c < 128 && c > 0 && strchr("0123456789abcdefABCDEF", c) != NULL;
}

static int o_unreserved(int c)
{
	return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
	       (c && c < 128 && strchr("-._~", c));
}

static int o_is(const uint8_t *text, size_t len, const char *name)
{
	return len == strlen(name) && !strncasecmp((const char *)text, name, len);
}

/* The same when all that is neither letter nor digit counts as '-'. */
static int o_like(const uint8_t *text, size_t len, const char *name)
{
	if (len != strlen(name))
		return 0;
	for (size_t i = 0; i < len; i++) {
		int c = text[i] | 0x20;
		int plain = (c >= 'a' && c <= 'z' && text[i] < 128) ||
			    (text[i] >= '0' && text[i] <= '9');

		if ((plain ? c : '-') != name[i])
			return 0;
	}
	return 1;
}

static void o_key(struct oracle *o, const uint8_t *key, size_t len)
{
	if (!len)
		return;
	if (!o->key) {
		o->key = key;
		o->key_len = len;
	} else if (o->key_len != len || memcmp(o->key, key, len)) {
		o->faulty = 1;
	}
}

static void o_path(struct oracle *o, const uint8_t *path, size_t len)
{
	int slashes = 0;

	for (size_t i = 0; i < len && !o->faulty; i++) {
		int c = path[i], byte;

		slashes += c == '/';
		if (c == '%') {
			if (i + 2 >= len || !o_hex(path[i + 1]) || !o_hex(path[i + 2])) {
				o->faulty = 1;
				return;
			}
			byte = (int)strtol((char[]){ (char)path[i + 1], (char)path[i + 2], 0 },
					   NULL, 16);
			if (o_unreserved(byte) || byte < 32 || byte == 127 || byte == '\\' ||
			    byte == '%' || slashes < 3)
				o->faulty = 1;
			if (byte == '/' && i + 3 < len &&
			    (path[i + 3] == '.' || path[i + 3] == '/'))
				o->faulty = 1;
			i += 2;
		} else if (!o_unreserved(c) &&
			   (c == 0 || c > 127 || !strchr("!$&'()*+,;=:@/", c))) {
			o->faulty = 1;
		} else if (c == ';' && slashes < 3) {
			o->faulty = 1;
		} else if (c == '/' && i + 1 < len && path[i + 1] == '/') {
			o->faulty = 1;
		} else if (c == '/' && i + 1 < len && path[i + 1] == '.') {
			int after = i + 2 < len ? path[i + 2] : ' ';

			if (!o_unreserved(after) || after == '.' || after == '~')
				o->faulty = 1;
		}
	}
	if (len >= 8 && !strncasecmp((const char *)path, "/v1beta/", 8) &&
	    memcmp(path, "/v1beta/", 8))
		o->faulty = 1;
	if (len >= 12 && !strncasecmp((const char *)path, "/v1/messages", 12) &&
	    (len == 12 || path[12] == '/') && memcmp(path, "/v1/messages", 12))
		o->faulty = 1;
}

static void o_query(struct oracle *o, const uint8_t *query, size_t len, unsigned int sources)
{
	int wanted = !!(sources & KF_KEY_QUERY), in_name = 1;
	size_t start = 0;

	for (size_t i = 0; i <= len && !o->faulty; i++) {
		int c = i < len ? query[i] : '&', byte;

		if (c == '&') {
			size_t n = i - start;

			if (n >= 3 && !memcmp(query + start, "key", 3) &&
			    (n == 3 || query[start + 3] == '=')) {
				o->faulty |= o->seen_query;
				o->seen_query = 1;
				if (wanted && n > 4)
					o_key(o, query + start + 4, n - 4);
			}
			start = i + 1;
			in_name = 1;
		} else if (c == '%') {
			if (i + 2 >= len || !o_hex(query[i + 1]) || !o_hex(query[i + 2])) {
				o->faulty = 1;
				return;
			}
			byte = (int)strtol((char[]){ (char)query[i + 1], (char)query[i + 2], 0 },
					   NULL, 16);
			if (wanted && in_name && (o_unreserved(byte) || byte <= 32))
				o->faulty = 1;
			i += 2;
		} else if (!o_unreserved(c) &&
			   (c == 0 || c > 127 || !strchr("!$&'()*+,;=:@/?[]", c))) {
			o->faulty = 1;
		} else if (wanted && (c == ';' || (c == '+' && in_name))) {
			o->faulty = 1;
		} else if (c == '=') {
			in_name = 0;
		}
	}
}

static void o_request_line(struct oracle *o, const uint8_t *line, size_t len, unsigned int sources)
{
	const uint8_t *space = memchr(line, ' ', len), *question, *end;
	size_t method = space ? (size_t)(space - line) : 0, target;

	o->faulty = 1;
	if (!method)
		return;
	for (size_t i = 0; i < method; i++)
		if (!o_token(line[i]))
			return;
	if ((method == 7 && !memcmp(line, "CONNECT", 7)) ||
	    (method == 3 && !memcmp(line, "PRI", 3)))
		return;
	space = memchr(line + method + 1, ' ', len - method - 1);
	if (!space)
		return;
	target = (size_t)(space - line) - method - 1;
	o->target_off = method + 1;
	o->target_len = target;
	if (len - method - target - 2 != 8 || memcmp(space + 1, "HTTP/1.", 7) ||
	    (space[8] != '0' && space[8] != '1'))
		return;
	o->minor = space[8] - '0';
	line += method + 1;
	if (target == 1 && *line == '*') {
		o->faulty = method != 7 || memcmp(line - 8, "OPTIONS", 7);
		return;
	}
	if (!target || *line != '/')
		return;
	o->faulty = 0;
	end = line + target;
	question = memchr(line, '?', target);
	o_path(o, line, (size_t)((question ? question : end) - line));
	if (question)
		o_query(o, question + 1, (size_t)(end - question - 1), sources);
}

static int o_vchar(const uint8_t *text, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if (text[i] <= ' ' || text[i] >= 127)
			return 0;
	return 1;
}

static void o_credential(struct oracle *o, int which, const uint8_t *value, size_t len,
			 unsigned int sources)
{
	o->faulty |= o->seen_key[which];
	o->seen_key[which] = 1;
	if (!(sources & 1u << which))
		return;
	if (which == 0) {
		if (len < 7 || strncasecmp((const char *)value, "bearer", 6))
			return;
		o->faulty |= value[6] == '\t';
		if (value[6] != ' ')
			return;
		for (value += 6, len -= 6; len && *value == ' '; value++)
			len--;
	}
	o->faulty |= !o_vchar(value, len);
	o_key(o, value, len);
}

static void o_connection(struct oracle *o, const uint8_t *value, size_t len)
{
	static const char *const deciding[] = {
		"authorization", "x-api-key",	     "api-key",		  "x-goog-api-key",
		"host",		 "content-length",   "transfer-encoding", "expect",
		"connection",	 "content-encoding",
	};
	size_t start = 0;

	for (size_t i = 0; i <= len; i++) {
		int c = i < len ? value[i] : ',';

		if (c != ',' && c != ' ' && c != '\t') {
			o->faulty |= !o_token(c);
			continue;
		}
		for (size_t k = 0; k < sizeof(deciding) / sizeof(deciding[0]); k++)
			o->faulty |= o_like(value + start, i - start, deciding[k]);
		start = i + 1;
	}
}

static void o_length(struct oracle *o, const uint8_t *value, size_t len)
{
	o->faulty |= o->lengths++ || !len || len > 10;
	for (size_t i = 0; i < len && !o->faulty; i++) {
		o->faulty |= value[i] < '0' || value[i] > '9' || o->length > 0x7fffffff;
		o->length = o->length * 10 + (value[i] - '0');
	}
	o->faulty |= o->length > 0x7fffffff;
}

static void o_host(struct oracle *o, const uint8_t *value, size_t len)
{
	o->faulty |= o->hosts++ || !len || len > KF_HTTP1_HOST_MAX;
	for (size_t i = 0; i < len; i++)
		o->faulty |= value[i] > 127 || value[i] == '~' ||
			     (!o_unreserved(value[i]) && !strchr(":[]", value[i]));
}

static void o_field(struct oracle *o, const uint8_t *line, size_t len, unsigned int sources)
{
	static const char *const names[] = {
		"authorization", "x-api-key",	   "api-key",		"x-goog-api-key",
		"host",		 "content-length", "transfer-encoding", "expect",
		"upgrade",	 "connection",	   "content-encoding"
	};
	const uint8_t *colon = memchr(line, ':', len), *value;
	size_t name = colon ? (size_t)(colon - line) : 0, i, which = 99;

	o->faulty |= !name;
	for (i = 0; i < name; i++)
		o->faulty |= !o_token(line[i]);
	for (i = name; i < len; i++)
		o->faulty |= (line[i] < ' ' && line[i] != '\t') || line[i] == 127;
	if (o->faulty)
		return;
	for (i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		if (o_is(line, name, names[i]))
			which = i;
		else
			o->faulty |= o_like(line, name, names[i]);
	}
	value = colon + 1;
	len -= name + 1;
	while (len && (*value == ' ' || *value == '\t'))
		value++, len--;
	while (len && (value[len - 1] == ' ' || value[len - 1] == '\t'))
		len--;
	if (which < 4)
		o_credential(o, (int)which, value, len, sources);
	else if (which == 4)
		o_host(o, value, len);
	else if (which == 5)
		o_length(o, value, len);
	else if (which == 6)
		o->faulty |= o->encodings++ || !o->minor || !o_is(value, len, "chunked");
	else if (which == 7)
		o->faulty |= o->expects++ || !o_is(value, len, "100-continue");
	else if (which == 8)
		o->faulty |= o->upgrades++;
	else if (which == 9)
		o_connection(o, value, len);
}

/* Reads line by line. `complete` and not `faulty`: a request of `head_len` bytes. */
static void o_read(struct oracle *o, const uint8_t *head, size_t len, unsigned int sources)
{
	size_t start = 0;

	memset(o, 0, sizeof(*o));
	for (size_t i = 0; i + 1 < len && !o->faulty; i++) {
		if (head[i] != '\r' || head[i + 1] != '\n')
			continue;
		if (!start) {
			o_request_line(o, head, i, sources);
		} else if (i == start) {
			o->complete = 1;
			o->head_len = i + 2;
			o->faulty |= !o->hosts || (o->lengths && o->encodings);
			return;
		} else {
			o_field(o, head + start, i - start, sources);
		}
		start = i + 2;
		i++;
	}
}

/* ---- the comparison ------------------------------------------------------------------------- */

static uint8_t buffer[KF_HTTP1_BUFFER];

#define CHECK(condition)                                                                           \
	do {                                                                                       \
		if (!(condition)) {                                                                \
			fprintf(stderr, "failed: %s\n", #condition);                               \
			abort();                                                                   \
		}                                                                                  \
	} while (0)

static void load(const uint8_t *head, size_t len, unsigned int noise)
{
	static const char pattern[] = "\r\n\r\n: key=/./%2f HTTP/1.1\r\nHost: a\r\n\t\0\x80";

	memcpy(buffer, head, len);
	for (size_t i = len; i < len + 512 && i < sizeof(buffer); i++)
		buffer[i] = noise ? (uint8_t)pattern[(i * noise) % sizeof(pattern)] : 0;
}

static enum kf_http1_result parse(struct kf_http1 *h, unsigned int sources, const uint8_t *head,
				  size_t len, size_t cut, unsigned int noise)
{
	enum kf_http1_result result = KF_HTTP1_INCOMPLETE;

	kf_http1_begin(h, sources);
	if (cut) {
		load(head, cut, noise);
		result = kf_http1_parse(h, buffer, (uint32_t)cut);
	}
	if (result != KF_HTTP1_INCOMPLETE)
		return result;
	load(head, len, noise + 1);
	return kf_http1_parse(h, buffer, (uint32_t)len);
}

static void compare(const struct kf_http1 *h, const struct oracle *o, const uint8_t *head)
{
	CHECK(h->head_len == o->head_len);
	CHECK(h->target_off == o->target_off && h->target_len == o->target_len);
	CHECK(h->has_content_length == !!o->lengths && h->content_length == o->length);
	CHECK(h->chunked == !!o->encodings);
	CHECK(h->minor == o->minor);
	CHECK(h->expect_continue == (o->expects && o->minor));
	CHECK((h->upgrade != KF_UPGRADE_NONE) == !!o->upgrades);
	CHECK(!h->upgrade || !strncasecmp((const char *)head + h->upgrade_name_off, "upgrade", 7));
	CHECK(h->key_len == o->key_len);
	CHECK(!h->key_len || !memcmp(head + h->key_off, o->key, o->key_len));
	CHECK(!h->key_len == !h->key_source);
	CHECK(!(h->key_source & ~h->key_sources));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	enum kf_http1_result result, other;
	struct kf_http1 h, h2;
	unsigned int sources;
	struct oracle o;
	size_t cut;

	if (size < 3 || size - 2 > KF_HEAD_MAX)
		return 0;
	sources = data[1] & 0x80 ? KF_KEY_ANY : data[1] & KF_KEY_ANY;
	cut = data[0] % (size - 2);
	data += 2;
	size -= 2;
	result = parse(&h, sources, data, size, 0, 0);
	for (unsigned int noise = 1; noise < 4; noise++) {
		other = parse(&h2, sources, data, size, noise == 2 ? 0 : cut, noise);
		CHECK(result == other && h.detail == h2.detail);
		CHECK(result != KF_HTTP1_REQUEST ||
		      !memcmp(&h, &h2, offsetof(struct kf_http1, key_sources)));
	}
	kf_http1_begin(&h2, sources);
	load(data, size, 5);
	other = KF_HTTP1_INCOMPLETE;
	for (size_t i = 1; size < 600 && i <= size && other == KF_HTTP1_INCOMPLETE; i++)
		other = kf_http1_parse(&h2, buffer, (uint32_t)i);
	CHECK(size >= 600 || (result == other && h.detail == h2.detail));
	o_read(&o, data, size, sources);
	if (result == KF_HTTP1_REQUEST) {
		CHECK(o.complete && !o.faulty);
		compare(&h, &o, data);
	} else if (result == KF_HTTP1_MALFORMED) {
		CHECK(h.detail != KF_DETAIL_NONE && h.detail < KF_DETAIL_COUNT);
		CHECK(!o.complete || o.faulty);
	} else {
		CHECK(!o.complete && !o.faulty);
	}
	return 0;
}
