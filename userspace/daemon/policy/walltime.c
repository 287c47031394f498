// SPDX-License-Identifier: GPL-2.0-only
#include "policy/walltime.h"

#include <stdio.h>
#include <string.h>

static int64_t ahead_of(const struct kf_clock *raw)
{
	return raw->wall_ns - (int64_t)raw->boot_ns;
}

static bool is_step(int64_t from, int64_t to)
{
	return to - from > KF_WALLTIME_STEP || from - to > KF_WALLTIME_STEP;
}

/*
 * In the same boot it is known how the clock went before, also while other processes ran. In
 * another one the clock may be right or not: it is gone by, but nothing is deleted, and it is not
 * what later times are held to, before it has lasted.
 */
void kf_policy_walltime_open(struct kf_walltime *w, const struct kf_store_time *stored,
			     const char *boot, const struct kf_clock *raw)
{
	bool same_boot = *boot && !strcmp(stored->boot, boot);

	*w = (struct kf_walltime){
		.seen = stored->seen,
		.ahead = same_boot ? stored->ahead : ahead_of(raw),
		.since_ns = raw->boot_ns,
		.is_new = !same_boot && stored->seen,
	};
	w->latest = w->ahead;
	w->settled = !w->is_new;
	kf_policy_walltime_look(w, raw);
}

static void believe(struct kf_walltime *w, const struct kf_clock *raw)
{
	w->settled = true;
	w->is_new = false;
	w->ahead = ahead_of(raw);
	if (raw->wall_ns > w->seen)
		w->seen = raw->wall_ns;
}

void kf_policy_walltime_look(struct kf_walltime *w, const struct kf_clock *raw)
{
	int64_t ahead = ahead_of(raw);
	bool stepped = is_step(w->latest, ahead);

	w->latest = ahead;
	if (stepped)
		w->since_ns = raw->boot_ns;
	if (w->is_new)
		w->ahead = ahead;
	if (!w->is_new && !is_step(w->ahead, ahead))
		believe(w, raw); /* not set, at most slewed, or a step that was taken back */
	else if (raw->boot_ns - w->since_ns >= (uint64_t)KF_WALLTIME_SETTLE)
		believe(w, raw);
	else
		w->settled = false;
	if (raw->wall_ns >= w->seen)
		w->behind_ns = 0;
	else if (!w->behind_ns)
		w->behind_ns = raw->boot_ns;
}

/* A clock that is behind what was believed is replaced by one that goes on from there. */
static int64_t later_time(const struct kf_walltime *w, const struct kf_clock *raw)
{
	if (raw->wall_ns >= w->seen)
		return raw->wall_ns;
	return w->seen + (w->behind_ns ? (int64_t)(raw->boot_ns - w->behind_ns) : 0);
}

static int64_t earlier_time(const struct kf_walltime *w, const struct kf_clock *raw)
{
	int64_t believed = (int64_t)raw->boot_ns + w->ahead;

	return !is_step(w->ahead, ahead_of(raw)) || raw->wall_ns < believed ? raw->wall_ns
									    : believed;
}

struct kf_clock kf_policy_walltime_at(const struct kf_walltime *w, const struct kf_clock *raw)
{
	struct kf_clock at = { .wall_ns = later_time(w, raw), .boot_ns = raw->boot_ns };

	at.doubt_ns = at.wall_ns - earlier_time(w, raw);
	return at;
}

bool kf_policy_walltime_is_sure(const struct kf_walltime *w)
{
	return !w->is_new;
}

void kf_policy_walltime_note(const struct kf_walltime *w, const char *boot,
			     struct kf_store_time *time)
{
	time->seen = w->seen;
	time->ahead = w->is_new ? 0 : w->ahead;
	snprintf(time->boot, sizeof(time->boot), "%s", w->is_new ? "" : boot);
}
