#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# scripts/stack_depth.py: the programs load on Linux 6.1 as far as their stacks go; a deeper one would be found.
set -uo pipefail

root=$(cd "$(dirname "$0")/../.." && pwd)
bpf=${KF_BUILD:-$root/build}/bpf
fail() { echo "  FAIL  $*"; exit 1; }

for object in "$bpf"/keyfilter_{xdp,tc}.bpf.o; do
	"$root/scripts/stack_depth.py" "$object" || fail "$object"
done
seen=$("$root/scripts/stack_depth.py" "$bpf/keyfilter_xdp.bpf.o" 300) && fail "500 bytes are less than 300"
[[ $seen == *"keyfilter_xdp is too deep for Linux 6.1: "*" bytes of 300, "* ]] || fail "it says: $seen"
[[ $seen == *"kf_judge_slow"*"kf_walk_"*"_step "* ]] || fail "calls and callbacks are not followed: $seen"
