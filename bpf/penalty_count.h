/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * penalty_count.h - what sources do is counted, and raises penalties: sources that keep failing are
 * not listened to for a while.
 *
 * So many failures in a window raise a penalty. Each of its good requests, of this window and of
 * the one before, adds half as many, up to ten times as many in all (kf_penalty_allowed()): people
 * who share one address do not lose it over one of them, also where their good requests came first
 * or the window has just begun; and a source that fails ten times as often has to succeed all the
 * time. A window begins with the first request after the last one is over. Each further penalty
 * takes twice as long, up to a limit, until for as long as that limit no penalty was in force. A
 * penalty forgets what came before it, good and bad.
 *
 * All of it is decided and ends here, without the controller, which reads the places and forgives
 * by writing until_ns, failures, successes and level as 0, at any time.
 *
 * No place is taken from a source while its penalty, the memory of it or its window lasts, by the
 * measures of the service that asks. But one that holds good requests alone is given to a source
 * that fails. Where all places of a set are taken a new source is not counted: a flood of sources
 * displaces nobody.
 */
#ifndef KEYFILTER_PENALTY_COUNT_H
#define KEYFILTER_PENALTY_COUNT_H

#include "event.h"
#include "penalty.h"

/* Some 40 microseconds: an interrupt of the CPU that is in the way. */
#define KF_PENALTY_TRIES 4000

/* @counts: kf_penalty_counts() */
static __always_inline bool kf_penalty_is_counted(__u64 counts, const struct kf_service *service,
						  __u64 now)
{
	return !kf_penalty_window_is_over((__u32)counts, service->penalty_window * KF_NSEC_PER_SEC,
					  now);
}

/* Was its last penalty so long ago that the next one is a first one? */
static __always_inline bool kf_penalty_is_forgotten(__u64 until, const struct kf_service *service,
						    __u64 now)
{
	return !until || now > until + service->penalty_time_max * KF_NSEC_PER_SEC;
}

/* Are this window, and the one that would follow it, over? @counts: kf_penalty_counts() */
static __always_inline bool kf_penalty_is_long_over(__u64 counts, const struct kf_service *service,
						    __u64 now)
{
	return kf_penalty_window_is_over((__u32)counts,
					 2 * service->penalty_window * KF_NSEC_PER_SEC, now);
}

/*
 * May the place be given away? To a source that has succeeded where it holds nothing that still
 * matters, to one that has failed also where it holds good requests alone.
 */
static __always_inline bool kf_penalty_is_over(const struct kf_penalty *penalty,
					       const struct kf_service *service, __u64 now,
					       bool failed)
{
	__u32 successes = KF_PENALTY_READ(penalty->successes);
	__u64 counts = kf_penalty_counts(penalty);

	if (!kf_penalty_is_forgotten(KF_PENALTY_READ(penalty->until_ns), service, now))
		return false;
	if (kf_penalty_is_long_over(counts, service, now))
		return true;
	if (failed && successes && !(counts >> 32))
		return true;
	return (failed || !successes) && !kf_penalty_is_counted(counts, service, now);
}

/* What a step works on; it is done again where another CPU was faster. */
struct kf_penalty_try {
	struct kf_penalty_set *set;
	struct kf_penalty *penalty;
	const struct kf_service *service;
	__u64 unit;
	__u64 now;
	__u32 failed; /* 0: it succeeded */
	__u32 raised; /* the failure counted was one too many */
};

static __always_inline struct kf_penalty *kf_penalty_spare_for(const struct kf_penalty_try *t,
							       bool failed, __u64 *old)
{
#pragma unroll
	for (int i = 0; i < KF_PENALTY_WAYS; i++) {
		struct kf_penalty *way = &t->set->ways[i];

		*old = KF_PENALTY_READ(way->unit);
		if (!kf_penalty_is_source(*old) ||
		    kf_penalty_is_over(way, t->service, t->now, failed))
			return way;
	}
	return NULL;
}

/*
 * A place that may be given away, and the source that it was of; NULL where others need all of
 * them. One that is just being given away may come back. One that holds nothing comes first.
 */
