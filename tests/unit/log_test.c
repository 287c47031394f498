// SPDX-License-Identifier: GPL-2.0-only
/*
 * lib/log.c: prefixes, levels, and that no text writes a line of its own. Links
 * userspace/lib/log.o.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "log.h"

/* stderr's stand-in while one line is logged, and what came. */
struct caught {
	int file, saved;
	char text[2 * KF_LOG_LINE_MAX];
};

static void catch_begin(struct caught *caught)
{
	char path[] = "/tmp/log_test.XXXXXX";

	caught->file = mkstemp(path);
	assert_true(caught->file >= 0);
	unlink(path);
	caught->saved = dup(STDERR_FILENO);
	dup2(caught->file, STDERR_FILENO);
}

static void catch_end(struct caught *caught)
{
	ssize_t len = pread(caught->file, caught->text, sizeof(caught->text) - 1, 0);

	dup2(caught->saved, STDERR_FILENO);
	close(caught->saved);
	close(caught->file);
	assert_true(len >= 0);
	caught->text[len] = '\0';
}

static void test_levels(void **state)
{
	struct caught caught;

	catch_begin(&caught);
	kf_log_open(KF_LOG_NOTICE);
	errno = EBADF;
	kf_log_error("cannot read %s; give %d", "x", 7);
	kf_log_notice("noticed");
	kf_log_info("left out");
	assert_int_equal(errno, EBADF);
	catch_end(&caught);
	assert_string_equal(caught.text, "error: cannot read x; give 7\nnotice: noticed\n");
}

/* Only the very stream that JOURNAL_STREAM names is the journal. */
static void test_journal(void **state)
{
	struct caught caught;
	struct stat about;
	char stream[64];

	catch_begin(&caught);
	fstat(STDERR_FILENO, &about);
	snprintf(stream, sizeof(stream), "%llu:%llu", (unsigned long long)about.st_dev,
		 (unsigned long long)about.st_ino);
	setenv("JOURNAL_STREAM", stream, 1);
	kf_log_open(KF_LOG_INFO);
	kf_log_warning("one");
	snprintf(stream, sizeof(stream), "%llu:%llu", (unsigned long long)about.st_dev,
		 (unsigned long long)about.st_ino + 1);
	setenv("JOURNAL_STREAM", stream, 1);
	kf_log_open(KF_LOG_INFO);
	kf_log_warning("two");
	unsetenv("JOURNAL_STREAM");
	kf_log_open(KF_LOG_INFO);
	catch_end(&caught);
	assert_string_equal(caught.text, "<4>one\nwarning: two\n");
}

static void test_secrets_are_masked(void **state)
{
	struct caught caught;

	catch_begin(&caught);
	kf_log_error("no key '%s'; look again",
		     "sk-aB3dE5gH7jK9mN1pQ3sT5vW7yZ9bC1dF3gH5jK7mN9pQ1sT3");
	catch_end(&caught);
	assert_string_equal(caught.text, "error: no key 'sk-...'; look again\n");
}

static void test_one_line_each(void **state)
{
	char longest[4 * KF_LOG_LINE_MAX];
	struct caught caught;

	catch_begin(&caught);
	kf_log_info("%s", "a\n<0>b\x1b[2J\x7f m\xc3\xbcller");
	catch_end(&caught);
	assert_string_equal(caught.text, "info: a\\x0a<0>b\\x1b[2J\\x7f m\xc3\xbcller\n");

	for (int byte = 'x'; byte != 0; byte = byte == 'x' ? '\n' : 0) {
		memset(longest, byte, sizeof(longest) - 1);
		longest[sizeof(longest) - 1] = '\0';
		catch_begin(&caught);
		kf_log_info("%s", longest);
		catch_end(&caught);
		assert_true(strlen(caught.text) < KF_LOG_LINE_MAX);
		assert_true(strlen(caught.text) > KF_LOG_LINE_MAX - 10);
		assert_string_equal(caught.text + strlen(caught.text) - 4, "...\n");
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_levels),
		cmocka_unit_test(test_journal),
		cmocka_unit_test(test_secrets_are_masked),
		cmocka_unit_test(test_one_line_each),
	};

	return cmocka_run_group_tests_name("log", tests, NULL, NULL);
}
