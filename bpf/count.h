/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * count.h - every packet to a service is counted once, under its reason.
 *
 * Counters are per CPU and written by the CPU that owns them, so a plain increment does.
 */
#ifndef KEYFILTER_COUNT_H
#define KEYFILTER_COUNT_H

#include "maps.bpf.h"
#include "packet.h"

static __always_inline struct kf_counters *kf_count_of(__u32 service)
{
	return bpf_map_lookup_elem(&kf_counters, &service);
}

static __always_inline void kf_count_packet(__u32 service, __u32 reason)
{
	struct kf_counters *counters = kf_count_of(service);

	KF_LAUNDER(reason); /* the register that is checked is the one that is used */
	if (counters && reason < KF_REASON_MAX)
		counters->packets[reason]++;
}

static __always_inline void kf_count_requests(__u32 service, __u32 admitted, __u32 refused)
{
	struct kf_counters *counters = kf_count_of(service);

	if (!counters)
		return;
	counters->requests_admitted += admitted;
	counters->requests_refused += refused;
}

static __always_inline void kf_count_cut(__u32 service)
{
	struct kf_counters *counters = kf_count_of(service);

	if (counters)
		counters->flows_cut++;
}

/* A packet that was dropped, and of no service that is known. */
static __always_inline void kf_count_unread(enum kf_unread_why why)
{
	__u32 zero = 0;
	struct kf_unread *unread = bpf_map_lookup_elem(&kf_unread, &zero);

	if (unread)
		unread->packets[why]++;
}

#endif /* KEYFILTER_COUNT_H */