static __always_inline struct kf_penalty *kf_penalty_spare(const struct kf_penalty_try *t,
							   __u64 *old)
{
	struct kf_penalty *way = kf_penalty_spare_for(t, false, old);

	return way || !t->failed ? way : kf_penalty_spare_for(t, true, old);
}

/* Is @mine, marked as being given away, the only such place, and has @unit got none meanwhile? */
static __always_inline bool kf_penalty_is_alone(struct kf_penalty_set *set,
						const struct kf_penalty *mine, __u64 unit)
{
	bool alone = true;

#pragma unroll
	for (int i = 0; i < KF_PENALTY_WAYS; i++) {
		__u64 other = KF_PENALTY_READ(set->ways[i].unit);

		if (&set->ways[i] != mine && (other == KF_PENALTY_GIVING || other == unit))
			alone = false;
	}
	return alone;
}

static long kf_penalty_make_step(__u32 index, void *context)
{
	struct kf_penalty_try *t = context;
	struct kf_penalty *way;
	__u64 old;

	if (kf_penalty_in(t->set, t->unit))
		return 1;
	if (kf_penalty_in(t->set, KF_PENALTY_GIVING))
		return 0;
	way = kf_penalty_spare(t, &old);
	if (!way)
		return 1;
	if (old == KF_PENALTY_GIVING ||
	    __sync_val_compare_and_swap(&way->unit, old, KF_PENALTY_GIVING) != old)
		return 0;
	if (!kf_penalty_is_alone(t->set, way, t->unit) ||
	    (old && !kf_penalty_is_over(way, t->service, t->now, t->failed))) {
		__sync_lock_test_and_set(&way->unit, old);
		return 0;
	}
	*(volatile __u64 *)&way->until_ns = 0;
	*(volatile __u64 *)&way->window = kf_penalty_clock(t->now);
	*(volatile __u64 *)&way->successes = 0;
	__sync_lock_test_and_set(&way->unit, t->unit);
	return 1;
}

/*
 * Finds the place of a source or makes one; NULL where there is none. The place is marked first:
 * no CPU finds it then, and none makes another one in this set. The CPU that marked it looks again
 * before it clears it: its old owner may just have failed once more, or the source got a place from
 * another CPU. So no source has two places, and none inherits what another one did.
 */
static __always_inline struct kf_penalty *kf_penalty_make(struct kf_penalty_try *t)
{
	kf_loop(KF_PENALTY_TRIES, kf_penalty_make_step, t);
	return kf_penalty_in(t->set, t->unit);
}

/* kf_penalty.successes, as they count for what happens now; @counts: kf_penalty_counts() */
static __always_inline __u32 kf_penalty_successes(const struct kf_penalty_try *t, __u64 counts)
{
	__u32 successes = KF_PENALTY_READ(t->penalty->successes);

	if (kf_penalty_is_counted(counts, t->service, t->now))
		return successes;
	return kf_penalty_good_turn(successes, kf_penalty_is_long_over(counts, t->service, t->now));
}

static long kf_penalty_count_step(__u32 index, void *context)
{
	struct kf_penalty_try *t = context;
	struct kf_penalty *penalty = t->penalty;
	__u64 old = kf_penalty_counts(penalty), fresh = kf_penalty_clock(t->now);
	bool over = !kf_penalty_is_counted(old, t->service, t->now);
	__u64 failures = over ? 1 : (old >> 32) + 1;
	__u32 successes = kf_penalty_successes(t, old);
	bool raised;

	raised = failures >=
		 kf_penalty_allowed(t->service->penalty_failures, kf_penalty_good(successes));
	if (!raised)
		fresh = failures << 32 | (over ? fresh : (__u32)old);
	if (__sync_val_compare_and_swap((__u64 *)&penalty->window, old, fresh) != old)
		return 0;
	if (over || raised)
		*(volatile __u32 *)&penalty->successes = raised ? 0 : successes;
	t->raised = raised;
	return 1;
}

/*
 * Counts a failure. True where it is one too many: the counts begin anew with it, in the same
 * compare-and-swap, so that one CPU alone is told so. A CPU that loses the race for it until its
 * tries are used up does not count its failure.
 */
