// SPDX-License-Identifier: GPL-2.0-only
/*
 * The pipeline on TC ingress, where XDP cannot be; on TC egress, beside both; and the answers to
 * what XDP refuses.
 */
#include "ctx_tc.h"
#include "answer.h"
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
	int verdict;

	kf_tc_pull(skb);
	verdict = kf_ingress(skb);
	return verdict == KF_VERDICT_ANSWER ? kf_answer(skb) : verdict;
}

/* On TC ingress behind XDP. Nearly every packet is none of its. */
SEC("tc")
int keyfilter_answer(struct __sk_buff *skb)
{
	__be16 proto = skb->protocol;

	if (proto != bpf_htons(KF_ETHERTYPE_ANSWER) && !kf_packet_is_vlan(proto))
		return TC_ACT_UNSPEC;
	if (!kf_answer_frame(skb))
		return TC_ACT_UNSPEC;
	kf_tc_pull(skb);
	return kf_answer_handed(skb);
}

SEC("tc")
int keyfilter_out(struct __sk_buff *skb)
{
	kf_tc_pull(skb);
	return kf_egress(skb);
}

char _license[] SEC("license") = "GPL";
