/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * clock.h - every clock that keyfilter reads. Nanoseconds, unless said.
 *
 * Ends that an operator names are wall-clock times; the programs in the kernel know CLOCK_BOOTTIME
 * alone, and both are read together where one is turned into the other. CLOCK_MONOTONIC is for what
 * this process waits for. Any thread.
 */
#ifndef KEYFILTER_LIB_CLOCK_H
#define KEYFILTER_LIB_CLOCK_H

#include <stdint.h>
#include <time.h>

/* Both clocks, read at the same instant. */
struct kf_clock {
	int64_t wall_ns;  /* CLOCK_REALTIME */
	uint64_t boot_ns; /* CLOCK_BOOTTIME */
	/*
	 * the wall clock may be ahead of the time by so much: what refuses ends by wall_ns - this
	 */
	int64_t doubt_ns;
};

struct kf_clock kf_clock_now(void); /* doubt_ns: 0 */

uint64_t kf_clock_boot(void); /* CLOCK_BOOTTIME, the clock of the programs */
uint64_t kf_clock_monotonic(void);
uint64_t kf_clock_micros(void); /* the same in microseconds, as sd-event counts, */
time_t kf_clock_seconds(void);	/* and in seconds */

/* As kf_flow.seen counts, about seconds: CLOCK_MONOTONIC, as it is read cheaply, >> 30. */
uint32_t kf_clock_seen(void);

#endif
