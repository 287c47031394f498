/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * call.h - one command's conversation with the daemon.
 *
 * main.c makes the call, the nouns use it. From the command table and the command line it builds
 * the request; the answer is printed as it came (--json) or handed to the command's render. What
 * goes wrong is told here, in one line on stderr with cause and mend, and nowhere else.
 */
#ifndef KEYFILTER_CTL_CALL_H
#define KEYFILTER_CTL_CALL_H

#include <jansson.h>

#include "args.h"
#include "client.h"
#include "command.h"
#include "output.h"

struct kf_call {
	const struct kf_args *args;
	struct kf_client *client;
	json_t *body; /* the members that options (and operand_member) set; a GET's query */
};

/* Runs the command of @args to its end. */
enum kf_exit kf_call_command(const struct kf_args *args);

/* The command's one request, and its answer printed. */
int kf_call_run(struct kf_call *call);

/*
 * A list that comes in pages: with --json one request and its answer; as text all pages, each
 * printed as it comes, up to --limit. @member holds the rows of an answer, its "next" the cursor.
 */
int kf_call_pages(struct kf_call *call, const char *member, const struct kf_output_column *columns);

/* The same pages, each given to @fn: the array @rows of an answer. */
typedef void (*kf_page_fn)(void *context, const json_t *rows);
int kf_call_each_page(struct kf_call *call, const char *member, kf_page_fn fn, void *context);

/* "/v1/keys/{}" and the operand -> "/v1/keys/k_..."; with the query for a GET. To be freed. */
char *kf_call_path(const struct kf_call *call);

/* An answer that is not 2xx: prints its line (and with --json itself). */
int kf_call_refused(const struct kf_call *call, const struct kf_client_reply *reply);

/* "keyfilterctl: TEXT" on stderr, escaped; returns KF_EXIT_FAILED. */
int kf_call_fail(const char *format, ...) __attribute__((format(printf, 1, 2)));

#endif
