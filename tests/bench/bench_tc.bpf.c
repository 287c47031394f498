// SPDX-License-Identifier: GPL-2.0-only
/*
 * The answer to what XDP handed over, with flow and frame put back before each run, so that
 * BPF_PROG_TEST_RUN can repeat it; the putting back alone; and nothing.
 */
#include "../../bpf/ctx_tc.h"
#include "../../bpf/answer.h"

#define BENCH_FRAME_MAX 512

struct bench_frame {
	__u32 len;
	__u8 bytes[BENCH_FRAME_MAX];
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct kf_flow_key);
} bench_key SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct bench_frame);
} bench_frame SEC(".maps");

/* As the XDP program leaves a flow that it refused. */
static __always_inline void bench_put_back_flow(void)
{
	__u32 zero = 0;
	struct kf_flow_key *key = bpf_map_lookup_elem(&bench_key, &zero);
	struct kf_flow *flow = key ? bpf_map_lookup_elem(&kf_flows, key) : NULL;

	if (!flow)
		return;
	flow->state = KF_FLOW_REFUSED;
	flow->answer.reason = KF_REASON_UNKNOWN_KEY;
	flow->answer.flags = 0;
	flow->response.requests = flow->response.ended;
	flow->flags = 0;
	flow->out.flags = 0;
	flow->cut = 0;
	flow->in.resume_seq = flow->in.first;
	flow->in.acked_seq = flow->in.first;
	flow->out.seq = flow->out.first;
	flow->response.seq = flow->out.first;
}

/* What came, where the last run left a RST. */
static __always_inline int bench_put_back_frame(struct __sk_buff *skb)
{
	__u32 zero = 0, len;
	struct bench_frame *frame = bpf_map_lookup_elem(&bench_frame, &zero);

	if (!frame)
		return -1;
	len = frame->len;
	KF_LAUNDER(len);
	if (!len || len > BENCH_FRAME_MAX || bpf_skb_change_tail(skb, len, 0))
		return -1;
	return bpf_skb_store_bytes(skb, 0, frame->bytes, kf_length(len, BENCH_FRAME_MAX), 0);
}

SEC("tc")
int bench_tc_empty(struct __sk_buff *skb)
{
	return TC_ACT_REDIRECT;
}

SEC("tc")
int bench_tc_reset(struct __sk_buff *skb)
{
	bench_put_back_flow();
	bpf_skb_change_tail(skb, 54, 0); /* as long as the RST */
	return bench_put_back_frame(skb) ? TC_ACT_SHOT : TC_ACT_REDIRECT;
}

SEC("tc")
int bench_tc_answer(struct __sk_buff *skb)
{
	bench_put_back_flow();
	if (bench_put_back_frame(skb) || !kf_answer_frame(skb))
		return TC_ACT_UNSPEC;
	return kf_answer_handed(skb);
}

char _license[] SEC("license") = "GPL";
