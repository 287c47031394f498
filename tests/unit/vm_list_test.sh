#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# tests/vm/tests: each end-to-end and packet test has its line, and one without a line, with two, or
# left out without a reason is told.
set -uo pipefail

root=$(cd "$(dirname "$0")/../.." && pwd)
tree=$(mktemp -d)
trap 'rm -rf "$tree"' EXIT
fail() { echo "  FAIL  $*"; exit 1; }

said=$("$root/tests/vm/run.sh" --list 2>&1 > /dev/null) || fail "the tree as it is: $said"
echo "  ok    the tree as it is"

mkdir -p "$tree"/tests/{vm,e2e,packet}
cp "$root/tests/vm/run.sh" "$tree/tests/vm/"
touch "$tree/tests/packet/b_test.c" "$tree/tests/e2e/lib.sh"
install -m 755 /dev/null "$tree/tests/e2e/a.sh"

# expect WORDS LINE...: what is said of a list of these lines; "" where it is good
expect() {
	local words=$1 said status
	printf '%s\n' "${@:2}" > "$tree/tests/vm/tests"
	said=$("$tree/tests/vm/run.sh" --list 2>&1 > /dev/null)
	status=$?
	[ -n "$words" ] || { [ $status = 0 ] && [ -z "$said" ] || fail "a good list: $status, $said"; }
	[ -z "$words" ] || { [ $status != 0 ] && [[ $said == *"$words"* ]] || fail "${*:2}: $status, $said"; }
	echo "  ok    ${words:-a good list}"
}

expect '' 'e2e/a' '(packet/b_test)  two processors'
expect 'has not for e2e/a' 'packet/b_test'
expect 'has not for e2e/a' 'e2e/a' '(e2e/a)  why' 'packet/b_test'
expect 'has not for e2e/gone' 'e2e/a' 'e2e/gone' 'packet/b_test'
expect 'out without a reason' 'e2e/a' '(packet/b_test)'
