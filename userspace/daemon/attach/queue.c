// SPDX-License-Identifier: GPL-2.0-only
#include "attach/queue.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "log.h"

/* The programs run, and connections that were there before wait for what end() does. */
#define FIRST (SD_EVENT_PRIORITY_NORMAL - 20)

struct kf_attach_queue {
	STAILQ_HEAD(, kf_attach_task) waiting;
	struct kf_attach_task *task; /* that runs beside the loop; NULL: none */
	bool inside;		     /* a part of a task runs in the loop */
	bool ended;
	pthread_t thread;
	int result; /* of run() */
	int fd;	    /* an eventfd; readable: run() is over */
	sd_event_source *source;
};

/* ---- beside the loop ------------------------------------------------------------------------- */

/* On a busy CPU the loop comes first. On Linux each thread has a nice value of its own. */
static void let_the_loop_go_first(void)
{
	id_t self = (id_t)syscall(SYS_gettid);

	if (getpriority(PRIO_PROCESS, self) < 0)
		setpriority(PRIO_PROCESS, self, 0);
}

static void *run(void *context)
{
	struct kf_attach_queue *queue = context;
	const uint64_t one = 1;

	let_the_loop_go_first();
	queue->result = queue->task->run(queue->task);
	/* It fails only where the eventfd's count is at its maximum: then it is readable anyway. */
	(void)!write(queue->fd, &one, sizeof(one));
	return NULL;
}

/* The thread takes no signals: they are the loop's. */
static int start(struct kf_attach_queue *queue, struct kf_attach_task *task)
{
	sigset_t all, before;
	int err;

	queue->task = task;
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	err = pthread_create(&queue->thread, NULL, run, queue);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	if (err)
		queue->task = NULL;
	else
		pthread_setname_np(queue->thread, "kf-attach");
	return -err;
}

/* ---- in the loop ----------------------------------------------------------------------------- */

static void carry_out(struct kf_attach_queue *queue, struct kf_attach_task *task)
{
	int result = task->begin ? task->begin(task) : 0;
	int err;

	if (!result && task->run && queue) {
		err = start(queue, task);
		if (!err)
			return;
		kf_log_warning("cannot start a thread: %s; changes wait for an interface; see the "
			       "limit of processes",
			       strerror(-err));
	}
	if (!result && task->run)
		result = task->run(task);
	task->end(task, result);
}

/* What a part of a task adds waits until that part is over. */
static void go_on(struct kf_attach_queue *queue)
{
	struct kf_attach_task *task;

	if (queue->inside)
		return;
	queue->inside = true;
	while (!queue->task && (task = STAILQ_FIRST(&queue->waiting))) {
		STAILQ_REMOVE_HEAD(&queue->waiting, entry);
		if (queue->ended)
			task->end(task, -ECANCELED);
		else
			carry_out(queue, task);
	}
	queue->inside = false;
}

/* Waits for the thread, if it is still there. */
static void end_running(struct kf_attach_queue *queue)
{
	struct kf_attach_task *task = queue->task;

	pthread_join(queue->thread, NULL);
	queue->task = NULL;
	queue->inside = true;
	task->end(task, queue->result);
	queue->inside = false;
}

static int on_run(sd_event_source *source, int fd, uint32_t events, void *context)
{
	struct kf_attach_queue *queue = context;
	uint64_t count;

	if (read(fd, &count, sizeof(count)) < 0)
		return 0;
	if (queue->task)
		end_running(queue);
	go_on(queue);
	return 0;
}

void kf_attach_queue_add(struct kf_attach_queue *queue, struct kf_attach_task *task)
{
	if (!queue) {
		carry_out(NULL, task);
		return;
	}
	STAILQ_INSERT_TAIL(&queue->waiting, task, entry);
	go_on(queue);
}

void kf_attach_queue_add_first(struct kf_attach_queue *queue, struct kf_attach_task *task)
{
	if (!queue) {
		carry_out(NULL, task);
		return;
	}
	STAILQ_INSERT_HEAD(&queue->waiting, task, entry);
	go_on(queue);
}

bool kf_attach_queue_is_busy(const struct kf_attach_queue *queue)
{
	return queue && queue->task;
}

/* ---- begin and end --------------------------------------------------------------------------- */

int kf_attach_queue_open(struct kf_attach_queue **out, sd_event *event)
{
	struct kf_attach_queue *queue = calloc(1, sizeof(*queue));
	int err;

	if (!queue)
		return -ENOMEM;
	STAILQ_INIT(&queue->waiting);
	queue->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	err = queue->fd < 0 ? -errno : 0;
	if (!err)
		err = sd_event_add_io(event, &queue->source, queue->fd, EPOLLIN, on_run, queue);
	if (err >= 0)
		err = sd_event_source_set_priority(queue->source, FIRST);
	if (err < 0) {
		kf_attach_queue_close(queue);
		return err;
	}
	*out = queue;
	return 0;
}

void kf_attach_queue_end(struct kf_attach_queue *queue)
{
	if (!queue)
		return;
	queue->ended = true;
	if (queue->task)
		end_running(queue);
	go_on(queue);
}

void kf_attach_queue_close(struct kf_attach_queue *queue)
{
	if (!queue)
		return;
	kf_attach_queue_end(queue);
	sd_event_source_disable_unref(queue->source);
	if (queue->fd >= 0)
		close(queue->fd);
	free(queue);
}
