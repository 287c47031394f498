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

/*
 * Good requests. kf_penalty.successes has those of this window in its lower half, those of the
 * window before in its upper one; of each window no more are counted than can be worth something.
 */
#define KF_PENALTY_GRACE    10 /* times the failures, at most */
#define KF_PENALTY_GOOD_MAX (2 * (KF_PENALTY_GRACE - 1))

KF_INLINE __u32 kf_penalty_good(__u32 successes)
{
	return (successes & 0xffff) + (successes >> 16);
}

/* kf_penalty.successes when a new window begins; @long_over: none was open for a whole window. */
KF_INLINE __u32 kf_penalty_good_turn(__u32 successes, _Bool long_over)
{
	return long_over ? 0 : successes << 16;
}

/*
 * How many failures in a window raise a penalty: @failures (kf_service.penalty_failures), and half
 * of that again for each good request, up to KF_PENALTY_GRACE times as many.
 */
KF_INLINE __u64 kf_penalty_allowed(__u32 failures, __u32 good)
{
	__u64 allowed = failures + (__u64)failures * good / 2;
	__u64 most = (__u64)failures * KF_PENALTY_GRACE;

	return allowed < most ? allowed : most;
}

#endif /* KEYFILTER_PENALTYSTATE_H */
