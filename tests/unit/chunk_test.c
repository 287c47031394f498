// SPDX-License-Identifier: GPL-2.0-only
/*
 * chunk.h: framing of chunked bodies, cut at every place; what is behind the cut lies in a page
 * that may not be read. Cases are written as the bytes on the wire; data in them is really passed
 * over.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <keyfilter/chunk.h>

struct outcome {
	enum kf_chunk_result result;
	size_t used; /* bytes of the body, framing and data; without meaning if malformed */
	__u8 detail;
};

/* @len bytes that end where memory ends. */
static const __u8 *at_the_edge(const void *bytes, size_t len)
{
	static __u8 *edge;
	size_t page = (size_t)sysconf(_SC_PAGESIZE);

	if (!edge) {
		edge = mmap(NULL, 4 * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1,
			    0);
		assert_true(edge != MAP_FAILED);
		edge += 3 * page;
		assert_int_equal(mprotect(edge, page, PROT_NONE), 0);
	}
	memcpy(edge - len, bytes, len);
	return edge - len;
}

/*
 * Reads @body from @from to @to, with as many calls as it takes; @skip is data still to pass over.
 */
static struct outcome feed(struct kf_chunk *c, const __u8 *body, size_t from, size_t to,
			   __u64 *skip)
{
	struct outcome o = { KF_CHUNK_MORE, from, 0 };
	__u32 consumed;

	while (o.result == KF_CHUNK_MORE || o.result == KF_CHUNK_SKIP) {
		__u64 data = *skip < to - o.used ? *skip : to - o.used;

		o.used += data;
		*skip -= data;
		o.result = KF_CHUNK_MORE;
		if (o.used == to)
			break;
		consumed = 0xdead;
		o.result = kf_chunk_parse(
			c, at_the_edge(body + o.used, to - o.used > 1024 ? 1024 : to - o.used),
			(__u32)(to - o.used), &consumed, &o.detail);
		o.used += consumed;
		*skip = o.result == KF_CHUNK_SKIP ? c->skip : 0;
	}
	return o;
}

static void assert_same(struct outcome a, struct outcome b, const char *title, size_t cut)
{
	if (a.result != b.result || a.detail != b.detail || a.used != b.used)
		fail_msg("%s, cut at %zu: %d %s %zu, whole: %d %s %zu", title, cut, a.result,
			 kf_detail_name(a.detail), a.used, b.result, kf_detail_name(b.detail),
			 b.used);
}

static struct outcome run(const char *title, const void *bytes, size_t len)
{
	const __u8 *body = bytes;
	struct outcome whole, parts;
	struct kf_chunk c;
	__u64 skip = 0;

	kf_chunk_begin(&c);
	whole = feed(&c, body, 0, len, &skip);
	for (size_t cut = 0; cut <= len; cut++) {
		skip = 0;
		kf_chunk_begin(&c);
		parts = feed(&c, body, 0, cut, &skip);
		if (parts.result == KF_CHUNK_MORE)
			parts = feed(&c, body, cut, len, &skip);
		assert_same(parts, whole, title, cut);
	}
	kf_chunk_begin(&c);
	skip = 0;
	parts = (struct outcome){ KF_CHUNK_MORE, 0, 0 };
	for (size_t i = 0; i < len && parts.result == KF_CHUNK_MORE; i++)
		parts = feed(&c, body, i, i + 1, &skip);
	assert_same(parts, whole, title, (size_t)-1);
	return whole;
}

#define WHOLE(title_, body_)                                                                       \
	{                                                                                          \
		title_, body_, sizeof(body_) - 1, 0                                                \
	}
#define MORE(title_, body_, rest_)                                                                 \
	{                                                                                          \
		title_, body_ rest_, sizeof(body_) - 1, sizeof(rest_) - 1                          \
	}

