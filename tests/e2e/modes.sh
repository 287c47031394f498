#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# The three ways to attach, each over IPv4 and IPv6, and by an address of its own.
. "$(dirname "$0")/lib.sh"

start_unattached
make_key KEY good

for mode in native generic tc; do
	attach "$mode"
	state=$(ctl --json iface list | json '[i["mode"] + " " + i["state"] for i in d["ifaces"]][0]')
	[ -n "${KF_UNFILTERED:-}" ] || [ "$state" = "$mode attached" ] || fail "asked for $mode, iface list says $state"
	case $mode in
	native) server ip -d link show s0 | grep -q ' xdp ' || server ip link show s0 | grep -qw xdp ;;
	generic) server ip link show s0 | grep -q xdpgeneric ;;
	tc) ! server ip link show s0 | grep -q xdp ;;
	esac || [ -n "${KF_UNFILTERED:-}" ] || fail "$mode is not what the kernel says: $(server ip link show s0 | head -1)"
	for host in "$SERVER" "[$SERVER6]"; do
		url=http://$host:$PORT/v1/chat/completions
		served "$mode $host" "$url" -H "$(bearer "$KEY")"
		served "$mode $host, a body of many segments" "$url" -H "$(bearer "$KEY")" \
			--data-binary "@$BUILD/keyfilterd"
		refused "$mode $host" unknown_key "$url" -H "$(bearer "$UNKNOWN")"
		refused "$mode $host, no key" no_key "$url"
	done
	output=$(ctl iface attach s0 --mode $([ $mode = tc ] && echo native || echo tc) 2>&1) &&
		fail "attached in two modes at a time"
	ok "a second mode is refused: $output"
	must "iface detach" ctl iface detach s0
done

must "service remove" ctl service remove api
must "service add" ctl service add one --listen "$SERVER:$PORT" --refuse drop
must "service add" ctl service add six --listen "[$SERVER6]:$PORT" --refuse drop --mode monitor
attach native
status=$(LIMIT=1 request one-v4)
[ "$status" != 200 ] || fail "the service on $SERVER let a request without a key pass"
status=$(LIMIT=$(patient 3) request six-v6 "http://[$SERVER6]:$PORT/")
[ "$status" = 200 ] || fail "the monitored service on $SERVER6 did not let a request pass: $status"
ok "two services on one port, by address"
