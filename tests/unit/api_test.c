// SPDX-License-Identifier: GPL-2.0-only
/*
 * The parts of the admin API that need no kernel: targets, routes, who may do what, the members of
 * a body, addresses as text. The whole of it, over the socket, is tests/e2e/admin_socket.sh.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <jansson.h>
#include <microhttpd.h>

#include "api/auth.h"
#include "api/key.h"
#include "api/metrics.h"
#include "api/request.h"
#include "api/route.h"
#include "api/status.h"
#include "api/uri.h"
#include "api_fixture.h"
#include "endpoint.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* ---- targets --------------------------------------------------------------------------------- */

static void test_uri_decode(void **state)
{
	static const struct {
		const char *raw, *text; /* NULL: refused */
	} cases[] = {
		{ "plain", "plain" }, { "a%2Fb", "a/b" },	{ "a%2fb", "a/b" },
		{ "%25", "%" },	      { "%2541", "%41" },	{ "a+b", "a+b" },
		{ "", "" },	      { "%C3%A9", "\xc3\xa9" }, { "%", NULL },
		{ "%4", NULL },	      { "a%", NULL },		{ "%4g", NULL },
		{ "%g4", NULL },      { "%-1", NULL },		{ "%00", NULL },
		{ "a%00b", NULL },    { "%0a", NULL },		{ "%7f", NULL },
		{ "\x01", NULL },     { "%C3", NULL },		{ "%C0%AF", NULL },
		{ "%FF", NULL },      { "%ED%A0%80", NULL },	{ "%F4%90%80%80", NULL },
	};

	for (size_t i = 0; i < COUNT(cases); i++) {
		char *text = NULL;
		int err = kf_api_uri_decode(cases[i].raw, strlen(cases[i].raw), false, &text);

		if (!cases[i].text ? err != -EINVAL || text : err || strcmp(text, cases[i].text))
			fail_msg("'%s': %d '%s'", cases[i].raw, err, text ?: "");
		free(text);
	}
}

static void test_uri_decode_plus(void **state)
{
	char *text = NULL;

	assert_int_equal(kf_api_uri_decode("a+b%2B", 6, true, &text), 0);
	assert_string_equal(text, "a b+");
	free(text);
}

/* What lies behind the given length is not looked at, not even for the two digits of a %. */
static void test_uri_decode_keeps_to_its_length(void **state)
{
	char *text = NULL;

	assert_int_equal(kf_api_uri_decode("ab%41", 4, false, &text), -EINVAL);
	assert_int_equal(kf_api_uri_decode("ab%41", 5, false, &text), 0);
	assert_string_equal(text, "abA");
	free(text);
}

static void test_uri_parse(void **state)
{
	struct kf_api_uri uri;

	assert_int_equal(kf_api_uri_parse("/v1/keys?search=a%26b+c&&limit=5&flag&e=", &uri), 0);
	assert_string_equal(uri.path, "/v1/keys");
	assert_int_equal(uri.count, 4);
	assert_string_equal(kf_api_uri_parameter(&uri, "search"), "a&b c");
	assert_string_equal(kf_api_uri_parameter(&uri, "limit"), "5");
	assert_string_equal(kf_api_uri_parameter(&uri, "flag"), "");
	assert_string_equal(kf_api_uri_parameter(&uri, "e"), "");
	assert_null(kf_api_uri_parameter(&uri, "after"));
	kf_api_uri_free(&uri);

	assert_int_equal(kf_api_uri_parse("/x?a=1?b=2", &uri), 0);
	assert_string_equal(kf_api_uri_parameter(&uri, "a"), "1?b=2");
	kf_api_uri_free(&uri);

	assert_int_equal(kf_api_uri_parse("/x?", &uri), 0);
	assert_int_equal(uri.count, 0);
	kf_api_uri_free(&uri);
}

static void test_uri_parse_refuses(void **state)
{
	static const char *const bad[] = { "",	       "*",	   "http://x/v1",
					   "/x?a=%zz", "/x?%00=1", "/x?a=%FF" };
	char many[256] = "/x?";
	struct kf_api_uri uri;

	for (size_t i = 0; i < COUNT(bad); i++) {
		assert_int_equal(kf_api_uri_parse(bad[i], &uri), -EINVAL);
		kf_api_uri_free(&uri);
	}
	for (int i = 0; i < KF_API_URI_PARAMETERS; i++)
		strcat(many, "a=1&");
	assert_int_equal(kf_api_uri_parse(many, &uri), 0);
	kf_api_uri_free(&uri);
	strcat(many, "a=1&");
	assert_int_equal(kf_api_uri_parse(many, &uri), -E2BIG);
	kf_api_uri_free(&uri);
}

