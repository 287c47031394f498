// SPDX-License-Identifier: GPL-2.0-only
#include "base/work.h"

#include <errno.h>
#include <stdlib.h>

#include "clock.h"

#define SLICE_NS	 700000u
#define BEFORE_COMMIT_NS 200000u

struct kf_work {
	sd_event_source *source; /* on while there are items */
	TAILQ_HEAD(, kf_work_item) items;
};

struct kf_work_slice kf_work_slice(void)
{
	return (struct kf_work_slice){ .until_ns = kf_clock_monotonic() + SLICE_NS };
}

struct kf_work_slice kf_work_slice_before_commit(void)
{
	return (struct kf_work_slice){ .until_ns = kf_clock_monotonic() + BEFORE_COMMIT_NS };
}

bool kf_work_slice_is_over(const struct kf_work_slice *slice)
{
	return kf_clock_monotonic() >= slice->until_ns;
}

/* The loop has looked for everything else before it comes here, and looks again after it. */
static int on_idle(sd_event_source *source, void *context)
{
	struct kf_work *work = context;
	struct kf_work_item *item = TAILQ_FIRST(&work->items);
	int more;

	if (!item)
		return sd_event_source_set_enabled(source, SD_EVENT_OFF);
	more = item->step(item);
	TAILQ_REMOVE(&work->items, item, entry);
	if (more > 0)
		TAILQ_INSERT_TAIL(&work->items, item, entry); /* in turn with the others */
	else
		item->done(item, more);
	return 0;
}

int kf_work_open(struct kf_work **out, sd_event *event)
{
	struct kf_work *work = calloc(1, sizeof(*work));
	int err;

	if (!work)
		return -ENOMEM;
	TAILQ_INIT(&work->items);
	err = sd_event_add_defer(event, &work->source, on_idle, work);
	if (err >= 0)
		err = sd_event_source_set_priority(work->source, SD_EVENT_PRIORITY_IDLE);
	if (err >= 0)
		err = sd_event_source_set_enabled(work->source, SD_EVENT_OFF);
	if (err < 0) {
		kf_work_close(work);
		return err;
	}
	*out = work;
	return 0;
}

void kf_work_end(struct kf_work *work)
{
	struct kf_work_item *item;

	while ((item = TAILQ_FIRST(&work->items))) {
		TAILQ_REMOVE(&work->items, item, entry);
		item->done(item, -ECANCELED);
	}
}

void kf_work_close(struct kf_work *work)
{
	if (!work)
		return;
	sd_event_source_disable_unref(work->source);
	free(work);
}

void kf_work_add(struct kf_work *work, struct kf_work_item *item)
{
	TAILQ_INSERT_TAIL(&work->items, item, entry);
	sd_event_source_set_enabled(work->source, SD_EVENT_ON);
}
