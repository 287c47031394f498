// SPDX-License-Identifier: GPL-2.0-only
/*
 * One request, from its first line to its answer. What can be refused without the body is refused
 * before the body is read: by the peer, the route, and the length that the body will have.
 */
#include "api/server.h"

#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "api/route.h"
#include "api/uri.h"
#include "base/work.h"
#include "cleanup.h"
#include "clock.h"
#include "json.h"
#include "log.h"
#include "policy/policy.h"
#include "secrettext.h"

/* A request being read and answered; libmicrohttpd carries it between its callbacks. */
struct exchange {
	struct kf_api_job job; /* first: a reading thread gets this */
	struct kf_api_request request;
	struct kf_api_lane *lane;
	struct kf_api_uri uri;
	int uri_err;
	bool begun;
	bool handed_over; /* a reading thread has it; libmicrohttpd's next callback answers it */
	int err;	  /* what the reading thread returned */
	kf_api_fn last;	  /* NULL, or what makes the answer to a long change, in a reading thread */
	const struct kf_api_route *route;
	char *name;
	char *body;
	size_t body_len;
	size_t body_room;
	size_t body_max;
	size_t body_seen; /* bytes read and thrown away of a body that is too large */
};

static void exchange_free(struct exchange *exchange)
{
	if (exchange->body)
		explicit_bzero(exchange->body, exchange->body_len);
	free(exchange->body);
	free(exchange->name);
	json_decref(exchange->request.body);
	kf_api_uri_free(&exchange->uri);
	free(exchange);
}

/* Hands the answer to libmicrohttpd. */
static enum MHD_Result send_answer(struct exchange *exchange)
{
	struct kf_api_request *request = &exchange->request;
	struct MHD_Response *response = request->response;
	enum MHD_Result queued;

	if (!response)
		return MHD_NO; /* not even memory for an error: the connection ends */
	request->response = NULL;
	queued = MHD_queue_response(request->connection, (unsigned int)request->status, response);
	MHD_destroy_response(response);
	return queued;
}

/* ---- before the body ------------------------------------------------------------------------- */

static int refuse_method(struct exchange *exchange, const char *method, const char *allow)
{
	struct kf_api_request *request = &exchange->request;
	char mend[64];
	int err;

	snprintf(mend, sizeof(mend), "use %s", allow);
	err = kf_api_refuse(request, MHD_HTTP_METHOD_NOT_ALLOWED, "method_not_allowed", mend,
			    "%.20s is not possible here", method);
	if (request->response)
		MHD_add_response_header(request->response, MHD_HTTP_HEADER_ALLOW, allow);
	return err;
}

static int refuse_access(struct kf_api_request *request, enum kf_api_access access)
{
	if (access == KF_API_READ)
		return kf_api_refuse(request, MHD_HTTP_FORBIDDEN, "forbidden",
				     "run it as root, for example with sudo",
				     "members of the group %s may only read", KF_API_AUTH_GROUP);
	return kf_api_refuse(request, MHD_HTTP_FORBIDDEN, "forbidden",
			     "run it as root, or join the group " KF_API_AUTH_GROUP " to read",
			     "you are neither root nor in the group %s", KF_API_AUTH_GROUP);
}

static int refuse_too_large(struct exchange *exchange)
{
	return kf_api_refuse(&exchange->request, MHD_HTTP_CONTENT_TOO_LARGE, "body_too_large",
			     "send less at a time, or raise admin_body_max_kib",
			     "the body is larger than %zu bytes", exchange->body_max);
}

static int check_length(struct exchange *exchange)
{
	const char *text = MHD_lookup_connection_value(
		exchange->request.connection, MHD_HEADER_KIND, MHD_HTTP_HEADER_CONTENT_LENGTH);

	/* libmicrohttpd has checked that it is a number */
	if (text && strtoull(text, NULL, 10) > exchange->body_max)
		return refuse_too_large(exchange);
	return 0;
}

