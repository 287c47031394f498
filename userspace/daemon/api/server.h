/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * server.h - the inside of the admin server. api.h says which thread does what. Times are
 * CLOCK_BOOTTIME nanoseconds.
 */
#ifndef KEYFILTER_DAEMON_API_SERVER_H
#define KEYFILTER_DAEMON_API_SERVER_H

#include <pthread.h>
#include <sys/queue.h>

#include <microhttpd.h>
#include <systemd/sd-event.h>

#include "api/request.h"
#include "api/auth.h"

struct kf_api_lane;
struct kf_why;

/* A client that has connected, whose peer is known, and that waits for a place; on the heap. */
struct kf_api_arrival {
	STAILQ_ENTRY(kf_api_arrival) entry;
	int fd;
	uint64_t since_ns;
	enum kf_api_access access;
	uid_t uid;
};
STAILQ_HEAD(kf_api_arrivals, kf_api_arrival);

/* One accepted connection; lives as long as libmicrohttpd's, touched by its lane's thread only. */
struct kf_api_connection {
	LIST_ENTRY(kf_api_connection) entry;
	struct kf_api_lane *lane;
	int fd; /* libmicrohttpd's; only looked at and shut down here */
	enum kf_api_access access;
	uid_t uid;
	bool busy;  /* a whole request head is here, and its answer is not out yet */
	bool reads; /* what is carried out is a GET that takes none of the lane's places */
	/*
	 * By then the request must be read, or its answer written. KF_API_NO_DEADLINE for
	 * followers, and while a reading thread carries out the request.
	 */
	uint64_t deadline_ns;
};
#define KF_API_NO_DEADLINE UINT64_MAX

/* Work for a reading thread, on behalf of a suspended connection. */
struct kf_api_job {
	STAILQ_ENTRY(kf_api_job) entry;
	struct kf_api_lane *lane; /* gets the job back when it is done */
	struct MHD_Connection *connection;
	enum kf_api_access access;
	uid_t uid;
	uint64_t deadline_ns; /* it is not begun after that */
	/*
	 * Called once, in a reading thread; @view is that thread's. @view NULL: the job was not
	 * begun in time, or (@ending) the daemon ends.
	 */
	void (*run)(struct kf_api_job *job, struct kf_daemon *view, bool ending);
};
STAILQ_HEAD(kf_api_jobs, kf_api_job);

#define KF_API_ARRIVALS 512 /* clients that may wait at a lane; half of them may be one user's */
#define KF_API_USERS	256

/* What other threads leave for a lane's thread. */
struct kf_api_mailbox {
	pthread_mutex_t lock;
	int fd; /* an eventfd; readable: there is something below */
	struct kf_api_arrivals arrivals;
	unsigned int waiting;			 /* arrivals here and in the lane's own list */
	unsigned short waiting_of[KF_API_USERS]; /* the same, by uid modulo KF_API_USERS */
	struct kf_api_jobs done;
	bool events; /* there are new ones for followers */
	bool stop;
};

struct kf_api_follower;

/* One libmicrohttpd and its connections. Only its own thread touches it, but for the mailbox. */
struct kf_api_lane {
	struct kf_api *api;
	struct MHD_Daemon *mhd;
	sd_event *event; /* of the lane's thread */
	sd_event_source *on_mhd;
	sd_event_source *on_timeout;
	sd_event_source *on_mail;
	sd_event_source *on_second;
	unsigned int places;	  /* connections at a time */
	unsigned int places_each; /* of one user; 0: all */
	unsigned int reads_max;	  /* GETs at a time that take no place; 0: each takes one */

	LIST_HEAD(, kf_api_connection) connections;
	unsigned int count;		       /* of connections, */
	unsigned int reads;		       /* and of those whose GET takes no place */
	struct kf_api_arrivals waiting;	       /* the longest first */
	const struct kf_api_arrival *incoming; /* while MHD_add_connection() runs */

	LIST_HEAD(, kf_api_follower) followers;
	unsigned int follower_count;
	bool closing;
	struct kf_api_mailbox mailbox;
};

struct kf_api_accept;
struct kf_api_reading;

struct kf_api {
	struct kf_daemon *daemon;
	int listen_fd;
	bool activated; /* systemd made the socket */
	gid_t readers;
	struct kf_api_lane *writers; /* for peers that may change things; in the loop's thread */
	struct kf_api_lane *guests;  /* for all other peers; in a thread of its own */
	sd_event *guests_event;
	pthread_t guests_thread;
	bool guests_run;
	struct kf_ask *ask; /* for the reading threads */
	struct kf_api_reading *reading;
	struct kf_api_accept *accept;
};

/* ---- thread.c -------------------------------------------------------------------------------- */

