# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
#
# flood_stage.sh - a second link into the server's namespace, for floods; sourced behind lib.sh, by the
# test and by the benchmark. What the server answers to forged sources leaves by that link, and ends
# there.

FLOOD_NS=kff-$NAME-$$
FLOOD=$BUILD/tests/bench/flood

make_flood_stage() {
	[ -x "$FLOOD" ] || fail "no $FLOOD; build it with: make tests"
	EXTRA_NS+=("$FLOOD_NS")
	make_ns "$FLOOD_NS"
	make_link "$FLOOD_NS" f0 "$SERVER_NS" s1
	ip -n "$FLOOD_NS" address add 10.78.0.2/24 dev f0
	ip -n "$SERVER_NS" address add 10.78.0.1/24 dev s1
	ip -n "$SERVER_NS" route add default via 10.78.0.2 dev s1
	server sysctl -qw net.ipv4.conf.all.rp_filter=0 net.ipv4.conf.s1.rp_filter=0
	in_ns "$FLOOD_NS" nft -f - <<-END || fail "cannot drop what comes back to the flood"
		table netdev kf {
			chain in {
				type filter hook ingress device f0 priority 0
				ip daddr 11.0.0.0/8 drop
			}
		}
	END
	FLOOD_MAC=$(station "$SERVER_NS" s1)
	ip -n "$SERVER_NS" neighbour add 10.78.0.2 lladdr "$(station "$FLOOD_NS" f0)" dev s1
}

station() { ip -n "$1" -o link show "$2" | sed -n 's/.*link\/ether \([0-9a-f:]*\).*/\1/p'; }

# flood SECONDS [PACKETS_PER_SECOND]
flood() { in_ns "$FLOOD_NS" "$FLOOD" f0 "$FLOOD_MAC" "$SERVER" "$PORT" "$@"; }
