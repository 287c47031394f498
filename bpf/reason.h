/* SPDX-License-Identifier: GPL-2.0-only */
/* reason.h - what follows from the reason of a packet (enum kf_reason). */
#ifndef KEYFILTER_REASON_H
#define KEYFILTER_REASON_H

#include <keyfilter/abi.h>

/* The reasons of a class as a set of bits. */
#define KF_CLASS_BITS(wanted)                                                                      \
	({                                                                                         \
		__u64 bits = 0;                                                                    \
		KF_REASONS(KF_CLASS_BIT_##wanted)                                                  \
		bits;                                                                              \
	})
#define KF_CLASS_BIT_PASS(symbol, name, class, status)                                             \
	bits |= KF_CLASS_##class == KF_CLASS_PASS ? 1ull << KF_REASON_##symbol : 0;
#define KF_CLASS_BIT_REFUSE(symbol, name, class, status)                                           \
	bits |= KF_CLASS_##class == KF_CLASS_REFUSE ? 1ull << KF_REASON_##symbol : 0;

KF_STATIC_ASSERT(KF_REASON_COUNT <= 64, "reasons no longer fit one word");

/* Does the packet pass? */
static __always_inline bool kf_reason_passes(__u8 reason)
{
	return KF_CLASS_BITS(PASS) >> (reason & 63) & 1;
}

/* Is there an event of it? */
static __always_inline bool kf_reason_is_told(__u8 reason)
{
	const __u64 told = KF_CLASS_BITS(REFUSE) | 1ull << KF_REASON_SOURCE_DENIED |
			   1ull << KF_REASON_FLOWS_FULL;

	return told >> (reason & 63) & 1;
}

/* Is it held against the source? What costs its client money or patience is not. */
static __always_inline bool kf_reason_is_failure(__u8 reason)
{
	const __u64 failures = 1ull << KF_REASON_NO_KEY | 1ull << KF_REASON_UNKNOWN_KEY |
			       1ull << KF_REASON_KEY_DISABLED | 1ull << KF_REASON_KEY_EXPIRED |
			       1ull << KF_REASON_IP_NOT_ALLOWED | 1ull << KF_REASON_MALFORMED |
			       1ull << KF_REASON_HEAD_TOO_LARGE;

	return failures >> (reason & 63) & 1;
}

#endif /* KEYFILTER_REASON_H */
