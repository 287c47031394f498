// SPDX-License-Identifier: GPL-2.0-only
/*
 * The admin server: libmicrohttpd without threads of its own, its epoll descriptor in our loop.
 *
 * Connections are accepted here and then handed to it, so that the kernel's word about the peer is
 * taken before a byte is read, and so that readers cannot take the last place: those who may only
 * read get at most half of the places. Who is idle gives its place up when it is needed, and nobody
 * holds one for long: time is limited for the whole request and the whole answer, not for the pause
 * between two bytes, so that a client which sends a byte a second is gone as soon as one that sends
 * none.
 */
#include "api.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>

#include "api_server.h"
#include "api_socket.h"
#include "cleanup.h"
#include "log.h"
#include "loop.h"
#include "why.h"

#define CONNECTION_MEMORY (32 * 1024) /* the head of a request must fit in here */

static uint64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_BOOTTIME, &now);
	return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

uint64_t kf_api_deadline(const struct kf_api *api)
{
	return now_ns() + api->daemon->settings.admin_timeout * 1000000000ull;
}

/* ---- libmicrohttpd in the loop --------------------------------------------------------------- */

/* Lets it do what there is to do, and asks when it wants to be called even if nothing happens. */
static void run(struct kf_api *api)
{
	MHD_UNSIGNED_LONG_LONG ms;

	MHD_run(api->mhd);
	if (MHD_get_timeout(api->mhd, &ms) == MHD_NO) {
		sd_event_source_set_enabled(api->on_timeout, SD_EVENT_OFF);
		return;
	}
	sd_event_source_set_time_relative(api->on_timeout, ms * 1000);
	sd_event_source_set_enabled(api->on_timeout, SD_EVENT_ONESHOT);
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

/* ---- connections ----------------------------------------------------------------------------- */

struct kf_api_connection *kf_api_connection_of(struct MHD_Connection *connection)
{
	const union MHD_ConnectionInfo *info =
		MHD_get_connection_info(connection, MHD_CONNECTION_INFO_SOCKET_CONTEXT);

	return info ? info->socket_context : NULL;
}

static void remember(struct kf_api *api, struct MHD_Connection *connection, void **context)
{
	const union MHD_ConnectionInfo *info =
		MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD);
	struct kf_api_connection *made = calloc(1, sizeof(*made));

	if (!made || !info) {
		free(made);
		*context = NULL; /* answered as one that may do nothing */
		return;
	}
	*made = *api->incoming;
	made->fd = info->connect_fd;
	LIST_INSERT_HEAD(&api->connections, made, entry);
	api->count++;
	api->reading += made->access != KF_API_WRITE;
	*context = made;
}

static void forget(struct kf_api *api, struct kf_api_connection *connection)
{
	if (!connection)
		return;
	LIST_REMOVE(connection, entry);
	api->count--;
	api->reading -= connection->access != KF_API_WRITE;
	free(connection);
	if (!api->closing)
		sd_event_source_set_enabled(api->on_listen, SD_EVENT_ON);
}

static void on_connection(void *context, struct MHD_Connection *connection, void **socket_context,
			  enum MHD_ConnectionNotificationCode code)
{
	if (code == MHD_CONNECTION_NOTIFY_STARTED)
		remember(context, connection, socket_context);
	else
		forget(context, *socket_context);
}

/* Written without reading, for there is no place to read into. What does not fit is not waited for.
 */
static void turn_away(int fd)
{
	static const char body[] =
		"{\"error\": {\"code\": \"busy\", \"message\": \"too many connections\", "
		"\"mend\": \"try again soon, or raise admin_max_connections\"}}\n";
	char answer[512];
	int len = snprintf(answer, sizeof(answer),
			   "HTTP/1.1 503 Service Unavailable\r\nContent-Type: application/json\r\n"
			   "Connection: close\r\nContent-Length: %zu\r\n\r\n%s",
			   sizeof(body) - 1, body);

	if (send(fd, answer, (size_t)len, MSG_DONTWAIT | MSG_NOSIGNAL) < 0)
		kf_log_debug("cannot turn a client away: %s", strerror(errno));
	shutdown(fd, SHUT_RDWR);
}

/*
 * Where all places are taken (@readers: all that readers may have), the one that has been idle
 * longest gives its up. Who is in the middle of a request is left alone.
 */
static bool make_room(struct kf_api *api, bool readers)
{
	const unsigned int *taken = readers ? &api->reading : &api->count;
	const unsigned int before = *taken;
	struct kf_api_connection *connection, *oldest = NULL;

	MHD_run(api->mhd); /* a request that is here already is not idleness */
	LIST_FOREACH(connection, &api->connections, entry) {
		if (connection->busy || (readers && connection->access == KF_API_WRITE))
			continue;
		if (!oldest || connection->deadline_ns < oldest->deadline_ns)
			oldest = connection;
	}
	if (oldest && *taken == before) {
		shutdown(oldest->fd, SHUT_RDWR);
		MHD_run(api->mhd); /* sees the end, and forgets it */
	}
	return *taken < before;
}

static int admit(struct kf_api *api, int accepted)
{
	_cleanup_close_ int fd = accepted;
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	struct kf_api_connection incoming = { .deadline_ns = kf_api_deadline(api) };
	struct kf_api_peer peer;
	int err = kf_api_auth_peer(fd, &peer);

	if (err)
		return err;
	incoming.access = kf_api_auth_decide(&peer, geteuid(), api->readers);
	kf_api_auth_free(&peer);
	if (incoming.access != KF_API_WRITE &&
	    api->reading >= api->daemon->settings.admin_max_connections / 2 &&
	    !make_room(api, true)) {
		turn_away(fd);
		return 0;
	}
	api->incoming = &incoming;
	/* it closes the descriptor in any case */
	if (MHD_add_connection(api->mhd, TAKE_FD(fd), (struct sockaddr *)&addr,
			       sizeof(addr.sun_family)) == MHD_NO)
		err = -errno;
	api->incoming = NULL;
	return err;
}

