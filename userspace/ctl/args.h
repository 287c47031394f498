/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * args.h - reads the command line against the command table.
 *
 * Names are exact, never abbreviated: a new command must not change what an old script means.
 * Options may stand before or after the operand, as --option VALUE or --option=VALUE; "--" ends
 * them. Strings are argv's and live as long.
 */
#ifndef KEYFILTER_CTL_ARGS_H
#define KEYFILTER_CTL_ARGS_H

#include <stdbool.h>
#include <stddef.h>

#include "cleanup.h"
#include "command.h"

#define KF_ARGS_WHY_SIZE 300

struct kf_given {
	const struct kf_option *option;
	const char *value; /* NULL for a flag */
};

struct kf_args {
	const char *socket;
	bool json, help, version;
	const struct kf_noun *noun;	  /* NULL: none was named (help, --version) */
	const struct kf_command *command; /* NULL: no verb was named (help) */
	const char *operand, *second;
	struct kf_given *given; /* in the order of the command line; owned */
	size_t given_count;
};

/* --socket, --json, --help, --version: every command takes them, anywhere. */
extern const struct kf_option kf_args_global[];
/* --if-match: every command that changes one thing with a revision takes it. */
extern const struct kf_option kf_args_match[];

/*
 * 0; or -EINVAL when the command line is wrong, and @why says what and how to mend it; -ENOMEM.
 * Where help or the version is asked for, nothing need be complete. @nouns ends with NULL.
 */
int kf_args_parse(struct kf_args *out, const struct kf_noun *const nouns[], int argc, char **argv,
		  char why[static KF_ARGS_WHY_SIZE]);

void kf_args_drop(struct kf_args *args);

/* Is anything given that sets a member of the request, and is no filter? */
bool kf_args_sets(const struct kf_args *args);

/* The first option given that is a filter; NULL: none is. */
const struct kf_option *kf_args_filter(const struct kf_args *args);

/* The last value of option @name, or NULL when it was not given; "" for a flag that was. */
const char *kf_args_value(const struct kf_args *args, const char *name);

#endif
