#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# An interface that vanishes and comes back is attached again.
. "$(dirname "$0")/lib.sh"

start_all "${MODE:-native}"
make_key KEY good
served "before" -H "$(bearer "$KEY")"

state() { ctl --json iface list | json '[i["state"] for i in d["ifaces"] if i["dev"] == "s0"][0]'; }
state_is() { [ "$(state)" = "$1" ]; }
return_link() {
	make_link "$CLIENT_NS" c0 "$SERVER_NS" s0
	ip -n "$CLIENT_NS" address add 10.77.0.2/24 dev c0
	ip -n "$SERVER_NS" address add "$SERVER/24" dev s0
}

for round in 1 2; do
	ip -n "$SERVER_NS" link delete s0
	await 5 state_is missing || fail "s0 is gone, iface list says $(state)"
	ok "round $round: gone, and said so"
	return_link
	await 5 state_is attached || fail "s0 is back, iface list says $(ctl iface list)"
	ok "round $round: back, and attached again"
	refused "round $round: no key" no_key
	served "round $round: a good key" -H "$(bearer "$KEY")"
done

# It may also go and come while nobody watches.
kill_daemon
ip -n "$SERVER_NS" link delete s0
return_link
start_daemon
await 5 state_is attached || fail "s0 came back unwatched, iface list says $(ctl iface list)"
refused "gone and back while the controller was dead: no key" no_key
served "and a good key" -H "$(bearer "$KEY")"

# Asked for before it exists, detached for good.
output=$(ctl iface attach nosuch0 2>&1) && fail "attached to an interface that is not there"
ok "an interface that is not there: $output"
must "iface detach" ctl iface detach s0
ip -n "$SERVER_NS" link delete s0
return_link
sleep 0.5
status=$(request unguarded)
[ "$status" = 200 ] || fail "a detached interface was attached again"
ok "what was detached stays so"