static int on_listen(sd_event_source *source, int fd, uint32_t events, void *context)
{
	struct kf_api *api = context;
	int accepted, err = 0;

	if (api->count >= api->daemon->settings.admin_max_connections && !make_room(api, false))
		return sd_event_source_set_enabled(source, SD_EVENT_OFF); /* until one leaves */

	accepted = accept4(fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	if (accepted < 0)
		err = errno == EAGAIN || errno == ECONNABORTED || errno == EINTR ? 0 : -errno;
	else
		err = admit(api, accepted);
	if (err) {
		/* no descriptors or no memory: the next tick tries again, instead of a busy loop */
		kf_log_warning("cannot take an admin connection: %s; see the limit of open files",
			       strerror(-err));
		sd_event_source_set_enabled(source, SD_EVENT_OFF);
	}
	run(api);
	return 0;
}

void kf_api_tick(struct kf_daemon *daemon)
{
	struct kf_api *api = daemon->api;
	struct kf_api_connection *connection;
	uint64_t now = now_ns();

	LIST_FOREACH(connection, &api->connections, entry)
		if (connection->deadline_ns <= now)
			shutdown(connection->fd, SHUT_RDWR); /* libmicrohttpd sees the end */
	kf_api_follow_tick(api);
	sd_event_source_set_enabled(api->on_listen, SD_EVENT_ON);
	run(api);
}

/* ---- begin and end --------------------------------------------------------------------------- */

static void log_mhd(void *context, const char *format, va_list args)
{
	char text[256];

	vsnprintf(text, sizeof(text), format, args);
	text[strcspn(text, "\n")] = '\0';
	kf_log_debug("libmicrohttpd: %s", text);
}

static struct MHD_Daemon *start_mhd(struct kf_api *api)
{
	const unsigned int flags = MHD_USE_EPOLL | MHD_USE_NO_LISTEN_SOCKET |
				   MHD_USE_SUSPEND_RESUME | MHD_USE_ERROR_LOG;

	return MHD_start_daemon(
		flags, 0, NULL, NULL, kf_api_http_request, api, MHD_OPTION_EXTERNAL_LOGGER, log_mhd,
		NULL, MHD_OPTION_CONNECTION_LIMIT, api->daemon->settings.admin_max_connections,
		MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)CONNECTION_MEMORY,
		MHD_OPTION_URI_LOG_CALLBACK, kf_api_http_target, api, MHD_OPTION_NOTIFY_CONNECTION,
		on_connection, api, MHD_OPTION_NOTIFY_COMPLETED, kf_api_http_completed, api,
		MHD_OPTION_END);
}

static int add_sources(struct kf_api *api)
{
	sd_event *event = kf_loop_event(api->daemon);
	const union MHD_DaemonInfo *info = MHD_get_daemon_info(api->mhd, MHD_DAEMON_INFO_EPOLL_FD);
	int err;

	if (!info)
		return -ENOTSUP;
	err = sd_event_add_io(event, &api->on_listen, api->listen_fd, EPOLLIN, on_listen, api);
	if (err < 0)
		return err;
	err = sd_event_add_io(event, &api->on_mhd, info->epoll_fd, EPOLLIN, on_mhd, api);
	if (err < 0)
		return err;
	err = sd_event_add_time(event, &api->on_timeout, CLOCK_MONOTONIC, 0, 1000, on_timeout, api);
	if (err < 0)
		return err;
	return sd_event_source_set_enabled(api->on_timeout, SD_EVENT_OFF);
}

int kf_api_open(struct kf_daemon *daemon)
{
	struct kf_api *api = calloc(1, sizeof(*api));
	struct kf_why why = { 0 };
	int err;

	if (!api)
		return -ENOMEM;
	api->daemon = daemon;
	api->listen_fd = -1;
	api->readers = kf_api_auth_group();
	daemon->api = api;

	err = kf_api_socket_open(daemon->run_dir, api->readers, &api->listen_fd, &api->activated,
				 &why);
	if (err) {
		kf_log_error("%s", why.text);
		goto fail;
	}
	api->mhd = start_mhd(api);
	err = api->mhd ? add_sources(api) : -ENOMEM;
	if (err < 0) {
		kf_log_error(
			"cannot start the admin server: %s; see the limits of memory and files",
			strerror(-err));
		goto fail;
	}
	return 0;
fail:
	kf_api_close(daemon);
	return err;
}

void kf_api_close(struct kf_daemon *daemon)
{
	struct kf_api *api = daemon->api;

	if (!api)
		return;
	api->closing = true;
	sd_event_source_disable_unref(api->on_listen);
	api->on_listen = NULL;
	if (api->mhd) {
		kf_api_follow_end(api);
		MHD_run(api->mhd); /* writes the ends of what was followed */
		sd_event_source_disable_unref(api->on_mhd);
		sd_event_source_disable_unref(api->on_timeout);
		MHD_stop_daemon(api->mhd);
	}
	kf_api_socket_close(daemon->run_dir, api->listen_fd, api->activated);
	free(api);
	daemon->api = NULL;
}