static const struct {
	const char *title;
	const char *body;
	size_t len;  /* of the body */
	size_t rest; /* bytes behind it */
} accepted[] = {
	WHOLE("nothing", "0\r\n\r\n"),
	WHOLE("one chunk", "5\r\nhello\r\n0\r\n\r\n"),
	WHOLE("two chunks", "5\r\nhello\r\n00001\r\n!\r\n0\r\n\r\n"),
	WHOLE("data that looks like framing", "7\r\n\r\n0\r\n\r\n\r\n0\r\n\r\n"),
	WHOLE("hexadecimal", "a\r\n0123456789\r\nA\r\n0123456789\r\n1F\r\n0123456789012345678901234"
			     "567890\r\n0\r\n\r\n"),
	WHOLE("many zeros", "00000000\r\n\r\n"),
	WHOLE("8 digits", "00000001\r\nx\r\n0\r\n\r\n"),
	WHOLE("extensions", "1;a;b=c;d=\"e\"\r\nx\r\n0;last\r\n\r\n"),
	WHOLE("quoted extensions", "1;a=\" \t;=\\\"\\\\\x80'\";b=\"\"\r\nx\r\n0\r\n\r\n"),
	WHOLE("trailers", "0\r\na: b\r\nX-Checksum:\t \x80\xff\r\nd:\r\ne: \r\n\r\n"),
	WHOLE("names that only begin alike", "0\r\nhosts: b\r\nhos: b\r\ntexts: c\r\n\r\n"),
	MORE("the next request", "1\r\nx\r\n0\r\n\r\n", "GET / HTTP/1.1\r\n"),
	MORE("a blank line more", "0\r\n\r\n", "\r\n"),
};

static void accepts(void **state)
{
	for (size_t i = 0; i < sizeof(accepted) / sizeof(accepted[0]); i++) {
		size_t len = accepted[i].len;
		struct outcome o = run(accepted[i].title, accepted[i].body, len + accepted[i].rest);

		if (o.result != KF_CHUNK_END || o.used != len)
			fail_msg("%s: %d %s, %zu bytes", accepted[i].title, o.result,
				 kf_detail_name(o.detail), o.used);
		for (size_t cut = 0; cut < len; cut++)
			assert_int_equal(run(accepted[i].title, accepted[i].body, cut).result,
					 KF_CHUNK_MORE);
	}
}

#define NO(detail_, title_, body_)                                                                 \
	{                                                                                          \
		title_, body_, sizeof(body_) - 1, KF_DETAIL_##detail_                              \
	}