static int check_head(struct exchange *exchange, const char *method)
{
	struct kf_api_request *request = &exchange->request;
	const struct kf_api_connection *connection = kf_api_connection_of(request->connection);
	enum kf_api_access access = connection ? connection->access : KF_API_NOTHING;
	char allow[KF_API_ALLOW_SIZE];
	int err = exchange->uri_err;

	if (access == KF_API_NOTHING)
		return refuse_access(request, access);
	if (!err)
		err = kf_api_route_find(method, exchange->uri.path, &exchange->route,
					&exchange->name, allow);
	if (err == -ENOENT)
		return kf_api_refuse(request, MHD_HTTP_NOT_FOUND, "no_such_path",
				     "see keyfilterctl(1) for what there is", "no such path");
	if (err == -EOPNOTSUPP)
		return refuse_method(exchange, method, allow);
	if (err == -EINVAL || err == -E2BIG)
		return kf_api_refuse(request, MHD_HTTP_BAD_REQUEST, "bad_target",
				     "encode it as RFC 3986 says, %XX for bytes of UTF-8",
				     "the request's target cannot be read");
	if (err)
		return err;
	if (!kf_api_auth_permits(access, method))
		return refuse_access(request, access);
	return check_length(exchange);
}

/* ---- the body -------------------------------------------------------------------------------- */

/* Room for @len bytes more. Not realloc(), which leaves copies behind: a body may hold a key. */
static int grow_body(struct exchange *exchange, size_t len)
{
	size_t room = exchange->body_len + len;
	char *grown;

	if (room <= exchange->body_room)
		return 0;
	if (room < 2 * exchange->body_room)
		room = 2 * exchange->body_room;
	grown = malloc(room);
	if (!grown)
		return -ENOMEM;
	if (exchange->body) {
		memcpy(grown, exchange->body, exchange->body_len);
		explicit_bzero(exchange->body, exchange->body_len);
		free(exchange->body);
	}
	exchange->body = grown;
	exchange->body_room = room;
	return 0;
}

/* A body that is too large is answered at its end. -E2BIG: it goes on for much longer than that. */
static int append_body(struct exchange *exchange, const char *data, size_t len)
{
	int err;

	exchange->body_seen += len;
	if (exchange->body_seen > exchange->body_max)
		return exchange->body_seen > 4 * exchange->body_max ? -E2BIG : 0;
	err = grow_body(exchange, len);
	if (err)
		return err;
	memcpy(exchange->body + exchange->body_len, data, len);
	exchange->body_len += len;
	return 0;
}

static int read_body(struct exchange *exchange, json_t **body)
{
	struct kf_api_request *request = &exchange->request;
	char why[200];
	int err;

	if (exchange->body_seen > exchange->body_max)
		return refuse_too_large(exchange);
	if (!exchange->body_len) {
		*body = json_object();
		return *body ? 0 : -ENOMEM;
	}
	err = kf_json_read(exchange->body, exchange->body_len, body, why);
	if (err)
		return kf_api_refuse(request, MHD_HTTP_BAD_REQUEST, "bad_json",
				     "send one JSON object", "the body is not JSON: %s", why);
	if (!json_is_object(*body))
		return kf_api_refuse(request, MHD_HTTP_BAD_REQUEST, "bad_json",
				     "send one JSON object", "the body is JSON, but not an object");
	return 0;
}

/*
 * Refuses a key in the place of an ID, and does not repeat it: a shell's history and logs have the
 * path by now.
 */
static int check_name(struct exchange *exchange)
{
	bool key = strstr(exchange->route->pattern, "/keys/");

	if (!exchange->name || !kf_secrettext_has(exchange->name))
		return 0;
	return kf_api_refuse(&exchange->request, MHD_HTTP_BAD_REQUEST, "secret",
			     key ? "`keyfilterctl key list` has the IDs (k_...), beside the first "
				   "and last characters of each key"
				 : "give the name",
			     "what stands in the place of %s looks like a secret (such as sk-...)",
			     key ? "a key's ID" : "a name");
}

static enum MHD_Result count_match(void *context, enum MHD_ValueKind kind, const char *name,
				   const char *value)
{
	*(unsigned int *)context += !strcasecmp(name, MHD_HTTP_HEADER_IF_MATCH);
	return MHD_YES;
}

/* Refuses If-Match where the route ignores it: the client would believe that it was checked. */
static int check_match(struct exchange *exchange)
{
	struct kf_api_request *request = &exchange->request;
	unsigned int count = 0;

	MHD_get_connection_values(request->connection, MHD_HEADER_KIND, count_match, &count);
	if (!count)
		return 0;
	if (!exchange->route->has_revision)
		return kf_api_refuse(
			request, MHD_HTTP_BAD_REQUEST, "no_revision", "leave it out",
			"there is no revision here that `If-Match` could be compared with");
	if (count > 1)
		return kf_api_refuse(request, MHD_HTTP_BAD_REQUEST, "bad_if_match",
				     "give one, with commas between revisions",
				     "`If-Match` was given %u times", count);
	request->if_match = MHD_lookup_connection_value(request->connection, MHD_HEADER_KIND,
							MHD_HTTP_HEADER_IF_MATCH);
	return 0;
}

