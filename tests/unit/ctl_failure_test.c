// SPDX-License-Identifier: GPL-2.0-only
/* How keyfilterctl ends where something fails (ctl_fixture.h). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "ctl_fixture.h"

static void test_refusals(void **state)
{
	static const char body[] =
		"{\"error\":{\"code\":\"not_found\",\"message\":\"there is no key called k_1\","
		"\"mend\":\"see: keyfilterctl key list\"}}\n";
	struct played *played = *state;
	static struct outcome outcome;

	prepare(played, 404, body);
	run_tool(played, "key show k_1", &outcome);
	assert_int_equal(outcome.exit, KF_EXIT_FAILED);
	assert_string_equal(outcome.out, "");
	assert_string_equal(outcome.err, "keyfilterctl: there is no key called k_1; see: "
					 "keyfilterctl key list\n");
	run_tool(played, "key show k_1 --json", &outcome);
	assert_int_equal(outcome.exit, KF_EXIT_FAILED);
	assert_string_equal(outcome.out, body);

	prepare(played, 502, "<html>");
	run_tool(played, "key show k_1", &outcome);
	assert_int_equal(outcome.exit, KF_EXIT_FAILED);
	assert_non_null(strstr(outcome.err, "answered 502 without saying why"));

	prepare(played, 200, "<html>");
	run_tool(played, "status", &outcome);
	assert_int_equal(outcome.exit, KF_EXIT_FAILED);
	assert_non_null(strstr(outcome.err, "no JSON object"));
}

static void test_status_degraded(void **state)
{
	struct played *played = *state;
	static struct outcome outcome;

	prepare(played, 200,
		"{\"version\":\"0.1.0\",\"abi\":1,\"pid\":42,\"uptime_s\":7265,\"state_dir\":\"/"
		"s\","
		"\"run_dir\":\"/r\",\"pin_dir\":\"/p\",\"services\":2,\"keys\":{\"total\":3,"
		"\"enabled\":2,\"disabled\":1,\"expired\":0},\"sources\":4,\"flows\":{\"live\":5,"
		"\"max\":6},\"keys_max\":7,\"sources_max\":8,\"penalised\":9,\"ifaces\":[],"
		"\"degraded\":[\"the "
		"disk "
		"is full; make room\"]}");
	run_tool(played, "status", &outcome);
	assert_string_equal(
		outcome.out,
		"keyfilterd 0.1.0 (layout 1), process 42, up for 2 h\n"
		"state     /s\nrun       /r\npins      /p\nservices  2\n"
		"keys      3 of 7: 2 enabled, 1 disabled, 0 expired, 0 exhausted\n"
		"sources   4 of 8, 9 penalised\nflows     about 5 of 6\n"
		"iface     none: nothing is filtered until keyfilterctl iface attach DEV\n"
		"degraded  the disk is full; make room\n");
	assert_int_equal(outcome.exit, KF_EXIT_TROUBLE);
	run_tool(played, "status --json", &outcome);
	assert_int_equal(outcome.exit, KF_EXIT_TROUBLE);
	prepare(played, 200, "{\"ifaces\":[{\"dev\":\"eth0\"}],\"degraded\":[]}");
	run_tool(played, "status", &outcome);
	assert_non_null(strstr(outcome.out, "\nhealth    good\n"));
	assert_int_equal(outcome.exit, KF_EXIT_DONE);
	run_tool(played, "status --json", &outcome);
	assert_int_equal(outcome.exit, KF_EXIT_DONE);
}

static void test_output_that_fails(void **state)
{
	static const char one[] = "{\"keys\":[{\"id\":\"k_1\",\"key\":\"sk-secret\"}]}";
	static const char two[] = "{\"keys\":[{\"id\":\"k_1\",\"key\":\"sk-secret\"},"
				  "{\"id\":\"k_2\",\"key\":\"sk-secret\"}]}";
	static const char graced[] = "{\"id\":\"k_1\",\"key\":\"sk-secret\",\"grace_until\":"
				     "\"2026-11-23T10:00:00Z\"}";
	static const struct {
		const char *line, *answer, *err;
	} cases[] = {
		{ "key create --name a", one,
		  "keyfilterctl: k_1: made, but what was printed did not arrive, and no key is "
		  "shown "
		  "twice; delete it with keyfilterctl key delete, or" },
		{ "key create --name a --json", one, "keyfilterctl: k_1: made, but" },
		{ "key create --name a --quantity 2", two, "keyfilterctl: k_1, k_2: made, but" },
		{ "key rotate k_1", graced,
		  "keyfilterctl: k_1 has a new secret, but what was printed did not arrive, and it "
		  "is not shown twice: the old one is served until 2026-11-23T12:00:00+02:00; "
		  "rotate "
		  "it again\n" },
		{ "key rotate k_1 --json", graced, "keyfilterctl: k_1 has a new secret, but" },
		{ "key rotate k_1 --grace 0", "{\"id\":\"k_1\",\"key\":\"sk-secret\"}",
		  "the old one is refused; rotate it again\n" },
		{ "key disable k_1", "{}",
		  "No space left on device; what was asked is done; make room for it\n" },
		{ "service remove a", "{}", "No space left on device; what was asked is done; " },
		{ "stats", "{}", "written: No space left on device; make room for it\n" },
		{ "stats --json", "{}", "No space left on device; make room for it\n" },
		{ "key list", "{}", "No space left on device; make room for it\n" },
		{ "status", "{}", "No space left on device; make room for it\n" },
		{ "version", "{}", "No space left on device; make room for it\n" },
		{ "events", "{\"events\":[{}]}", "No space left on device; make room for it\n" },
		{ "help", "{}", "No space left on device; make room for it\n" },
		{ "key rotate --help", "{}", "No space left on device; make room for it\n" },
		{ "--version", "{}", "No space left on device; make room for it\n" },
	};
	struct played *played = *state;
	int full = open("/dev/full", O_WRONLY | O_CLOEXEC), err;
	static char text[1024];

	assert_true(full >= 0);
	for (size_t i = 0; i < COUNT(cases); i++) {
		err = open_temporary();
		prepare(played, 200, cases[i].answer);
		assert_int_equal(run_into(played, cases[i].line, full, err), KF_EXIT_FAILED);
		read_back(err, text, sizeof(text));
		if (!strstr(text, cases[i].err))
			fail_msg("%s: '%s'", cases[i].line, text);
		assert_null(strstr(text, "sk-secret"));
		assert_ptr_equal(strchr(text, '\n'), strrchr(text, '\n')); /* one line */
	}
	close(full);
}

