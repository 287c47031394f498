// SPDX-License-Identifier: GPL-2.0-only
/* What keyfilterctl asks the daemon, and what it refuses to ask (ctl_fixture.h). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "ctl_fixture.h"

static void test_requests(void **state)
{
	static const struct {
		const char *line, *heard;
	} cases[] = {
		{ "service add api --listen *:8000",
		  "POST /v1/services {\"name\":\"api\",\"listen\":\"*:8000\"}\n" },
		{ "service add --websocket=yes --keys-from bearer --keys-from query "
		  "--listen=[::]:80 a",
		  "POST /v1/services {\"name\":\"a\",\"websocket\":true,\"keys_from\":[\"bearer\","
		  "\"query\"],\"listen\":\"[::]:80\"}\n" },
		{ "service edit api --mode monitor --refuse drop --websocket no",
		  "PATCH /v1/services/api {\"mode\":\"monitor\",\"refuse\":\"drop\","
		  "\"websocket\":false}\n" },
		{ "service edit api --penalty-failures 5 --penalty-window 10s --penalty-time 2m "
		  "--penalty-time-max 1h --syn-rate 20 --syn-burst 40",
		  "PATCH /v1/services/api {\"penalty_failures\":5,\"penalty_window_s\":\"10s\","
		  "\"penalty_time_s\":\"2m\",\"penalty_time_max_s\":\"1h\",\"syn_rate\":20,"
		  "\"syn_burst\":40}\n" },
		{ "service edit api --method QUERY --method PROPFIND",
		  "PATCH /v1/services/api {\"methods\":[\"QUERY\",\"PROPFIND\"]}\n" },
		{ "service edit api --no-method", "PATCH /v1/services/api {\"methods\":[]}\n" },
		{ "service remove api", "DELETE /v1/services/api\n" },
		{ "service list", "GET /v1/services\n" },
		{ "service show ..", "GET /v1/services/..\n" },
		{ "service show 'a/b?c#d %'", "GET /v1/services/a%2Fb%3Fc%23d%20%25\n" },
		{ "service show -- --json", "GET /v1/services/--json\n" },
		{ "iface attach eth0", "POST /v1/ifaces {\"dev\":\"eth0\"}\n" },
		{ "iface attach --mode generic eth0 --existing reset",
		  "POST /v1/ifaces "
		  "{\"dev\":\"eth0\",\"mode\":\"generic\",\"existing\":\"reset\"}\n" },
		{ "iface detach eth0.7", "DELETE /v1/ifaces/eth0.7\n" },
		{ "iface list", "GET /v1/ifaces\n" },
		{ "source deny 192.0.2.0/24 --ttl 10m",
		  "POST /v1/sources "
		  "{\"cidr\":\"192.0.2.0/24\",\"ttl\":\"10m\",\"action\":\"deny\"}\n" },
		{ "source allow 2001:db8::/32",
		  "POST /v1/sources {\"cidr\":\"2001:db8::/32\",\"action\":\"allow\"}\n" },
		{ "source remove 2001:db8::/32", "DELETE /v1/sources/2001%3Adb8%3A%3A%2F32\n" },
		{ "source list", "GET /v1/sources?limit=1000\n" },
		{ "source list --penalised", "GET /v1/sources?penalised=1&limit=1000\n" },
		{ "source list --failing --json", "GET /v1/sources?failing=1\n" },
		{ "source forgive 2001:db8::/32",
		  "POST /v1/sources/forgive {\"cidr\":\"2001:db8::/32\"}\n" },
		{ "key create --name 'm\xc3\xbcller & co' --quantity 3 --expires 30d "
		  "--allow-ip 10.0.0.0/8 --allow-ip ::1/128",
		  "POST /v1/keys {\"name\":\"m\xc3\xbcller & co\",\"quantity\":3,\"expires\":"
		  "\"30d\",\"allow_ips\":[\"10.0.0.0/8\",\"::1/128\"]}\n" },
		{ "key list --json --status enabled --search 'a&b=c' --limit 5 --after c1",
		  "GET /v1/keys?status=enabled&search=a%26b%3Dc&limit=5&after=c1\n" },
		{ "key show k_0123456789ab", "GET /v1/keys/k_0123456789ab\n" },
		{ "key edit k_1 --allow-any --expires never",
		  "PATCH /v1/keys/k_1 {\"allow_ips\":[],\"expires\":\"never\"}\n" },
		{ "key create --name a --rpm 60 --burst 10",
		  "POST /v1/keys {\"name\":\"a\",\"rpm\":60,\"burst\":10}\n" },
		{ "key edit k_1 --rpm 600 --burst none",
		  "PATCH /v1/keys/k_1 {\"rpm\":600,\"burst\":null}\n" },
		{ "key edit k_1 --group staff", "PATCH /v1/keys/k_1 {\"group\":\"staff\"}\n" },
		{ "model set a/b", "POST /v1/models {\"name\":\"a/b\"}\n" },
		{ "model set a --input 2.5 --cached none --context 8192 --max-output none",
		  "POST /v1/models {\"name\":\"a\",\"input\":\"2.5\",\"cached\":null,"
		  "\"context\":8192,\"max_output\":null}\n" },
		{ "group edit g --multiplier 0.8",
		  "PATCH /v1/groups/g {\"multiplier\":\"0.8\"}\n" },
		{ "key disable --label team=a=b --group g --status enabled",
		  "POST /v1/keys/bulk {\"action\":\"disable\",\"where\":{\"labels\":"
		  "{\"team\":\"a=b\"},\"group\":\"g\",\"status\":\"enabled\"}}\n" },
		{ "key edit --where-label a=b --label c=d --remove-label e --group none",
		  "POST /v1/keys/bulk {\"action\":\"edit\",\"where\":{\"labels\":{\"a\":\"b\"}},"
		  "\"set\":{\"labels\":{\"c\":\"d\",\"e\":null},\"group\":null}}\n" },
		{ "key delete --all --dry-run", "GET /v1/keys?limit=20\n" },
		{ "key list --label a=b --label 'c=d e'",
		  "GET /v1/keys?label=a%3Db&label=c%3Dd%20e&limit=1000\n" },
		{ "model delete a/b:c", "DELETE /v1/models/a%2Fb%3Ac\n" },
		{ "key edit k_1 --model a --model b*",
		  "PATCH /v1/keys/k_1 {\"models\":[\"a\",\"b*\"]}\n" },
		{ "key edit k_1 --any-model", "PATCH /v1/keys/k_1 {\"models\":[]}\n" },
		{ "key edit k_1 --group none", "PATCH /v1/keys/k_1 {\"group\":null}\n" },
		{ "group create a --protocol openai --protocol gemini",
		  "POST /v1/groups {\"name\":\"a\",\"protocols\":[\"openai\",\"gemini\"]}\n" },
		{ "key edit k_1 --rpm=none", "PATCH /v1/keys/k_1 {\"rpm\":null}\n" },
		{ "key edit --name help k_1", "PATCH /v1/keys/k_1 {\"name\":\"help\"}\n" },
		{ "key edit k_1 --add-allow-ip 10.0.0.0/8 --remove-allow-ip ::1/128 "
		  "--if-match 00ff",
		  "PATCH /v1/keys/k_1 {\"allow_ips_add\":[\"10.0.0.0/8\"],\"allow_ips_remove\":"
		  "[\"::1/128\"]} if \"00ff\"\n" },
		{ "service edit a --mode monitor --if-match=\"00ff\"",
		  "PATCH /v1/services/a {\"mode\":\"monitor\"} if \"00ff\"\n" },
		{ "service remove a --if-match *", "DELETE /v1/services/a if *\n" },
		{ "key delete k_1 --if-match 00ff", "DELETE /v1/keys/k_1 if \"00ff\"\n" },
		{ "key enable k_1", "POST /v1/keys/k_1/enable\n" },
		{ "key disable k_1", "POST /v1/keys/k_1/disable\n" },
		{ "key delete k_1", "DELETE /v1/keys/k_1\n" },
		{ "key topup k_1 5.5", "POST /v1/keys/k_1/topup {\"amount\":\"5.5\"}\n" },
		{ "key create --name a --account team --quota 5",
		  "POST /v1/keys {\"name\":\"a\",\"account\":\"team\",\"quota\":\"5\"}\n" },
		{ "account create team --balance unlimited --note 'paper 7'",
		  "POST /v1/accounts "
		  "{\"name\":\"team\",\"balance\":\"unlimited\",\"note\":\"paper 7\"}\n" },
		{ "account topup team 5 --if-match 7",
		  "POST /v1/accounts/team/topup {\"amount\":\"5\"} if \"7\"\n" },
		{ "account withdraw team 5",
		  "POST /v1/accounts/team/withdraw {\"amount\":\"5\"}\n" },
		{ "account edit team --unlimited no",
		  "PATCH /v1/accounts/team {\"unlimited\":false}\n" },
		{ "ledger list --since 1d --key k_1 --limit 5",
		  "GET /v1/ledger?since=1d&key=k_1&limit=5\n" },
		{ "key rotate k_1 --grace 1h", "POST /v1/keys/k_1/rotate {\"grace\":\"1h\"}\n" },
		{ "stats", "GET /v1/stats\n" },
		{ "events", "GET /v1/events\n" },
		{ "version", "GET /v1/status\n" },
	};
	struct played *played = *state;
	static struct outcome outcome;

	for (size_t i = 0; i < COUNT(cases); i++) {
		prepare(played, 200, NULL);
		run_tool(played, cases[i].line, &outcome);
		assert_string_equal(played->heard, cases[i].heard);
		assert_int_equal(outcome.exit, KF_EXIT_DONE);
	}
}

static void test_usage_errors(void **state)
{
	static const struct {
		const char *line, *cause;
	} cases[] = {
		{ "frob", "there is no noun \"frob\"" },
		{ "serv list", "there is no noun \"serv\"" },
		{ "key", "key needs a verb" },
		{ "key crea", "key has no verb \"crea\"" },
		{ "key list more", "\"more\" is one word too many" },
		{ "key create", "--name is missing" },
		{ "key create --name", "--name needs a value" },
		{ "key create --name a --name b", "--name is given twice" },
		{ "key create --name a --quantity -1", "--quantity takes a number" },
		{ "key create --name a --rpm 10000000000", "--rpm 10000000000 is too large" },
		{ "key create --name a --quantity 1e3", "--quantity takes a number" },
		{ "key create --name a --rpm 5s", "--rpm takes a number or none" },
		{ "key create --name a --rpm ''", "--rpm takes a number or none" },
		{ "key edit k_1 --burst nones", "--burst takes a number or none" },
		{ "key create --name a --burst none", "--burst takes a number, not" },
		{ "key create --name a --wallet b", "there is no option --wallet here" },
		{ "key create --nam a", "there is no option --nam here" },
		{ "key create -n a", "there is no option -n" },
		{ "key topup k_1", "AMOUNT is missing" },
		{ "key topup k_1 ''", "AMOUNT is empty" },
		{ "key topup k_1 5 6", "\"6\" is one word too many" },
		{ "key show", "ID is missing" },
		{ "key show ''", "ID is empty" },
		{ "key edit k_1", "nothing to change is given" },
		{ "key edit k_1 --allow-any --allow-ip ::/0", "exclude each other" },
		{ "key edit k_1 --if-match 1", "nothing to change is given" },
		{ "key edit k_1 --rpm 5 --if-match ''", "--if-match is empty" },
		{ "service remove api --if-match=", "--if-match is empty" },
		{ "key show k_1 --if-match 1", "there is no option --if-match here" },
		{ "key edit k_1 --allow-any=yes", "--allow-any takes no value" },
		{ "service add api", "--listen is missing" },
		{ "service edit api --websocket maybe", "--websocket takes yes or no" },
		{ "--name a key create", "there is no option --name before the verb" },
		{ "status now", "\"now\" is one word too many" },
		{ "--socket '' status", "--socket is empty" },
		{ "status --socket=", "--socket is empty" },
		{ "accounts list", "there is no noun \"accounts\"" },
	};
	struct played *played = *state;
	static struct outcome outcome;

	for (size_t i = 0; i < COUNT(cases); i++) {
		prepare(played, 200, NULL);
		run_tool(played, cases[i].line, &outcome);
		assert_int_equal(outcome.exit, KF_EXIT_USAGE);
		assert_non_null(strstr(outcome.err, cases[i].cause));
		assert_non_null(strstr(outcome.err, "see: keyfilterctl"));
		assert_ptr_equal(strchr(outcome.err, '\n'), strrchr(outcome.err, '\n'));
		assert_string_equal(outcome.out, "");
		assert_string_equal(played->heard, "");
	}
}

/* The daemon names members of requests; who typed the command knows its options. */
static void test_words_of_the_command_line(void **state)
{
	static const struct {
		const char *line, *message, *err;
	} cases[] = {
		{ "key create --name a --allow-ip 0.0.0.0", "`allow_ips`: no",
		  "--allow-ip: no; give `x` or none, and --rpm" },
		{ "key edit k_1 --allow-any", "`allow_ips`: no",
		  "--allow-ip: no; give `x` or none, and --rpm" },
		{ "source deny ::", "`cidr`: no", "CIDR: no; give `x` or `null`, and `rpm`" },
		{ "source remove x", "`cidr`: no", "CIDR: no; give `x` or `null`, and `rpm`" },
		{ "service edit a --syn-burst 5", "`syn_burst`: no",
		  "--syn-burst: no; give `x` or `null`, and `rpm`" },
		{ "key list --status x", "`status` cannot be 'x'",
		  "--status cannot be 'x'; give `x` or `null`, and `rpm`" },
		{ "status", "`", "`; give `x` or `null`, and `rpm`" },
		{ "status", "``a`", "``a`; give `x` or `null`, and `rpm`" },
	};
	struct played *played = *state;
	static struct outcome outcome;
	char body[256], err[256];

	for (size_t i = 0; i < COUNT(cases); i++) {
		snprintf(body, sizeof(body),
			 "{\"error\":{\"code\":\"bad_value\",\"message\":\"%s\",\"mend\":\"give "
			 "`x` or `null`, and `rpm`\"}}",
			 cases[i].message);
		snprintf(err, sizeof(err), "keyfilterctl: %s\n", cases[i].err);
		prepare(played, 400, body);
		run_tool(played, cases[i].line, &outcome);
		assert_string_equal(outcome.err, err);
		assert_int_equal(outcome.exit, KF_EXIT_FAILED);
	}
}

