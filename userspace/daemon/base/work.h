/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * work.h - long work of the loop, in slices.
 *
 * What would hold the loop for longer than a revocation may wait is made of steps of about a
 * millisecond, each of which leaves store and kernel in a state that any other change may follow.
 * The loop takes a step whenever it has nothing else to do, of one item after the other. The loop's
 * thread only.
 */
#ifndef KEYFILTER_DAEMON_BASE_WORK_H
#define KEYFILTER_DAEMON_BASE_WORK_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

#include <systemd/sd-event.h>

struct kf_work;

/* Owned by the caller, until done() is called. */
struct kf_work_item {
	TAILQ_ENTRY(kf_work_item) entry;
	int (*step)(
		struct kf_work_item *item); /* 1: there is more to do; 0 or -errno: it is done */
	/* @result: what the last step returned, or -ECANCELED: the daemon ends. */
	void (*done)(struct kf_work_item *item, int result);
};

int kf_work_open(struct kf_work **out, sd_event *event);
/* Ends what is not finished; nothing may be added any more. */
void kf_work_end(struct kf_work *work);
void kf_work_close(struct kf_work *work); /* NULL is fine */
void kf_work_add(struct kf_work *work, struct kf_work_item *item);

/* How long a step goes on taking up further rows: until this has passed. */
struct kf_work_slice {
	uint64_t until_ns; /* CLOCK_MONOTONIC */
};
struct kf_work_slice kf_work_slice(void);
/* Of a step that ends with a commit, which takes several times as long as what is written by it. */
struct kf_work_slice kf_work_slice_before_commit(void);
bool kf_work_slice_is_over(const struct kf_work_slice *slice);

#endif