static __always_inline bool kf_penalty_count(struct kf_penalty_try *t)
{
	kf_loop(KF_PENALTY_TRIES, kf_penalty_count_step, t);
	return t->raised;
}

/*
 * Raises the next penalty, and returns its seconds; 0 where the last one, that ended at @until, is
 * not the last one any more.
 */
static __always_inline __u32 kf_penalty_raise(struct kf_penalty *penalty, __u64 until,
					      const struct kf_service *service, __u8 index,
					      __u64 now)
{
	__u32 level = kf_penalty_is_forgotten(until, service, now) ? 0 : penalty->level;
	__u64 seconds = (__u64)service->penalty_time << (level < 31 ? level : 31);

	if (seconds > service->penalty_time_max)
		seconds = service->penalty_time_max;
	if (__sync_val_compare_and_swap(&penalty->until_ns, until,
					now + seconds * KF_NSEC_PER_SEC) != until)
		return 0;
	penalty->level = level < 0xffff ? level + 1 : level;
	penalty->service = index;
	return seconds;
}

/*
 * One failure of @p's source, on a connection of its own. Noinline and global, as few packets come
 * here.
 */
__noinline int kf_penalty_fail(const struct kf_packet *p, const struct kf_config *config,
			       const struct kf_service *service, __u32 ifindex)
{
	struct kf_penalty_try t = { .service = service, .failed = 1 };
	struct kf_counters *counters;
	__u32 seconds;
	__u64 until;

	if (!p || !config || !service || !service->penalty_failures)
		return 0;
	t.unit = kf_source_unit_load(p->key.client);
	t.set = kf_penalty_set_of(config, t.unit);
	if (!t.set || !kf_penalty_is_source(t.unit) || kf_source_is_allowed(p, config))
		return 0;
	t.now = bpf_ktime_get_boot_ns();
	t.penalty = kf_penalty_make(&t);
	if (!t.penalty)
		return 0;
	until = KF_PENALTY_READ(t.penalty->until_ns);
	/* in force: the packet was on its way when another CPU raised it */
	if (t.now < until || !kf_penalty_count(&t) || KF_PENALTY_READ(t.penalty->unit) != t.unit)
		return 0;
	seconds = kf_penalty_raise(t.penalty, until, service, p->service, t.now);
	counters = kf_count_of(p->service);
	if (!seconds || !counters)
		return 0;
	counters->penalties++;
	kf_event_penalty(p, config, ifindex, seconds);
	return 0;
}

static long kf_penalty_good_step(__u32 index, void *context)
{
	struct kf_penalty_try *t = context;
	struct kf_penalty *penalty = t->penalty;
	__u64 old = kf_penalty_counts(penalty), fresh = kf_penalty_clock(t->now);
	__u32 successes = kf_penalty_successes(t, old);

	if ((successes & 0xffff) >= KF_PENALTY_GOOD_MAX)
		return 1;
	if (kf_penalty_is_counted(old, t->service, t->now))
		return __sync_val_compare_and_swap(&penalty->successes, successes, successes + 1) ==
		       successes;
	if (__sync_val_compare_and_swap((__u64 *)&penalty->window, old, fresh) != old)
		return 0;
	*(volatile __u32 *)&penalty->successes = successes + 1;
	return 1;
}

/*
 * A request of @p's source was admitted. Once in a window it has had enough of them nothing is
 * written any more: CPUs that serve one busy source do not fight for its cache line.
 */
static __noinline void kf_penalty_succeed(const struct kf_packet *p, const struct kf_config *config,
					  const struct kf_service *service)
{
	struct kf_penalty_try t = { .service = service };

	if (!service->penalty_failures)
		return;
	t.unit = kf_source_unit_load(p->key.client);
	t.set = kf_penalty_set_of(config, t.unit);
	if (!t.set || !kf_penalty_is_source(t.unit))
		return;
	t.now = kf_penalty_now();
	t.penalty = kf_penalty_in(t.set, t.unit);
	if (!t.penalty)
		t.penalty = kf_penalty_make(&t);
	if (t.penalty)
		kf_loop(KF_PENALTY_TRIES, kf_penalty_good_step, &t);
}

#endif /* KEYFILTER_PENALTY_COUNT_H */
