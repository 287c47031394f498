// SPDX-License-Identifier: GPL-2.0-only
/* The connections of a lane: which has a place, and which one gives its place up. */
#include "api/server.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "clock.h"
#include "log.h"

#define PAUSE_NS 50000000ull /* between two requests: not idle yet */

uint64_t kf_api_connection_deadline(const struct kf_api *api)
{
	return kf_clock_boot() + api->daemon->settings.admin_timeout * 1000000000ull;
}

struct kf_api_connection *kf_api_connection_of(struct MHD_Connection *connection)
{
	const union MHD_ConnectionInfo *info =
		MHD_get_connection_info(connection, MHD_CONNECTION_INFO_SOCKET_CONTEXT);

	return info ? info->socket_context : NULL;
}

static void remember(struct kf_api_lane *lane, struct MHD_Connection *connection, void **context)
{
	const union MHD_ConnectionInfo *info =
		MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD);
	struct kf_api_connection *made = calloc(1, sizeof(*made));

	if (!made || !info) {
		free(made);
		*context =
			NULL; /* its requests are answered as those of a peer without any right */
		return;
	}
	made->lane = lane;
	made->fd = info->connect_fd;
	made->access = lane->incoming->access;
	made->uid = lane->incoming->uid;
	made->deadline_ns = kf_api_connection_deadline(lane->api);
	LIST_INSERT_HEAD(&lane->connections, made, entry);
	lane->count++;
	*context = made;
}

static void forget(struct kf_api_lane *lane, struct kf_api_connection *connection)
{
	if (!connection)
		return;
	kf_api_connection_end_read(connection);
	LIST_REMOVE(connection, entry);
	lane->count--;
	free(connection);
	if (!lane->closing)
		kf_api_mailbox_ring(lane); /* another client may be waiting for the place */
}

void kf_api_connection_notify(void *context, struct MHD_Connection *connection,
			      void **socket_context, enum MHD_ConnectionNotificationCode code)
{
	if (code == MHD_CONNECTION_NOTIFY_STARTED)
		remember(context, connection, socket_context);
	else
		forget(context, *socket_context);
}

static unsigned int count_of(const struct kf_api_lane *lane, uid_t uid)
{
	const struct kf_api_connection *connection;
	unsigned int count = 0;

	LIST_FOREACH(connection, &lane->connections, entry)
		count += connection->uid == uid;
	return count;
}

/*
 * The connection that has been idle longest; where @own, of those of @uid only. A connection in the
 * middle of a request is not idle, nor is one for a moment after a request.
 */
static struct kf_api_connection *find_idle(const struct kf_api_lane *lane, bool own, uid_t uid)
{
	uint64_t pause = lane->places_each ? PAUSE_NS : 0;
	uint64_t latest = kf_api_connection_deadline(lane->api) - pause;
	struct kf_api_connection *connection, *oldest = NULL;

	LIST_FOREACH(connection, &lane->connections, entry) {
		if (connection->busy || connection->deadline_ns > latest ||
		    (own && connection->uid != uid))
			continue;
		if (!oldest || connection->deadline_ns < oldest->deadline_ns)
			oldest = connection;
	}
	return oldest;
}

static bool is_full(const struct kf_api_lane *lane, uid_t uid, bool *own)
{
	*own = lane->places_each && count_of(lane, uid) >= lane->places_each;
	return *own || lane->count - lane->reads >= lane->places;
}

bool kf_api_connection_begin_read(struct kf_api_connection *connection)
{
	struct kf_api_lane *lane = connection ? connection->lane : NULL;

	if (!lane || !lane->reads_max || connection->reads)
		return true;
	if (lane->reads >= lane->reads_max)
		return false;
	connection->reads = true;
	lane->reads++;
	if (!STAILQ_EMPTY(&lane->waiting))
		kf_api_mailbox_ring(lane); /* another client may have the place */
	return true;
}

void kf_api_connection_end_read(struct kf_api_connection *connection)
{
	if (!connection->reads)
		return;
	connection->reads = false;
	connection->lane->reads--;
}

/* Is there a place for @uid, at the cost of an idle connection if need be? */
bool kf_api_connection_make_room(struct kf_api_lane *lane, uid_t uid)
{
	struct kf_api_connection *idle;
	unsigned int before;
	bool own;

	if (!is_full(lane, uid, &own))
		return true;
	if (!find_idle(lane, own, uid))
		return false;
	MHD_run(lane->mhd); /* reads requests that have arrived: their connections are not idle */
	/* GETs that took no place do once they are answered, so several may be too many */
	do {
		idle = is_full(lane, uid, &own) ? find_idle(lane, own, uid) : NULL;
		before = lane->count;
		if (idle) {
			shutdown(idle->fd, SHUT_RDWR);
			MHD_run(lane->mhd); /* sees the end and frees the connection */
		}
	} while (lane->count < before);
	return !is_full(lane, uid, &own);
}

void kf_api_connection_admit(struct kf_api_lane *lane, const struct kf_api_arrival *arrival)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };

	lane->incoming = arrival;
	/* it closes the descriptor in any case */
	if (MHD_add_connection(lane->mhd, arrival->fd, (struct sockaddr *)&addr,
			       sizeof(addr.sun_family)) == MHD_NO)
		kf_log_warning("cannot take an admin connection: %s; see the limit of open files",
			       strerror(errno));
	lane->incoming = NULL;
}

/* Does not wait where the answer does not fit into the socket. */
void kf_api_connection_turn_away(int fd, const char *message, const char *mend)
{
	char body[256], answer[512];
	int len = snprintf(
		body, sizeof(body),
		"{\"error\": {\"code\": \"busy\", \"message\": \"%s\", \"mend\": \"%s\"}}\n",
		message, mend);

	len = snprintf(answer, sizeof(answer),
		       "HTTP/1.1 503 Service Unavailable\r\nContent-Type: application/json\r\n"
		       "Connection: close\r\nContent-Length: %d\r\n\r\n%s",
		       len, body);
	if (send(fd, answer, (size_t)len, MSG_DONTWAIT | MSG_NOSIGNAL) < 0)
		kf_log_debug("cannot turn a client away: %s", strerror(errno));
	shutdown(fd, SHUT_WR);
}
