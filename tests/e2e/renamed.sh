#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# An interface that is renamed stays filtered, and guarded, until the name that it was attached by is
# detached; what comes under that name later is attached, too.
. "$(dirname "$0")/lib.sh"

start_all "${MODE:-native}"
make_key KEY good

view() { ctl --json iface list | json "[i for i in d['ifaces'] if i['dev'] == 's0'][0]$1"; }
restored() { ctl --json events | json "sum(e['event'] == 'filter_restored' for e in d['events'])"; }
was_restored() { [ "$(restored)" -gt 0 ]; }
# The kernel tells of a carrier once a second at most, and until then both ends drop what they send.
both_up() { # DEV
	[[ $(ip -n "$SERVER_NS" link show "$1") == *"state UP"* && $(ip -n "$CLIENT_NS" link show c0) == *"state UP"* ]]
}
rename_link() { # FROM TO
	must "rename $1 to $2" server sh -c "ip link set $1 down && ip link set $1 name $2 && ip link set $2 up"
	await 5 both_up "$2" || fail "renamed to $2, and it has no carrier: $(server ip link show "$2")"
}
says_renamed() { [[ $(view "['error']") == *"called s9 now"* ]]; }

rename_link s0 s9
await 5 says_renamed || fail "renamed, and iface list says $(ctl iface list)"
refused "renamed: no key" no_key
served "renamed: a good key" -H "$(bearer "$KEY")"
[ "$(restored)" = 0 ] || fail "renamed, and told as lost: $(ctl events)"

was=$(server ip -j link show s9 | json 'd[0]["xdp"]["prog"]["id"]')
must "xdp off" server ip link set dev s9 xdp off
await 5 was_restored || fail "taken off the renamed interface, and not put back: $(ctl iface list)"
[ "$(server ip -j link show s9 | json 'd[0]["xdp"]["prog"]["id"]')" = "$was" ] || fail "another program was loaded"
refused "taken off and put back: no key" no_key
ok "the renamed interface is guarded"

# Its old name comes back with it.
rename_link s9 s0
back() { [ "$(view "['state']")" = attached ]; }
await 5 back || fail "renamed back, and iface list says $(ctl iface list)"
refused "renamed back: no key" no_key

# Detached by the name that it was attached by.
rename_link s0 s9
must "iface detach" ctl iface detach s0
! server ip link show s9 | grep -q xdp || fail "detached, and XDP is still there: $(server ip link show s9)"
sleep 1.2
! server ip link show s9 | grep -q xdp || fail "what was detached was attached again"
ok "detached by its old name"
