#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# check.sh [BUILD_DIR [PATTERN]] - runs the tests whose SUITE/NAME matches PATTERN (a regular
# expression): what was built into tests/unit and tests/packet, and the executables in tests/e2e.
# packet/packet_test runs all of tests/packet/cases; a PATTERN that leaves it out may match files of them,
# as packet/NAME.
#
# A test ends with 0 (PASS), 77 (SKIP: the machine lacks something; never counted as passed) or
# anything else (FAIL: its output is shown). Two run at a time. The last line is "N passed, N failed,
# N skipped"; the exit status is 1 if one failed or none ran. KF_VERBOSE=1 shows all output.
set -uo pipefail

root=$(cd "$(dirname "$0")/.." && pwd)
build=$(cd "${1:-$root/build}" && pwd) || exit 1
pattern=${2:-.}
jobs=${KF_JOBS:-2}
limit=${KF_TIMEOUT:-180} # seconds for one test
logs=$build/tests/logs
export KF_BUILD=$build
export ASAN_OPTIONS=${ASAN_OPTIONS:-abort_on_error=1}
export UBSAN_OPTIONS=${UBSAN_OPTIONS:-halt_on_error=1:print_stacktrace=1}

rm -rf "$logs"
mkdir -p "$logs"

list_tests() {
	local file suite name
	for suite in unit packet e2e; do
		for file in "$build/tests/$suite"/* "$root/tests/$suite"/*; do
			[ -f "$file" ] && [ -x "$file" ] || continue
			name=$suite/$(basename "$file" .sh)
			[[ $name =~ $pattern ]] && printf '%s %s\n' "$name" "$file"
		done
	done
	[[ packet/packet_test =~ $pattern ]] && return
	for file in "$root"/tests/packet/cases/*.case; do
		name=packet/$(basename "$file" .case)
		[[ $name =~ $pattern ]] && printf '%s %s\n' "$name" "$build/tests/packet/packet_test $build/bpf $file"
	done
}

# Runs one test in a process of its own; the outcome is a line, and a letter in a file.
run_test() {
	local name=$1 log=$logs/${1//\//-} begin status took outcome
	begin=$(date +%s%N)
	(cd "$root" && exec timeout -k 10 "$limit" "${@:2}") < /dev/null > "$log" 2>&1
	status=$?
	took=$((($(date +%s%N) - begin) / 10000000))
	case $status in
	0) outcome=PASS ;;
	77) outcome=SKIP ;;
	*) outcome=FAIL ;;
	esac
	echo $outcome > "$log.outcome"
	{
		printf '%s %-32s %3d.%02d s' $outcome "$name" $((took / 100)) $((took % 100))
		[ $outcome != SKIP ] || printf '  %s' "$(sed -n 's/^ *skip *//p' "$log" | tail -n 1)"
		[ $status -ne 124 ] || printf '  ended after %s s' "$limit"
		printf '\n'
		if [ $outcome = FAIL ] || [ -n "${KF_VERBOSE:-}" ]; then
			sed 's/^/    | /' "$log" | tail -n 200
		fi
	} > "$log.report"
	cat "$log.report" # in one write, so that two tests do not mix
}

running=0
while read -ra test; do
	while [ "$running" -ge "$jobs" ]; do
		wait -n
		running=$((running - 1))
	done
	run_test "${test[@]}" &
	running=$((running + 1))
done < <(list_tests)
wait

count() { cat "$logs"/*.outcome 2> /dev/null | grep -c "$1"; }
passed=$(count PASS) failed=$(count FAIL) skipped=$(count SKIP)
[ "$failed" -eq 0 ] || echo "failed: $(grep -l FAIL "$logs"/*.outcome | xargs -n 1 basename | sed 's/\.outcome$//' | tr '\n' ' ')"
echo "$passed passed, $failed failed, $skipped skipped"
[ "$failed" -eq 0 ] && [ "$passed" -gt 0 ]
