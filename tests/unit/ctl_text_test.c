// SPDX-License-Identifier: GPL-2.0-only
/* What keyfilterctl prints (ctl_fixture.h). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "ctl_fixture.h"

static void test_texts(void **state)
{
	static const struct {
		const char *line, *answer, *out;
	} cases[] = {
		{ "service add api --listen *:8000",
		  "{\"name\":\"api\",\"listen\":\"*:8000\",\"mode\":\"enforce\",\"refuse\":"
		  "\"reply\","
		  "\"keys_from\":[\"bearer\",\"query\"],\"websocket\":false}",
		  "Name       api\nListen     *:8000\nMode       enforce\nRefuse by  reply\n"
		  "Keys from  bearer, query\nWebSocket  no\nRevision   -\n" },
		{ "service show api",
		  "{\"name\":\"api\",\"penalty_failures\":5,\"penalty_window_s\":90,"
		  "\"penalty_time_s\":60,\"penalty_time_max_s\":86400,\"syn_rate\":20,"
		  "\"syn_burst\":0}",
		  "Name       api\nListen     -\nMode       -\nRefuse by  -\nKeys from  -\n"
		  "WebSocket  -\nPenalty    5 failures in 90s: dropped for 1m, doubled each time "
		  "up to 1d\nSYN rate   20 a second of each source, 20 at once\nRevision   -\n" },
		{ "service list",
		  "{\"services\":[{\"name\":\"a\",\"listen\":\"*:1\",\"mode\":\"enforce\","
		  "\"refuse\":\"drop\",\"keys_from\":[\"query\"],\"websocket\":false,"
		  "\"penalty_failures\":100,\"penalty_window_s\":60,\"penalty_time_s\":60,"
		  "\"penalty_time_max_s\":3600,\"syn_rate\":0,\"syn_burst\":0}]}",
		  "NAME  LISTEN  MODE     REFUSE  WEBSOCKET  PENALTY    SYNS  KEYS FROM\n"
		  "a     *:1     enforce  drop    no         100 in 1m  any   query\n" },
		{ "service remove api", "{}", "api removed\n" },
		{ "iface attach veth0 --mode tc",
		  "{\"dev\":\"veth0\",\"ifindex\":7,\"mode\":\"tc\",\"state\":\"attached\","
		  "\"error\":null,\"adopted\":3,\"reset\":0}",
		  "veth0 attached (tc): 3 connections adopted, 0 reset\n" },
		{ "iface list",
		  "{\"ifaces\":[{\"dev\":\"eth0\",\"ifindex\":2,\"mode\":\"native\",\"state\":"
		  "\"failed\",\"error\":\"no room\",\"adopted\":0,\"reset\":0}]}",
		  "DEV   INDEX  MODE    STATE   ERROR\neth0  2      native  failed  no room\n" },
		{ "source list",
		  "{\"sources\":[{\"cidr\":\"192.0.2.0/24\",\"action\":\"deny\",\"created_at\":"
		  "\"2026-11-23T10:00:00Z\",\"expires_at\":null}],\"next\":null}",
		  "ACTION  SINCE                      ENDS   CIDR\n"
		  "deny    2026-11-23T12:00:00+02:00  never  192.0.2.0/24\n" },
		{ "source list --penalised",
		  "{\"sources\":[{\"cidr\":\"2001:db8:1:2::/64\",\"service\":\"api\","
		  "\"failures\":3,\"successes\":1,\"level\":2,\"until\":"
		  "\"2026-11-23T10:00:00Z\",\"remaining_s\":17}],\"next\":null}",
		  "CIDR               SERVICE  LEVEL  SECONDS  UNTIL\n"
		  "2001:db8:1:2::/64  api      2      17       "
		  "2026-11-23T12:00:00+02:00\n" },
		{ "source forgive 10.0.0.0/8",
		  "{\"cidr\":\"10.0.0.0/8\",\"forgiven\":1,\"penalised\":1}",
		  "10.0.0.0/8: 1 source forgiven, 1 of them penalised\n" },
		{ "source forgive 10.0.0.0/8",
		  "{\"cidr\":\"10.0.0.0/8\",\"forgiven\":0,\"penalised\":0}",
		  "10.0.0.0/8: nothing is held against any source there\n" },
		{ "group list",
		  "{\"groups\":[{\"name\":\"a\",\"protocols\":[\"openai\",\"gemini\"],"
		  "\"models\":[\"a\",\"b*\"],\"multiplier\":\"0.8\",\"keys\":7,\"revision\":\"1\"}]"
		  "}",
		  "NAME  PROTOCOLS       MULTIPLIER  MODELS  KEYS\n"
		  "a     openai, gemini  0.8         a, b*   7\n" },
		{ "model list --group a",
		  "{\"models\":[{\"name\":\"qwen\",\"input\":\"2.5\",\"context\":8192},{\"name\":"
		  "\"b\"}]}",
		  "NAME  INPUT  CACHED  CACHE WRITE  OUTPUT  REQUEST  CONTEXT  MAX OUTPUT\n"
		  "qwen  2.5    -       -            -       -        8192     -\n"
		  "b     -      -       -            -       -        -        -\n" },
		{ "group show a", "{\"name\":\"a\",\"protocols\":[\"openai\"],\"keys\":7}",
		  "Name        a\nProtocols   openai\nModels      all\nMultiplier  -\n"
		  "Keys        7\nRevision    -\n" },
		{ "group delete a", "{\"name\":\"a\",\"state\":\"deleted\"}", "a deleted\n" },
		{ "key list", "{\"keys\":[" KEY_ROW("k_1", "a") "],\"next\":null,\"total\":1}",
		  "ID   KEY           STATUS   GROUP  EXPIRES  RPM  ADMITTED  REFUSED  LAST USED  "
		  "NAME\n"
		  "k_1  sk-ab...wxyz  enabled  none   never    60   12        0        never      "
		  "a\n" },
		{ "key show k_1",
		  "{\"id\":\"k_1\",\"status\":\"enabled\",\"labels\":{\"a\":\"b c\",\"d\":\"\"},"
		  "\"group\":\"staff\",\"rpm\":60,\"burst\":10}",
		  "ID                 k_1\nName               -\nKey                -\n"
		  "Status             enabled\nOwner              not said\n"
		  "Labels             a=b c, d=\nGroup              staff\nModels             "
		  "all\nAccount            -\nQuota              unlimited\n"
		  "Spent              -\nCreated            "
		  "-\nExpires            never\n"
		  "Allowed from       anywhere\nRequests a minute  60\nAt once            10\n"
		  "Admitted           -\nRefused            -\nLast used          never\n"
		  "Revision           -\n" },
		{ "key show k_2",
		  "{\"id\":\"k_2\",\"status\":\"enabled\",\"rpm\":null,\"burst\":null}",
		  "ID                 k_2\nName               -\nKey                -\n"
		  "Status             enabled\nOwner              not said\n"
		  "Labels             none\nGroup              none\nModels             "
		  "all\nAccount            -\nQuota              unlimited\n"
		  "Spent              -\nCreated            "
		  "-\nExpires            never\n"
		  "Allowed from       anywhere\nRequests a minute  no limit\nAdmitted           -\n"
		  "Refused            -\nLast used          never\nRevision           -\n" },
		{ "key disable k_1",
		  "{\"id\":\"k_1\",\"status\":\"disabled\",\"kernel_us\":12.34,\"durable_ms\":1."
		  "88}",
		  "k_1 disabled: kernel 12.3 us, durable 1.9 ms\n" },
		{ "key delete k_1",
		  "{\"id\":\"k_1\",\"status\":\"deleted\",\"kernel_us\":3,\"durable_ms\":2}",
		  "k_1 deleted: kernel 3.0 us, durable 2.0 ms\n" },
		{ "key enable k_1", KEY_ROW("k_1", "a"), "k_1 enabled\n" },
		{ "stats",
		  "{\"services\":[{\"name\":\"api\",\"mode\":\"enforce\",\"requests_admitted\":5,"
		  "\"requests_refused\":2,\"packets\":{\"admitted\":5,\"no_key\":2,\"body\":0}}],"
		  "\"events\":{\"suppressed\":1,\"lost\":0}}",
		  "api (enforce): 5 requests admitted, 2 refused\n"
		  "  admitted                          5\n  no_key                            2\n"
		  "events: 1 left out by their rate limit, 0 lost\n" },
		{ "stats",
		  "{\"services\":[{\"name\":\"api\",\"mode\":\"enforce\",\"requests_admitted\":5,"
		  "\"requests_refused\":9,\"packets\":{\"no_key\":9},\"replies\":4,\"resets\":0,"
		  "\"replies_reset\":3,\"replies_failed\":2,\"flows_cut\":6,\"penalties\":1}],"
		  "\"events\":{\"suppressed\":0,\"lost\":0}}",
		  "api (enforce): 5 requests admitted, 9 refused\n"
		  "  replies                           4  refusals told by an HTTP error\n"
		  "  replies_reset                     3  refusals told by a reset: no reply could "
		  "be "
		  "made\n"
		  "  replies_failed                    2  refusals not told: not even a reset "
		  "could be "
		  "sent\n"
		  "  flows_cut                         6  connections cut\n"
		  "  penalties                         1  penalties raised\n"
		  "  no_key                            9\n"
		  "events: 0 left out by their rate limit, 0 lost\n" },
		{ "events",
		  "{\"events\":[{\"seq\":1,\"time\":\"2026-11-23T10:00:00.123456Z\",\"service\":"
		  "\"api\",\"reason\":\"malformed\",\"detail\":\"bare_lf\",\"client\":\"2001:db8::"
		  "1\","
		  "\"client_port\":4711,\"server\":\"2001:db8::2\",\"server_port\":8000,\"iface\":"
		  "\"eth0\",\"key_id\":\"k_1\",\"monitor\":true}]}",
		  "2026-11-23T12:00:00.123456+02:00 api malformed (bare_lf) [2001:db8::1]:4711 -> "
		  "[2001:db8::2]:8000 on eth0 with k_1, passed: monitor\n" },
	};
	struct played *played = *state;
	static struct outcome outcome;

	for (size_t i = 0; i < COUNT(cases); i++) {
		prepare(played, 200, cases[i].answer);
		run_tool(played, cases[i].line, &outcome);
		assert_string_equal(outcome.out, cases[i].out);
		assert_string_equal(outcome.err, "");
		assert_int_equal(outcome.exit, KF_EXIT_DONE);
	}
}

/* The keys alone on stdout; the rest, without the secret, on stderr. */
static void test_created_keys(void **state)
{
	struct played *played = *state;
	static struct outcome outcome;

	prepare(played, 201,
		"{\"keys\":[{\"id\":\"k_1\",\"name\":\"a-1\",\"masked\":\"sk-AA...1111\",\"key\":"
		"\"sk-AAsecret1111\"},{\"id\":\"k_2\",\"name\":\"a-2\",\"masked\":\"sk-BB...2222\","
		"\"expires_at\":\"2026-12-23T10:00:00Z\","
		"\"key\":\"sk-BBsecret2222\"}]}");
	run_tool(played, "key create --name a --quantity 2", &outcome);
	assert_string_equal(outcome.out, "sk-AAsecret1111\nsk-BBsecret2222\n");
	assert_non_null(strstr(outcome.err, "k_2  sk-BB...2222  2026-12-23T12:00:00+02:00  a-2\n"));
	assert_non_null(strstr(outcome.err, "shown this once"));
	assert_null(strstr(outcome.err, "secret"));
	assert_int_equal(outcome.exit, KF_EXIT_DONE);
}

