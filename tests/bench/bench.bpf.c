// SPDX-License-Identifier: GPL-2.0-only
/*
 * The XDP pipeline with its flow put back to the start before each run, so that BPF_PROG_TEST_RUN
 * can repeat one and the same head; and the putting back alone, whose time is taken off.
 */
#include "../../bpf/ctx_xdp.h"
#include "../../bpf/ingress.h"

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 2); /* of a service that drops, of one that replies */
	__type(key, __u32);
	__type(value, struct kf_flow_key);
} bench_key SEC(".maps");

static __always_inline void bench_put_back(__u32 which)
{
	struct kf_flow_key *key = bpf_map_lookup_elem(&bench_key, &which);
	struct kf_flow *flow = key ? bpf_map_lookup_elem(&kf_flows, key) : NULL;

	if (!flow)
		return;
	flow->state = KF_FLOW_HEAD;
	flow->in.resume_seq = flow->in.first;
	flow->judged.seq = flow->in.first;
	flow->in.acked_seq = flow->in.first;
	flow->judged.next = 0;
	flow->judged.stretch[0].len = 0;
	flow->answer.flags = 0;
	flow->response.requests = flow->response.ended;
}

/* What was handed over to TC comes as IPv4 again. */
static __always_inline void bench_put_back_frame(struct xdp_md *ctx)
{
	struct ethhdr *eth = (void *)(long)ctx->data;

	if ((void *)(eth + 1) <= (void *)(long)ctx->data_end)
		eth->h_proto = bpf_htons(ETH_P_IP);
}

SEC("xdp.frags")
int bench_empty(struct xdp_md *ctx)
{
	return XDP_PASS;
}

SEC("xdp.frags")
int bench_reset(struct xdp_md *ctx)
{
	bench_put_back(0);
	bench_put_back_frame(ctx);
	return XDP_PASS;
}

SEC("xdp.frags")
int bench_head(struct xdp_md *ctx)
{
	bench_put_back(0);
	bench_put_back_frame(ctx);
	return kf_ingress(ctx);
}

SEC("xdp.frags")
int bench_head_reply(struct xdp_md *ctx)
{
	bench_put_back(1);
	bench_put_back_frame(ctx);
	return kf_ingress(ctx);
}

char _license[] SEC("license") = "GPL";
