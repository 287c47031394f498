/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * penaltystate.h - what the record of a penalty says, read alike by the kernel and the controller.
 *
 * Pure functions over members of struct kf_penalty of abi.h.
 */
#ifndef KEYFILTER_PENALTYSTATE_H
#define KEYFILTER_PENALTYSTATE_H

#include <keyfilter/abi.h>
#include <keyfilter/loop.h>

/* The clock of kf_penalty.window: about seconds. */
KF_INLINE __u32 kf_penalty_clock(__u64 now_ns)
{
	return now_ns >> 30;
}

/*
 * Is the window over that began at @window (kf_penalty.window)? Its clock ticks in 2^30 ns: it
 * lasts its time and up to two ticks more.
 */
KF_INLINE _Bool kf_penalty_window_is_over(__u32 window, __u64 window_ns, __u64 now_ns)
{
	__s32 age = kf_penalty_clock(now_ns) - window;

	return age > 0 && (__u64)(age - 1) << 30 >= window_ns;
}

#endif /* KEYFILTER_PENALTYSTATE_H */
