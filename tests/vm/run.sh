#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# run.sh [BUILD_DIR [PATTERN]] - the tests that depend on the kernel, on each kernel of KF_KERNELS
# (6.1 and 6.12: the oldest that is supported, and the newest that Debian 12 offers), in a machine of
# its own. Inside, scripts/check.sh runs what matches PATTERN, one test at a time.
#
# run.sh KERNEL COMMAND... is boot.sh. The last line is "N passed, N failed, N skipped", of all
# kernels; a kernel that cannot be had here counts as one skipped test.
set -uo pipefail

here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
case ${1:-} in
[0-9]*.[0-9]*) exec "$here/boot.sh" "$@" ;;
esac
build=$(cd "${1:-$root/build}" && pwd) || exit 1
# The emulator is some twenty times slower than the machine it runs on: what only takes time stays out.
pattern=${2:-"packet/packet_test|e2e/(serve_and_refuse|modes|keepalive|split_head|bodies|dnat|existing|unload|restart|link_watch|vlan|second_xdp|refusals|linger|pipelined_refusal|cut)\$"}

files=$(mktemp -d)
trap 'rm -rf "$files"' EXIT
mkdir -p "$files"/{build/tools,build/tests,tests,scripts}
cp "$build/keyfilterd" "$build/keyfilterctl" "$files/build/" || exit 1
cp "$build/tools/keyfilter-stub" "$files/build/tools/" || exit 1
[ ! -d "$build/tests/packet" ] || cp -r "$build/tests/packet" "$files/build/tests/"
[ ! -d "$build/bpf" ] || { mkdir "$files/build/bpf"; cp "$build"/bpf/*.bpf.o "$files/build/bpf/"; }
cp -r "$root/tests/e2e" "$root/tests/packet" "$files/tests/"
cp "$root/scripts/check.sh" "$files/scripts/"
find "$files/build" -name '*.[do]' ! -name '*.bpf.o' -delete
clang -O2 -g -target bpf -I"/usr/include/$(gcc -print-multiarch)" -c "$root/tests/e2e/other_xdp.c" \
	-o "$files/build/tests/other_xdp.o" || exit 1

passed=0 failed=0 skipped=0
for kernel in ${KF_KERNELS:-6.1 6.12}; do
	echo "Linux $kernel"
	log=$files.$kernel
	"$here/boot.sh" -t "${KF_VM_LIMIT:-1500}" -f "$files" "$kernel" \
		env KF_JOBS=1 KF_TIMEOUT=400 /bin/bash scripts/check.sh build "$pattern" | tee "$log"
	status=${PIPESTATUS[0]}
	if [ "$status" -eq 77 ]; then
		echo "SKIP Linux $kernel"
		skipped=$((skipped + 1))
	elif read -r p _ f _ s _ < <(grep -E '^[0-9]+ passed, [0-9]+ failed, [0-9]+ skipped$' "$log"); then
		passed=$((passed + p)) failed=$((failed + f)) skipped=$((skipped + s))
	else
		echo "FAIL Linux $kernel: the tests did not come to an end"
		failed=$((failed + 1))
	fi
	rm -f "$log"
done
echo "$passed passed, $failed failed, $skipped skipped"
[ "$failed" -eq 0 ] && [ "$passed" -gt 0 ]
