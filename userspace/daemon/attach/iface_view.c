// SPDX-License-Identifier: GPL-2.0-only
/* How an interface stands, as the API shows it. */
#include "attach/iface_impl.h"

#include <net/if.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "base/ask.h"
#include "clock.h"

/* It is whole now, and may not be for long. */
static void tell_fight(const struct kf_iface_row *row, const struct kf_iface *iface,
		       struct kf_attach_iface_view *view)
{
	uint64_t now = kf_clock_boot();

	if (!iface || *view->error || !kf_attach_iface_guard_is_fight(&iface->guard, now))
		return;
	snprintf(view->error, sizeof(view->error),
		 "somebody has taken our programs off %u times of late, the last time %llu s ago; "
		 "find out who (bpftool net, tc, xdp-loader), or detach %s",
		 iface->guard.lost, (unsigned long long)((now - iface->guard.lost_ns) / 1000000000),
		 row->dev);
}

static void look_at(struct kf_daemon *daemon, const struct kf_iface_row *row,
		    const struct kf_iface *iface, struct kf_attach_iface_view *view)
{
	char name[IFNAMSIZ];
	unsigned int lacks =
		kf_attach_lacks(daemon->attach, kf_attach_iface_name(iface, row, name), row->mode);

	view->state = KF_IFACE_ATTACHED;
	if (lacks & KF_ATTACH_LACKS_FILTER)
		view->state = KF_IFACE_FAILED;
	else if (lacks)
		view->state = KF_IFACE_PARTIAL;
	if (!lacks)
		tell_fight(row, iface, view);
	else if (iface && iface->queued)
		snprintf(view->error, sizeof(view->error),
			 "its turn to be attached comes; ask again in a moment");
	/*
	 * why it could not be attached says more; other trouble is older than a part that is gone
	 */
	else if (view->state != KF_IFACE_FAILED || !*view->error)
		snprintf(view->error, sizeof(view->error),
			 "%s taken off by someone else; it is attached again in %u s, or by "
			 "keyfilterctl iface attach %s --mode %s",
			 kf_attach_iface_effect(lacks),
			 iface ? kf_attach_iface_guard_wait(&iface->guard, kf_clock_boot()) : 0,
			 row->dev, kf_attach_mode_name(row->mode));
}

static void make_view(struct kf_daemon *daemon, const struct kf_iface_row *row,
		      struct kf_attach_iface_view *view)
{
	const struct kf_iface *iface = kf_attach_iface_find(daemon, row->dev);
	char name[IFNAMSIZ];

	*view = (struct kf_attach_iface_view){ .ifindex = if_nametoindex(row->dev) };
	if (iface) {
		view->existing = iface->existing;
		memcpy(view->error, iface->error.text, sizeof(view->error));
	}
	if (view->ifindex) {
		look_at(daemon, row, iface, view);
		return;
	}
	view->state = KF_IFACE_MISSING;
	*view->error = '\0';
	if (!kf_attach_iface_is_renamed(iface, name))
		return;
	if (kf_attach_lacks(daemon->attach, name, row->mode)) {
		look_at(daemon, row, iface, view);
		return;
	}
	snprintf(view->error, sizeof(view->error),
		 "it is called %s now, and filtered until keyfilterd is started anew; detach %s "
		 "and attach %s",
		 name, row->dev, name);
}

/* A view that a reading thread waits for; on its stack. */
struct question {
	struct kf_attach_task task; /* first */
	struct kf_daemon *daemon;   /* the loop's */
	const struct kf_iface_row *row;
	struct kf_attach_iface_view *view;
	pthread_mutex_t lock;
	pthread_cond_t change;
	bool answered;
	int result;
};

static int begin_view(struct kf_attach_task *task)
{
	struct question *question = (struct question *)task;

	make_view(question->daemon, question->row, question->view);
	return 0;
}

static void end_view(struct kf_attach_task *task, int result)
{
	struct question *question = (struct question *)task;

	pthread_mutex_lock(&question->lock);
	question->result = result;
	question->answered = true;
	pthread_cond_signal(&question->change);
	pthread_mutex_unlock(&question->lock);
}

/* Before what waits to be attached: a view takes no time. */
static int queue_view(struct kf_daemon *daemon, void *context)
{
	struct question *question = context;

	question->daemon = daemon;
	kf_attach_queue_add_first(daemon->attaching, &question->task);
	return 0;
}

static int ask_view(struct kf_daemon *daemon, struct question *question)
{
	int err;

	pthread_mutex_init(&question->lock, NULL);
	pthread_cond_init(&question->change, NULL);
	err = kf_ask(daemon, queue_view, question);
	pthread_mutex_lock(&question->lock);
	while (!err && !question->answered)
		pthread_cond_wait(&question->change, &question->lock);
	pthread_mutex_unlock(&question->lock);
	pthread_cond_destroy(&question->change);
	pthread_mutex_destroy(&question->lock);
	return err ? err : question->result;
}

void kf_attach_iface_view(struct kf_daemon *daemon, const struct kf_iface_row *row,
			  struct kf_attach_iface_view *view)
{
	struct question question = {
		.task = { .begin = begin_view, .end = end_view },
		.row = row,
		.view = view,
	};

	if (!daemon->ask) {
		make_view(daemon, row, view);
		return;
	}
	*view = (struct kf_attach_iface_view){ .state = KF_IFACE_MISSING };
	if (ask_view(daemon, &question))
		snprintf(view->error, sizeof(view->error), "keyfilterd is ending; ask again");
}
