/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * keystate.h - what the record of a key says, read alike by the kernel and the controller.
 *
 * Pure functions over struct kf_slot of abi.h. The controller writes the status meanwhile; it is
 * loaded once a call.
 */
#ifndef KEYFILTER_KEYSTATE_H
#define KEYFILTER_KEYSTATE_H

#include <keyfilter/abi.h>
#include <keyfilter/loop.h>

/* Is it still the key that a flow was admitted with? @check: kf_flow.slot_check. */
KF_INLINE _Bool kf_keystate_is(const struct kf_slot *slot, __u16 check)
{
	return *(const __u16 *)slot->tag == check;
}

/* KF_REASON_ADMITTED, or why its status forbids it to be used. */
KF_INLINE int kf_keystate_status(const struct kf_slot *slot)
{
	switch (*(const volatile __u32 *)&slot->status) {
	case KF_KEY_ENABLED:
		return KF_REASON_ADMITTED;
	case KF_KEY_DISABLED:
		return KF_REASON_KEY_DISABLED;
	default:
		return KF_REASON_UNKNOWN_KEY;
	}
}

/* The same with its expiry. @now: CLOCK_BOOTTIME; any value where expires_ns is KF_NEVER. */
KF_INLINE int kf_keystate_live(const struct kf_slot *slot, __u64 now)
{
	int reason = kf_keystate_status(slot);

	if (reason == KF_REASON_ADMITTED && slot->expires_ns != KF_NEVER && now >= slot->expires_ns)
		reason = KF_REASON_KEY_EXPIRED;
	return reason;
}

#endif /* KEYFILTER_KEYSTATE_H */
