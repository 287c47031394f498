#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# What somebody else takes off an interface is noticed at once, put back, logged and told; where it is
# taken off again and again, not as often, and status says so.
. "$(dirname "$0")/lib.sh"

start_all "${MODE:-native}"
make_key KEY good
make_key OTHER off
must "key disable" ctl key disable "$OTHER_ID"
[ -e "$PIN/links" ] || fail "no links are pinned"

lacks() { ctl --json iface list | json '[i["state"] for i in d["ifaces"]][0]'; }
is_whole() { [ "$(lacks)" = attached ]; }
events_of() { ctl --json events | json "sum(e['event'] == '$1' and e['iface'] == 's0' for e in d['events'])"; }
degraded() { ctl --json status | json "len(d['degraded'])"; }
# taken_off WHAT COMMAND...: put back within a second and a half, and told once.
taken_off() {
	local lost begin took
	lost=$(events_of filter_lost)
	must "$1" "${@:2}"
	begin=$(date +%s%N)
	until [ "$(events_of filter_restored)" -gt "$lost" ]; do
		took=$((($(date +%s%N) - begin) / 1000000))
		[ "$took" -lt $((${PUT_BACK_MS:-3000} * PATIENCE)) ] || fail "$1: not put back after $took ms: $(ctl status)"
		sleep 0.02
	done
	took=$((($(date +%s%N) - begin) / 1000000))
	is_whole || fail "$1: told to be restored, and iface list says $(ctl iface list)"
	[ "$(events_of filter_lost)" = $((lost + 1)) ] || fail "$1: $(events_of filter_lost) losses told, $lost before"
	ok "$1: noticed and put back after $took ms"
	served "$1: a good key" -H "$(bearer "$KEY")"
	refused "$1: a disabled key" key_disabled -H "$(bearer "$OTHER")"
}
# The link of ours on a hook, in this network namespace.
link_id() {
	local pin
	pin=$(echo "$PIN"/links/*-"$1")
	bpftool -j link show pinned "$pin" | json 'd["id"]'
}

# What ran is put back, not another one, which would have to be loaded: open for milliseconds.
xdp_id() { server ip -j link show s0 | json 'd[0]["xdp"]["prog"]["id"]'; }
was=$(xdp_id)
taken_off "ip link set xdp off" server ip link set dev s0 xdp off
[ "$(xdp_id)" = "$was" ] || fail "XDP program $was was taken off, and $(xdp_id) put in its place"
grep -q 's0: .*taken off by someone else' "$DAEMON_LOG" || fail "the log does not say so"
calm() { # as if it was long ago: another daemon
	stop_daemon
	start_daemon
	is_whole || fail "started, and iface list says $(ctl iface list)"
}
if compgen -G "$PIN/links/*-out" > /dev/null; then
	calm
	taken_off "the egress link detached" bpftool link detach id "$(link_id out)"
	calm
	taken_off "the pin of the egress link removed" sh -c "rm $PIN/links/*-out"
	calm
	taken_off "the answering link detached" bpftool link detach id "$(link_id in)"
else
	calm
	taken_off "tc qdisc del clsact" server tc qdisc del dev s0 clsact
fi
calm
[ "$(degraded)" = 0 ] || fail "put back, and still degraded: $(ctl status)"

# Somebody who insists: not put back every time, and status says that there is a fight.
lost=$(grep -c 'attached (' "$DAEMON_LOG")
until=$(($(date +%s) + 6))
while [ "$(date +%s)" -lt $until ]; do
	server ip link set dev s0 xdp off
	sleep 0.05
done
attached=$(($(grep -c 'attached (' "$DAEMON_LOG") - lost))
[ "$attached" -ge 2 ] && [ "$attached" -le 5 ] || fail "attached $attached times in 6 s of a fight"
[ "$(degraded)" -gt 0 ] || fail "a fight, and status says: $(ctl status)"
ok "taken off all the time: attached again $attached times in 6 s; $(ctl status | grep -m 1 's0:')"
await 10 is_whole || fail "the fight is over, and it is not attached again: $(ctl status)"
refused "the fight is over: no key" no_key
[ "$(degraded)" -gt 0 ] || fail "the fight is forgotten at once: $(ctl status)"

# detach is what takes it off for good.
must "iface detach" ctl iface detach s0
sleep 1.2
! server ip link show s0 | grep -q xdp || fail "what was detached was attached again"
ok "detached for good"
