#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# 1,000,000 keys: enforced after the start, revoked at once, in the first seconds of a start too, while the
# keys are compared with the kernel: over what the last run left there, after a kill in the middle of it,
# and over maps that are new, whose interface is attached when all keys are in.
. "$(dirname "$0")/lib.sh"

keys=1000000
memory=$(awk '/MemAvailable/ { print int($2 / 1024) }' /proc/meminfo)
[ "$memory" -ge 3072 ] || skip "needs 3 GiB of memory, $memory MiB are available"

REFUSE=reply
make_stage
start_backend
state=$(daemon_command | sed -n 's/.*--state-dir \([^ ]*\).*/\1/p')
mkdir -p "$state"
chmod 700 "$state"
cat > "$WORK/keyfilterd.conf" <<-END
	keys_max 1048576
	sources_max 4096
	flows_max 8192
	heads_max 64
	embryos 4096
END

"$BUILD/tools/keyfilter-seed" --state-dir "$state" --keys $keys --show 1501 > "$WORK/seeded" ||
	fail "keyfilter-seed: $(cat "$WORK/seeded")"
mapfile -t ids < <(awk '{ print $1 }' "$WORK/seeded")
mapfile -t texts < <(awk '{ print $2 }' "$WORK/seeded")

is_running() { [ "$(ctl --json status | json 'd["state"]')" = running ]; }

begin=$(date +%s%N)
start_daemon
await 60 ctl iface attach s0 --mode generic || fail "iface attach does not wait for the keys"
is_running || fail "an interface is attached before all keys are in"
must "iface detach" ctl iface detach s0
ok "started with $keys keys in $((($(date +%s%N) - begin) / 1000000)) ms"
add_service
attach native
total=$(ctl --json status | json 'd["keys"]["total"]')
[ "$total" = $keys ] || fail "status counts $total keys"
served "the first of them" -H "$(bearer "${texts[0]}")"
served "the last of them" -H "$(bearer "${texts[1500]}")"
refused "one that is none of them" unknown_key -H "$(bearer "${texts[0]:0:50}!")"
must "key disable" ctl key disable "${ids[1]}"
refused "one that was revoked" key_disabled -H "$(bearer "${texts[1]}")"

kill_daemon
served "a key while the controller is dead" -H "$(bearer "${texts[0]}")"
denied "the revoked one then" -H "$(bearer "${texts[1]}")"

# revoke_while_starting NAME LINES [FILTERED]: of $WORK/seeded; 1 and 1501 stay good.
export SERVER PORT SOCKET WORK PYTHONPATH=$HERE PYTHONDONTWRITEBYTECODE=1
revoke_while_starting() {
	FILTERED=${3:-} become_in_ns "$CLIENT_NS" "$PYTHON" "$HERE/revoke_at_start.py" 3 "${texts[0]}" \
		< <(sed -n "$2p" "$WORK/seeded") > "$WORK/$1.out" 2>&1 &
	local revoking=$!
	PIDS+=($revoking)
	start_daemon
	[ -z "${KILL_AT:-}" ] || { sleep "$KILL_AT"; kill_daemon; }
	wait $revoking || [ -n "${KILL_AT:-}" ] || { cat "$WORK/$1.out"; fail "$1: see above"; }
	[ -n "${KILL_AT:-}" ] || sed "s/ok   /& $1:/" "$WORK/$1.out"
}
disabled() { ctl --json status | json 'd["keys"]["disabled"]'; }

revoke_while_starting "a restart" 3,400 filtered
await 60 is_running || fail "the keys are never all in"
served "a key behind the restart" -H "$(bearer "${texts[1500]}")"
refused "the revoked one behind the restart" key_disabled -H "$(bearer "${texts[1]}")"
refused "one that was revoked while it started" key_disabled -H "$(bearer "${texts[2]}")"
before=$(disabled)
kill_daemon
KILL_AT=0.2 revoke_while_starting "killed in it" 401,800 filtered
start_daemon
await 60 is_running || fail "the keys are never all in behind a kill"
[ "$(disabled)" -ge "$before" ] || fail "$(disabled) keys are disabled behind a kill, $before were before"
served "a key behind it" -H "$(bearer "${texts[1500]}")"
refused "the revoked one behind it" key_disabled -H "$(bearer "${texts[2]}")"
must "key create behind it" ctl key create --name behind
unload
nothing_left
revoke_while_starting "new maps" 801,1200
await 60 is_running || fail "the keys are never all in over new maps"
refused "one that was revoked before" key_disabled -H "$(bearer "${texts[2]}")"
refused "one that was revoked while it started anew" key_disabled -H "$(bearer "${texts[801]}")"
served "a key behind it" -H "$(bearer "${texts[1500]}")"
unload
nothing_left
