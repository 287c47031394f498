/* SPDX-License-Identifier: GPL-2.0-only */
/* body.h - what body.bpf.c and those who run it share: the one value of its map. */
#ifndef KF_TESTS_PACKET_BODY_H
#define KF_TESTS_PACKET_BODY_H

#include <keyfilter/body.h>

struct kf_body_place {
	struct kf_body body;
	__u64 secret[2];
	__u32 from;  /* of buf, what is read: from here */
	__u32 to;    /* to here */
	__u32 first; /* begin anew in each run */
	__u32 pad;
	__u8 buf[KF_BODY_BUFFER];
};

#endif