static const struct {
	const char *title;
	const char *body;
	size_t len;
	enum kf_detail detail;
} refused[] = {
	NO(CHUNK_SIZE, "no digits", "x\r\n"),
	NO(BARE_CR, "an empty line", "\r\n0\r\n\r\n"),
	NO(CHUNK_SIZE, "no digits before an extension", ";a\r\n"),
	NO(CHUNK_SIZE, "a prefix", "0x5\r\n"),
	NO(CHUNK_SIZE, "a sign", "+5\r\n"),
	NO(CHUNK_SIZE, "a minus", "-1\r\n"),
	NO(CHUNK_SIZE, "a space before", " 5\r\n"),
	NO(CHUNK_SIZE, "a space behind", "5 \r\n"),
	NO(CHUNK_SIZE, "a space before an extension", "5 ;a\r\n"),
	NO(CHUNK_SIZE, "an underscore", "1_0\r\n"),
	NO(CHUNK_SIZE, "a letter too far", "g\r\n"),
	NO(CHUNK_SIZE, "obs-text", "5\x80\r\n"),
	NO(CHUNK_TOO_LARGE, "9 digits", "000000005\r\nhello\r\n0\r\n\r\n"),
	NO(CHUNK_TOO_LARGE, "32 bits of it are 5", "100000005\r\nhello\r\n0\r\n\r\n"),
	NO(CHUNK_TOO_LARGE, "31 bits of it are 5", "80000005\r\nhello\r\n0\r\n\r\n"),
	NO(CHUNK_TOO_LARGE, "all of 32 bits", "ffffffff\r\n"),
	NO(CHUNK_TOO_LARGE, "one more than 31 bits", "80000000\r\n"),
	NO(CHUNK_TOO_LARGE, "zeros", "0000000000000001\r\n"),
	NO(CHUNK_TOO_LARGE, "zeros that end", "000000000\r\n\r\n"),
	NO(CHUNK_TOO_LARGE, "more than 64 bits", "10000000000000005\r\n"),
	NO(CONTROL_BYTE, "NUL behind", "5\0\r\n"),
	NO(BARE_LF, "LF ends the size", "5\nhello\r\n"),
	NO(BARE_LF, "LF first", "\n5\r\n"),
	NO(BARE_CR, "CR ends the size", "5\rhello\r\n"),
	NO(BARE_CR, "CR CR LF", "5\r\r\nhello\r\n"),
	NO(BARE_CR, "no name", "5;\r\n"),
	NO(CHUNK_EXTENSION, "a space before the name", "5; a\r\n"),
	NO(CHUNK_EXTENSION, "a space behind the name", "5;a =b\r\n"),
	NO(CHUNK_EXTENSION, "a space before the value", "5;a= b\r\n"),
	NO(CHUNK_EXTENSION, "two values", "5;a=b=c\r\n"),
	NO(CHUNK_EXTENSION, "two semicolons", "5;;a\r\n"),
	NO(CHUNK_EXTENSION, "more than a quoted value", "5;a=\"b\"c\r\n"),
	NO(CHUNK_EXTENSION, "quoted names", "5;\"a\"=b\r\n"),
	NO(CHUNK_EXTENSION, "obs-text unquoted", "5;a=\x80\r\n"),
	NO(BARE_CR, "no value", "5;a=\r\n"),
	NO(BARE_LF, "LF ends an extension (CVE-2023-30589 and its kin)", "5;a\nhello\r\n"),
	NO(BARE_LF, "LF in a quoted value", "5;a=\"\n\"\r\n"),
	NO(BARE_LF, "LF escaped", "5;a=\"\\\n\"\r\n"),
	NO(BARE_CR, "a line end in a quoted value", "5;a=\"\r\n\"\r\n"),
	NO(CONTROL_BYTE, "NUL in a quoted value", "5;a=\"\0\"\r\n"),
	NO(CHUNK_DATA_END, "more data", "5\r\nhello!\r\n0\r\n\r\n"),
	NO(CHUNK_DATA_END, "less data", "5\r\nhell\r\n0\r\n\r\n"),
	NO(CHUNK_DATA_END, "LF behind the data", "5\r\nhello\n0\r\n\r\n"),
	NO(CHUNK_DATA_END, "CR behind the data", "5\r\nhello\r0\r\n\r\n"),
	NO(BARE_LF, "LF ends the body", "0\r\n\n"),
	NO(BARE_CR, "CR ends the body", "0\r\n\rx"),
	NO(CHUNK_TRAILER, "no colon", "0\r\nabc\r\n\r\n"),
	NO(CHUNK_TRAILER, "no name", "0\r\n: b\r\n\r\n"),
	NO(CHUNK_TRAILER, "no token", "0\r\na(: b\r\n\r\n"),
	NO(CHUNK_TRAILER, "obs-text in a name", "0\r\na\x80: b\r\n\r\n"),
	NO(CHUNK_TRAILER, "a request behind a missing line",
	   "0\r\nGET/ HTTP/1.1\r\nHost: a\r\n\r\n"),
	NO(SPACE_BEFORE_COLON, "a request line", "0\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n"),
	NO(OBS_FOLD, "a folded trailer", "0\r\na: b\r\n c\r\n\r\n"),
	NO(OBS_FOLD, "white space first", "0\r\n\ta: b\r\n\r\n"),
	NO(BARE_LF, "LF ends a trailer", "0\r\na: b\n\r\n"),
	NO(BARE_CR, "CR in a trailer", "0\r\na: b\rc\r\n\r\n"),
	NO(CONTROL_BYTE, "NUL in a trailer", "0\r\na: \0\r\n\r\n"),
	NO(CONTROL_BYTE, "NUL in a trailer's name", "0\r\na\0: b\r\n\r\n"),
	NO(CHUNK_TRAILER_FIELD, "a request behind two bytes",
	   "0\r\nx:GET /a HTTP/1.1\r\nHost: h\r\n\r\n"),
	NO(CHUNK_TRAILER_FIELD, "a short one, by a tab", "0\r\nx: GET\t/a\r\n\r\n"),
	NO(CHUNK_TRAILER_FIELD, "... by a blank of Latin-1", "0\r\nx:GET\xa0/\r\n\r\n"),
	NO(CHUNK_TRAILER_FIELD, "... by a line end of Latin-1", "0\r\nx:GET\x85/\r\n\r\n"),
	NO(CHUNK_TRAILER_FIELD, "white space behind a value", "0\r\na: b \r\n\r\n"),
	NO(CHUNK_TRAILER_FIELD, "a length", "0\r\na: b\r\ncONTENT-lENGTH: 5\r\n\r\n"),
	NO(CHUNK_TRAILER_FIELD, "a length by an alias", "0\r\ncontent_length: 5\r\n\r\n"),
};

