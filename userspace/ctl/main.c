// SPDX-License-Identifier: GPL-2.0-only
/*
 * keyfilterctl: a table of nouns, a file for each. A command is a row of its noun's table: what it
 * takes, what it asks the daemon, and how the answer is printed.
 */
#include <errno.h>
#include <fcntl.h>
#include <locale.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

#include "args.h"
#include "call.h"
#include "help.h"

static const struct kf_noun *const nouns[] = {
	&kf_noun_service, &kf_noun_iface,
	&kf_noun_source,  &kf_noun_group,
	&kf_noun_model,	  &kf_noun_account,
	&kf_noun_key,	  &kf_noun_usage,
	&kf_noun_ledger,  &kf_noun_stats,
	&kf_noun_events,  &kf_noun_status,
	&kf_noun_version, NULL,
};

/* With a standard stream closed, the socket would take its number, and our text its bytes. */
static void open_standard_streams(void)
{
	for (int fd = 0; fd <= STDERR_FILENO; fd++)
		if (fcntl(fd, F_GETFD) < 0 && open("/dev/null", O_RDONLY) != fd)
			exit(KF_EXIT_FAILED);
}

static int run(const struct kf_args *args)
{
	if (args->help)
		kf_help_print(stdout, nouns, args);
	else if (args->version)
		puts("keyfilterctl " KF_VERSION);
	else
		return kf_call_command(args);
	return KF_EXIT_DONE;
}

/*
 * Output that did not arrive is a failure, whatever else went well. A pipe's reader that had enough
 * (`| head`) need not be told.
 */
static int finish(const struct kf_args *args, int ret)
{
	bool failed = ferror(stdout);
	bool changed = args->command && !args->help && !args->version &&
		       strcmp(args->command->method, "GET") != 0;

	errno = 0;
	/* A remote file system may tell only at the end that there was no room. */
	if (fflush(stdout) == 0 && close(STDOUT_FILENO) == 0 && !failed)
		return ret;
	if (ret != KF_EXIT_FAILED && errno != EPIPE)
		kf_call_fail("the output could not be written%s%s; %smake room for it",
			     errno ? ": " : "", errno ? strerror(errno) : "",
			     changed ? "what was asked is done; " : "");
	return KF_EXIT_FAILED;
}

int main(int argc, char **argv)
{
	_cleanup_(kf_args_drop) struct kf_args args = { 0 };
	char why[KF_ARGS_WHY_SIZE];

	open_standard_streams();
	/* Character widths need a UTF-8 locale; times and messages stay as they are. */
	setlocale(LC_CTYPE, "C.UTF-8");
	/* A reader that leaves is an error of writing, which we report. */
	signal(SIGPIPE, SIG_IGN);
	/* So is a limit of a file's size. */
	signal(SIGXFSZ, SIG_IGN);

	if (argc < 2) {
		kf_help_print(stderr, nouns, NULL);
		return KF_EXIT_USAGE;
	}
	switch (kf_args_parse(&args, nouns, argc, argv, why)) {
	case 0:
		return finish(&args, run(&args));
	case -EINVAL:
		kf_call_fail("%s", why);
		return KF_EXIT_USAGE;
	default:
		return kf_call_fail("%s", why);
	}
}
