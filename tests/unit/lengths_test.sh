#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# scripts/lengths.sh: the tree as it is passes; a file or a function that is too long fails, and so do many
# that are long.
set -uo pipefail

lengths=$(cd "$(dirname "$0")/../.." && pwd)/scripts/lengths.sh
tree=$(mktemp -d)
trap 'rm -rf "$tree"' EXIT
fail() { echo "  FAIL  $*"; exit 1; }

# lines N: so many
lines() { seq "$1" | sed 's/.*/	a++;/'; }
# add FILE N...: a file with functions of N lines, and what is said of the tree then
add() {
	{
		for n in "${@:2}"; do
			printf 'static void a(void)\n{\n'
			lines $((n - 2))
			echo '}'
		done
	} > "$tree/$1"
	"$lengths" "$tree"
}
start() {
	rm -rf "${tree:?}"/*
	mkdir -p "$tree"/{bpf,include,userspace,tools,tests}
	add bpf/a.h 10 10 10 10 10 10 10 10 10 10 || fail "a good tree"
	[ -z "$(add tools/a.c 10)" ] || fail "a good tree is talked about"
}
# expect_refused WORDS FILE N...
expect_refused() {
	local said
	start
	said=$(add "${@:2}") && fail "${*:2}: passes"
	[[ $said == *"$1"* ]] || fail "${*:2}: expected '$1', got: $said"
	echo "  ok    $1"
}

"$lengths" || fail "the tree as it is"
echo "  ok    the tree as it is"
start
echo "  ok    a good tree"
add tests/a.c 100 44 > /dev/null || fail "a long function of a test is refused"
echo "  ok    a test may have long functions"
# shellcheck disable=SC2046 # many numbers
expect_refused 'userspace/a.c: 605 lines' userspace/a.c $(yes 10 | head -n 55)
# shellcheck disable=SC2046
expect_refused 'tests/a.c: 605 lines' tests/a.c $(yes 10 | head -n 55)
expect_refused 'userspace/a.c:82: a function of 81 lines' userspace/a.c 81
expect_refused '5 of 100 functions have 45 lines' userspace/a.c 45 45
start
add bpf/b.h 10 > /dev/null
for name in a b c d; do
	# shellcheck disable=SC2046
	said=$(add include/$name.h $(yes 10 | head -n 20))
done
[[ $said == *'half of the files have 200 lines'* ]] || fail "many long files: $said"
echo "  ok    half of the files have 200 lines or more"
