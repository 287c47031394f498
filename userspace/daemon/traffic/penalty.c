// SPDX-License-Identifier: GPL-2.0-only
#include "traffic/penalty.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <keyfilter/penaltystate.h>
#include <keyfilter/sourcestate.h>

#include "cleanup.h"
#include "clock.h"
#include "policy/policy.h"
#include "timetext.h"
#include "traffic/events.h"

#define TELL_AT_MOST 10 /* ends, one by one: they must not push out what else happens */

static uint32_t places(const struct kf_maps *maps)
{
	return kf_maps_entries(maps, KF_MAP_kf_penalties) * KF_PENALTY_WAYS;
}

/* ---- the table ------------------------------------------------------------------------------- */

void kf_traffic_penalty_block(const struct kf_penalty *penalty, struct kf_cidr *block)
{
	uint8_t unit[8];

	memcpy(unit, &penalty->unit, sizeof(unit));
	memset(block, 0, sizeof(*block));
	if (!(unit[0] | unit[1]) && unit[2] == 0xff && unit[3] == 0xff) { /* kf_source_unit() */
		memcpy(block->addr + 10, unit + 2, 6);
		block->prefix_len = KF_CIDR_BITS;
		return;
	}
	memcpy(block->addr, unit, sizeof(unit));
	block->prefix_len = 64;
}

/* The windows of services differ, and a place does not say whose it is: the longest counts. */
static uint64_t longest_window_ns(struct kf_maps *maps)
{
	struct kf_service service;
	uint64_t longest = 0;

	for (uint32_t i = 0; i < KF_SERVICES_MAX; i++)
		if (!kf_maps_get(maps, KF_MAP_kf_services, &i, &service) && service.live &&
		    service.penalty_failures && service.penalty_window > longest)
			longest = service.penalty_window;
	return longest * KF_TIMETEXT_SECOND;
}

void kf_traffic_penalty_walk_begin(struct kf_penalty_walk *walk, struct kf_maps *maps,
				   enum kf_penalty_kind kind)
{
	*walk = (struct kf_penalty_walk){
		.maps = maps,
		.kind = kind,
		.now_ns = kf_clock_boot(),
		.window_ns = kind == KF_PENALTY_FAILING ? longest_window_ns(maps) : 0,
	};
}

static bool is_wanted(const struct kf_penalty_walk *walk, const struct kf_penalty *penalty)
{
	bool in_force = kf_sourcestate_in_force(penalty->until_ns, walk->now_ns);

	if (walk->kind == KF_PENALTY_IN_FORCE)
		return in_force;
	return penalty->failures && !in_force &&
	       !kf_penalty_window_is_over(penalty->window, walk->window_ns, walk->now_ns);
}

bool kf_traffic_penalty_walk_next(struct kf_penalty_walk *walk, struct kf_penalty *out)
{
	struct kf_penalty penalty;
	uint32_t end = places(walk->maps);

	while (walk->place < end) {
		if (!kf_maps_penalty(walk->maps, walk->place++, &penalty) ||
		    !is_wanted(walk, &penalty))
			continue;
		*out = penalty;
		return true;
	}
	return false;
}

uint64_t kf_traffic_penalty_count(struct kf_maps *maps)
{
	struct kf_penalty_walk walk;
	struct kf_penalty penalty;
	uint64_t count = 0;

	kf_traffic_penalty_walk_begin(&walk, maps, KF_PENALTY_IN_FORCE);
	while (kf_traffic_penalty_walk_next(&walk, &penalty))
		count++;
	return count;
}

/* ---- the watch ------------------------------------------------------------------------------- */

/* One penalty that is in force. */
struct noted {
	uint64_t unit;
	uint64_t until_ns;
	uint32_t place;
	uint8_t service;
};

struct list {
	struct noted *entries; /* by place */
	uint32_t count;
	uint32_t room;
};

struct kf_penalty_watch {
	struct kf_policy *policy;
	struct kf_maps *maps;
	struct kf_events *events;
	struct list noted;
	struct list next; /* filled by the tick that is running */
	struct kf_clock now;
	uint64_t last_ns; /* of the last tick */
	uint32_t ended;	  /* in this one */
};

static int note(struct list *list, const struct noted *noted)
{
	uint32_t room = list->room ? 2 * list->room : 64;
	struct noted *entries;

	if (list->count == list->room) {
		entries = reallocarray(list->entries, room, sizeof(*entries));
		if (!entries)
			return -ENOMEM;
		list->entries = entries;
		list->room = room;
	}
	list->entries[list->count++] = *noted;
	return 0;
}

static struct noted as_noted(uint32_t place, const struct kf_penalty *penalty)
{
	return (struct noted){
		.unit = penalty->unit,
		.until_ns = penalty->until_ns,
		.place = place,
		.service = penalty->service,
	};
}

/* Without events where the operator wants none. */
static bool is_told(const struct kf_penalty_watch *watch)
{
	return kf_maps_config(watch->maps)->event_rate;
}

static void end(struct kf_penalty_watch *watch, const struct noted *noted)
{
	const struct kf_penalty penalty = { .unit = noted->unit };
	uint64_t end_ns =
		noted->until_ns < watch->now.boot_ns ? noted->until_ns : watch->now.boot_ns;
	struct kf_cidr block;

	if (watch->ended++ >= TELL_AT_MOST || !is_told(watch))
		return;
	kf_traffic_penalty_block(&penalty, &block);
	kf_traffic_events_add_penalty_end(watch->events, block.addr, noted->service,
					  kf_policy_compile_wall(&watch->now, end_ns));
}