static void refuses(void **state)
{
	for (size_t i = 0; i < sizeof(refused) / sizeof(refused[0]); i++) {
		struct outcome o = run(refused[i].title, refused[i].body, refused[i].len);

		if (o.result != KF_CHUNK_MALFORMED || o.detail != refused[i].detail)
			fail_msg("%s: %d %s, not %s", refused[i].title, o.result,
				 kf_detail_name(o.detail), kf_detail_name(refused[i].detail));
	}
}

/* The hashes of chunk.h are those of these names. */
static void refuses_trailers_by_name(void **state)
{
	static const char *const names[] = {
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
	char body[64];

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		struct outcome o;

		snprintf(body, sizeof(body), "0\r\n%s: x\r\n\r\n", names[i]);
		o = run(names[i], body, strlen(body));
		assert_int_equal(o.result, KF_CHUNK_MALFORMED);
		assert_int_equal(o.detail, KF_DETAIL_CHUNK_TRAILER_FIELD);
		snprintf(body, sizeof(body), "0\r\n%sx: x\r\n\r\n", names[i]);
		assert_int_equal(run(names[i], body, strlen(body)).result, KF_CHUNK_END);
	}
}

static void reads_sizes(void **state)
{
	__u32 consumed;
	struct kf_chunk c;
	__u8 detail;

	kf_chunk_begin(&c);
	assert_int_equal(
		kf_chunk_parse(&c, (const __u8 *)"7fffFFFF\r\n...", 13, &consumed, &detail),
		KF_CHUNK_SKIP);
	assert_int_equal(consumed, 10);
	assert_int_equal(c.skip, 0x7fffffff);
	kf_chunk_begin_wide(&c);
	assert_int_equal(
		kf_chunk_parse(&c, (const __u8 *)"fffffffffffffff\r\n...", 20, &consumed, &detail),
		KF_CHUNK_SKIP);
	assert_int_equal(consumed, 17);
	assert_int_equal(c.skip, 0xfffffffffffffffull);
	assert_int_equal(kf_chunk_parse(&c, (const __u8 *)"", 0, &consumed, &detail),
			 KF_CHUNK_MORE);
	assert_int_equal(consumed, 0);
	assert_int_equal(kf_chunk_parse(&c, (const __u8 *)"\r\n12", 4, &consumed, &detail),
			 KF_CHUNK_MORE);
	assert_int_equal(kf_chunk_parse(&c, (const __u8 *)"aB\r\n", 4, &consumed, &detail),
			 KF_CHUNK_SKIP);
	assert_int_equal(c.skip, 0x12ab);
	kf_chunk_begin_wide(&c);
	assert_int_equal(
		kf_chunk_parse(&c, (const __u8 *)"0000000000000001\r\n", 18, &consumed, &detail),
		KF_CHUNK_MALFORMED);
}

