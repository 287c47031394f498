// SPDX-License-Identifier: GPL-2.0-only
/*
 * The XDP pipeline with its flow put back to the start before each run, so that BPF_PROG_TEST_RUN
 * can repeat one and the same head; and the putting back alone, whose time is taken off.
 */
#include "../../bpf/context_xdp.h"
#include "../../bpf/ingress.h"

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct kf_flow_key);
} bench_key SEC(".maps");

static __always_inline void bench_put_back(void)
{
	__u32 zero = 0;
	struct kf_flow_key *key = bpf_map_lookup_elem(&bench_key, &zero);
	struct kf_flow *flow = key ? bpf_map_lookup_elem(&kf_flows, key) : NULL;

	if (!flow)
		return;
	flow->state = KF_FLOW_HEAD;
	flow->resume_seq = flow->client_first;
	flow->judged_seq = flow->client_first;
	flow->acked_seq = flow->client_first;
	flow->judged_next = 0;
	flow->judged[0].len = 0;
}

SEC("xdp.frags")
int bench_empty(struct xdp_md *ctx)
{
	return XDP_PASS;
}

SEC("xdp.frags")
int bench_reset(struct xdp_md *ctx)
{
	bench_put_back();
	return XDP_PASS;
}

SEC("xdp.frags")
int bench_head(struct xdp_md *ctx)
{
	bench_put_back();
	return kf_ingress(ctx);
}

char _license[] SEC("license") = "GPL";
