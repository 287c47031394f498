// SPDX-License-Identifier: GPL-2.0-only
/*
 * The parts of the data path that CPUs race for, each as a program of its own, so that
 * BPF_PROG_TEST_RUN can repeat it on all CPUs at once against the maps of a world. For TC:
 * repeating one for XDP costs tens of milliseconds to begin with.
 */
#include "../../bpf/ctx_tc.h"
#include "../../bpf/scratch.h"

#include "../../bpf/egress.h"
#include "../../bpf/kept.h"
#include "../../bpf/key.h"
#include "../../bpf/penalty_count.h"
#include "../../bpf/synrate.h"
#include "concurrency.h"

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, KF_RACE_CPUS);
	__uint(map_flags, BPF_F_MMAPABLE);
	__type(key, __u32);
	__type(value, struct kf_race);
} race SEC(".maps");

/* One connection, that all CPUs have a packet of. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct kf_flow);
} race_flow SEC(".maps");

/* Walks stand in a map, as those of the data path do. */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct kf_walk);
} race_walk SEC(".maps");

static __always_inline struct kf_race *race_get(void)
{
	__u32 cpu = bpf_get_smp_processor_id();

	return bpf_map_lookup_elem(&race, &cpu);
}

static __always_inline struct kf_service *race_service(void)
{
	__u32 zero = 0;

	return bpf_map_lookup_elem(&kf_services, &zero);
}

/* One failure of one of the sources, in turns. */
SEC("tc")
int race_fail(struct __sk_buff *ctx)
{
	struct kf_scratch *scratch = kf_scratch_get(KF_INGRESS);
	struct kf_service *service = race_service();
	struct kf_config *config = kf_config_get();
	struct kf_race *mine = race_get();

	if (!mine || !service || !config || !scratch)
		return TC_ACT_SHOT;
	__builtin_memcpy(scratch->packet.key.client, mine->source, 16);
	scratch->packet.key.client[15] += mine->turn++ % mine->sources;
	scratch->packet.service = 0;
	kf_penalty_fail(&scratch->packet, config, service, 1);
	return TC_ACT_OK;
}

/* An admitted request of the source, and a failure of it. */
SEC("tc")
int race_both(struct __sk_buff *ctx)
{
	struct kf_scratch *scratch = kf_scratch_get(KF_INGRESS);
	struct kf_service *service = race_service();
	struct kf_config *config = kf_config_get();
	struct kf_race *mine = race_get();

	if (!mine || !service || !config || !scratch)
		return TC_ACT_SHOT;
	__builtin_memcpy(scratch->packet.key.client, mine->source, 16);
	scratch->packet.service = 0;
	kf_penalty_succeed(&scratch->packet, config, service);
	kf_penalty_fail(&scratch->packet, config, service, 1);
	return TC_ACT_OK;
}

SEC("tc")
int race_syn(struct __sk_buff *ctx)
{
	struct kf_service *service = race_service();
	struct kf_config *config = kf_config_get();
	struct kf_race *mine = race_get();

	if (!mine || !service || !config)
		return TC_ACT_SHOT;
	mine->passed += kf_synrate_conforms(config, service, mine->source);
	return TC_ACT_OK;
}

SEC("tc")
int race_rate(struct __sk_buff *ctx)
{
	struct kf_race *mine = race_get();
	struct kf_slot *slot;
	struct kf_walk *walk;
	__u32 zero = 0;

	walk = bpf_map_lookup_elem(&race_walk, &zero);
	if (!mine || !walk)
		return TC_ACT_SHOT;
	walk->slot = mine->slot;
	slot = bpf_map_lookup_elem(&kf_slots, &walk->slot);
	if (!slot)
		return TC_ACT_SHOT;
	mine->passed += kf_key_rate(slot, bpf_ktime_get_boot_ns(), walk) == KF_REASON_ADMITTED;
	return TC_ACT_OK;
}

/*
 * One CPU is ingress: it keeps what it judges in a place, looks whether it still has it, and gives
 * it back once the backend has all of it, as a client's next request does. The others are egress.
 */
SEC("tc")
int race_head(struct __sk_buff *ctx)
{
	struct kf_scratch *scratch = kf_scratch_get(KF_INGRESS);
	struct kf_race *mine = race_get();
	struct kf_flow *flow;
	__u32 zero = 0;
	bool kept;

	flow = bpf_map_lookup_elem(&race_flow, &zero);
	if (!mine || !flow || !scratch)
		return TC_ACT_SHOT;
	if (mine->thread) {
		kf_egress_release(flow);
		return TC_ACT_OK;
	}
	flow->cookie = 1;
	*(volatile __u32 *)&flow->judged.seq = flow->in.acked_seq + 100;
	kept = !!kf_kept_place(&scratch->packet, flow);
	for (int i = 0; i < 8; i++)
		kept &= !!kf_place_find(flow);
	mine->passed += kept;
	*(volatile __u32 *)&flow->in.acked_seq = flow->judged.seq;
	kf_kept_release(flow);
	return TC_ACT_OK;
}

/* The same two at the worst moment: egress stands still in front of its last step meanwhile. */
SEC("tc")
int race_head_late(struct __sk_buff *ctx)
{
	struct kf_scratch *scratch = kf_scratch_get(KF_INGRESS);
	struct kf_race *mine = race_get();
	struct kf_flow *flow;
	__u32 zero = 0, taken;

	flow = bpf_map_lookup_elem(&race_flow, &zero);
	if (!mine || !flow || !scratch || mine->thread)
		return TC_ACT_OK;
	flow->cookie = 1;
	kf_kept_place(&scratch->packet, flow);
	taken = *(volatile __u32 *)&flow->head;
	kf_kept_release(flow);
	kf_kept_place(&scratch->packet, flow);
	kf_place_give_back(flow, taken);
	mine->passed += !!kf_place_find(flow);
	kf_kept_release(flow);
	return TC_ACT_OK;
}

char _license[] SEC("license") = "GPL";