/* Starts a thread that takes no signals. 0 or -errno. */
int kf_api_thread_start(pthread_t *thread, const char *name, void *(*run)(void *), void *context);
void kf_api_thread_be_nice(int more); /* the calling thread gets less of a busy CPU */

/* ---- mailbox.c: from any thread, unless said ------------------------------------------------- */

/* -EAGAIN when too many wait already, and @arrival stays the caller's. */
int kf_api_mailbox_arrive(struct kf_api_lane *lane, struct kf_api_arrival *arrival);
void kf_api_mailbox_done(struct kf_api_lane *lane, struct kf_api_job *job);
void kf_api_mailbox_tell(struct kf_api_lane *lane); /* there are new events */
void kf_api_mailbox_stop(struct kf_api_lane *lane); /* its loop ends */
void kf_api_mailbox_ring(struct kf_api_lane *lane); /* it looks at what there is */

/*
 * In the lane's thread. Arrivals move from the mailbox to lane->waiting; end_waiting() takes one
 * off that list and frees it.
 */
void kf_api_mailbox_collect(struct kf_api_lane *lane);
void kf_api_mailbox_end_waiting(struct kf_api_lane *lane, struct kf_api_arrival *arrival);

/* ---- connection.c: in the lane's thread, unless said ----------------------------------------- */

/* The time by which what begins now must be over. Any thread. */
uint64_t kf_api_connection_deadline(const struct kf_api *api);
struct kf_api_connection *kf_api_connection_of(struct MHD_Connection *connection);

/* libmicrohttpd's callback: a connection begins or ends. @context: the lane. */
void kf_api_connection_notify(void *context, struct MHD_Connection *connection,
			      void **socket_context, enum MHD_ConnectionNotificationCode code);

/* Is there a place for @uid, at the cost of an idle connection if need be? */
bool kf_api_connection_make_room(struct kf_api_lane *lane, uid_t uid);
/*
 * A GET of @connection (NULL is fine) is handed to the reading threads, and gives its place up
 * until its answer is out. False: too many do already.
 */
bool kf_api_connection_begin_read(struct kf_api_connection *connection);
void kf_api_connection_end_read(struct kf_api_connection *connection);
void kf_api_connection_admit(struct kf_api_lane *lane, const struct kf_api_arrival *arrival);
/*
 * Answers 503 without reading; the descriptor stays the caller's, to be closed a moment later. Any
 * thread.
 */
void kf_api_connection_turn_away(int fd, const char *message, const char *mend);

/* ---- accept.c: a thread of its own ----------------------------------------------------------- */

int kf_api_accept_open(struct kf_api_accept **out, struct kf_api *api);
void kf_api_accept_close(struct kf_api_accept *accept); /* no connection is accepted any more */

/* ---- lane.c ---------------------------------------------------------------------------------- */

struct kf_api_lane_limits {
	unsigned int places, places_each, reads_max; /* as in struct kf_api_lane */
};

int kf_api_lane_open(struct kf_api_lane **out, struct kf_api *api, sd_event *event,
		     const struct kf_api_lane_limits *limits);
/* In the lane's thread, when no job of its own is left in the reading. */
void kf_api_lane_close(struct kf_api_lane *lane);

/* ---- reading.c ------------------------------------------------------------------------------- */

int kf_api_reading_open(struct kf_api_reading **out, struct kf_api *api, struct kf_why *why);
/* What waits is given back undone, what runs is interrupted; returns when all threads are gone. */
void kf_api_reading_close(struct kf_api_reading *reading);
void kf_api_reading_submit(struct kf_api_reading *reading, struct kf_api_job *job);

/* ---- http.c: callbacks of libmicrohttpd; the context is struct kf_api_lane ------------------- */

void *kf_api_http_target(void *context, const char *target, struct MHD_Connection *connection);
enum MHD_Result kf_api_http_request(void *context, struct MHD_Connection *connection,
				    const char *url, const char *method, const char *version,
				    const char *upload, size_t *upload_len, void **exchange);
void kf_api_http_completed(void *context, struct MHD_Connection *connection, void **exchange,
			   enum MHD_RequestTerminationCode code);

/* ---- events_follow.c: in the lane's thread --------------------------------------------------- */

/* Answers @request with the stream. */
int kf_api_events_follow_begin(struct kf_api_request *request, struct kf_api_lane *lane);
/* There are new events for the followers. */
void kf_api_events_follow_wake(struct kf_api_lane *lane);
/* Each second: heartbeats. */
void kf_api_events_follow_tick(struct kf_api_lane *lane);
/* Ends all, so that the server may stop. */
void kf_api_events_follow_end(struct kf_api_lane *lane);

#endif
