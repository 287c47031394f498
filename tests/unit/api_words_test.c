// SPDX-License-Identifier: GPL-2.0-only
/*
 * What the admin API says to values that could be meant in two ways, or are not what they stand
 * for: each refusal names the cause, and its mend can be typed. Links userspace/daemon.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>
#include <dlfcn.h>
#include <jansson.h>
#include <microhttpd.h>

#include "api/request.h"
#include "api/key.h"
#include "api/uri.h"
#include "api_fixture.h"
#include "../../userspace/lib/json.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* ---- what was answered ----------------------------------------------------------------------- */

static char said[4096]; /* "MESSAGE; MEND" of the last error */

/* In front of the library's: keeps the text of the answer. */
struct MHD_Response *MHD_create_response_from_buffer(size_t size, void *buffer,
						     enum MHD_ResponseMemoryMode mode)
{
	struct MHD_Response *(*real)(size_t, void *, enum MHD_ResponseMemoryMode) =
		dlsym(RTLD_NEXT, "MHD_create_response_from_buffer");
	const char *code = "", *message = "", *mend = "";
	json_t *answer = NULL;
	char why[200];

	if (!kf_json_read(buffer, size, &answer, why))
		kf_json_is_error(answer, &code, &message, &mend);
	snprintf(said, sizeof(said), "%s; %s", message, mend);
	json_decref(answer);
	return real(size, buffer, mode);
}

static void begin(struct fixture *fixture, const char *body)
{
	fixture_open(fixture, body);
	*said = '\0';
}

/* NULL: taken; else the words of the refusal. */
static void check(const struct fixture *fixture, const char *what, int err, const char *words)
{
	if (!words ? err : err != -EBADMSG || fixture->request.status != 400 || strcmp(said, words))
		fail_msg("%s: %d '%s'", what, err, said);
}

/* ---- times ----------------------------------------------------------------------------------- */

#define DAY 86400000000000ll
#define EITHER                                                                                     \
	"give never, a time from now such as 30d, or a point in time such as 2030-01-01T00:00:00Z"

