/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * sourcestate.h - what the record of a source says, read alike by the kernel and the controller.
 *
 * Pure functions over struct kf_source of abi.h. All times are CLOCK_BOOTTIME.
 */
#ifndef KEYFILTER_SOURCESTATE_H
#define KEYFILTER_SOURCESTATE_H

#include <keyfilter/abi.h>
#include <keyfilter/loop.h>

/* Does what ends at @until_ns hold at @now_ns? KF_NEVER: always; 0: it never did. */
KF_INLINE _Bool kf_sourcestate_in_force(__u64 until_ns, __u64 now_ns)
{
	return until_ns == KF_NEVER || until_ns > now_ns;
}

/* Does it take a clock to know whether it holds? */
KF_INLINE _Bool kf_sourcestate_is_timed(__u64 until_ns)
{
	return until_ns && until_ns != KF_NEVER;
}

/* The allow list stands above the deny list, and above penalties. */
KF_INLINE _Bool kf_sourcestate_is_allowed(const struct kf_source *source, __u64 now_ns)
{
	return kf_sourcestate_in_force(source->allow_until, now_ns);
}

KF_INLINE _Bool kf_sourcestate_is_denied(const struct kf_source *source, __u64 now_ns)
{
	return !kf_sourcestate_is_allowed(source, now_ns) &&
	       kf_sourcestate_in_force(source->deny_until, now_ns);
}

#endif /* KEYFILTER_SOURCESTATE_H */