static void test_uri_match(void **state)
{
	static const struct {
		const char *pattern, *path;
		int matches;
		const char *name;
	} cases[] = {
		{ "/v1/keys", "/v1/keys", 1, NULL },
		{ "/v1/keys", "/v1/keys/", 0, NULL },
		{ "/v1/keys", "/v1/key", 0, NULL },
		{ "/v1/keys", "/v1/keysx", 0, NULL },
		{ "/v1/keys/{}", "/v1/keys/k_1", 1, "k_1" },
		{ "/v1/keys/{}", "/v1/keys/", 0, NULL },
		{ "/v1/keys/{}", "/v1/keys/a/b", 0, NULL },
		{ "/v1/keys/{}", "/v1/keys/a%2Fb", 1, "a/b" },
		{ "/v1/keys/{}", "/v1/keys/a%00", -EINVAL, NULL },
		{ "/v1/keys/{}/enable", "/v1/keys/k/enable", 1, "k" },
		{ "/v1/keys/{}/enable", "/v1/keys/k/enabled", 0, NULL },
		{ "/v1/keys/{}/enable", "/v1/keys//enable", 0, NULL },
		{ "/v1/keys/{}/enable", "/v1/keys/k%2Fenable", 0, NULL },
		{ "/v1/sources/{*}", "/v1/sources/10.0.0.0/8", 1, "10.0.0.0/8" },
		{ "/v1/sources/{*}", "/v1/sources/10.0.0.0%2f8", 1, "10.0.0.0/8" },
		{ "/v1/sources/{*}", "/v1/sources/", 0, NULL },
		{ "/v1/sources/{*}", "/v1/sources", 0, NULL },
		{ "/v1/keys", "/v1/%6beys", 0, NULL }, /* names of ours need no encoding */
	};

	for (size_t i = 0; i < COUNT(cases); i++) {
		char *name = NULL;
		int matches = kf_api_uri_match(cases[i].pattern, cases[i].path, &name);

		if (matches != cases[i].matches ||
		    (cases[i].name ? !name || strcmp(name, cases[i].name) : !!name))
			fail_msg("%s %s: %d '%s'", cases[i].pattern, cases[i].path, matches,
				 name ?: "");
		free(name);
	}
}

static void test_routes(void **state)
{
	const struct kf_api_route *route = NULL;
	char allow[KF_API_ALLOW_SIZE], *name = NULL;

	assert_int_equal(kf_api_route_find("PATCH", "/v1/keys/k_1", &route, &name, allow), 0);
	assert_ptr_equal(route, &kf_api_key_routes[3]);
	assert_string_equal(name, "k_1");
	free(name);
	name = NULL;

	assert_int_equal(kf_api_route_find("HEAD", "/v1/keys/k_1", &route, &name, allow),
			 -EOPNOTSUPP);
	assert_string_equal(allow, "GET, PATCH, DELETE");
	assert_int_equal(kf_api_route_find("get", "/v1/status", &route, &name, allow), -EOPNOTSUPP);
	assert_int_equal(kf_api_route_find("GET", "/v1/unload", &route, &name, allow), -EOPNOTSUPP);
	assert_string_equal(allow, "POST");
	assert_int_equal(kf_api_route_find("GET", "/", &route, &name, allow), -ENOENT);
	assert_int_equal(kf_api_route_find("GET", "/v1/keys/%ff", &route, &name, allow), -EINVAL);
	assert_null(name);
}

/* ---- who may do what ------------------------------------------------------------------------- */

