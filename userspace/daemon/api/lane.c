// SPDX-License-Identifier: GPL-2.0-only
/*
 * A lane: one libmicrohttpd without threads of its own, whose epoll descriptor is in the event loop
 * of the lane's thread. Other threads only put things into its mailbox: connections that were
 * accepted, jobs that are done, the news that there are events.
 *
 * An idle connection gives its place up when another needs it. No connection holds a place for
 * long, since the time is limited for the whole request and the whole answer, not for the pause
 * between two bytes: a client that sends a byte a second is ended as soon as one that sends none.
 */
#include "api/server.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "cleanup.h"
#include "clock.h"
#include "log.h"

#define CONNECTION_MEMORY (32 * 1024) /* room for the head of a request */
#define SECOND_US	  1000000ull

#define PATIENCE_NS	  1000000000ull /* how long a client waits for a place before it is refused */
#define BEFORE_OTHERS	  (SD_EVENT_PRIORITY_NORMAL - 10) /* in the loop, changes come first */

/* ---- libmicrohttpd in the loop --------------------------------------------------------------- */

/* Runs libmicrohttpd, and sets the timer to the time at which it wants to be run again. */
static void run(struct kf_api_lane *lane)
{
	MHD_UNSIGNED_LONG_LONG ms;

	MHD_run(lane->mhd);
	if (MHD_get_timeout(lane->mhd, &ms) == MHD_NO) {
		sd_event_source_set_enabled(lane->on_timeout, SD_EVENT_OFF);
		return;
	}
	sd_event_source_set_time_relative(lane->on_timeout, ms * 1000);
	sd_event_source_set_enabled(lane->on_timeout, SD_EVENT_ONESHOT);
}

static int on_mhd(sd_event_source *source, int fd, uint32_t events, void *context)
{
	run(context);
	return 0;
}

static int on_timeout(sd_event_source *source, uint64_t usec, void *context)
{
	run(context);
	return 0;
}

/* ---- clients that wait for a place ----------------------------------------------------------- */

static void refuse(int accepted)
{
	_cleanup_close_ int fd = accepted;

	kf_api_connection_turn_away(fd, "too many connections",
				    "try again soon, or raise admin_max_connections");
}

/*
 * Lets waiting clients in, in the order in which they came. A user that has all its places is
 * passed over. Clients wait here for up to a second before they are refused: refused at once, they
 * would only come back at once.
 */
static void let_in(struct kf_api_lane *lane)
{
	struct kf_api_arrival *arrival, *next;
	bool any_stuck = false;
	uid_t stuck = 0;

	kf_api_mailbox_collect(lane);
	for (arrival = STAILQ_FIRST(&lane->waiting); arrival; arrival = next) {
		next = STAILQ_NEXT(arrival, entry);
		if (any_stuck && arrival->uid == stuck)
			continue;
		if (kf_api_connection_make_room(lane, arrival->uid)) {
			kf_api_connection_admit(lane, arrival);
			kf_api_mailbox_end_waiting(lane, arrival);
			continue;
		}
		any_stuck = true;
		stuck = arrival->uid;
		if (lane->count - lane->reads >= lane->places)
			break;
	}
}

static void refuse_waiting(struct kf_api_lane *lane)
{
	uint64_t now = kf_clock_boot();
	struct kf_api_arrival *arrival;

	while ((arrival = STAILQ_FIRST(&lane->waiting)) && arrival->since_ns + PATIENCE_NS <= now) {
		refuse(arrival->fd);
		kf_api_mailbox_end_waiting(lane, arrival);
	}
}

/* ---- mail ------------------------------------------------------------------------------------ */

static void resume_done(struct kf_api_lane *lane)
{
	struct kf_api_jobs done = STAILQ_HEAD_INITIALIZER(done);
	struct kf_api_job *job;

	pthread_mutex_lock(&lane->mailbox.lock);
	STAILQ_CONCAT(&done, &lane->mailbox.done);
	pthread_mutex_unlock(&lane->mailbox.lock);
	while ((job = STAILQ_FIRST(&done))) {
		STAILQ_REMOVE_HEAD(&done, entry);
		MHD_resume_connection(job->connection);
	}
}

static int on_mail(sd_event_source *source, int fd, uint32_t events, void *context)
{
	struct kf_api_lane *lane = context;
	bool news, stop;
	uint64_t rung;

	if (read(fd, &rung, sizeof(rung)) < 0)
		return 0;
	pthread_mutex_lock(&lane->mailbox.lock);
	news = lane->mailbox.events;
	lane->mailbox.events = false;
	stop = lane->mailbox.stop;
	pthread_mutex_unlock(&lane->mailbox.lock);
	resume_done(lane);
	if (news)
		kf_api_events_follow_wake(lane);
	if (stop)
		return sd_event_exit(lane->event, 0);
	let_in(lane);
	run(lane);
	return 0;
}

static int on_second(sd_event_source *source, uint64_t usec, void *context)
{
	struct kf_api_lane *lane = context;
	struct kf_api_connection *connection;
	uint64_t now = kf_clock_boot();

	LIST_FOREACH(connection, &lane->connections, entry)
		if (connection->deadline_ns <= now)
			shutdown(connection->fd, SHUT_RDWR); /* libmicrohttpd sees the end */
	kf_api_events_follow_tick(lane);
	run(lane);
	let_in(lane);
	if (lane->places_each)
		refuse_waiting(lane);
	run(lane);
	return sd_event_source_set_time_relative(source, SECOND_US);
}

