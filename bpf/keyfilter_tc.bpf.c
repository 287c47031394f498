// SPDX-License-Identifier: GPL-2.0-only
/* The pipeline on TC ingress, where XDP cannot be; and on TC egress, beside both. */
#include "context_tc.h"
#include "egress.h"
#include "ingress.h"

#define KF_LINEAR 256 /* Ethernet, tags, IP with options or extensions, TCP with options */

/* The stack hands over the headers in the linear part, but what lies behind options may not be. */
static __always_inline void kf_tc_pull(struct __sk_buff *skb)
{
	__u32 want = skb->len < KF_LINEAR ? skb->len : KF_LINEAR;

	if (skb->data_end - skb->data < want)
		bpf_skb_pull_data(skb, want);
}

SEC("tc")
int keyfilter_in(struct __sk_buff *skb)
{
	kf_tc_pull(skb);
	return kf_ingress(skb);
}

SEC("tc")
int keyfilter_out(struct __sk_buff *skb)
{
	kf_tc_pull(skb);
	return kf_egress(skb);
}

char _license[] SEC("license") = "GPL";