static void test_expires(void **state)
{
	static const struct {
		const char *body;
		int64_t days; /* from now, about; -1: never */
		const char *words;
	} cases[] = {
		{ "{\"e\":\"never\"}", -1, NULL },
		{ "{\"e\":\"30d\"}", 30, NULL },
		{ "{\"e\":\"36500d\"}", 36500, NULL },
		{ "{\"e\":\"9999-12-31T23:59:59Z\"}", -1, NULL },
		{ "{\"e\":\"2262-01-01T00:00:00Z\"}", -1, NULL },
		{ "{\"e\":\"30\"}", 0,
		  "`expires`: '30' has no unit; give 30d for days from now (or s, m, h), or a "
		  "point in "
		  "time such as 2030-01-01T00:00:00Z" },
		{ "{\"e\":30}", 0,
		  "`expires`: '30' has no unit; give 30d for days from now (or s, m, h), or a "
		  "point in "
		  "time such as 2030-01-01T00:00:00Z" },
		{ "{\"e\":\"1798761600\"}", 0,
		  "`expires`: '1798761600' has no unit; give 2027-01-01T00:00:00Z for that second "
		  "of "
		  "the epoch, or a time from now such as 30d" },
		{ "{\"e\":1798761600}", 0,
		  "`expires`: '1798761600' has no unit; give 2027-01-01T00:00:00Z for that second "
		  "of "
		  "the epoch, or a time from now such as 30d" },
		{ "{\"e\":\"1798761600000\"}", 0,
		  "`expires`: '1798761600000' has no unit; give 2027-01-01T00:00:00Z for that "
		  "second of "
		  "the epoch, or a time from now such as 30d" },
		{ "{\"e\":\"0\"}", 0,
		  "`expires`: '0' has no unit; give 0d for days from now (or s, m, h), or a point "
		  "in "
		  "time such as 2030-01-01T00:00:00Z" },
		{ "{\"e\":\"0s\"}", 0, "`expires`: '0s' is past; give a time to come" },
		{ "{\"e\":\"36501d\"}", 0,
		  "`expires`: '36501d' is longer than 100 years; " EITHER },
		{ "{\"e\":\"1969-12-31T00:00:00Z\"}", 0,
		  "`expires`: '1969-12-31T00:00:00Z' is past; give a time to come" },
		{ "{\"e\":\"2020-01-01T00:00:00+02:00\"}", 0,
		  "`expires`: '2020-01-01T00:00:00+02:00' is past; give a time to come" },
		{ "{\"e\":\"2027-01-01\"}", 0,
		  "`expires`: '2027-01-01' is neither a time nor a duration; " EITHER },
		{ "{\"e\":\"2027-01-01T00:00:00\"}", 0,
		  "`expires`: '2027-01-01T00:00:00' is neither a time nor a duration; " EITHER },
		{ "{\"e\":\"2w\"}", 0,
		  "`expires`: '2w' is neither a time nor a duration; " EITHER },
		{ "{\"e\":\"-1\"}", 0,
		  "`expires`: '-1' is neither a time nor a duration; " EITHER },
		{ "{\"e\":\"\"}", 0, "`expires`: '' is neither a time nor a duration; " EITHER },
	};

	for (size_t i = 0; i < COUNT(cases); i++) {
		int64_t now = time(NULL) * KF_TIMETEXT_SECOND, expires = 42;
		struct fixture fixture;
		int err;

		begin(&fixture, cases[i].body);
		err = kf_api_key_read_expires(&fixture.request,
					      json_object_get(fixture.request.body, "e"), &expires);
		check(&fixture, cases[i].body, err, cases[i].words);
		if (cases[i].words)
			assert_int_equal(expires, 42);
		else if (cases[i].days < 0)
			assert_int_equal(expires, KF_WALL_NEVER);
		else
			assert_in_range(expires - now, cases[i].days * DAY,
					cases[i].days * DAY + 5 * KF_TIMETEXT_SECOND);
		fixture_close(&fixture);
	}
}

#define UNITS "give a whole number with its unit, such as 90s, 15m, 12h or 30d"

static void test_durations(void **state)
{
	static const struct {
		const char *body;
		bool seconds; /* the member's name says that a number is in seconds */
		const char *words;
	} cases[] = {
		{ "{\"t\":\"90s\"}", false, NULL },
		{ "{\"t\":\"0\"}", false, NULL },
		{ "{\"t\":0}", false, NULL },
		{ "{\"t\":90}", true, NULL },
		{ "{\"t\":\"30\"}", false,
		  "`t`: '30' has no unit; give 30s for seconds, 30m for minutes, 30h for hours or "
		  "30d "
		  "for days" },
		{ "{\"t\":30}", false,
		  "`t`: '30' has no unit; give 30s for seconds, 30m for minutes, 30h for hours or "
		  "30d "
		  "for days" },
		{ "{\"t\":\"30\"}", true,
		  "`t`: '30' has no unit; give 30s for seconds, 30m for minutes, 30h for hours or "
		  "30d "
		  "for days" },
		{ "{\"t\":-1}", true,
		  "`t`: '-1' is not a duration; give 90s, 15m, 12h, 30d or a number of seconds" },
		{ "{\"t\":-1}", false, "`t`: '-1' is not a duration; " UNITS },
		{ "{\"t\":\"1h30m\"}", false, "`t`: '1h30m' is not a duration; " UNITS },
		{ "{\"t\":\"30 d\"}", false, "`t`: '30 d' is not a duration; " UNITS },
		{ "{\"t\":\"2w\"}", false, "`t`: '2w' is not a duration; " UNITS },
		{ "{\"t\":\"99999999999999999999d\"}", false,
		  "`t`: '99999999999999999999d' is longer than 100 years; " UNITS },
	};

	for (size_t i = 0; i < COUNT(cases); i++) {
		struct fixture fixture;
		const json_t *value;
		int64_t ns = 42;
		int err;

		begin(&fixture, cases[i].body);
		value = json_object_get(fixture.request.body, "t");
		err = cases[i].seconds ? kf_api_seconds(&fixture.request, "t", value, &ns)
				       : kf_api_duration(&fixture.request, "t", value, &ns);
		check(&fixture, cases[i].body, err, cases[i].words);
		assert_true(!!cases[i].words == (ns == 42));
		fixture_close(&fixture);
	}
}

