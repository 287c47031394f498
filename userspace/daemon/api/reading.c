// SPDX-License-Identifier: GPL-2.0-only
/*
 * The reading threads, which carry out GETs. Each has a connection of its own to the store, and a
 * struct kf_daemon in which the members of the loop are NULL. On a busy CPU the loop comes first.
 */
#include "api/server.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/ask.h"
#include "cleanup.h"
#include "clock.h"
#include "policy/policy.h"
#include "why.h"

#define THREADS	   3
#define FOR_GUESTS (THREADS - 1) /* peers that may write always find one soon */
#define BE_NICE	   15
#define READ_NS	   (30 * 1000000000ull) /* a request that takes longer is ended */

struct reader {
	struct kf_api_reading *reading;
	pthread_t thread;
	bool running;
	struct kf_store *store;
	struct kf_api_job *job; /* that it carries out; NULL: none */
};

struct kf_api_reading {
	struct kf_api *api;
	pthread_mutex_t lock;
	pthread_cond_t work;
	struct kf_api_jobs jobs;
	bool ending;
	struct reader readers[THREADS];
};

/* May a guest's job begin? Only if its user has none that runs, and one thread stays free. */
static bool may_begin(const struct kf_api_reading *reading, const struct kf_api_job *job)
{
	unsigned int guests = 0;

	for (int i = 0; i < THREADS; i++) {
		const struct kf_api_job *other = reading->readers[i].job;

		if (!other || other->access == KF_API_WRITE)
			continue;
		if (other->uid == job->uid)
			return false;
		guests++;
	}
	return guests < FOR_GUESTS;
}

/* Do peers that may write have all threads but one? That one is for guests where some wait. */
static bool is_guests_turn(const struct kf_api_reading *reading)
{
	int writers = 0;

	for (int i = 0; i < THREADS; i++)
		writers +=
			reading->readers[i].job && reading->readers[i].job->access == KF_API_WRITE;
	return writers >= THREADS - 1;
}

static struct kf_api_job *pick(struct kf_api_reading *reading)
{
	struct kf_api_job *job, *writer = NULL, *guest = NULL;

	STAILQ_FOREACH(job, &reading->jobs, entry)
	{
		if (writer && guest)
			break;
		if (job->access == KF_API_WRITE || reading->ending)
			writer = writer ? writer : job;
		else if (!guest && may_begin(reading, job))
			guest = job;
	}
	job = writer && !(guest && is_guests_turn(reading)) ? writer : guest;
	if (job)
		STAILQ_REMOVE(&reading->jobs, job, kf_api_job, entry);
	return job;
}

/* The time as the loop has it, which decides what has expired. */
static int ask_now(struct kf_daemon *daemon, void *context)
{
	struct kf_daemon *view = context;

	view->policy->walltime = daemon->policy->walltime;
	view->policy->clock = daemon->policy->clock;
	view->used = daemon->used;
	return 0;
}

/* The loop's members stay NULL, so a handler that uses one fails in its first test. */
static void make_view(struct reader *reader, struct kf_daemon *view, struct kf_policy *policy)
{
	const struct kf_daemon *daemon = reader->reading->api->daemon;

	*policy = (struct kf_policy){
		.store = reader->store,
		.maps = daemon->maps,
	};
	*view = (struct kf_daemon){
		.settings = daemon->settings,
		.state_dir = daemon->state_dir,
		.run_dir = daemon->run_dir,
		.pin_dir = daemon->pin_dir,
		.started_ns = daemon->started_ns,
		.store = reader->store,
		.maps = daemon->maps,
		.policy = policy,
		.events = daemon->events,
		.ask = reader->reading->api->ask,
	};
	if (kf_ask(view, ask_now, view))
		policy->clock = kf_clock_now(); /* the daemon ends, and so does the job */
}

static void carry_out(struct reader *reader, struct kf_api_job *job, bool ending)
{
	struct kf_policy policy;
	struct kf_daemon view;

	if (ending || job->deadline_ns <= kf_clock_boot()) {
		job->run(job, NULL, ending);
		return;
	}
	make_view(reader, &view, &policy);
	kf_store_read_begin(reader->store, READ_NS);
	job->run(job, &view, false);
	kf_store_read_end(reader->store);
}

static void *run(void *context)
{
	struct reader *reader = context;
	struct kf_api_reading *reading = reader->reading;
	struct kf_api_job *job;
	bool ending;

	kf_api_thread_be_nice(BE_NICE);
	pthread_mutex_lock(&reading->lock);
	for (;;) {
		while (!(job = pick(reading)) && !reading->ending)
			pthread_cond_wait(&reading->work, &reading->lock);
		if (!job)
			break;
		reader->job = job;
		ending = reading->ending;
		pthread_mutex_unlock(&reading->lock);
		carry_out(reader, job, ending);
		pthread_mutex_lock(&reading->lock);
		reader->job = NULL;
		kf_api_mailbox_done(job->lane, job);
		pthread_cond_broadcast(&reading->work); /* its user's next job may begin now */
	}
	pthread_mutex_unlock(&reading->lock);
	return NULL;
}

void kf_api_reading_submit(struct kf_api_reading *reading, struct kf_api_job *job)
{
	pthread_mutex_lock(&reading->lock);
	STAILQ_INSERT_TAIL(&reading->jobs, job, entry);
	pthread_cond_broadcast(&reading->work);
	pthread_mutex_unlock(&reading->lock);
}

static int start(struct reader *reader, struct kf_why *why)
{
	int err =
		kf_store_open_reading(&reader->store, reader->reading->api->daemon->state_dir, why);

	if (err)
		return err;
	err = kf_api_thread_start(&reader->thread, "kf-read", run, reader);
	if (err)
		return kf_why_set(why, err, "cannot start a thread: %s; see the limit of processes",
				  strerror(-err));
	reader->running = true;
	return 0;
}

int kf_api_reading_open(struct kf_api_reading **out, struct kf_api *api, struct kf_why *why)
{
	struct kf_api_reading *reading = calloc(1, sizeof(*reading));
	int err = 0;

	if (!reading)
		return kf_why_set(why, -ENOMEM, "out of memory; free some");
	reading->api = api;
	STAILQ_INIT(&reading->jobs);
	pthread_mutex_init(&reading->lock, NULL);
	pthread_cond_init(&reading->work, NULL);
	for (int i = 0; !err && i < THREADS; i++) {
		reading->readers[i].reading = reading;
		err = start(&reading->readers[i], why);
	}
	if (err)
		kf_api_reading_close(reading);
	else
		*out = reading;
	return err;
}

void kf_api_reading_close(struct kf_api_reading *reading)
{
	if (!reading)
		return;
	pthread_mutex_lock(&reading->lock);
	reading->ending = true;
	pthread_cond_broadcast(&reading->work);
	pthread_mutex_unlock(&reading->lock);
	for (int i = 0; i < THREADS; i++) {
		struct reader *reader = &reading->readers[i];

		if (reader->running) {
			kf_store_interrupt(reader->store);
			pthread_join(reader->thread, NULL);
		}
		kf_store_close(reader->store);
	}
	pthread_cond_destroy(&reading->work);
	pthread_mutex_destroy(&reading->lock);
	free(reading);
}
