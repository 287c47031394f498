/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * queue.h - interfaces that are attached and detached beside the loop, one after the other.
 *
 * The kernel's verifier takes up to a second for a program, and a revocation does not wait for
 * that. A task has up to three parts: begin() and end() run in the loop, where store and policy
 * are; run() in a thread of its own. struct kf_attach belongs to that thread meanwhile, and else to
 * the loop. Since the next task begins only after the end of the one before, each sees all that was
 * stored by those before it. The loop's thread only.
 */
#ifndef KEYFILTER_DAEMON_ATTACH_QUEUE_H
#define KEYFILTER_DAEMON_ATTACH_QUEUE_H

#include <stdbool.h>
#include <sys/queue.h>

#include <systemd/sd-event.h>

/* Owned by the caller until end(), which is called once. */
struct kf_attach_task {
	int (*begin)(struct kf_attach_task *task); /* may be NULL; other than 0 goes to end() */
	/* After begin() returned 0; NULL: nothing. Touches the task and struct kf_attach alone. */
	int (*run)(struct kf_attach_task *task);
	/* @result: of the last part, or -ECANCELED: the daemon ends, and begin() was not called. */
	void (*end)(struct kf_attach_task *task, int result);
	STAILQ_ENTRY(kf_attach_task) entry;
};

struct kf_attach_queue;

int kf_attach_queue_open(struct kf_attach_queue **out, sd_event *event);
/* Waits for the task that runs and ends it; those that wait are cancelled, as is all that comes. */
void kf_attach_queue_end(struct kf_attach_queue *queue); /* NULL is fine */
void kf_attach_queue_close(struct kf_attach_queue *queue);

/*
 * The last, or the first of those that wait. Begins at once where nothing runs. @queue NULL, as
 * before there is a loop: all of the task is done before this returns.
 */
void kf_attach_queue_add(struct kf_attach_queue *queue, struct kf_attach_task *task);
void kf_attach_queue_add_first(struct kf_attach_queue *queue, struct kf_attach_task *task);

/* Does a task run beside the loop? Then the loop leaves struct kf_attach alone. */
bool kf_attach_queue_is_busy(const struct kf_attach_queue *queue);

#endif
