#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# scripts/prefixes.sh: the tree as it is passes; a function with another name than its file's is told by
# its line, however it is declared.
set -uo pipefail

prefixes=$(cd "$(dirname "$0")/../.." && pwd)/scripts/prefixes.sh
tree=$(mktemp -d)
trap 'rm -rf "$tree"' EXIT
fail() { echo "  FAIL  $*"; exit 1; }

# try FILE LINE: a good tree whose FILE has this line as its second; prints what is said.
try() {
	rm -rf "${tree:?}"/*
	mkdir -p "$tree/bpf" "$tree/include/keyfilter"
	echo 'static __always_inline void kf_cut_begin(int a)' > "$tree/bpf/cut.h"
	echo 'KF_INLINE int kf_http1_name(int a)' > "$tree/include/keyfilter/http1_field.h"
	echo 'KF_INLINE int kf_flow_is_over(int a)' > "$tree/include/keyfilter/flowstate.h"
	printf '/* one */\n%s\n' "$2" >> "$tree/$1"
	"$prefixes" "$tree"
}
expect_good() {
	local said
	said=$(try "$@") || fail "$1: '$2' is refused: $said"
	echo "  ok    $1 may have $2"
}
expect_refused() {
	local said
	said=$(try "$@") && fail "$1: '$2' passes"
	[[ $said == *"$1:"*": kf_other"* ]] || fail "$1: '$2': expected its line and name, got: $said"
	echo "  ok    $1 must not have $2"
}

"$prefixes" || fail "the tree as it is"
echo "  ok    the tree as it is"
expect_good bpf/cut.h '__noinline int kf_cut_end(struct kf_other *flow)'
expect_good bpf/cut.h '	kf_other_call(flow);'
expect_good include/keyfilter/flowstate.h 'KF_INLINE int kf_flowstate_size(void)'
expect_good include/keyfilter/abi.h 'static inline int kf_other_thing(int a)'
expect_refused bpf/cut.h '__noinline int kf_other_end(struct kf_cut *flow)'
expect_refused bpf/cut.h 'static long kf_other(__u32 index, void *context)'
expect_refused bpf/cut.h 'static __always_inline struct kf_cut *kf_other_find('
expect_refused bpf/cut.h 'static __attribute__((noinline)) int kf_other_attr(int a)'
expect_refused include/keyfilter/http1_field.h 'KF_INLINE int kf_other_name(int a)'