/* Those that were not told one by one. */
static void sum_up(struct kf_penalty_watch *watch)
{
	if (watch->ended > TELL_AT_MOST && is_told(watch))
		kf_traffic_events_add_penalty_ends(watch->events, watch->ended - TELL_AT_MOST,
						   watch->now.wall_ns);
}

/*
 * A new one asks for a walk over the source's silent requests. Its event does so sooner, but is
 * lost where events are over their rate, unwanted, or find no room.
 */
static int go_on(struct kf_penalty_watch *watch, const struct noted *before,
		 const struct noted *now)
{
	bool same = before && before->unit == now->unit;

	if (before && !same)
		end(watch, before);
	if (!same || before->until_ns != now->until_ns)
		kf_policy_revoke(watch->policy, KF_REVOKED_SOURCES);
	return note(&watch->next, now);
}

/* @before: what was noted at this place, or NULL; @penalty: what stands there now, or NULL. */
static int look_at(struct kf_penalty_watch *watch, uint32_t place, const struct noted *before,
		   const struct kf_penalty *penalty)
{
	struct noted now;

	if (penalty)
		now = as_noted(place, penalty);
	if (penalty && kf_sourcestate_in_force(penalty->until_ns, watch->now.boot_ns))
		return go_on(watch, before, &now);
	if (before)
		end(watch, before);
	else if (penalty && penalty->until_ns > watch->last_ns)
		end(watch, &now); /* it has come and gone since */
	return 0;
}

static int look_at_all(struct kf_penalty_watch *watch)
{
	const struct noted *before = watch->noted.entries;
	const struct noted *last = before + watch->noted.count;
	uint32_t count = places(watch->maps);
	struct kf_penalty penalty;
	int err = 0;

	for (uint32_t place = 0; !err && place < count; place++) {
		bool was_noted = before < last && before->place == place;
		bool stands = kf_maps_penalty(watch->maps, place, &penalty);

		if (was_noted || (stands && penalty.until_ns))
			err = look_at(watch, place, was_noted ? before : NULL,
				      stands ? &penalty : NULL);
		before += was_noted;
	}
	return err;
}

int kf_traffic_penalty_watch_tick(struct kf_penalty_watch *watch)
{
	struct list noted = watch->noted;
	int err;

	watch->now = kf_clock_now();
	watch->ended = 0;
	watch->next.count = 0;
	err = look_at_all(watch);
	if (err)
		return err; /* some may be told twice: the old list stays */
	sum_up(watch);
	watch->noted = watch->next;
	watch->next = noted;
	watch->last_ns = watch->now.boot_ns;
	return (int)watch->ended;
}

KF_CLEANUP_DEFINE(struct kf_penalty_watch, kf_traffic_penalty_watch_close)

/* The first look tells nothing: what had ended before was somebody else's to tell. */
int kf_traffic_penalty_watch_open(struct kf_penalty_watch **out, struct kf_policy *policy,
				  struct kf_events *events)
{
	_cleanup_(kf_traffic_penalty_watch_closep) struct kf_penalty_watch *watch =
		calloc(1, sizeof(*watch));
	int err;

	if (!watch)
		return -ENOMEM;
	watch->policy = policy;
	watch->maps = policy->maps;
	watch->events = events;
	watch->last_ns = kf_clock_boot();
	err = kf_traffic_penalty_watch_tick(watch);
	if (err < 0)
		return err;
	*out = TAKE_PTR(watch);
	return 0;
}

void kf_traffic_penalty_watch_close(struct kf_penalty_watch *watch)
{
	if (!watch)
		return;
	free(watch->noted.entries);
	free(watch->next.entries);
	free(watch);
}

/* ---- forgiving ------------------------------------------------------------------------------- */

static bool is_meant(const struct kf_cidr *cidr, const struct kf_penalty *penalty)
{
	struct kf_cidr block;

	kf_traffic_penalty_block(penalty, &block);
	if (kf_cidr_is_v4(cidr) != kf_cidr_is_v4(&block))
		return false;
	return kf_cidr_covers(cidr, &block) || kf_cidr_covers(&block, cidr);
}

/* Looks twice: what was raised since the last look must be noted to be told when it ends. */
struct kf_penalty_forgiven kf_traffic_penalty_forgive(struct kf_penalty_watch *watch,
						      const struct kf_cidr *cidr)
{
	struct kf_penalty_forgiven forgiven = { 0 };
	struct kf_maps *maps = watch->maps;
	struct kf_penalty penalty;

	kf_traffic_penalty_watch_tick(watch);
	for (uint32_t place = 0; place < places(maps); place++) {
		if (!kf_maps_penalty(maps, place, &penalty) || !is_meant(cidr, &penalty) ||
		    !(penalty.failures | penalty.level | penalty.until_ns))
			continue;
		kf_maps_penalty_forgive(maps, place);
		forgiven.sources++;
		forgiven.penalised += kf_sourcestate_in_force(penalty.until_ns, watch->now.boot_ns);
	}
	kf_traffic_penalty_watch_tick(watch);
	return forgiven;
}