/* Once the body is whole: parses it and the query for the handler. */
static int prepare(struct exchange *exchange)
{
	static const char *const none[] = { NULL };
	struct kf_api_request *request = &exchange->request;
	int err = read_body(exchange, &request->body);

	/* only a GET has query parameters; other requests have a body */
	if (!err && strcmp(exchange->route->method, "GET"))
		err = kf_api_parameters(request, none);
	if (!err)
		err = check_name(exchange);
	if (!err)
		err = check_match(exchange);
	request->name = exchange->name;
	return err;
}

/* ---- reading threads ------------------------------------------------------------------------- */

static int refuse_now(struct kf_api_request *request, bool ending)
{
	if (ending)
		return kf_api_refuse(request, MHD_HTTP_SERVICE_UNAVAILABLE, "ending",
				     "ask again when it runs", "keyfilterd is ending");
	return kf_api_refuse(request, MHD_HTTP_SERVICE_UNAVAILABLE, "busy",
			     "send fewer at a time, or try again soon",
			     "too many requests that read are waiting");
}

static void read_in_thread(struct kf_api_job *job, struct kf_daemon *view, bool ending)
{
	struct exchange *exchange = (struct exchange *)job;
	struct kf_api_request *request = &exchange->request;

	if (!view) {
		exchange->err = refuse_now(request, ending);
		return;
	}
	request->daemon = view;
	exchange->err = exchange->route->handle(request);
	request->daemon = NULL;
	if (exchange->err == -ETIMEDOUT)
		exchange->err = kf_api_refuse(request, MHD_HTTP_SERVICE_UNAVAILABLE, "busy",
					      "ask for less at a time",
					      "it took too long to read the answer");
}

static struct exchange *exchange_of(struct kf_api_request *request)
{
	return (struct exchange *)((char *)request - offsetof(struct exchange, request));
}

static void write_in_thread(struct kf_api_job *job, struct kf_daemon *view, bool ending)
{
	struct exchange *exchange = (struct exchange *)job;

	exchange->err = exchange->last(&exchange->request);
}

static void done(struct kf_api_request *request, int err)
{
	struct exchange *exchange = exchange_of(request);

	exchange->err = err;
	kf_api_mailbox_done(exchange->lane, &exchange->job);
}

static void done_by(struct kf_api_request *request, kf_api_fn fn)
{
	struct exchange *exchange = exchange_of(request);

	exchange->last = fn;
	exchange->job.run = write_in_thread;
	kf_api_reading_submit(exchange->lane->api->reading, &exchange->job);
}

/* Suspends the connection, without a deadline, until its answer is known. */
static void set_aside(struct exchange *exchange, struct kf_api_connection *peer)
{
	exchange->job.lane = exchange->lane;
	exchange->job.connection = exchange->request.connection;
	exchange->job.access = peer ? peer->access : KF_API_READ;
	exchange->job.uid = peer ? peer->uid : (uid_t)-1;
	exchange->job.deadline_ns = kf_api_connection_deadline(exchange->lane->api);
	exchange->handed_over = true;
	if (peer)
		peer->deadline_ns = KF_API_NO_DEADLINE;
	MHD_suspend_connection(exchange->request.connection);
}

/* ---- requests that wait ---------------------------------------------------------------------- */

/* A request that is carried out again when all keys are in the kernel. */
struct waiting {
	struct kf_work_item item; /* first */
	struct exchange *exchange;
	uint64_t until_ns;
};

static int wait_more(struct kf_work_item *item)
{
	const struct waiting *waiting = (struct waiting *)item;
	const struct kf_policy *policy = waiting->exchange->lane->api->daemon->policy;

	return (policy->loading || policy->leftover) && kf_clock_boot() < waiting->until_ns;
}

static void end_waiting(struct kf_work_item *item, int result)
{
	_cleanup_free_ struct waiting *waiting = (struct waiting *)item;
	struct kf_api_request *request = &waiting->exchange->request;
	int err;

	request->waited = true;
	err = result == -ECANCELED ? refuse_now(request, true)
				   : waiting->exchange->route->handle(request);
	if (err != KF_API_LATER)
		kf_api_done(request, err);
}

static int wait_for_keys(struct exchange *exchange)
{
	struct waiting *waiting = calloc(1, sizeof(*waiting));

	if (!waiting)
		return -ENOMEM;
	waiting->item = (struct kf_work_item){ .step = wait_more, .done = end_waiting };
	waiting->exchange = exchange;
	waiting->until_ns = kf_api_connection_deadline(exchange->lane->api);
	kf_work_add(exchange->lane->api->daemon->work, &waiting->item);
	return KF_API_LATER;
}

