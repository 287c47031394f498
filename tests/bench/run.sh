#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# run.sh [BUILD_DIR] - measures, one JSON object a line: {"bench","metric","value","unit"}.
#
# packet_bench: nanoseconds a packet, next to the empty program and xdp-filter in the same run, and
# scan_body_*: nanoseconds for 1,024 bytes of a JSON body, by what it is made of;
# revoke_*: 1,000 keys disabled one by one through the admin socket, as the answers tell it;
# usage_reports_per_s, revoke_under_load_ms: reports of usage that are durable, and revocations beside
# them, as their client sees them (usage.py);
# flood: good requests a second beside a flood of junk, filter on and off (flood.sh);
# cut_stream_*: how soon a stream ends when its key is disabled (cut.sh);
# load_keys_1m: from the start of keyfilterd with 1,000,000 keys in its store, and no maps yet, until
# it answers; `restart` is the same over maps that are there;
# list_keys_ms_at_1m: a page of 100 of these keys, and of what filters find (list_keys.py).
# Needs root; leaves nothing behind.
set -euo pipefail

root=$(cd "$(dirname "$0")/../.." && pwd)
build=$(cd "${1:-$root/build}" && pwd)
keys=${KF_BENCH_KEYS:-1000000}
work=$(mktemp -d "${TMPDIR:-/tmp}/kf-bench-XXXXXX")
pins=/sys/fs/bpf/kf-bench-$$
daemon=

clean() {
	[ -z "$daemon" ] || kill "$daemon" 2> /dev/null || true
	[ -z "$daemon" ] || wait "$daemon" 2> /dev/null || true
	[ ! -d "$pins" ] || "$build/keyfilterd" --state-dir "$work/state" --run-dir "$work/run" \
		--pin-dir "$pins" --unload > /dev/null 2>&1 || true
	rm -rf "$work"
}
trap clean EXIT

json() { printf '{"bench":"%s","metric":"%s","value":%s,"unit":"%s"}\n' "$@"; }

# Starts keyfilterd and prints the seconds until its socket answers.
start() {
	local begin
	begin=$(date +%s.%N)
	"$build/keyfilterd" --state-dir "$work/state" --run-dir "$work/run" --pin-dir "$pins" \
		> "$work/log" 2>&1 &
	daemon=$!
	until curl -sf --unix-socket "$work/run/admin.sock" http://localhost/v1/status -o "$work/status"; do
		kill -0 "$daemon" 2> /dev/null || { cat "$work/log" >&2; exit 1; }
		sleep 0.01
	done
	took=$(awk -v a="$begin" -v b="$(date +%s.%N)" 'BEGIN { printf "%.2f", b - a }')
}

stop() {
	kill "$daemon"
	wait "$daemon" || true
	daemon=
}

filter=
for dir in /usr/lib/*/bpf /usr/lib/bpf; do
	[ ! -e "$dir/xdpfilt_alw_ip.o" ] || filter=$dir/xdpfilt_alw_ip.o
done
[ -n "$filter" ] || echo "run.sh: no xdp-filter here (package xdp-tools): xdp_filter_deny is left out" >&2
"$build/tests/bench/packet_bench" "$build/bpf" "$build/tests/bench" $filter
KF_BUILD=$build "$root/tests/bench/cut.sh"
KF_BUILD=$build "$root/tests/bench/flood.sh"

mkdir -p "$work/state" "$work/run"
chmod 0700 "$work/state"
start
python3 "$root/tests/bench/revoke.py" "$work/run/admin.sock"
PYTHONDONTWRITEBYTECODE=1 python3 "$root/tests/bench/usage.py" "$work/run/admin.sock"
stop
"$build/keyfilterd" --state-dir "$work/state" --run-dir "$work/run" --pin-dir "$pins" --unload \
	> /dev/null 2>&1
"$build/tools/keyfilter-seed" --state-dir "$work/state" --keys "$keys" > /dev/null
start
json load_keys_1m seconds "$took" s
stop
start
json load_keys_1m_restart seconds "$took" s
until [[ $(curl -sf --unix-socket "$work/run/admin.sock" http://localhost/v1/status) == *'"state": "running"'* ]]; do
	sleep 0.1
done
PYTHONDONTWRITEBYTECODE=1 python3 "$root/tests/bench/list_keys.py" "$work/run/admin.sock"
