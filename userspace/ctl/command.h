/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * command.h - the shape of the command table, from which everything else follows.
 *
 * main.c lists the nouns; each NOUN.c ends with its verbs. From these tables come the reading of
 * the command line (args.c), the request (call.c), the help (help.c), and the check of the shell
 * completion and the manual (tests/unit/ctl_docs_test.c). All of it is constant.
 */
#ifndef KEYFILTER_CTL_COMMAND_H
#define KEYFILTER_CTL_COMMAND_H

#include <stdbool.h>
#include <jansson.h>

struct kf_call;
struct kf_output_column;

/* The exit status; what every function that finishes a command returns. */
enum kf_exit { KF_EXIT_DONE, KF_EXIT_FAILED, KF_EXIT_USAGE, KF_EXIT_TROUBLE };

enum kf_option_type {
	KF_OPTION_TEXT,	  /* a JSON string: the daemon judges it */
	KF_OPTION_NUMBER, /* a JSON integer */
	KF_OPTION_LIMIT,  /* a JSON integer, or "none": null */
	KF_OPTION_WORD,	  /* a JSON string, or "none": null */
	KF_OPTION_YESNO,  /* "yes" or "no", a JSON boolean */
	KF_OPTION_LIST,	  /* may be repeated, a JSON array of strings */
	KF_OPTION_PAIR,	  /* NAME=VALUE, may be repeated, a JSON object of strings */
	KF_OPTION_UNSET,  /* NAME, may be repeated: null in the object of a KF_OPTION_PAIR */
	KF_OPTION_FLAG,	  /* takes no value, true when given */
	KF_OPTION_NONE,	  /* takes no value, an empty JSON array: the list without entries */
};

/* Two options of one command that set the same member exclude each other. */
struct kf_option {
	const char *name;	 /* without its dashes */
	const char *placeholder; /* "ADDR:PORT", "enforce|monitor"; NULL when it takes no value */
	/*
	 * of the body, or of the query in a GET; "A.B": B in the object A; NULL: the command's own
	 */
	const char *member;
	enum kf_option_type type;
	const char *help;
};

/* Of a list that comes in pages. */
#define KF_OPTIONS_PAGE                                                                            \
	{ .name = "limit",                                                                         \
	  .placeholder = "N",                                                                      \
	  .member = "limit",                                                                       \
	  .type = KF_OPTION_NUMBER,                                                                \
	  .help = "at most so many" },                                                             \
	{                                                                                          \
		.name = "after", .placeholder = "CURSOR", .member = "after",                       \
		.help = "go on where an earlier list ended"                                        \
	}

/* The models that a group or a key is held to. */
#define KF_OPTION_MODEL(words)                                                                     \
	{                                                                                          \
		.name = "model", .placeholder = "M", .member = "models", .type = KF_OPTION_LIST,   \
		.help = (words)                                                                    \
	}
#define KF_OPTION_ANY_MODEL                                                                        \
	{                                                                                          \
		.name = "any-model", .member = "models", .type = KF_OPTION_NONE,                   \
		.help = "may call every model; empties the list"                                   \
	}

/* The object of filters, by which one command changes many things. */
#define KF_FILTERS_MEMBER "where"

struct kf_command {
	const char *verb;		 /* NULL in a noun that does one thing */
	const char *operand;		 /* "NAME", always required; NULL: none */
	const char *operand_member;	 /* of the body; NULL: it stands in the path */
	const char *second;		 /* "AMOUNT", required behind the operand; NULL: none */
	const char *second_member;	 /* of the body */
	const struct kf_option *options; /* ends with a NULL name; NULL: none */
	const char *required;		 /* the option that must be given; NULL: none must */
	bool changes;			 /* at least one option that sets a member must be given */

	bool matches; /* takes --if-match, too (args.h) */
	bool many;    /* options that set KF_FILTERS_MEMBER may stand for the operand */

	const char *method, *path; /* "{}" in the path stands for the operand */
	/*
	 * The answer as text: one object, or those of its array @member, or what @render prints;
	 * none of these: nothing to say but @done.
	 */
	const struct kf_output_column *record;
	const struct kf_output_column *rows;
	const char *member;
	int (*render)(struct kf_call *call, const json_t *answer);
	/* stdout failed: tells what of @answer is lost for good. Only where something is. */
	int (*lost)(struct kf_call *call, const json_t *answer);
	/* The exit status by what an answer says; NULL: KF_EXIT_DONE. */
	enum kf_exit (*judge)(const json_t *answer);
	const char *done; /* "removed": printed after the operand when there is no render */
	/* For what is more than one request and its answer; NULL: kf_call_run(). */
	int (*run)(struct kf_call *call);

	const char *help;
};

struct kf_noun {
	const char *name, *help;
	const struct kf_command *commands; /* ends with a NULL help */
};

extern const struct kf_noun kf_noun_service, kf_noun_iface, kf_noun_source, kf_noun_account,
	kf_noun_ledger, kf_noun_usage, kf_noun_group, kf_noun_model, kf_noun_key, kf_noun_stats,
	kf_noun_events, kf_noun_status, kf_noun_version;

#endif
