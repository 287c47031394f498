#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# Beside another XDP program: both run, and either leaves without the other.
. "$(dirname "$0")/lib.sh"

command -v clang > /dev/null || skip "no clang to compile the other program with"
command -v xdp-loader > /dev/null || skip "no xdp-loader to load the other program with"
cat > "$WORK/other.c" <<'END'
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
END
clang -O2 -g -target bpf -I"/usr/include/$(gcc -print-multiarch)" -c "$WORK/other.c" -o "$WORK/other.o" ||
	fail "cannot compile the other program"

loader() { server xdp-loader "$@" 2>&1; }
programs() { loader status s0; }
other_count() {
	local id
	id=$(bpftool -j map list | json '[m["id"] for m in d if m.get("name") == "kf_other"][-1]')
	bpftool -j map dump id "$id" | json 'd[0]["formatted"]["value"]'
}

make_stage
start_backend
start_daemon
add_service
make_key KEY good

output=$(loader load -m native s0 "$WORK/other.o") || fail "xdp-loader load: $output"
attach native
programs | grep -q other_xdp && programs | grep -q keyfilter || fail "not both are loaded: $(programs)"
before=$(other_count)
served "beside a program that was there first" -H "$(bearer "$KEY")"
refused "beside it" no_key
[ "$(other_count)" -gt "$before" ] || fail "the other program no longer sees packets"
ok "the other program saw $(($(other_count) - before)) packets"

must "iface detach" ctl iface detach s0
programs | grep -q other_xdp || fail "detaching took the other program with it: $(programs)"
! programs | grep -q keyfilter || fail "detaching left ours: $(programs)"
status=$(request gone)
[ "$status" = 200 ] || fail "detached, and a request gets $status"
ok "ours left, the other stayed"

loader unload s0 --all > /dev/null
attach native
output=$(loader load -m native s0 "$WORK/other.o") || fail "xdp-loader load beside ours: $output"
served "beside a program that came later" -H "$(bearer "$KEY")"
refused "beside it" unknown_key -H "$(bearer "$UNKNOWN")"
id=$(programs | awk '/other_xdp/ { for (i = 1; i <= NF; i++) if ($i ~ /^[0-9]+$/ && $i > 99) print $i }' | head -n 1)
[ -z "$id" ] || loader unload s0 --id "$id" > /dev/null
! programs | grep -q other_xdp || fail "the other program is still there: $(programs)"
refused "after the other one left" no_key
served "after the other one left" -H "$(bearer "$KEY")"

output=$(ctl iface attach s0 --mode generic 2>&1) && fail "attached in native and generic mode at a time"
ok "a second mode: $output"
