#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# Tagged frames, where the kernel can make them.
. "$(dirname "$0")/lib.sh"

make_stage
ip -n "$CLIENT_NS" link add link c0 name c0.7 type vlan id 7 2> /dev/null ||
	skip "this kernel has no VLANs (CONFIG_VLAN_8021Q)"
ip -n "$CLIENT_NS" link add link c0.7 name c0.7.9 type vlan id 9
ip -n "$SERVER_NS" link add link s0 name s0.7 type vlan id 7
ip -n "$SERVER_NS" link add link s0.7 name s0.7.9 type vlan id 9
# Tags in the frame, not beside it, as from a wire.
for namespace in "$CLIENT_NS:c0" "$SERVER_NS:s0"; do
	in_ns "${namespace%:*}" ethtool -K "${namespace#*:}" txvlan off rxvlan off > /dev/null 2>&1
done
net=90
for tag in 7 7.9; do
	net=$((net + 1))
	ip -n "$CLIENT_NS" link set "c0.$tag" up
	ip -n "$SERVER_NS" link set "s0.$tag" up
	ip -n "$CLIENT_NS" address add "10.$net.0.2/24" dev "c0.$tag"
	ip -n "$SERVER_NS" address add "10.$net.0.1/24" dev "s0.$tag"
done
start_backend
start_daemon
REFUSE=reply add_service
make_key KEY good

# with_tags FUNCTION WHAT...: behind one tag, behind two.
with_tags() {
	local net
	for net in 91 92; do
		"$@" -H "x-tags: $((net - 90))" "http://10.$net.0.1:$PORT/v1/chat/completions"
	done
}

for mode in native generic tc; do
	attach "$mode"
	with_tags served "$mode" -H "$(bearer "$KEY")"
	with_tags refused_with 401 invalid_api_key "$mode" -H "$(bearer "$UNKNOWN")"
	with_tags refused_with 401 missing_api_key "$mode, 1 MB" -H "Expect:" --data-binary "@$BUILD/keyfilterctl"
	must "iface detach" ctl iface detach s0
done
must "service edit" ctl service edit api --refuse drop
for mode in native generic tc; do
	attach "$mode"
	with_tags refused "$mode, silently" unknown_key -H "$(bearer "$UNKNOWN")"
	must "iface detach" ctl iface detach s0
done