/* ---- callbacks ------------------------------------------------------------------------------- */

void *kf_api_http_target(void *context, const char *target, struct MHD_Connection *connection)
{
	struct kf_api_lane *lane = context;
	struct kf_daemon *daemon = lane->api->daemon;
	struct exchange *exchange = calloc(1, sizeof(*exchange));

	if (!exchange)
		return NULL;
	exchange->lane = lane;
	exchange->request.daemon = daemon;
	exchange->request.connection = connection;
	exchange->request.uri = &exchange->uri;
	exchange->request.done = done;
	exchange->request.done_by = done_by;
	exchange->body_max = (size_t)daemon->settings.admin_body_max_kib * 1024;
	exchange->uri_err = kf_api_uri_parse(target, &exchange->uri);
	return exchange;
}

/* Sends the handler's answer, or 500 where it failed without one. */
static enum MHD_Result finish(struct exchange *exchange, int err, const char *doing)
{
	if (err && !exchange->request.response)
		kf_api_refuse_internal(&exchange->request, err, doing);
	return send_answer(exchange);
}

static enum MHD_Result answer(struct exchange *exchange, struct kf_api_connection *peer, int err)
{
	struct kf_api_lane *lane = exchange->lane;

	if (peer)
		peer->deadline_ns = kf_api_connection_deadline(lane->api);
	if (!err && exchange->request.follow) {
		exchange->request.daemon = lane->api->daemon;
		err = kf_api_events_follow_begin(&exchange->request, lane);
	}
	return finish(exchange, err, "carry out the request");
}

static enum MHD_Result hand_over(struct exchange *exchange, struct kf_api_connection *peer)
{
	if (!kf_api_connection_begin_read(peer))
		return answer(exchange, peer, refuse_now(&exchange->request, false));
	exchange->job.run = read_in_thread;
	set_aside(exchange, peer);
	kf_api_reading_submit(exchange->lane->api->reading, &exchange->job);
	return MHD_YES;
}

static enum MHD_Result carry_out(struct exchange *exchange, struct kf_api_connection *peer)
{
	int err = prepare(exchange);

	if (!err && exchange->lane->closing)
		err = refuse_now(&exchange->request, true);
	if (err)
		return answer(exchange, peer, err);
	if (!strcmp(exchange->route->method, "GET"))
		return hand_over(exchange, peer);
	err = exchange->route->handle(&exchange->request);
	if (err == -EAGAIN && !exchange->request.response)
		err = wait_for_keys(exchange);
	if (err != KF_API_LATER)
		return answer(exchange, peer, err);
	set_aside(exchange, peer);
	return MHD_YES;
}

enum MHD_Result kf_api_http_request(void *context, struct MHD_Connection *connection,
				    const char *url, const char *method, const char *version,
				    const char *upload, size_t *upload_len, void **carried)
{
	struct kf_api_connection *peer = kf_api_connection_of(connection);
	struct exchange *exchange = *carried;
	int err;

	if (!exchange)
		return MHD_NO;
	if (!exchange->begun) {
		exchange->begun = true;
		if (peer)
			peer->busy = true;
		err = check_head(exchange, method);
		return err ? finish(exchange, err, "look at the request") : MHD_YES;
	}
	if (*upload_len) {
		err = append_body(exchange, upload, *upload_len);
		*upload_len = 0;
		return err ? MHD_NO : MHD_YES;
	}
	if (exchange->handed_over)
		return answer(exchange, peer, exchange->err);
	return carry_out(exchange, peer);
}

void kf_api_http_completed(void *context, struct MHD_Connection *connection, void **carried,
			   enum MHD_RequestTerminationCode code)
{
	struct kf_api_lane *lane = context;
	struct kf_api_connection *peer = kf_api_connection_of(connection);
	struct exchange *exchange = *carried;

	if (peer) {
		peer->busy = false;
		kf_api_connection_end_read(peer);
		peer->deadline_ns = kf_api_connection_deadline(
			lane->api); /* the next request must be whole by then */
	}
	if (exchange) {
		if (exchange->request.response)
			MHD_destroy_response(exchange->request.response);
		exchange_free(exchange);
	}
	*carried = NULL;
	/* not before the answer to POST /v1/unload is out */
	if (lane == lane->api->writers && !lane->closing && lane->api->daemon->unload)
		sd_event_exit(lane->api->daemon->event, 0);
}
