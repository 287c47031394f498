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

/* ---- the second reader ----------------------------------------------------------------------- */

struct oracle {
	int complete, faulty, large;
	size_t start, head_len, target_off, target_len, fields;
	const uint8_t *authority;
	size_t authority_len;
	int bare; /* a method without content */
	const uint8_t *key;
	size_t key_len;
	int keys, hosts, lengths, encodings, expects, upgrades;
	int seen_query, seen_key[5];
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

/* The byte that "%XX" at @text stands for; -1: none. */
static int o_escape(const uint8_t *text, size_t len)
{
	if (len < 3 || !o_hex(text[1]) || !o_hex(text[2]))
		return -1;
	return (int)strtol((char[]){ (char)text[1], (char)text[2], 0 }, NULL, 16);
}

/*
 * 0: no version segment; else a letter for the protocol. Only what ends before @len is looked at.
 */
static int o_version(const char *path, size_t len, int *other_letters)
{
	for (size_t i = 0; i < len; i++) {
		const char *at = path + i;
		size_t left = len - i;

		if (*at != '/')
			continue;
		if ((left >= 8 && !strncasecmp(at, "/v1beta/", 8)) ||
		    (left >= 9 && !strncasecmp(at, "/v1alpha/", 9))) {
			*other_letters = memcmp(at, "/v1beta/", 8) && memcmp(at, "/v1alpha", 8);
			return 'g';
		}
		if (left >= 12 && !strncasecmp(at, "/v1/messages", 12) &&
		    (left == 12 || at[12] == '/')) {
			*other_letters = memcmp(at, "/v1/messages", 12) != 0;
			return 'a';
		}
		if (left >= 4 && !strncasecmp(at, "/v1/", 4))
			return 'o';
	}
	return 0;
}

/*
 * As a server would that decodes slashes, cuts parameters off and merges slashes: does it come to
 * another protocol? Then the first reader must have refused it; it may refuse more.
 */
static int o_undone(const uint8_t *path, size_t len, int protocol)
{
	char *undone = malloc(len + 1);
	int other = 0, found;
	size_t n = 0;

	for (size_t i = 0; i < len; i++) {
		int c = path[i];

		if (c == '%' && o_escape(path + i, len - i) == '/') {
			c = '/';
			i += 2;
		}
		if (c == ';')
			while (i + 1 < len && path[i + 1] != '/')
				i++;
		else if (c != '/' || !n || undone[n - 1] != '/')
			undone[n++] = (char)c;
	}
	found = o_version(undone, n, &other);
	free(undone);
	return (found == 'o' ? 0 : found) != (protocol == 'o' ? 0 : protocol);
}

static int o_dots(const uint8_t *segment, size_t len)
{
	size_t dots = 0;

	while (dots < len && segment[dots] == '.')
		dots++;
	return (dots == 1 || dots == 2) && (dots == len || strchr("/;%", segment[dots])) &&
	       segment[dots];
}

static void o_path(struct oracle *o, const uint8_t *path, size_t len)
{
	int other = 0, protocol = o_version((const char *)path, len, &other);

	for (size_t i = 0; i < len && !o->faulty; i++) {
		int c = path[i], byte = o_escape(path + i, len - i);
		size_t next = i + (c == '%' && byte == '/' ? 3 : 1);

		if (c == '%' && byte < 0) {
			o->faulty |=
				i + 1 < len && (o_hex(path[i + 1]) || (path[i + 1] | 32) == 'u');
		} else if (c == '%' && byte == '%') {
			o->faulty |=
				i + 3 < len && (o_hex(path[i + 3]) || (path[i + 3] | 32) == 'u');
		} else if (c == '%') {
			o->faulty |= (o_unreserved(byte) && !strchr("-_~", byte)) || byte < 32 ||
				     byte == 127 || byte == '\\' ||
				     (byte == '/' && path[i - 1] == '/');
		} else {
			o->faulty |= c <= ' ' || c > 126 || strchr("#?\\", c) ||
				     (c == ';' && path[i - 1] == '/');
		}
		if (c == '/' || (c == '%' && byte == '/'))
			o->faulty |= (next < len && (path[next] == '/' || path[next] == ';')) ||
				     o_dots(path + next, len - next);
	}
	o->faulty |= other || o_undone(path, len, protocol);
}

/* A name that some server reads as `key`. */
static int o_is_key(const uint8_t *name, size_t len)
{
	char decoded[64];
	size_t n = 0, from = 0;

	for (size_t i = 0; i < len && n < sizeof(decoded) - 1; i++) {
		int byte = name[i] == '%' ? o_escape(name + i, len - i) : name[i];

		if (name[i] == '%' && byte >= 0)
			i += 2;
		if (name[i] == '+')
			byte = ' ';
		if (byte < 0)
			continue;
		if (byte == 0 && n)
			break;
		decoded[n++] = (char)byte;
	}
	while (from < n && (unsigned char)decoded[from] <= ' ')
		from++;
	while (n > from && (unsigned char)decoded[n - 1] <= ' ')
		n--;
	return n - from == 3 && !memcmp(decoded + from, "key", 3);
}

static void o_query(struct oracle *o, const uint8_t *query, size_t len, unsigned int sources)
{
	int wanted = !!(sources & KF_KEY_QUERY);
	size_t start = 0, part = 0;

	for (size_t i = 0; i <= len && !o->faulty; i++) {
		int c = i < len ? query[i] : '&';

		o->faulty |= c <= ' ' || c > 126 || c == '#';
		if (c != '&' && c != ';')
			continue;
		if (wanted) {
			size_t name = part;

			while (name < i && query[name] != '=')
				name++;
			/* found by a server that parts by ';', decodes, or trims: only as it is */
			if (o_is_key(query + part, name - part) &&
			    (part != start || c == ';' || name - part != 3))
				o->faulty = 1;
		}
		part = i + 1;
		if (c == ';')
			continue;
		if (i - start >= 3 && !memcmp(query + start, "key", 3) &&
		    (i - start == 3 || query[start + 3] == '=')) {
			o->faulty |= o->seen_query;
			o->seen_query = 1;
			if (wanted && i - start > 4)
				o_key(o, query + start + 4, i - start - 4);
		}
		start = i + 1;
	}
}

static void o_request_line(struct oracle *o, const uint8_t *line, size_t len, unsigned int sources)
{
	const uint8_t *space = memchr(line, ' ', len), *question, *end;
	size_t method = space ? (size_t)(space - line) : 0, target;

	o->faulty = 1;
	if (!method || method > 16)
		return;
	for (size_t i = 0; i < method; i++)
		if (!o_token(line[i]))
			return;
	if ((method == 7 && !memcmp(line, "CONNECT", 7)) ||
	    (method == 5 && !memcmp(line, "TRACE", 5)) || (method == 3 && !memcmp(line, "PRI", 3)))
		return;
	o->bare = (method == 3 && !memcmp(line, "GET", 3)) ||
		  (method == 4 && !memcmp(line, "HEAD", 4)) ||
		  (method == 6 && !memcmp(line, "DELETE", 6)) ||
		  (method == 7 && !memcmp(line, "OPTIONS", 7));
	space = memchr(line + method + 1, ' ', len - method - 1);
	if (!space)
		return;
	target = (size_t)(space - line) - method - 1;
	if (len - method - target - 2 != 8 || memcmp(space + 1, "HTTP/1.", 7) ||
	    (space[8] != '0' && space[8] != '1'))
		return;
	o->minor = space[8] - '0';
	line += method + 1;
	o->target_off = o->start + method + 1;
	o->target_len = target;
	if (target == 1 && *line == '*') {
		o->faulty = method != 7 || memcmp(line - 8, "OPTIONS", 7);
		return;
	}
	end = line + target;
	if (target > 8 && (!strncasecmp((const char *)line, "http://", 7) ||
			   !strncasecmp((const char *)line, "https://", 8))) {
		o->authority = line + (line[4] == ':' ? 7 : 8);
		line = memchr(o->authority, '/', (size_t)(end - o->authority));
		if (!line)
			return;
		o->authority_len = (size_t)(line - o->authority);
		o->target_off += target - (size_t)(end - line);
		o->target_len = target = (size_t)(end - line);
		if (!o->authority_len || memchr(o->authority, '?', o->authority_len))
			return;
	}
	if (!target || *line != '/')
		return;
	o->faulty = 0;
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
		"authorization",
		"x-api-key",
		"api-key",
		"x-goog-api-key",
		"host",
		"content-length",
		"transfer-encoding",
		"expect",
		"connection",
		"content-encoding",
		"sec-websocket-protocol",
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

static void o_subprotocols(struct oracle *o, const uint8_t *value, size_t len, unsigned int sources)
{
	static const char prefix[] = "openai-insecure-api-key.";
	size_t start = 0, skip = sizeof(prefix) - 1;

	if (!(sources & KF_KEY_WEBSOCKET))
		return;
	for (size_t i = 0; i <= len; i++) {
		int c = i < len ? value[i] : ',';

		if (c != ',' && c != ' ' && c != '\t') {
			o->faulty |= !o_token(c);
			continue;
		}
		if (i - start >= skip && !memcmp(value + start, prefix, skip)) {
			o->faulty |= o->seen_key[4];
			o->seen_key[4] = 1;
			o_key(o, value + start + skip, i - start - skip);
		}
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
	o->faulty |= o->authority &&
		     (len != o->authority_len ||
		      strncasecmp((const char *)value, (const char *)o->authority, len) != 0);
}

static void o_field(struct oracle *o, const uint8_t *line, size_t len, unsigned int sources)
{
	static const char *const names[] = {
		"authorization", "x-api-key",	   "api-key",		"x-goog-api-key",
		"host",		 "content-length", "transfer-encoding", "expect",
		"upgrade",	 "connection",	   "content-encoding",	"sec-websocket-protocol"
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
	else if (which == 11)
		o_subprotocols(o, value, len, sources);
}

/* Reads line by line. `complete` and not `faulty`: a request of `head_len` bytes. */
static void o_read(struct oracle *o, const uint8_t *head, size_t len, unsigned int sources)
{
	size_t start = 0;

	memset(o, 0, sizeof(*o));
	while (o->start < 2 && len - o->start >= 2 && !memcmp(head + o->start, "\r\n", 2))
		o->start += 2;
	start = o->start;
	for (size_t i = start; i + 1 < len && !o->faulty && !o->large; i++) {
		if (head[i] != '\r' || head[i + 1] != '\n')
			continue;
		if (start == o->start) {
			o->large |= i - start > 8190;
			o_request_line(o, head + start, i - start, sources);
		} else if (i == start) {
			o->complete = 1;
			o->head_len = i + 2;
			o->faulty |= !o->hosts || (o->lengths && o->encodings) ||
				     (o->bare && (o->encodings || o->length));
			return;
		} else {
			o->large |= i - start > 8190 || ++o->fields > 100;
			o_field(o, head + start, i - start, sources);
		}
		start = i + 2;
		i++;
	}
	o->large |= !o->faulty && len - start > 8190;
}

/* ---- the comparison -------------------------------------------------------------------------- */

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
		CHECK(o.complete && !o.faulty && !o.large);
		compare(&h, &o, data);
	} else if (result == KF_HTTP1_MALFORMED) {
		CHECK(h.detail != KF_DETAIL_NONE && h.detail < KF_DETAIL_COUNT);
		/*
		 * an encoded slash or a ';' where they could hide a version is refused unseen, too
		 */
		CHECK(!o.complete || o.faulty || h.detail == KF_DETAIL_TARGET_ENCODING ||
		      h.detail == KF_DETAIL_QUERY);
	} else if (result == KF_HTTP1_TOO_LARGE) {
		CHECK(o.large || o.faulty || size == KF_HEAD_MAX);
	} else {
		CHECK(!o.complete && !o.faulty && !o.large);
	}
	return 0;
}