static void test_terminal_safety(void **state)
{
	struct played *played = *state;
	static struct outcome outcome;

	prepare(played, 200,
		"{\"keys\":[" KEY_ROW("k_1", "\\u001b[2J\\u0007\\u009b\\u202e\\ud83d\\ude00\\\\\\n"
					     "\xe6\xbc\xa2") "],\"next\":null}");
	run_tool(played, "key list", &outcome);
	assert_non_null(strstr(outcome.out, "\\x1b[2J\\x07\\u009b\\u202e\xf0\x9f\x98\x80\\\\\\x0a"
					    "\xe6\xbc\xa2\n"));
	prepare(played, 409,
		"{\"error\":{\"code\":\"x\",\"message\":\"\\u001b]0;evil\\u0007\\nline\",\"mend\":"
		"\"none\"}}");
	run_tool(played, "key list", &outcome);
	assert_string_equal(outcome.err, "keyfilterctl: \\x1b]0;evil\\x07\\x0aline; none\n");
}

/* Wide characters take two columns, and the next column still lines up. */
static void test_widths(void **state)
{
	struct played *played = *state;
	static struct outcome outcome;

	prepare(played, 200,
		"{\"services\":[{\"name\":\"\xe6\xbc\xa2\xe5\xad\x97\xe6\xbc\xa2\",\"listen\":\"*:"
		"1\"}"
		",{\"name\":\"abc\",\"listen\":\"*:2\"}]}");
	run_tool(played, "service list", &outcome);
	assert_non_null(strstr(outcome.out, "\nabc     *:2 "));
	assert_non_null(strstr(outcome.out, "\n\xe6\xbc\xa2\xe5\xad\x97\xe6\xbc\xa2  *:1 "));
}