/* ---- addresses ------------------------------------------------------------------------------- */

static void test_addresses(void **state)
{
	static const struct {
		const char *text, *block, *words;
	} cases[] = {
		{ "192.0.2.0/24", "192.0.2.0/24", NULL },
		{ "192.0.2.1", "192.0.2.1/32", NULL },
		{ "0.0.0.0/0", "0.0.0.0/0", NULL },
		{ "::/0", "::/0", NULL },
		{ "::ffff:192.0.2.1", "192.0.2.1/32", NULL },
		{ "::ffff:192.0.2.0/120", "192.0.2.0/24", NULL },
		{ "0.0.0.0", NULL,
		  "`allow_ips`: '0.0.0.0' is nobody's address; give 0.0.0.0/0 for every IPv4 "
		  "address" },
		{ "::", NULL,
		  "`allow_ips`: '::' is nobody's address; give ::/0 for every IPv6 address" },
		{ "::ffff:0.0.0.0", NULL,
		  "`allow_ips`: '::ffff:0.0.0.0' is nobody's address; give 0.0.0.0/0 for every "
		  "IPv4 "
		  "address" },
		{ "::ffff:192.0.2.1/32", NULL,
		  "`allow_ips`: '::ffff:192.0.2.1/32' is an IPv4 address written as IPv6, and its "
		  "prefix would end before the address begins; give 192.0.2.1/32" },
		{ "::ffff:192.0.2.1/24", NULL,
		  "`allow_ips`: '::ffff:192.0.2.1/24' is an IPv4 address written as IPv6, and its "
		  "prefix would end before the address begins; give 192.0.2.0/24" },
		{ "::ffff:192.0.2.1/64", NULL,
		  "`allow_ips`: '::ffff:192.0.2.1/64' is an IPv4 address written as IPv6, and its "
		  "prefix would end before the address begins; give 192.0.2.1/32" },
		{ "192.0.2.1/24", NULL,
		  "`allow_ips`: '192.0.2.1/24' has bits set behind its prefix; give 192.0.2.0/24 "
		  "for "
		  "the block, or 192.0.2.1/32 for the address alone" },
		{ "::ffff:192.0.2.1/120", NULL,
		  "`allow_ips`: '::ffff:192.0.2.1/120' has bits set behind its prefix; give "
		  "192.0.2.0/24 for the block, or 192.0.2.1/32 for the address alone" },
		{ "2001:db8::1/64", NULL,
		  "`allow_ips`: '2001:db8::1/64' has bits set behind its prefix; give "
		  "2001:db8::/64 for "
		  "the block, or 2001:db8::1/128 for the address alone" },
		{ "10.0.0.0/255.0.0.0", NULL,
		  "`allow_ips`: '10.0.0.0/255.0.0.0' is not a block of addresses; give "
		  "192.0.2.0/24, "
		  "2001:db8::/32 or an address" },
	};

	for (size_t i = 0; i < COUNT(cases); i++) {
		struct kf_cidr cidrs[KF_KEY_ALLOW_MAX];
		char text[KF_CIDR_TEXT] = "";
		struct fixture fixture;
		uint32_t count = 0;
		json_t *list;
		int err;

		begin(&fixture, "{}");
		list = json_pack("[s]", cases[i].text);
		err = kf_api_key_read_allow(&fixture.request, "allow_ips", list, cidrs, &count);
		check(&fixture, cases[i].text, err, cases[i].words);
		if (!err)
			kf_cidr_format(&cidrs[0], text);
		if (!cases[i].words)
			assert_string_equal(text, cases[i].block);
		json_decref(list);
		fixture_close(&fixture);
	}
}