/* ---- begin and end --------------------------------------------------------------------------- */

static void log_mhd(void *context, const char *format, va_list args)
{
	char text[256];

	vsnprintf(text, sizeof(text), format, args);
	text[strcspn(text, "\n")] = '\0';
	kf_log_debug("libmicrohttpd: %s", text);
}

static struct MHD_Daemon *start_mhd(struct kf_api_lane *lane)
{
	const unsigned int flags = MHD_USE_EPOLL | MHD_USE_NO_LISTEN_SOCKET |
				   MHD_USE_SUSPEND_RESUME | MHD_USE_ERROR_LOG;

	return MHD_start_daemon(
		flags, 0, NULL, NULL, kf_api_http_request, lane, MHD_OPTION_EXTERNAL_LOGGER,
		log_mhd, NULL, MHD_OPTION_CONNECTION_LIMIT, lane->places + lane->reads_max,
		MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)CONNECTION_MEMORY,
		MHD_OPTION_URI_LOG_CALLBACK, kf_api_http_target, lane, MHD_OPTION_NOTIFY_CONNECTION,
		kf_api_connection_notify, lane, MHD_OPTION_NOTIFY_COMPLETED, kf_api_http_completed,
		lane, MHD_OPTION_END);
}

static int add_io(struct kf_api_lane *lane, sd_event_source **source, int fd,
		  sd_event_io_handler_t handler)
{
	int err = sd_event_add_io(lane->event, source, fd, EPOLLIN, handler, lane);

	return err < 0 ? err : sd_event_source_set_priority(*source, BEFORE_OTHERS);
}

static int add_sources(struct kf_api_lane *lane)
{
	const union MHD_DaemonInfo *info = MHD_get_daemon_info(lane->mhd, MHD_DAEMON_INFO_EPOLL_FD);
	int err;

	if (!info)
		return -ENOTSUP;
	err = add_io(lane, &lane->on_mhd, info->epoll_fd, on_mhd);
	if (err >= 0)
		err = add_io(lane, &lane->on_mail, lane->mailbox.fd, on_mail);
	if (err >= 0)
		err = sd_event_add_time(lane->event, &lane->on_timeout, CLOCK_MONOTONIC, 0, 1000,
					on_timeout, lane);
	if (err >= 0)
		err = sd_event_source_set_enabled(lane->on_timeout, SD_EVENT_OFF);
	if (err >= 0)
		err = sd_event_add_time_relative(lane->event, &lane->on_second, CLOCK_MONOTONIC,
						 SECOND_US, 1000, on_second, lane);
	return err < 0 ? err : sd_event_source_set_enabled(lane->on_second, SD_EVENT_ON);
}

int kf_api_lane_open(struct kf_api_lane **out, struct kf_api *api, sd_event *event,
		     const struct kf_api_lane_limits *limits)
{
	struct kf_api_lane *lane = calloc(1, sizeof(*lane));
	int err;

	if (!lane)
		return -ENOMEM;
	lane->api = api;
	lane->event = event;
	lane->places = limits->places;
	lane->places_each = limits->places_each;
	lane->reads_max = limits->reads_max;
	STAILQ_INIT(&lane->waiting);
	STAILQ_INIT(&lane->mailbox.done);
	STAILQ_INIT(&lane->mailbox.arrivals);
	pthread_mutex_init(&lane->mailbox.lock, NULL);
	lane->mailbox.fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	err = lane->mailbox.fd < 0 ? -errno : 0;
	if (!err) {
		lane->mhd = start_mhd(lane);
		err = lane->mhd ? add_sources(lane) : -ENOMEM;
	}
	if (err < 0) {
		kf_api_lane_close(lane);
		return err;
	}
	*out = lane;
	return 0;
}

/* libmicrohttpd must not be stopped while connections are suspended. */
static void end_connections(struct kf_api_lane *lane)
{
	resume_done(lane);
	kf_api_events_follow_end(lane);
	MHD_run(lane->mhd); /* writes the last answers and ends the streams of followers */
	MHD_stop_daemon(lane->mhd);
}

void kf_api_lane_close(struct kf_api_lane *lane)
{
	struct kf_api_arrival *arrival;

	if (!lane)
		return;
	lane->closing = true;
	if (lane->mhd)
		end_connections(lane);
	sd_event_source_disable_unref(lane->on_mhd);
	sd_event_source_disable_unref(lane->on_mail);
	sd_event_source_disable_unref(lane->on_timeout);
	sd_event_source_disable_unref(lane->on_second);
	kf_api_mailbox_collect(lane);
	while ((arrival = STAILQ_FIRST(&lane->waiting))) {
		close(arrival->fd);
		kf_api_mailbox_end_waiting(lane, arrival);
	}
	if (lane->mailbox.fd >= 0)
		close(lane->mailbox.fd);
	pthread_mutex_destroy(&lane->mailbox.lock);
	free(lane);
}