/* Room for the half of it: a limit of the file's size, as `ulimit -f` sets it. */
static void test_output_that_fails_half_way(void **state)
{
	const struct rlimit small = { 5, RLIM_INFINITY };
	struct played *played = *state;
	struct rlimit before;
	static struct outcome outcome;
	int out = open_temporary(), err = open("/dev/null", O_WRONLY | O_CLOEXEC);

	getrlimit(RLIMIT_FSIZE, &before);
	prepare(played, 200, "{\"id\":\"k_1\",\"key\":\"sk-secret\"}");
	setrlimit(RLIMIT_FSIZE, &small);
	outcome.exit = run_into(played, "key rotate k_1", out, err);
	setrlimit(RLIMIT_FSIZE, &before);
	assert_int_equal(outcome.exit, KF_EXIT_FAILED);
	close(out);
	close(err);
}

static void test_no_daemon(void **state)
{
	struct played *played = *state;
	static struct outcome outcome;
	int fd;

	prepare(played, 200, NULL);
	run_tool(played, "--socket /nonexistent/s status", &outcome);
	assert_int_equal(outcome.exit, KF_EXIT_FAILED);
	assert_string_equal(outcome.err,
			    "keyfilterctl: no keyfilterd at /nonexistent/s (connect: No "
			    "such file or directory); start it with: systemctl start "
			    "keyfilterd, or give --socket\n");
	run_tool(played, "--socket /nonexistent/s version", &outcome);
	assert_int_equal(outcome.exit, KF_EXIT_DONE);

	/* A socket that nobody accepts on any more. */
	unlink(played->socket);
	fd = listen_at(played->socket);
	close(fd);
	run_tool(played, "status", &outcome);
	assert_non_null(strstr(outcome.err, "(connect: Connection refused)"));
	assert_string_equal(played->heard, "");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_refusals),
		cmocka_unit_test(test_status_degraded),
		cmocka_unit_test(test_output_that_fails),
		cmocka_unit_test(test_output_that_fails_half_way),
		cmocka_unit_test(test_no_daemon),
	};

	setenv("TZ", "UTC-2", 1); /* POSIX's sign: two hours east */
	return cmocka_run_group_tests_name("ctl_failure", tests, setup, teardown);
}
