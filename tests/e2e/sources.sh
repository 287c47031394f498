#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# Sources denied and allowed, by address and by network, for good and for a time.
. "$(dirname "$0")/lib.sh"

start_all "${MODE:-native}"
make_key KEY good
auth=$(bearer "$KEY")
v6=http://[$SERVER6]:$PORT/v1/chat/completions

must deny ctl source deny 10.77.0.3/32
must deny ctl source deny fd77::3/128
refused "a denied address" source_denied -H "$auth" --interface 10.77.0.3
refused "a denied IPv6 address" source_denied -H "$auth" --interface fd77::3 "$v6"
served "its neighbour" -H "$auth" --interface 10.77.0.2
served "its IPv6 neighbour" -H "$auth" --interface fd77::2 "$v6"

must deny ctl source deny 10.77.0.0/24
must allow ctl source allow 10.77.0.4/32
must deny ctl source deny fd77::/64
must allow ctl source allow fd77::4/128
refused "an address in a denied network" source_denied -H "$auth" --interface 10.77.0.2
served "an allowed address in a denied network" -H "$auth" --interface 10.77.0.4
refused "an IPv6 address in a denied network" source_denied -H "$auth" --interface fd77::2 "$v6"
served "an allowed IPv6 address in a denied network" -H "$auth" --interface fd77::4 "$v6"
refused "an allowed address still needs a key" no_key --interface 10.77.0.4
[ "$(ctl --json source list | json 'len(d["sources"])')" -eq 6 ] || fail "6 sources were made: $(ctl source list)"

output=$(ctl source deny 10.77.0.9/24 2>&1) && fail "a network with host bits was taken"
[[ $output == *10.77.0.0/24* ]] || fail "the mend should name 10.77.0.0/24: $output"
ok "host bits: $output"

for cidr in 10.77.0.0/24 fd77::/64 10.77.0.3/32 fd77::3/128 10.77.0.4/32 fd77::4/128; do
	must remove ctl source remove "$cidr"
done
served "after all were removed" -H "$auth" --interface 10.77.0.3
served "after all were removed, IPv6" -H "$auth" --interface fd77::3 "$v6"

# A connection in use is cut as well.
client_start inuse <<'END'
c = Connection(source="10.77.0.6")
c.send(request("inuse-1"))
c.expect_served("inuse-1")
tell("in-use")
wait_for("in-use-denied")
c.send(request("inuse-2"))
c.expect_nothing("inuse-2", 0.5)
ok("refused: the next request on a connection of a source denied meanwhile")
END
met in-use
must deny ctl source deny 10.77.0.6/32
tell in-use-denied
client_done inuse

# Times are kept by the kernel alone.
must deny ctl source deny 10.77.0.5/32 --ttl 3s
must deny ctl source deny fd77::/64 --ttl 3s
must deny ctl source deny 10.77.0.7/32
must allow ctl source allow 10.77.0.7/32 --ttl 3s
set_at=$(date +%s%N)
kill_daemon
say "the controller is dead (SIGKILL)"
denied "denied for 3 s" -H "$auth" --interface 10.77.0.5
denied "denied for 3 s, IPv6" -H "$auth" "$v6"
served "allowed for 3 s" -H "$auth" --interface 10.77.0.7
left=$((3200 - ($(date +%s%N) - set_at) / 1000000))
[ "$left" -le 0 ] || sleep "$(printf '%d.%03d' $((left / 1000)) $((left % 1000)))"
served "after 3 s" -H "$auth" --interface 10.77.0.5
served "after 3 s, IPv6" -H "$auth" "$v6"
denied "no longer allowed after 3 s" -H "$auth" --interface 10.77.0.7
denied "denied for good" -H "$auth" --interface 10.77.0.6
