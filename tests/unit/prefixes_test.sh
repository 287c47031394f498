#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# scripts/prefixes.sh: the tree as it is passes; a function with another name than its file's, or in userspace
# its folder's, is told by its line, however it is declared.
set -uo pipefail

prefixes=$(cd "$(dirname "$0")/../.." && pwd)/scripts/prefixes.sh
tree=$(mktemp -d)
trap 'rm -rf "$tree"' EXIT
fail() { echo "  FAIL  $*"; exit 1; }

# try FILE LINE: a good tree whose FILE has this line as its second; prints what is said.
try() {
	rm -rf "${tree:?}"/*
	mkdir -p "$tree"/{bpf,include/keyfilter,userspace/{lib,ctl,daemon/{base,policy,store}}}
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

expect_good userspace/daemon/policy/key_edit.c 'int kf_policy_key_edit(struct kf_other *policy)'
expect_good userspace/daemon/policy/open.c 'void kf_policy_close(struct kf_policy *policy)'
expect_good userspace/daemon/policy/open.c 'static int kf_other(int a)'
expect_good userspace/daemon/policy/open.c '	err = kf_other_begin(&a);'
expect_good userspace/daemon/base/lock.c 'int kf_lock_acquire(int a)'
expect_good userspace/daemon/store/sqlite.c 'int64_t kf_sql_int(struct kf_sql *q)'
expect_good userspace/daemon/loop.c 'int kf_loop_run(struct kf_daemon *daemon)'
expect_good userspace/lib/json.c 'void kf_cleanup_json(json_t **json)'
expect_good userspace/ctl/key_many.c 'int kf_key_many(struct kf_call *call)'
expect_refused userspace/daemon/policy/open.c 'int kf_other_close(struct kf_policy *policy)'
expect_refused userspace/daemon/policy/open.c 'const struct kf_policy *kf_other_at('
expect_refused userspace/daemon/base/lock.c 'int kf_other_lock(int a)'
expect_refused userspace/daemon/loop.c 'int kf_other_loop(struct kf_daemon *daemon)'
expect_refused userspace/lib/cidr.c 'bool kf_other_cidr(const struct kf_cidr *a)'
expect_refused userspace/ctl/key.c 'int kf_other(struct kf_call *call)'