static void test_auth_decide(void **state)
{
	enum { READERS = 990, DAEMON = 500 };
	gid_t groups[] = { 4, READERS, 27 }, others[] = { 4, 27 };
	const struct {
		struct kf_api_peer peer;
		gid_t readers;
		enum kf_api_access access;
	} cases[] = {
		{ { .uid = 0 }, READERS, KF_API_WRITE },
		{ { .uid = 0 }, KF_API_AUTH_NO_GROUP, KF_API_WRITE },
		{ { .uid = DAEMON, .gid = 7 }, READERS, KF_API_WRITE },
		{ { .uid = 1000, .gid = READERS }, READERS, KF_API_READ },
		{ { .uid = 1000, .gid = 7, .groups = groups, .group_count = 3 },
		  READERS,
		  KF_API_READ },
		{ { .uid = 1000, .gid = 7, .groups = groups, .group_count = 1 },
		  READERS,
		  KF_API_NOTHING },
		{ { .uid = 1000, .gid = 7, .groups = others, .group_count = 2 },
		  READERS,
		  KF_API_NOTHING },
		{ { .uid = 1000, .gid = 0 }, READERS, KF_API_NOTHING },
		/* a peer in no group at all must not match a group that does not exist */
		{ { .uid = 65534, .gid = (gid_t)-1 }, KF_API_AUTH_NO_GROUP, KF_API_NOTHING },
	};

	for (size_t i = 0; i < COUNT(cases); i++)
		if (kf_api_auth_decide(&cases[i].peer, DAEMON, cases[i].readers) != cases[i].access)
			fail_msg("case %zu", i);
}

static void test_auth_permits(void **state)
{
	static const char *const writes[] = { "POST", "PATCH", "DELETE", "PUT", "HEAD", "get", "" };

	assert_true(kf_api_auth_permits(KF_API_READ, "GET"));
	assert_true(kf_api_auth_permits(KF_API_WRITE, "GET"));
	assert_false(kf_api_auth_permits(KF_API_NOTHING, "GET"));
	for (size_t i = 0; i < COUNT(writes); i++) {
		assert_false(kf_api_auth_permits(KF_API_NOTHING, writes[i]));
		assert_false(kf_api_auth_permits(KF_API_READ, writes[i]));
		assert_true(kf_api_auth_permits(KF_API_WRITE, writes[i]));
	}
}

/* ---- members of the body --------------------------------------------------------------------- */

static void test_members(void **state)
{
	static const struct {
		const char *body;
		int status; /* 0: taken */
	} cases[] = {
		{ "{\"name\":\"x\"}", 0 },
		{ "{\"name\":\"x\",\"n\":1,\"ttl\":null}", 0 },
		{ "{\"name\":\"x\",\"ttl\":\"5m\"}", 0 },
		{ "{}", 400 },
		{ "{\"name\":null}", 400 },
		{ "{\"name\":1}", 400 },
		{ "{\"name\":[\"x\"]}", 400 },
		{ "{\"name\":{}}", 400 },
		{ "{\"name\":\"x\",\"n\":null}", 400 },
		{ "{\"name\":\"x\",\"n\":1.0}", 400 },
		{ "{\"name\":\"x\",\"n\":\"1\"}", 400 },
		{ "{\"name\":\"x\",\"n\":true}", 400 },
		{ "{\"name\":\"x\",\"ttl\":5}", 400 },
		{ "{\"name\":\"x\",\"Name\":\"x\"}", 400 },
		{ "{\"name\":\"x\",\"\":1}", 400 },
	};

	for (size_t i = 0; i < COUNT(cases); i++) {
		json_t *name = NULL, *n = NULL, *ttl = NULL;
		const struct kf_api_member members[] = {
			{ "name", KF_API_STRING | KF_API_REQUIRED, &name },
			{ "n", KF_API_INTEGER, &n },
			{ "ttl", KF_API_STRING | KF_API_NULL, &ttl },
		};
		struct fixture fixture;
		int err;

		fixture_open(&fixture, cases[i].body);
		err = kf_api_members(&fixture.request, members, COUNT(members));
		if (err != (cases[i].status ? -EBADMSG : 0) ||
		    fixture.request.status != cases[i].status ||
		    !!fixture.request.response != !!cases[i].status)
			fail_msg("%s: %d, status %d", cases[i].body, err, fixture.request.status);
		if (!err)
			assert_string_equal(json_string_value(name), "x");
		fixture_close(&fixture);
	}
}

static void test_no_members(void **state)
{
	struct fixture fixture;

	fixture_open(&fixture, "{}");
	assert_int_equal(kf_api_no_members(&fixture.request), 0);
	fixture_close(&fixture);
	fixture_open(&fixture, "{\"x\":null}");
	assert_int_equal(kf_api_no_members(&fixture.request), -EBADMSG);
	assert_int_equal(fixture.request.status, 400);
	fixture_close(&fixture);
}

