/* SPDX-License-Identifier: GPL-2.0-only */
/* concurrency.h - what concurrency_test tells the programs of concurrency.bpf.c, for each CPU. */
#ifndef KF_TESTS_PACKET_CONCURRENCY_H
#define KF_TESTS_PACKET_CONCURRENCY_H

#include <linux/types.h>

#define KF_RACE_CPUS 64

struct kf_race {
	__u8 source[16]; /* the first one's address */
	__u32 sources;	 /* that fail in turns */
	__u32 turn;
	__u32 slot;
	__u32 thread;	/* counts from 0 */
	__u64 passed;	/* SYNs that conformed, requests that were admitted, places kept */
	__u64 apart[3]; /* a cache line for each CPU */
};

#endif
