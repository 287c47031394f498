// SPDX-License-Identifier: GPL-2.0-only
/* Another XDP program, for second_xdp.sh: counts packets and passes them on. */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
#include <xdp/xdp_helpers.h>

struct {
	__uint(priority, 5);
	__uint(XDP_PASS, 1);
} XDP_RUN_CONFIG(other_xdp);

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u64);
} kf_other SEC(".maps");

SEC("xdp") int other_xdp(struct xdp_md *ctx)
{
	__u32 zero = 0;
	__u64 *count = bpf_map_lookup_elem(&kf_other, &zero);

	if (count)
		__sync_fetch_and_add(count, 1);
	return XDP_PASS;
}
char _license[] SEC("license") = "GPL";