static void remembers_the_outcome(void **state)
{
	__u32 consumed;
	struct kf_chunk c;
	__u8 detail = 77;

	kf_chunk_begin(&c);
	assert_int_equal(kf_chunk_parse(&c, (const __u8 *)"0\r\n\r\n0", 6, &consumed, &detail),
			 KF_CHUNK_END);
	assert_int_equal(consumed, 5);
	assert_int_equal(kf_chunk_parse(&c, (const __u8 *)"0", 1, &consumed, &detail),
			 KF_CHUNK_END);
	assert_int_equal(consumed, 0);
	assert_int_equal(detail, 77);
	kf_chunk_begin(&c);
	assert_int_equal(kf_chunk_parse(&c, (const __u8 *)"?", 1, &consumed, &detail),
			 KF_CHUNK_MALFORMED);
	assert_int_equal(kf_chunk_parse(&c, (const __u8 *)"0", 1, &consumed, &detail),
			 KF_CHUNK_MALFORMED);
	assert_int_equal(detail, KF_DETAIL_CHUNK_SIZE);
}

/* @begin, @fill up to @len bytes, @end. */
static struct outcome filled(const char *begin, char fill, size_t len, const char *end)
{
	static char body[16384];
	struct kf_chunk c;
	__u64 skip = 0;

	memset(body, fill, sizeof(body));
	memcpy(body, begin, strlen(begin));
	memcpy(body + len - strlen(end), end, strlen(end));
	kf_chunk_begin(&c);
	return feed(&c, (const __u8 *)body, 0, len, &skip);
}

/* The last chunk and so many fields behind it. */
static struct outcome trailers(size_t count)
{
	char body[1024] = "0\r\n";
	size_t len = 3;
	struct kf_chunk c;
	__u64 skip = 0;

	for (size_t i = 0; i < count; i++, len += 4)
		memcpy(body + len, "a:\r\n", 4);
	memcpy(body + len, "\r\n", 2);
	kf_chunk_begin(&c);
	return feed(&c, (const __u8 *)body, 0, len + 2, &skip);
}

static void knows_its_limits(void **state)
{
	struct outcome o;

	o = filled("0;", 'a', KF_CHUNK_LINE_MAX + 4, "\r\n\r\n");
	assert_int_equal(o.result, KF_CHUNK_END);
	o = filled("0;", 'a', KF_CHUNK_LINE_MAX + 5, "\r\n\r\n");
	assert_int_equal(o.result, KF_CHUNK_MALFORMED);
	assert_int_equal(o.detail, KF_DETAIL_CHUNK_EXTENSION);
	o = filled("0\r\n", 'a', KF_CHUNK_TRAILER_MAX + 3, ":b\r\n\r\n");
	assert_int_equal(o.result, KF_CHUNK_END);
	o = filled("0\r\n", 'a', KF_CHUNK_TRAILER_MAX + 4, ":b\r\n\r\n");
	assert_int_equal(o.result, KF_CHUNK_MALFORMED);
	assert_int_equal(o.detail, KF_DETAIL_CHUNK_TRAILER_SIZE);
	assert_int_equal(trailers(KF_CHUNK_FIELDS_MAX).result, KF_CHUNK_END);
	o = trailers(KF_CHUNK_FIELDS_MAX + 1);
	assert_int_equal(o.result, KF_CHUNK_MALFORMED);
	assert_int_equal(o.detail, KF_DETAIL_CHUNK_TRAILER_SIZE);
}

/* Each line has its own limit, not all of them one. */
static void counts_lines_anew(void **state)
{
	static const char chunk[] =
		"1;abcdefghijklmnopqrstuvwxyz=abcdefghijklmnopqrstuvwxyz\r\nx\r\n";
	char body[64 * sizeof(chunk)];
	size_t len = 0;

	for (int i = 0; i < 40; i++, len += sizeof(chunk) - 1)
		memcpy(body + len, chunk, sizeof(chunk) - 1);
	memcpy(body + len, "0\r\n\r\n", 5);
	assert_int_equal(run("lines", body, len + 5).result, KF_CHUNK_END);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(accepts),
		cmocka_unit_test(refuses),
		cmocka_unit_test(refuses_trailers_by_name),
		cmocka_unit_test(reads_sizes),
		cmocka_unit_test(remembers_the_outcome),
		cmocka_unit_test(knows_its_limits),
		cmocka_unit_test(counts_lines_anew),
	};

	return cmocka_run_group_tests_name("chunk", tests, NULL, NULL);
}
