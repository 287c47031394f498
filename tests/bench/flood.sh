#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# flood.sh - good requests served a second at a fixed offered load (RATE, 500), without a flood and with
# one from a second namespace that takes all of a CPU: SYNs and junk data in turn from 100,000 sources;
# each with the filter on the interfaces and without it. What a flood could send is printed beside it: on
# a veth pair the receiver's work is done on the sender's time. KF_BUILD names the build.
REFUSE=reply
. "$(dirname "$0")/../e2e/lib.sh"
HERE=$ROOT/tests/e2e
. "$HERE/flood_stage.sh"

RATE=${RATE:-500}
SECONDS_EACH=${SECONDS_EACH:-4}

result() { printf '{"bench":"flood","metric":"%s","value":%s,"unit":"%s"}\n' "$@"; }

# measure NAME [flood]
measure() {
	local load flood=
	if [ -n "${2:-}" ]; then
		flood "$((SECONDS_EACH + 2))" > "$WORK/flood.out" 2>&1 &
		flood=$!
		sleep 1
	fi
	load=$(client "$PYTHON" "$ROOT/tests/bench/load.py" "$SERVER" "$PORT" "$KEY" "$RATE" "$SECONDS_EACH") ||
		fail "load.py: $load"
	result "$1" "$(json 'd["served"]' <<< "$load")" requests/s
	result "$1_p99" "$(json 'd["p99_ms"] or "null"' <<< "$load")" ms
	[ -n "$flood" ] || return 0
	wait "$flood" || fail "the flood: $(cat "$WORK/flood.out")"
	result "$1_packets" "$(json 'round(d["sent"] / d["seconds"])' < "$WORK/flood.out")" packets/s
}

make_stage
make_flood_stage
start_backend
start_daemon
add_service
make_key KEY good
result offered "$RATE" requests/s
measure off_quiet
measure off_flooded flood
for device in s0 s1; do must "iface attach" ctl iface attach "$device" --mode native; done
measure on_quiet
measure on_flooded flood
