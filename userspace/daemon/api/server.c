// SPDX-License-Identifier: GPL-2.0-only
/* The admin server: opens its parts in order, and closes them in reverse. */
#include "api/api.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "api/server.h"
#include "api/socket.h"
#include "attach/queue.h"
#include "base/ask.h"
#include "base/work.h"
#include "cleanup.h"
#include "clock.h"
#include "log.h"
#include "traffic/events.h"
#include "why.h"

#define GUESTS_ARE_NICE 5
#define READS_MAX	256 /* GETs of those who may write: no change waits for a place behind them */

static void *serve_guests(void *context)
{
	struct kf_api *api = context;
	int err;

	kf_api_thread_be_nice(GUESTS_ARE_NICE);
	err = sd_event_loop(api->guests_event);
	if (err < 0)
		kf_log_error("readers of the admin socket are not served any more: %s; restart "
			     "keyfilterd",
			     strerror(-err));
	return NULL;
}

/* ---- begin and end --------------------------------------------------------------------------- */

static int open_lanes(struct kf_api *api)
{
	unsigned int places = api->daemon->settings.admin_max_connections;
	const struct kf_api_lane_limits guests = { .places = places / 2,
						   .places_each = (places + 3) / 4 };
	const struct kf_api_lane_limits writers = { .places = places, .reads_max = READS_MAX };
	int err = sd_event_new(&api->guests_event);

	if (err >= 0)
		err = kf_api_lane_open(&api->guests, api, api->guests_event, &guests);
	if (err >= 0)
		err = kf_api_lane_open(&api->writers, api, api->daemon->event, &writers);
	if (err >= 0)
		err = kf_ask_open(&api->ask, api->daemon, api->daemon->event);
	return err < 0 ? err : 0;
}

static int start(struct kf_api *api, struct kf_why *why)
{
	int err = kf_api_socket_open(api->daemon->run_dir, api->readers, &api->listen_fd,
				     &api->activated, why);

	if (err)
		return err;
	err = open_lanes(api);
	if (!err) {
		err = kf_api_reading_open(&api->reading, api, why);
		if (err)
			return err;
		err = kf_api_thread_start(&api->guests_thread, "kf-guests", serve_guests, api);
		api->guests_run = !err;
	}
	if (!err)
		err = kf_api_accept_open(&api->accept, api);
	return err ? kf_why_set(why, err,
				"cannot start the admin server: %s; see the limits of memory, "
				"files and processes",
				strerror(-err))
		   : 0;
}

/* There are new events for the followers. */
static void on_events(void *context)
{
	struct kf_api *api = context;

	kf_api_events_follow_wake(api->writers);
	kf_api_mailbox_tell(api->guests);
}

int kf_api_open(struct kf_daemon *daemon)
{
	struct kf_api *api = calloc(1, sizeof(*api));
	struct kf_why why = { 0 };
	int err;

	if (!api)
		return -ENOMEM;
	json_object_seed(0); /* else the first threads to use jansson would seed it at once */
	api->daemon = daemon;
	api->listen_fd = -1;
	api->readers = kf_api_auth_group();
	daemon->api = api;
	err = start(api, &why);
	if (err) {
		kf_log_error("%s", why.text);
		kf_api_close(daemon);
		return err;
	}
	kf_traffic_events_listen(daemon->events, on_events, api);
	return 0;
}

/* First no connection is accepted, then no GET is begun, then open requests get their answers. */
void kf_api_close(struct kf_daemon *daemon)
{
	struct kf_api *api = daemon->api;

	if (!api)
		return;
	kf_api_accept_close(api->accept);
	kf_attach_queue_end(daemon->attaching);
	kf_work_end(daemon->work); /* both answer the requests that wait for them */
	if (api->ask)
		kf_ask_end(api->ask);
	if (api->guests_run) {
		kf_api_mailbox_stop(api->guests);
		pthread_join(api->guests_thread, NULL);
	}
	kf_traffic_events_listen(daemon->events, NULL, NULL);
	kf_api_reading_close(api->reading); /* from here on no job may be submitted */
	kf_api_lane_close(api->guests);
	kf_api_lane_close(api->writers);
	kf_ask_close(api->ask);
	sd_event_unref(api->guests_event);
	kf_api_socket_close(daemon->run_dir, api->listen_fd, api->activated);
	free(api);
	daemon->api = NULL;
}
