// SPDX-License-Identifier: GPL-2.0-only
#include "base/ask.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/queue.h>
#include <unistd.h>

/* Work is always ready, and at its own priority nothing else would ever have a turn. */
#define BEFORE_WORK (SD_EVENT_PRIORITY_IDLE - 1)

/* One question, on the stack of the thread that waits for its answer. */
struct question {
	STAILQ_ENTRY(question) entry;
	kf_ask_fn fn;
	void *context;
	int result;
	bool answered;
};

struct kf_ask {
	struct kf_daemon *daemon;
	int fd; /* counts the questions that wait */
	sd_event_source *source;
	pthread_mutex_t lock;
	pthread_cond_t answered;
	STAILQ_HEAD(, question) waiting;
	bool ended;
};

static struct question *take(struct kf_ask *ask)
{
	struct question *question;

	pthread_mutex_lock(&ask->lock);
	question = STAILQ_FIRST(&ask->waiting);
	if (question)
		STAILQ_REMOVE_HEAD(&ask->waiting, entry);
	pthread_mutex_unlock(&ask->lock);
	return question;
}

static void answer(struct kf_ask *ask, struct question *question, int result)
{
	pthread_mutex_lock(&ask->lock);
	question->result = result;
	question->answered = true;
	pthread_cond_broadcast(&ask->answered);
	pthread_mutex_unlock(&ask->lock);
}

/* One a turn of the loop: EFD_SEMAPHORE keeps the descriptor readable for the next. */
static int on_question(sd_event_source *source, int fd, uint32_t events, void *context)
{
	struct kf_ask *ask = context;
	struct question *question;
	uint64_t one;

	if (read(fd, &one, sizeof(one)) < 0)
		return 0;
	question = take(ask);
	if (question)
		answer(ask, question, question->fn(ask->daemon, question->context));
	return 0;
}

int kf_ask_open(struct kf_ask **out, struct kf_daemon *daemon, sd_event *event)
{
	struct kf_ask *ask = calloc(1, sizeof(*ask));
	int err;

	if (!ask)
		return -ENOMEM;
	ask->daemon = daemon;
	STAILQ_INIT(&ask->waiting);
	pthread_mutex_init(&ask->lock, NULL);
	pthread_cond_init(&ask->answered, NULL);
	ask->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK | EFD_SEMAPHORE);
	err = ask->fd < 0 ? -errno : 0;
	if (!err)
		err = sd_event_add_io(event, &ask->source, ask->fd, EPOLLIN, on_question, ask);
	if (err >= 0)
		err = sd_event_source_set_priority(ask->source, BEFORE_WORK);
	if (err < 0) {
		kf_ask_close(ask);
		return err;
	}
	*out = ask;
	return 0;
}

void kf_ask_end(struct kf_ask *ask)
{
	struct question *question;

	pthread_mutex_lock(&ask->lock);
	ask->ended = true;
	pthread_mutex_unlock(&ask->lock);
	while ((question = take(ask)))
		answer(ask, question, -ECANCELED);
}

void kf_ask_close(struct kf_ask *ask)
{
	if (!ask)
		return;
	sd_event_source_disable_unref(ask->source);
	if (ask->fd >= 0)
		close(ask->fd);
	pthread_cond_destroy(&ask->answered);
	pthread_mutex_destroy(&ask->lock);
	free(ask);
}

int kf_ask(struct kf_daemon *daemon, kf_ask_fn fn, void *context)
{
	struct kf_ask *ask = daemon->ask;
	struct question question = { .fn = fn, .context = context, .result = -ECANCELED };
	const uint64_t one = 1;

	if (!ask)
		return fn(daemon, context);
	pthread_mutex_lock(&ask->lock);
	if (!ask->ended) {
		STAILQ_INSERT_TAIL(&ask->waiting, &question, entry);
		if (write(ask->fd, &one, sizeof(one)) < 0) {
			STAILQ_REMOVE(&ask->waiting, &question, question, entry);
			question.result = -errno;
			question.answered = true;
		}
		while (!question.answered)
			pthread_cond_wait(&ask->answered, &ask->lock);
	}
	pthread_mutex_unlock(&ask->lock);
	return question.result;
}