/* What no request can carry is said in the tool's words, and nothing is asked. */
static void test_bytes_that_cannot_be_asked(void **state)
{
	static const struct {
		const char *line, *err;
	} cases[] = {
		{ "key show \xff", "ID is not UTF-8" },
		{ "key disable k_\xc3", "ID is not UTF-8" },
		{ "service remove \xff", "NAME is not UTF-8" },
		{ "source deny \xff", "CIDR is not UTF-8" },
		{ "source remove \xff", "CIDR is not UTF-8" },
		{ "key show 'k\n1'", "ID has control characters" },
		{ "source remove '::\t'", "CIDR has control characters" },
		{ "key list --search \xff", "the value of --search is not UTF-8" },
		{ "key list --search 'a\nb'", "the value of --search has control characters" },
		{ "key create --name 'a\x7f'", "the value of --name has control characters" },
	};
	struct played *played = *state;
	static struct outcome outcome;

	for (size_t i = 0; i < COUNT(cases); i++) {
		prepare(played, 200, "{}");
		run_tool(played, cases[i].line, &outcome);
		if (!strstr(outcome.err, cases[i].err) || !strstr(outcome.err, "; type it "))
			fail_msg("%s: %s", cases[i].line, outcome.err);
		assert_int_equal(outcome.exit, KF_EXIT_FAILED);
		assert_string_equal(played->heard, "");
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_requests),
		cmocka_unit_test(test_usage_errors),
		cmocka_unit_test(test_words_of_the_command_line),
		cmocka_unit_test(test_bytes_that_cannot_be_asked),
	};

	setenv("TZ", "UTC-2", 1); /* POSIX's sign: two hours east */
	return cmocka_run_group_tests_name("ctl_request", tests, setup, teardown);
}
