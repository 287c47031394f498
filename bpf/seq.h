/* SPDX-License-Identifier: GPL-2.0-only */
/* seq.h - sequence numbers, which wrap. */
#ifndef KEYFILTER_SEQ_H
#define KEYFILTER_SEQ_H

#include <linux/types.h>

/* RFC 9293 section 3.4 */
static __always_inline bool kf_seq_before(__u32 a, __u32 b)
{
	return (__s32)(a - b) < 0;
}

#endif /* KEYFILTER_SEQ_H */
