// SPDX-License-Identifier: GPL-2.0-only
#include "clock.h"

#define TRIES	 8
#define NS_PER_S 1000000000u

static uint64_t read_clock(clockid_t id)
{
	struct timespec t;

	clock_gettime(id, &t);
	return (uint64_t)t.tv_sec * NS_PER_S + (uint64_t)t.tv_nsec;
}

uint64_t kf_clock_boot(void)
{
	return read_clock(CLOCK_BOOTTIME);
}

uint64_t kf_clock_monotonic(void)
{
	return read_clock(CLOCK_MONOTONIC);
}

uint64_t kf_clock_micros(void)
{
	return kf_clock_monotonic() / 1000;
}

time_t kf_clock_seconds(void)
{
	return (time_t)(kf_clock_monotonic() / NS_PER_S);
}

uint32_t kf_clock_seen(void)
{
	return (uint32_t)(read_clock(CLOCK_MONOTONIC_COARSE) >> 30);
}

/*
 * Of several tries the one that was least interrupted. The time before the wall clock was read is
 * taken, so that a deadline is early by that bit, never late.
 */
struct kf_clock kf_clock_now(void)
{
	struct kf_clock best = { 0 };
	uint64_t shortest = UINT64_MAX;

	for (int i = 0; i < TRIES; i++) {
		uint64_t before = kf_clock_boot();
		uint64_t wall = read_clock(CLOCK_REALTIME);
		uint64_t took = kf_clock_boot() - before;

		if (took >= shortest)
			continue;
		shortest = took;
		best.wall_ns = (int64_t)wall;
		best.boot_ns = before;
	}
	return best;
}