/* ---- names ----------------------------------------------------------------------------------- */

#define SECRET                                                                                     \
	"`name`: it looks like a secret (such as sk-...), and would be stored, listed and "        \
	"logged; give what people call it; and if that is a key in use, give out another one, "    \
	"for it may be in your shell's history now"

static void test_names(void **state)
{
	static const struct {
		const char *name;
		uint32_t quantity;
		const char *words;
	} cases[] = {
		{ "alice", 1, NULL },
		{ "sk-team", 1, NULL },
		{ "sk-aB3dE5gH7jK9mN1pQ3sT5vW7yZ9bC1dF3gH5jK7mN9pQ1sT3", 1, SECRET },
		{ "for alice (sk-aB3dE5gH7jK9mN1pQ3sT5vW7yZ9bC1dF3gH5jK7mN9pQ1sT3)", 1, SECRET },
		{ "AKIA2E4G6I3K5M7O2Q4S", 2, SECRET },
		{ "", 1, "`name`: it has 0 bytes and must have 1 to 128; give another name" },
		{ "a\tb", 1, "`name`: it has control characters; give another name" },
	};

	for (size_t i = 0; i < COUNT(cases); i++) {
		const char *name = NULL;
		struct fixture fixture;
		json_t *value;

		begin(&fixture, "{}");
		value = json_string(cases[i].name);
		check(&fixture, cases[i].name,
		      kf_api_key_read_name(&fixture.request, value, cases[i].quantity, &name),
		      cases[i].words);
		json_decref(value);
		fixture_close(&fixture);
	}
}

/* ---- revisions ------------------------------------------------------------------------------- */

static void test_match(void **state)
{
	static const struct {
		const char *field;
		int status; /* 0: it may be changed */
	} cases[] = {
		{ NULL, 0 },
		{ "*", 0 },
		{ "\"00000000000000ff\"", 0 },
		{ "\"1\", \"00000000000000ff\"", 0 },
		{ "\"00000000000000ff\" ,\"1\"", 0 },
		{ "W/\"00000000000000ff\"", 412 }, /* compared strongly */
		{ "\"00000000000000FF\"", 412 },
		{ "\"ff\"", 412 },
		{ "\"\"", 400 },
		{ "\"1\", W/\"2\"", 412 },
		{ "00000000000000ff", 400 },
		{ "\"00000000000000ff", 400 },
		{ "\"1\" \"00000000000000ff\"", 400 },
		{ "*, \"1\"", 400 },
		{ "\"1\", \"\"", 400 },
		{ "", 400 },
	};

	for (size_t i = 0; i < COUNT(cases); i++) {
		struct fixture fixture;
		int err;

		begin(&fixture, "{}");
		fixture.request.name = "k_1";
		fixture.request.if_match = cases[i].field;
		err = kf_api_match(&fixture.request, "key", 0xff);
		if (err != (cases[i].status ? -EBADMSG : 0) ||
		    fixture.request.status != cases[i].status)
			fail_msg("%s: %d, %d", cases[i].field, err, fixture.request.status);
		if (cases[i].status == 412)
			assert_string_equal(
				said, "somebody has changed key 'k_1' meanwhile: it is at revision "
				      "00000000000000ff; look at it again with `keyfilterctl key "
				      "show`, and repeat what still fits with that revision");
		fixture_close(&fixture);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_expires),	  cmocka_unit_test(test_durations),
		cmocka_unit_test(test_addresses), cmocka_unit_test(test_names),
		cmocka_unit_test(test_match),
	};

	return cmocka_run_group_tests_name("api_words", tests, NULL, NULL);
}
