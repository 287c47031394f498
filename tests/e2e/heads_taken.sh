#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# 1,584 connections send one byte of a head each and stay open, or send one byte more in every half second,
# and so take the places that heads in pieces need. Good clients, with heads in one piece and in two, are all
# answered within a second meanwhile. The connections come from 24 IPv4 addresses, from 24 IPv6 /64s of one
# /48, and from 24 /48s, and over an interface of their own: a veth that they send to by the hundred at a time
# loses the others' segments.
. "$(dirname "$0")/lib.sh"

{ echo "keys_max 4096"; echo "sources_max 4096"; echo "flows_max 131072"; echo "embryos 4096"; } > "$WORK/keyfilterd.conf"
start_unattached
make_key KEY good

for i in $(seq 24); do
	for address in "10.79.0.$i/32" "10.79.1.$i/32" "fd80:0:0:$i::2/128" "fd81:0:$i::2/128" "fd82:0:$i::2/128"; do
		echo "address add $address dev lo"
	done
done > "$WORK/addresses"
must "ip" ip -n "$CLIENT_NS" -batch "$WORK/addresses"
make_link "$CLIENT_NS" c1 "$SERVER_NS" s1
cat > "$WORK/routes-client" <<-END
	address add 10.80.0.2/24 dev c1
	address add fd84::2/64 dev c1 nodad
	rule add from 10.79.0.0/24 lookup 79
	-6 rule add from fd80::/15 lookup 79
	route add default via 10.80.0.1 table 79
	-6 route add default via fd84::1 table 79
END
cat > "$WORK/routes-server" <<-END
	address add 10.80.0.1/24 dev s1
	address add fd84::1/64 dev s1 nodad
	route add 10.79.0.0/24 via 10.80.0.2
	route add 10.79.1.0/24 via 10.77.0.2
	-6 route add fd80::/15 via fd84::2
	-6 route add fd82::/16 via fd77::2
END
for side in client server; do
	while read -r line; do
		# shellcheck disable=SC2086 # words, on purpose
		must "ip $line" "$side" ip $line
	done < "$WORK/routes-$side"
done
export PYTHONPATH=$HERE PYTHONDONTWRITEBYTECODE=1 KF_PATIENCE=$PATIENCE SERVER SERVER6 PORT UNKNOWN BACKEND_LOG WORK KEY OTHER=
side() { become_in_ns "$CLIENT_NS" timeout "$(patient 60)" "$PYTHON" -u "$HERE/heads_taken.py" "$@"; }

# take_places WHAT TAKERS CLIENTS held|fed: are the good clients served meanwhile?
take_places() {
	local takers status
	rm -f "$WORK/taken" "$WORK/enough"
	: > "$BACKEND_LOG" # it is searched at each answer
	side take "$2" 1584 "$4" > "$WORK/takers.out" 2>&1 &
	takers=$!
	PIDS+=("$takers")
	(side good "$3" "$1" 2 "$(patient 1)")
	status=$?
	touch "$WORK/enough"
	wait "$takers" || fail "$1: the takers: $(cat "$WORK/takers.out")"
	return $status
}
# The same, up to three times: on a machine that has other work anybody may wait for a second once.
taken() {
	local what=$mode-${1// /-}-$4 i
	for i in 1 2 3; do
		take_places "$what" "${@:2}" && return
	done
	fail "$what: the good clients say so; $(cat "$WORK/takers.out")"
}

for mode in ${KF_MODES:-tc native}; do
	attach "$mode"
	must "iface attach" ctl iface attach s1 --mode "$mode"
	for way in held fed; do
		taken "24 IPv4" 10.79.0.%d 10.79.1.%d "$way"
		taken "24 of one 48" fd80:0:0:%d::2 fd82:0:%d::2 "$way"
		taken "24 of 24 48" fd81:0:%d::2 fd82:0:%d::2 "$way"
	done
	must "iface detach" ctl iface detach s0
	must "iface detach" ctl iface detach s1
done
[ "$(ctl --json stats | json 'd["services"][0]["packets"]["head_partial"]')" -gt 10000 ] ||
	[ -n "${KF_UNFILTERED:-}" ] || fail "too few heads were in pieces"
