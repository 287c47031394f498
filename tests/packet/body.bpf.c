// SPDX-License-Identifier: GPL-2.0-only
/* body.h as the kernel runs it: reads what lies in a map, for body_test and packet_bench. */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

#include <keyfilter/body.h>

#include "body.h"

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct kf_body_place);
} body_place SEC(".maps");

__noinline int kf_body_read(struct kf_body_place *place)
{
	if (!place)
		return -1;
	return kf_body_parse(&place->body, place->secret, place->buf, place->from, place->to);
}

SEC("xdp")
int body_run(struct xdp_md *ctx)
{
	__u32 zero = 0;
	struct kf_body_place *place = bpf_map_lookup_elem(&body_place, &zero);

	if (!place)
		return -1;
	if (place->first)
		kf_body_begin(&place->body);
	return kf_body_read(place);
}

char _license[] SEC("license") = "GPL";
