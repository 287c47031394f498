/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * client.h - asks the admin socket: HTTP/1.1 over a Unix stream socket, by libcurl.
 *
 * A client belongs to the code that opened it and is used from one thread; requests
 * through it follow each other over one connection. Everything local: no proxy, no redirect, no
 * name look-up. A request that got an HTTP answer has succeeded here, whatever its status; a
 * function returns -errno only when there was none, and then @why holds cause and mend in one line.
 */
#ifndef KEYFILTER_LIB_CLIENT_H
#define KEYFILTER_LIB_CLIENT_H

#include <stdbool.h>
#include <stddef.h>

#include "cleanup.h"

/* Where the daemon listens unless told otherwise. */
#define KF_CLIENT_SOCKET "/run/keyfilter/admin.sock"

struct kf_client;

struct kf_client_why {
	char text[512];
};

struct kf_client_reply {
	long status; /* HTTP's */
	char *body;  /* NUL-terminated after its @len bytes; owned by the reply */
	size_t len;
};

/* @socket_path is copied. -ENAMETOOLONG: longer than a socket's address can be (107 bytes). */
int kf_client_open(struct kf_client **out, const char *socket_path, struct kf_client_why *why);
void kf_client_close(struct kf_client *client);
KF_CLEANUP_DEFINE(struct kf_client, kf_client_close)

/*
 * The requests that follow hold for this revision only: If-Match (RFC 9110 section 13.1.1).
 * @revision is copied; quotes are put around it unless it has them or is "*".
 */
int kf_client_match(struct kf_client *client, const char *revision);

/*
 * Sends @method @path, with the JSON text @body unless NULL, and waits for the whole answer (at
 * most 120 seconds). @path begins with a slash and is sent as it is: its parts come from
 * kf_client_escape(). -ENOENT, -ECONNREFUSED, -EACCES...: connecting failed.
 */
int kf_client_call(struct kf_client *client, const char *method, const char *path, const char *body,
		   struct kf_client_reply *out, struct kf_client_why *why);

/* Takes one line, NUL-terminated in place of its newline; not 0 ends the reading. */
typedef int (*kf_client_line_fn)(char *line, size_t len, void *context);

/*
 * GET @path, and hands each line of the answer to @line as it comes, empty ones (heartbeats) left
 * out, until the daemon ends the answer (0), @line returns other than 0 (0 also), or *@stop becomes
 * true (0 also; a signal handler may set it). An answer other than 200 is put whole into @out,
 * which is otherwise left with that status and no body. -ETIMEDOUT: not one byte in 60 seconds,
 * four heartbeats.
 */
int kf_client_follow(struct kf_client *client, const char *path, kf_client_line_fn line,
		     void *context, const volatile bool *stop, struct kf_client_reply *out,
		     struct kf_client_why *why);

/* Lets go of the body; a reply of zeroes is fine. */
void kf_client_reply_drop(struct kf_client_reply *reply);
#define _cleanup_reply_ _cleanup_(kf_client_reply_drop)

/*
 * @text as one path segment or query value: everything but RFC 3986's unreserved characters becomes
 * %XX. To be freed; NULL when out of memory.
 */
char *kf_client_escape(const char *text);

#endif
