// SPDX-License-Identifier: GPL-2.0-only
/* Which time it is, while the wall clock is set to and fro. Links the daemon's objects. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>

#include "policy/walltime.h"

#define S      1000000000ll
#define MINUTE (60 * S)
#define HOUR   (60 * MINUTE)
#define WALL   (1795428000 * S)

static const struct kf_store_time never = { 0 };

/* A machine whose clocks go on together, until the wall clock is set. */
struct machine {
	struct kf_clock raw;
	struct kf_walltime w;
};

static void start(struct machine *m, const struct kf_store_time *stored, const char *boot)
{
	kf_policy_walltime_open(&m->w, stored, boot, &m->raw);
}

static void go_on(struct machine *m, int64_t ns)
{
	for (int64_t step; ns > 0; ns -= step) {
		step = ns < 2 * S ? ns : 2 * S;
		m->raw.wall_ns += step;
		m->raw.boot_ns += (uint64_t)step;
		kf_policy_walltime_look(&m->w, &m->raw);
	}
}

static void set(struct machine *m, int64_t by)
{
	m->raw.wall_ns += by;
}

static int64_t later(const struct machine *m)
{
	return kf_policy_walltime_at(&m->w, &m->raw).wall_ns;
}

static int64_t earlier(const struct machine *m)
{
	struct kf_clock at = kf_policy_walltime_at(&m->w, &m->raw);

	return at.wall_ns - at.doubt_ns;
}

static struct machine fresh(void)
{
	struct machine m = { .raw = { .wall_ns = WALL, .boot_ns = 100 * S } };

	start(&m, &never, "boot-1");
	return m;
}

static struct kf_store_time stored_by(const struct machine *m, const char *boot)
{
	struct kf_store_time time = { 0 };

	kf_policy_walltime_note(&m->w, boot, &time);
	return time;
}

static void clock_that_is_right_is_followed(void **state)
{
	struct machine m = fresh();

	assert_true(kf_policy_walltime_is_sure(&m.w));
	go_on(&m, HOUR);
	assert_true(later(&m) == WALL + HOUR);
	assert_true(earlier(&m) == WALL + HOUR);
	for (int i = 0; i < 3600; i++) { /* slewed by 5 % for an hour */
		set(&m, S / 20);
		go_on(&m, S);
	}
	assert_true(earlier(&m) == m.raw.wall_ns);
	assert_true(m.w.seen == m.raw.wall_ns);
}

/* NTP or a hand sets the clock forward for a moment: no denial ends, nothing is deleted. */
static void step_forward_waits(void **state)
{
	struct machine m = fresh();

	go_on(&m, HOUR);
	set(&m, 26 * S / 10);
	assert_true(earlier(&m) == WALL + HOUR); /* before anybody has looked */
	assert_true(later(&m) == m.raw.wall_ns);
	go_on(&m, MINUTE);
	assert_true(earlier(&m) == WALL + HOUR + MINUTE);
	assert_true(later(&m) == m.raw.wall_ns);
	assert_true(m.w.seen == WALL + HOUR); /* what may be wrong is not what is held to */
	set(&m, -26 * S / 10);
	go_on(&m, 2 * S);
	assert_true(earlier(&m) == m.raw.wall_ns);
	assert_true(m.w.seen == m.raw.wall_ns);
	set(&m, 1000 * HOUR);
	go_on(&m, KF_WALLTIME_SETTLE - 4 * S);
	assert_true(earlier(&m) < m.raw.wall_ns - 999 * HOUR);
	go_on(&m, 6 * S);
	assert_true(earlier(&m) == m.raw.wall_ns); /* it has lasted */
	assert_true(m.w.seen == m.raw.wall_ns);
}

/* What has expired has expired; time goes on from there, until the clock has come there, too. */
static void step_back_admits_nothing(void **state)
{
	struct machine m = fresh();
	int64_t seen;

	go_on(&m, HOUR);
	seen = m.w.seen;
	set(&m, -10 * MINUTE);
	assert_true(later(&m) == seen);
	go_on(&m, 4 * MINUTE);
	assert_true(later(&m) >= seen + 4 * MINUTE - 2 * S && later(&m) <= seen + 4 * MINUTE);
	assert_true(earlier(&m) == m.raw.wall_ns);
	assert_true(m.w.behind_ns);
	go_on(&m, 7 * MINUTE);
	assert_true(later(&m) == m.raw.wall_ns);
	assert_true(later(&m) >= seen);
	assert_false(m.w.behind_ns);
}

static void clock_behind_at_the_start_is_not_believed(void **state)
{
	struct machine m = fresh(), next = { .raw = { .wall_ns = 1000 * S, .boot_ns = 5 * S } };
	struct kf_store_time stored;

	go_on(&m, HOUR);
	stored = stored_by(&m, "boot-1");
	start(&next, &stored, "boot-2");
	assert_true(later(&next) == stored.seen);
	go_on(&next, 5 * HOUR); /* nobody sets it */
	assert_true(later(&next) >= stored.seen + 5 * HOUR - 2 * S);
	set(&next, WALL + 20 * HOUR);
	go_on(&next, 2 * S);
	assert_true(later(&next) == next.raw.wall_ns);
}

/*
 * A new boot has a clock that may be wrong: gone by, but nothing is deleted, and nothing held to.
 */
static void clock_of_a_new_boot_has_to_last(void **state)
{
	struct machine m = fresh(), next = { .raw = { .wall_ns = WALL + 99 * HOUR, .boot_ns = S } };
	struct kf_store_time stored;

	go_on(&m, HOUR);
	stored = stored_by(&m, "boot-1");
	start(&next, &stored, "boot-2");
	assert_false(kf_policy_walltime_is_sure(&next.w));
	assert_true(next.w.seen == stored.seen);
	stored = stored_by(&next, "boot-2"); /* a restart does not make it last */
	start(&next, &stored, "boot-2");
	assert_false(kf_policy_walltime_is_sure(&next.w));
	set(&next, -97 * HOUR); /* NTP */
	go_on(&next, MINUTE);
	assert_false(kf_policy_walltime_is_sure(&next.w));
	assert_true(next.w.seen == stored.seen);
	assert_true(later(&next) == next.raw.wall_ns);
	go_on(&next, KF_WALLTIME_SETTLE);
	assert_true(kf_policy_walltime_is_sure(&next.w));
	assert_true(next.w.seen == next.raw.wall_ns);
}

/* Set while nobody looked: the process before knows how the clock went in this boot. */
static void step_between_two_processes_waits(void **state)
{
	struct machine m = fresh(), next;
	struct kf_store_time stored;

	go_on(&m, HOUR);
	stored = stored_by(&m, "boot-1");
	next = m;
	set(&next, HOUR);
	start(&next, &stored, "boot-1");
	assert_true(kf_policy_walltime_is_sure(&next.w));
	assert_true(earlier(&next) == next.raw.wall_ns - HOUR);
	start(&m, &stored, "boot-1"); /* and where nothing was set, nothing is doubted */
	assert_true(earlier(&m) == m.raw.wall_ns);
	assert_true(kf_policy_walltime_is_sure(&m.w));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(clock_that_is_right_is_followed),
		cmocka_unit_test(step_forward_waits),
		cmocka_unit_test(step_back_admits_nothing),
		cmocka_unit_test(clock_behind_at_the_start_is_not_believed),
		cmocka_unit_test(clock_of_a_new_boot_has_to_last),
		cmocka_unit_test(step_between_two_processes_waits),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
