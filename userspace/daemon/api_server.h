/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * api_server.h - the inside of the admin server, shared by api.c (connections), api_http.c (a
 * request's way from its first line to its answer) and api_follow.c (answers without an end).
 * Nobody else includes it. One thread; times are CLOCK_BOOTTIME nanoseconds.
 */
#ifndef KEYFILTER_DAEMON_API_SERVER_H
#define KEYFILTER_DAEMON_API_SERVER_H

#include <sys/queue.h>

#include <microhttpd.h>
#include <systemd/sd-event.h>

#include "api.h"
#include "api_auth.h"

/* One accepted connection; lives as long as libmicrohttpd's. */
struct kf_api_connection {
	LIST_ENTRY(kf_api_connection) entry;
	int fd; /* libmicrohttpd's; only looked at and shut down here */
	enum kf_api_access access;
	bool busy; /* a whole request head is here, and its answer is not out yet */
	/*
	 * Whatever is going on, the reading of a request or the writing of its answer, must be
	 * over by then; KF_API_NO_DEADLINE for followers.
	 */
	uint64_t deadline_ns;
};
#define KF_API_NO_DEADLINE UINT64_MAX

struct kf_api_follower;

struct kf_api {
	struct kf_daemon *daemon;
	struct MHD_Daemon *mhd;
	int listen_fd;
	bool activated; /* systemd made the socket */
	gid_t readers;
	sd_event_source *on_listen; /* off while all places are taken */
	sd_event_source *on_mhd;
	sd_event_source *on_timeout;

	LIST_HEAD(, kf_api_connection) connections;
	unsigned int count;			  /* of all, */
	unsigned int reading;			  /* and of those that may not write */
	const struct kf_api_connection *incoming; /* while MHD_add_connection() runs */

	LIST_HEAD(, kf_api_follower) followers;
	unsigned int follower_count;
	bool closing;
};

/* ---- api.c ----------------------------------------------------------------------------------- */

/* The time by which what begins now must be over. */
uint64_t kf_api_deadline(const struct kf_api *api);
struct kf_api_connection *kf_api_connection_of(struct MHD_Connection *connection);

/* ---- api_http.c: callbacks of libmicrohttpd; the context is struct kf_api -------------------- */

void *kf_api_http_target(void *context, const char *target, struct MHD_Connection *connection);
enum MHD_Result kf_api_http_request(void *context, struct MHD_Connection *connection,
				    const char *url, const char *method, const char *version,
				    const char *upload, size_t *upload_len, void **exchange);
void kf_api_http_completed(void *context, struct MHD_Connection *connection, void **exchange,
			   enum MHD_RequestTerminationCode code);

/* ---- api_follow.c ---------------------------------------------------------------------------- */

/* Answers @request with the stream. */
int kf_api_follow_begin(struct kf_api_request *request);
/* Each second: heartbeats. */
void kf_api_follow_tick(struct kf_api *api);
/* Ends all, so that the server may stop. */
void kf_api_follow_end(struct kf_api *api);

#endif