static void test_parameters(void **state)
{
	static const char *const known[] = { "after", "limit", NULL };
	static const struct {
		const char *target;
		int err;
		unsigned int limit;
	} cases[] = {
		{ "/x", 0, 100 },
		{ "/x?limit=1", 0, 1 },
		{ "/x?limit=1000", 0, 1000 },
		{ "/x?limit=0001", 0, 1 },
		{ "/x?limit=0", -EBADMSG, 0 },
		{ "/x?limit=1001", -EBADMSG, 0 },
		{ "/x?limit=", -EBADMSG, 0 },
		{ "/x?limit=-1", -EBADMSG, 0 },
		{ "/x?limit=1x", -EBADMSG, 0 },
		{ "/x?limit=99999999999999999999", -EBADMSG, 0 },
		{ "/x?Limit=1", -EBADMSG, 0 },
		{ "/x?limit=1&limit=1", -EBADMSG, 0 },
		{ "/x?limt=1", -EBADMSG, 0 },
		{ "/x?=1", -EBADMSG, 0 },
	};

	for (size_t i = 0; i < COUNT(cases); i++) {
		struct fixture fixture;
		unsigned int limit = 0;
		int err;

		fixture_open(&fixture, "{}");
		assert_int_equal(kf_api_uri_parse(cases[i].target, &fixture.uri), 0);
		err = kf_api_parameters(&fixture.request, known)
			      ?: kf_api_parameter_limit(&fixture.request, 100, 1000, &limit);
		if (err != cases[i].err || limit != cases[i].limit)
			fail_msg("%s: %d %u", cases[i].target, err, limit);
		fixture_close(&fixture);
	}
}

static void test_rate(void **state)
{
	static const struct {
		const char *body;
		bool alone;
		int64_t rpm, burst; /* -1: refused */
	} cases[] = {
		{ "{}", false, 0, 0 },
		{ "{\"rpm\":1}", false, 1, 0 },
		{ "{\"rpm\":6000000,\"burst\":6000000}", false, 6000000, 6000000 },
		{ "{\"rpm\":60,\"burst\":null}", false, 60, 0 },
		{ "{\"rpm\":null}", true, 0, 0 },
		{ "{\"rpm\":null,\"burst\":null}", true, 0, 0 },
		{ "{\"burst\":5}", true, 0, 5 },
		{ "{\"burst\":5}", false, -1, 0 },
		{ "{\"rpm\":null,\"burst\":5}", true, -1, 0 },
		{ "{\"rpm\":0}", false, -1, 0 },
		{ "{\"rpm\":-1}", false, -1, 0 },
		{ "{\"rpm\":6000001}", false, -1, 0 },
		{ "{\"rpm\":4294967297}", false, -1, 0 },
		{ "{\"rpm\":60,\"burst\":0}", false, -1, 0 },
		{ "{\"rpm\":60,\"burst\":6000001}", false, -1, 0 },
	};

	for (size_t i = 0; i < COUNT(cases); i++) {
		uint32_t rpm = 0, burst = 0;
		struct fixture fixture;
		json_t *body;
		int err;

		fixture_open(&fixture, cases[i].body);
		body = fixture.request.body;
		err = kf_api_key_read_rate(&fixture.request, json_object_get(body, "rpm"),
					   json_object_get(body, "burst"), cases[i].alone, &rpm,
					   &burst);
		if (cases[i].rpm < 0 ? err != -EBADMSG || fixture.request.status != 400
				     : err || rpm != cases[i].rpm || burst != cases[i].burst)
			fail_msg("%s: %d %u %u", cases[i].body, err, rpm, burst);
		fixture_close(&fixture);
	}
}

static void test_number(void **state)
{
	static const struct {
		const char *body;
		int64_t number; /* -1: refused */
	} cases[] = {
		{ "{}", 77 },
		{ "{\"n\":null}", 0 },
		{ "{\"n\":2}", 2 },
		{ "{\"n\":4294967295}", 4294967295 },
		{ "{\"n\":1}", -1 },
		{ "{\"n\":-1}", -1 },
		{ "{\"n\":4294967296}", -1 },
		{ "{\"n\":4294967298}", -1 },
	};

	for (size_t i = 0; i < COUNT(cases); i++) {
		struct fixture fixture;
		uint32_t number = 77;
		int err;

		fixture_open(&fixture, cases[i].body);
		err = kf_api_number(&fixture.request, "n",
				    json_object_get(fixture.request.body, "n"), 2, UINT32_MAX, NULL,
				    &number);
		if (cases[i].number < 0 ? err != -EBADMSG || fixture.request.status != 400
					: err || number != cases[i].number)
			fail_msg("%s: %d %u", cases[i].body, err, number);
		fixture_close(&fixture);
	}
}

