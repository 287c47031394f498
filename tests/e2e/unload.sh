#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# Detaching and unloading leave nothing behind: no program, no map, no pin, no qdisc.
. "$(dirname "$0")/lib.sh"

start_unattached
make_key KEY good

for mode in native generic tc; do
	attach "$mode"
	refused "$mode: attached" no_key
	must "iface detach" ctl iface detach s0
	! server ip link show s0 | grep -q xdp || fail "$mode: an XDP program is still on s0"
	[ -z "$(server tc filter show dev s0 ingress)$(server tc filter show dev s0 egress)" ] ||
		fail "$mode: a filter is still on s0"
	! server tc qdisc show dev s0 | grep -q clsact || fail "$mode: the clsact qdisc is still on s0"
	! server bpftool net show dev s0 | grep -q keyfilter || fail "$mode: $(server bpftool net show dev s0)"
	status=$(request "detached-$mode")
	[ "$status" = 200 ] || fail "$mode: detached, and a request gets $status"
	ok "$mode: detached, and served without a key"
done

# The controller's end alone takes nothing off.
attach native
stop_daemon
denied "the controller has ended, the filter stays"
start_daemon
refused "the controller is back" no_key

unload
nothing_left
status=$(request unloaded)
[ "$status" = 200 ] || fail "unloaded, and a request gets $status"
ok "unloaded through the controller: nothing left, served without a key"

# The store stays: a new start has the same key and the same service.
start_daemon
attach native
served "after a new start" -H "$(bearer "$KEY")"
refused "after a new start" no_key

kill_daemon
unload
nothing_left
status=$(request unloaded-2)
[ "$status" = 200 ] || fail "unloaded, and a request gets $status"
ok "unloaded without a controller: nothing left, served without a key"
