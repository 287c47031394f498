// SPDX-License-Identifier: GPL-2.0-only
/*
 * GET /v1/events?follow=1: an answer without an end, one event a line.
 *
 * A follower is a position among the events that are kept anyway, and room for one line. So a slow
 * follower costs no memory: when its next event is gone it gets {"missed": N} and goes on with the
 * oldest one that is kept. While there is nothing to send its connection is suspended; new events
 * and heartbeats resume it. Everything runs in the thread of the connection's lane.
 */
#include "api/server.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "api/events.h"
#include "cleanup.h"
#include "clock.h"
#include "traffic/events.h"

#define HEARTBEAT_SECONDS 15
#define STUCK_SECONDS	  60 /* a follower that reads nothing for so long is ended */
#define BLOCK_SIZE	  4096
#define LINE_SIZE	  1024

struct kf_api_follower {
	LIST_ENTRY(kf_api_follower) entry;
	struct kf_api_lane *lane;
	struct MHD_Connection *connection;
	uint64_t next_seq;
	time_t spoke; /* CLOCK_MONOTONIC */
	bool suspended;
	bool gone; /* the client has closed */
	size_t line_len;
	size_t line_sent;
	char line[LINE_SIZE];
};

static void put_line(struct kf_api_follower *follower, json_t *value)
{
	_cleanup_json_ json_t *owned = value;
	size_t len = owned ? json_dumpb(owned, follower->line, LINE_SIZE - 1, 0) : 0;

	if (!len || len > LINE_SIZE - 1)
		return; /* no memory: the event is left out */
	follower->line[len] = '\n';
	follower->line_len = len + 1;
	follower->line_sent = 0;
}

/* Makes the next line, if there is something to say. */
static void next_line(struct kf_api_follower *follower)
{
	struct kf_events *events = follower->lane->api->daemon->events;
	uint64_t oldest = kf_traffic_events_oldest_seq(events);
	struct kf_events_entry entry;

	if (follower->next_seq < oldest) {
		put_line(follower,
			 json_pack("{s:I}", "missed", (json_int_t)(oldest - follower->next_seq)));
		follower->next_seq = oldest;
		return;
	}
	if (kf_traffic_events_copy(events, follower->next_seq, &entry)) {
		put_line(follower, kf_api_events_json(&entry));
		follower->next_seq++;
	} else if (kf_clock_seconds() - follower->spoke >= HEARTBEAT_SECONDS) {
		follower->line[0] = '\n';
		follower->line_len = 1;
		follower->line_sent = 0;
	}
}

/* Content reader of libmicrohttpd: up to @max bytes into @buf; 0 after having suspended. */
static ssize_t read_lines(void *context, uint64_t position, char *buf, size_t max)
{
	struct kf_api_follower *follower = context;
	size_t len;

	if (follower->lane->closing)
		return MHD_CONTENT_READER_END_OF_STREAM;
	if (follower->gone)
		return MHD_CONTENT_READER_END_WITH_ERROR;
	if (follower->line_sent == follower->line_len)
		next_line(follower);
	len = follower->line_len - follower->line_sent;
	if (!len) {
		follower->suspended = true;
		MHD_suspend_connection(follower->connection);
		return 0;
	}
	if (len > max)
		len = max;
	memcpy(buf, follower->line + follower->line_sent, len);
	follower->line_sent += len;
	follower->spoke = kf_clock_seconds();
	return (ssize_t)len;
}

static void forget_follower(void *context)
{
	struct kf_api_follower *follower = context;

	LIST_REMOVE(follower, entry);
	follower->lane->follower_count--;
	free(follower);
}

static struct MHD_Response *make_response(struct kf_api_follower *follower)
{
	struct MHD_Response *response = MHD_create_response_from_callback(
		MHD_SIZE_UNKNOWN, BLOCK_SIZE, read_lines, follower, forget_follower);

	if (!response)
		return NULL;
	MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE, "application/x-ndjson");
	MHD_add_response_header(response, MHD_HTTP_HEADER_CACHE_CONTROL, "no-store");
	return response;
}

int kf_api_events_follow_begin(struct kf_api_request *request, struct kf_api_lane *lane)
{
	struct kf_api_connection *connection = kf_api_connection_of(request->connection);
	struct kf_api_follower *follower;
	struct MHD_Response *response;

	/* followers get a quarter of the places, other requests the rest */
	if (lane->follower_count >= request->daemon->settings.admin_max_connections / 4)
		return kf_api_refuse(request, MHD_HTTP_SERVICE_UNAVAILABLE, "busy",
				     "end one of them, or raise admin_max_connections",
				     "%u clients follow the events already", lane->follower_count);
	follower = calloc(1, sizeof(*follower));
	if (!follower)
		return -ENOMEM;
	follower->lane = lane;
	follower->connection = request->connection;
	follower->next_seq = kf_traffic_events_next_seq(request->daemon->events);
	follower->spoke = kf_clock_seconds();
	response = make_response(follower);
	if (!response) {
		free(follower);
		return -ENOMEM;
	}
	LIST_INSERT_HEAD(&lane->followers, follower, entry);
	lane->follower_count++;
	if (connection)
		connection->deadline_ns = KF_API_NO_DEADLINE;
	MHD_set_connection_option(request->connection, MHD_CONNECTION_OPTION_TIMEOUT,
				  (unsigned int)STUCK_SECONDS);
	return kf_api_answer(request, MHD_HTTP_OK, response);
}

static void resume(struct kf_api_follower *follower)
{
	if (!follower->suspended)
		return;
	follower->suspended = false;
	MHD_resume_connection(follower->connection);
}

void kf_api_events_follow_wake(struct kf_api_lane *lane)
{
	struct kf_api_follower *follower;

	LIST_FOREACH(follower, &lane->followers, entry)
		resume(follower);
}

/*
 * libmicrohttpd does not look at a suspended connection: a place would be held until the heartbeat.
 */
static bool has_closed(const struct kf_api_follower *follower)
{
	const struct kf_api_connection *connection = kf_api_connection_of(follower->connection);
	struct pollfd at = { .fd = connection ? connection->fd : -1 };

	return poll(&at, 1, 0) == 1 && (at.revents & (POLLHUP | POLLERR));
}

void kf_api_events_follow_tick(struct kf_api_lane *lane)
{
	struct kf_api_follower *follower;
	time_t now = kf_clock_seconds();

	LIST_FOREACH(follower, &lane->followers, entry) {
		if (follower->suspended)
			follower->gone = has_closed(follower);
		if (follower->gone || now - follower->spoke >= HEARTBEAT_SECONDS)
			resume(follower);
	}
}

void kf_api_events_follow_end(struct kf_api_lane *lane)
{
	kf_api_events_follow_wake(lane); /* each finds lane->closing set, and ends */
}