/* ---- addresses and labels -------------------------------------------------------------------- */

static void test_endpoint(void **state)
{
	static const struct {
		const char *text, *canonical; /* NULL: refused */
	} cases[] = {
		{ "203.0.113.5:8000", "203.0.113.5:8000" },
		{ "[2001:DB8::0:1]:8000", "[2001:db8::1]:8000" },
		{ "*:8000", "*:8000" },
		{ "0.0.0.0:8000", "*:8000" },
		{ "[::]:8000", "*:8000" },
		{ "[::ffff:203.0.113.5]:80", "203.0.113.5:80" },
		{ "[::ffff:0.0.0.0]:80", "*:80" },
		{ "[::1]:65535", "[::1]:65535" },
		{ "203.0.113.5", NULL },
		{ "203.0.113.5:", NULL },
		{ "203.0.113.5:0", NULL },
		{ "203.0.113.5:080", NULL },
		{ "203.0.113.5:65536", NULL },
		{ "203.0.113.5:4294967376", NULL },
		{ "203.0.113.5:80 ", NULL },
		{ "203.0.113.256:80", NULL },
		{ "203.0.113:80", NULL },
		{ "[203.0.113.5]:80", NULL },
		{ "2001:db8::1:8000", NULL },
		{ "[2001:db8::1:8000", NULL },
		{ "[fe80::1%eth0]:80", NULL },
		{ ":80", NULL },
		{ "[]:80", NULL },
		{ "**:80", NULL },
		{ "localhost:80", NULL },
		{ "", NULL },
	};

	for (size_t i = 0; i < COUNT(cases); i++) {
		char text[KF_ENDPOINT_TEXT] = "";
		struct kf_endpoint endpoint;
		int err = kf_endpoint_parse(cases[i].text, &endpoint);

		if (!err)
			kf_endpoint_format(&endpoint, text);
		if (cases[i].canonical ? err || strcmp(text, cases[i].canonical) : err != -EINVAL)
			fail_msg("'%s': %d '%s'", cases[i].text, err, text);
	}
}

static void test_metrics_label(void **state)
{
	char *text = NULL;
	size_t size;
	FILE *out = open_memstream(&text, &size);

	kf_api_metrics_label(out, "a\"b\\c\nd");
	fclose(out);
	assert_string_equal(text, "a\\\"b\\\\c\\nd");
	free(text);
}

static void test_status_is_nearly_full(void **state)
{
	static const struct {
		uint64_t used, max;
		bool nearly_full;
	} cases[] = {
		{ 0, 0, false },
		{ 0, 1, false },
		{ 1, 1, true },
		{ 0, 64, false },
		{ 57, 64, false },
		{ 58, 64, true },
		{ 0, 99, false },
		{ 91, 199, false },
		{ 179, 199, false },
		{ 180, 199, true },
		{ 943718, 1048576, false },
		{ 943719, 1048576, true },
		{ 1048577, 1048576, true },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		if (kf_api_status_is_nearly_full(cases[i].used, cases[i].max) !=
		    cases[i].nearly_full)
			fail_msg("%llu of %llu", (unsigned long long)cases[i].used,
				 (unsigned long long)cases[i].max);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_uri_decode),
		cmocka_unit_test(test_uri_decode_plus),
		cmocka_unit_test(test_uri_decode_keeps_to_its_length),
		cmocka_unit_test(test_uri_parse),
		cmocka_unit_test(test_uri_parse_refuses),
		cmocka_unit_test(test_uri_match),
		cmocka_unit_test(test_routes),
		cmocka_unit_test(test_auth_decide),
		cmocka_unit_test(test_auth_permits),
		cmocka_unit_test(test_members),
		cmocka_unit_test(test_no_members),
		cmocka_unit_test(test_parameters),
		cmocka_unit_test(test_rate),
		cmocka_unit_test(test_number),
		cmocka_unit_test(test_endpoint),
		cmocka_unit_test(test_metrics_label),
		cmocka_unit_test(test_status_is_nearly_full),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
