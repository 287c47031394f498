#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# run.sh [BUILD_DIR [PATTERN]] - the tests that depend on the kernel, as tests/vm/tests lists them, on
# each kernel of KF_KERNELS (6.1 and 6.12: the oldest that is supported, and the newest that Debian 12
# offers), in a machine of its own. Inside, scripts/check.sh runs them, or what matches PATTERN, one at
# a time.
#
# run.sh KERNEL COMMAND... is boot.sh. run.sh --list prints the names of the tests, and fails where the
# list and the tests do not agree. The last line is "N passed, N failed, N skipped", of all kernels; a
# kernel that cannot be had here counts as one skipped test.
set -uo pipefail

here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)

# Names every test that is in no line of the list, in two, or in one without being there.
check_list() {
	local wrong
	wrong=$({
		sed -nE 's/^\(?([a-z0-9]+\/[a-z0-9_]+).*/\1/p' "$here/tests"
		cd "$root/tests" && find e2e -maxdepth 1 -name '*.sh' -perm /111 -printf 'e2e/%f\n' | sed 's/\.sh$//'
		find packet -maxdepth 1 -name '*_test.c' -printf 'packet/%f\n' | sed 's/\.c$//'
	} | sort | uniq -c | awk '$1 != 2 { print $2 }')
	[ -z "$wrong" ] || {
		echo "run.sh: tests/vm/tests should have one line for each test, and has not for" $wrong >&2
		return 1
	}
	! grep -E '^\([^ ]*\) *$' "$here/tests" >&2 || { echo "run.sh: it stays out without a reason" >&2; return 1; }
}
list() { grep -E '^[a-z]' "$here/tests"; }

case ${1:-} in
[0-9]*.[0-9]*) exec "$here/boot.sh" "$@" ;;
--list) check_list && list; exit ;;
esac
check_list || exit 1
build=$(cd "${1:-$root/build}" && pwd) || exit 1
pattern=${2:-"^($(list | paste -sd '|'))\$"}

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

# The emulator is some twenty times slower than the machine it runs on, which may have other work:
# what has to come is waited for ten times as long (KF_PATIENCE), and lossy sends fewer requests.
settings=(KF_JOBS=1 KF_TIMEOUT="${KF_TIMEOUT:-900}" KF_PATIENCE="${KF_PATIENCE:-10}"
	KF_REQUESTS="${KF_REQUESTS:-60}")

passed=0 failed=0 skipped=0
for kernel in ${KF_KERNELS:-6.1 6.12}; do
	echo "Linux $kernel"
	log=$files.$kernel
	"$here/boot.sh" -t "${KF_VM_LIMIT:-5400}" -f "$files" "$kernel" \
		env "${settings[@]}" /bin/bash scripts/check.sh build "$pattern" | tee "$log"
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
