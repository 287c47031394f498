// SPDX-License-Identifier: GPL-2.0-only
/*
 * A front: libmicrohttpd without threads of its own, its epoll descriptor in the event loop of the
 * thread that the front belongs to. Other threads only leave mail: connections that were accepted,
 * jobs that are done, the news that there are events.
 *
 * A connection that is idle gives its place up when the place is needed, and none holds one for
 * long: time is limited for the whole request and the whole answer, not for the pause between two
 * bytes, so that a client which sends a byte a second is gone as soon as one that sends none.
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

#define CONNECTION_MEMORY (32 * 1024) /* the head of a request must fit in here */
#define SECOND_US	  1000000ull
#define PAUSE_NS	  50000000ull			  /* between two requests: not idle yet */
#define PATIENCE_NS	  1000000000ull			  /* of one that waits for a place */
#define BEFORE_OTHERS	  (SD_EVENT_PRIORITY_NORMAL - 10) /* in the loop: changes come first */

/* ---- libmicrohttpd in the loop --------------------------------------------------------------- */

/* Lets it do what there is to do, and asks when it wants to be called even if nothing happens. */
static void run(struct kf_api_front *front)
{
	MHD_UNSIGNED_LONG_LONG ms;

	MHD_run(front->mhd);
	if (MHD_get_timeout(front->mhd, &ms) == MHD_NO) {
		sd_event_source_set_enabled(front->on_timeout, SD_EVENT_OFF);
		return;
	}
	sd_event_source_set_time_relative(front->on_timeout, ms * 1000);
	sd_event_source_set_enabled(front->on_timeout, SD_EVENT_ONESHOT);
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

/* ---- those that wait for a place --------------------------------------------------------------
 */

static void refuse(struct kf_api_front *front, int accepted)
{
	_cleanup_close_ int fd = accepted;

	kf_api_connection_turn_away(fd, "too many connections",
				    "try again soon, or raise admin_max_connections");
}

/*
 * In the order in which they came, but for those of a user that has all its places. Some wait here
 * for a second: told at once that there is no place, they would only come back at once.
 */
static void let_in(struct kf_api_front *front)
{
	struct kf_api_arrival *arrival, *next;
	bool any_stuck = false;
	uid_t stuck = 0;

	kf_api_mail_take_arrivals(front);
	for (arrival = STAILQ_FIRST(&front->waiting); arrival; arrival = next) {
		next = STAILQ_NEXT(arrival, entry);
		if (any_stuck && arrival->uid == stuck)
			continue;
		if (kf_api_connection_make_room(front, arrival->uid)) {
			kf_api_connection_admit(front, arrival);
			kf_api_mail_end_waiting(front, arrival);
			continue;
		}
		any_stuck = true;
		stuck = arrival->uid;
		if (front->count >= front->places)
			break;
	}
}

static void refuse_waiting(struct kf_api_front *front)
{
	uint64_t now = kf_clock_boot();
	struct kf_api_arrival *arrival;

	while ((arrival = STAILQ_FIRST(&front->waiting)) &&
	       arrival->since_ns + PATIENCE_NS <= now) {
		refuse(front, arrival->fd);
		kf_api_mail_end_waiting(front, arrival);
	}
}

/* ---- mail ------------------------------------------------------------------------------------ */

static void resume_done(struct kf_api_front *front)
{
	struct kf_api_jobs done = STAILQ_HEAD_INITIALIZER(done);
	struct kf_api_job *job;

	pthread_mutex_lock(&front->mail.lock);
	STAILQ_CONCAT(&done, &front->mail.done);
	pthread_mutex_unlock(&front->mail.lock);
	while ((job = STAILQ_FIRST(&done))) {
		STAILQ_REMOVE_HEAD(&done, entry);
		MHD_resume_connection(job->connection);
	}
}

static int on_mail(sd_event_source *source, int fd, uint32_t events, void *context)
{
	struct kf_api_front *front = context;
	bool news, stop;
	uint64_t rung;

	if (read(fd, &rung, sizeof(rung)) < 0)
		return 0;
	pthread_mutex_lock(&front->mail.lock);
	news = front->mail.events;
	front->mail.events = false;
	stop = front->mail.stop;
	pthread_mutex_unlock(&front->mail.lock);
	resume_done(front);
	if (news)
		kf_api_follow_wake(front);
	if (stop)
		return sd_event_exit(front->event, 0);
	let_in(front);
	run(front);
	return 0;
}

static int on_second(sd_event_source *source, uint64_t usec, void *context)
{
	struct kf_api_front *front = context;
	struct kf_api_connection *connection;
	uint64_t now = kf_clock_boot();

	LIST_FOREACH(connection, &front->connections, entry)
		if (connection->deadline_ns <= now)
			shutdown(connection->fd, SHUT_RDWR); /* libmicrohttpd sees the end */
	kf_api_follow_tick(front);
	run(front);
	let_in(front);
	if (front->places_each)
		refuse_waiting(front);
	run(front);
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

static struct MHD_Daemon *start_mhd(struct kf_api_front *front)
{
	const unsigned int flags = MHD_USE_EPOLL | MHD_USE_NO_LISTEN_SOCKET |
				   MHD_USE_SUSPEND_RESUME | MHD_USE_ERROR_LOG;

	return MHD_start_daemon(
		flags, 0, NULL, NULL, kf_api_http_request, front, MHD_OPTION_EXTERNAL_LOGGER,
		log_mhd, NULL, MHD_OPTION_CONNECTION_LIMIT, front->places,
		MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)CONNECTION_MEMORY,
		MHD_OPTION_URI_LOG_CALLBACK, kf_api_http_target, front,
		MHD_OPTION_NOTIFY_CONNECTION, kf_api_connection_notify, front,
		MHD_OPTION_NOTIFY_COMPLETED, kf_api_http_completed, front, MHD_OPTION_END);
}

static int add_io(struct kf_api_front *front, sd_event_source **source, int fd,
		  sd_event_io_handler_t handler)
{
	int err = sd_event_add_io(front->event, source, fd, EPOLLIN, handler, front);

	return err < 0 ? err : sd_event_source_set_priority(*source, BEFORE_OTHERS);
}

static int add_sources(struct kf_api_front *front)
{
	const union MHD_DaemonInfo *info =
		MHD_get_daemon_info(front->mhd, MHD_DAEMON_INFO_EPOLL_FD);
	int err;

	if (!info)
		return -ENOTSUP;
	err = add_io(front, &front->on_mhd, info->epoll_fd, on_mhd);
	if (err >= 0)
		err = add_io(front, &front->on_mail, front->mail.fd, on_mail);
	if (err >= 0)
		err = sd_event_add_time(front->event, &front->on_timeout, CLOCK_MONOTONIC, 0, 1000,
					on_timeout, front);
	if (err >= 0)
		err = sd_event_source_set_enabled(front->on_timeout, SD_EVENT_OFF);
	if (err >= 0)
		err = sd_event_add_time_relative(front->event, &front->on_second, CLOCK_MONOTONIC,
						 SECOND_US, 1000, on_second, front);
	return err < 0 ? err : sd_event_source_set_enabled(front->on_second, SD_EVENT_ON);
}

int kf_api_front_open(struct kf_api_front **out, struct kf_api *api, sd_event *event,
		      unsigned int places, unsigned int places_each)
{
	struct kf_api_front *front = calloc(1, sizeof(*front));
	int err;

	if (!front)
		return -ENOMEM;
	front->api = api;
	front->event = event;
	front->places = places;
	front->places_each = places_each;
	STAILQ_INIT(&front->waiting);
	STAILQ_INIT(&front->mail.done);
	STAILQ_INIT(&front->mail.arrivals);
	pthread_mutex_init(&front->mail.lock, NULL);
	front->mail.fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	err = front->mail.fd < 0 ? -errno : 0;
	if (!err) {
		front->mhd = start_mhd(front);
		err = front->mhd ? add_sources(front) : -ENOMEM;
	}
	if (err < 0) {
		kf_api_front_close(front);
		return err;
	}
	*out = front;
	return 0;
}

/* libmicrohttpd must not be stopped while connections are suspended. */
static void end_connections(struct kf_api_front *front)
{
	resume_done(front);
	kf_api_follow_end(front);
	MHD_run(front->mhd); /* writes the answers, and the ends of what was followed */
	MHD_stop_daemon(front->mhd);
}

void kf_api_front_close(struct kf_api_front *front)
{
	struct kf_api_arrival *arrival;

	if (!front)
		return;
	front->closing = true;
	if (front->mhd)
		end_connections(front);
	sd_event_source_disable_unref(front->on_mhd);
	sd_event_source_disable_unref(front->on_mail);
	sd_event_source_disable_unref(front->on_timeout);
	sd_event_source_disable_unref(front->on_second);
	kf_api_mail_take_arrivals(front);
	while ((arrival = STAILQ_FIRST(&front->waiting))) {
		close(arrival->fd);
		kf_api_mail_end_waiting(front, arrival);
	}
	if (front->mail.fd >= 0)
		close(front->mail.fd);
	pthread_mutex_destroy(&front->mail.lock);
	free(front);
}
