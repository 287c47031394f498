#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# Somebody takes one of our programs off an interface: what is said is what happens, and the mend works.
REFUSE=reply
. "$(dirname "$0")/lib.sh"

start_all native
make_key KEY good
good=$(bearer "$KEY")

# take_off ingress|egress: our program on that side of s0, tcx link or filter.
take_off() {
	local pin
	pin=$(find "$PIN/links" -name "*-$([ "$1" = ingress ] && echo in || echo out)")
	if [ -n "$pin" ]; then rm "$pin"; else must "tc" server tc filter del dev s0 "$1"; fi
}
# What is lacking is put back within a second or so: then the log has told it, and the list nothing more.
says() { # STATE TEXT
	local list status
	list=$(ctl --json iface list | json 'd["ifaces"][0]["state"], d["ifaces"][0]["error"]')
	status=$(ctl status)
	await 5 told_again "$2" || fail "the log should tell that $2: $(cat "$DAEMON_LOG")"
	[[ $list == "attached "* ]] || [[ $list == "$1 "*"$2"* ]] || fail "iface list should say $1, $2: $list"
	[[ $status != *degraded* ]] || [[ $status == *"degraded  s0: "*"$2"* ]] || fail "status should say $2: $status"
	[ "$1" = failed ] || [[ $status != *"nothing is filtered there"* ]] || fail "it is filtered: $status"
	ok "said: $1, $2"
}
LOG_LINES=0
told_again() { tail -n "+$((LOG_LINES + 1))" "$DAEMON_LOG" | grep -q "$1"; }
mended() {
	LOG_LINES=$(wc -l < "$DAEMON_LOG")
	must "the mend" ctl iface attach s0 --mode native
	[[ $(ctl status) != *degraded* ]] || fail "still degraded: $(ctl status)"
	refused_with 401 invalid_api_key "mended" -H "$(bearer "$UNKNOWN")"
	served "mended" -H "$good"
}

take_off ingress
says partial "nobody is told why: the answering program was taken off"
refused "without the answering program" unknown_key -H "$(bearer "$UNKNOWN")"
served "without the answering program" -H "$good"
mended

take_off egress
says partial "requests of dead keys go on: the egress program was taken off"
refused "without the egress program" unknown_key -H "$(bearer "$UNKNOWN")"
mended

take_off ingress
take_off egress
says partial "the egress and the answering program were taken off"
mended

must "XDP off" server ip link set dev s0 xdp off
says failed "the filter was taken off"
mended