static void test_pages(void **state)
{
	struct played *played = *state;
	static struct outcome outcome;

	prepare(played, 200, "{\"keys\":[" KEY_ROW("k_1", "a") "],\"next\":\"c 1\"}");
	played->answers[1] = "{\"keys\":[" KEY_ROW("k_2", "b") "],\"next\":null}";
	run_tool(played, "key list --limit 1500", &outcome);
	assert_string_equal(played->heard,
			    "GET /v1/keys?limit=1000\nGET /v1/keys?limit=500&after=c%201\n");
	assert_non_null(strstr(outcome.out, "\nk_1 "));
	assert_non_null(strstr(outcome.out, "\nk_2 "));
	assert_null(strstr(strstr(outcome.out, "STATUS") + 1, "STATUS"));
	assert_string_equal(outcome.err, "");

	prepare(played, 200, "{\"keys\":[" KEY_ROW("k_1", "a") "],\"next\":\"c1\"}");
	run_tool(played, "key list --limit 1", &outcome);
	assert_string_equal(played->heard, "GET /v1/keys?limit=1\n");
	assert_string_equal(outcome.err, "There are more: --after c1\n");
	assert_int_equal(outcome.exit, KF_EXIT_DONE);
}

static void test_json_is_unaltered(void **state)
{
	static const char answer[] = "{ \"keys\" : [ ],\t\"odd\":1.50,\"next\":\"c1\" }\n";
	static const char *const lines[] = { "key list --json", "--json key list", "status --json",
					     "key disable --json k_1", "events --json" };
	struct played *played = *state;
	static struct outcome outcome;

	for (size_t i = 0; i < COUNT(lines); i++) {
		prepare(played, 200, answer);
		run_tool(played, lines[i], &outcome);
		assert_string_equal(outcome.out, answer);
		assert_int_equal(played->asked, 1);
	}
}

static void test_help(void **state)
{
	struct played *played = *state;
	static struct outcome outcome;

	run_tool(played, "help", &outcome);
	assert_int_equal(outcome.exit, KF_EXIT_DONE);
	assert_non_null(strstr(outcome.out, "key rotate ID [--grace T]"));
	run_tool(played, "key help", &outcome);
	assert_null(strstr(outcome.out, "service"));
	assert_non_null(strstr(outcome.out, "--allow-any"));
	run_tool(played, "key create --help", &outcome);
	assert_null(strstr(outcome.out, "--allow-any"));
	assert_non_null(strstr(outcome.out, "--quantity"));
	run_tool(played, "--version", &outcome);
	assert_string_equal(outcome.out, "keyfilterctl " KF_VERSION "\n");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_texts),
		cmocka_unit_test(test_created_keys),
		cmocka_unit_test(test_terminal_safety),
		cmocka_unit_test(test_widths),
		cmocka_unit_test(test_pages),
		cmocka_unit_test(test_json_is_unaltered),
		cmocka_unit_test(test_help),
	};

	setenv("TZ", "UTC-2", 1); /* POSIX's sign: two hours east */
	return cmocka_run_group_tests_name("ctl_text", tests, setup, teardown);
}
