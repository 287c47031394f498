#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# The mode monitor judges and counts as enforce does, and passes everything.
. "$(dirname "$0")/lib.sh"

start_unattached --mode monitor
attach "${MODE:-native}"
make_key KEY good

passes() { # WHAT REASON [CURL OPTIONS]
	local before
	before=$(counter "$2")
	served "$1" "${@:3}"
	[ "$(counter "$2")" -gt "$before" ] || fail "$1: passed, but not counted as $2"
}
passes "no key" no_key
passes "unknown key" unknown_key -H "$(bearer "$UNKNOWN")"
passes "two keys" malformed -H "$(bearer "$KEY")" -H "api-key: $UNKNOWN"
passes "a good key" admitted -H "$(bearer "$KEY")"
must "source deny" ctl source deny 10.77.0.3/32
passes "a denied source" source_denied --interface 10.77.0.3 -H "$(bearer "$KEY")"
must "key disable" ctl key disable "$KEY_ID"
passes "a disabled key" key_disabled -H "$(bearer "$KEY")"
must "key enable" ctl key enable "$KEY_ID"
events=$(ctl --json events | json 'sum(e["monitor"] for e in d["events"]), len(d["events"])')
[[ $events != *"(0,"* ]] || fail "no event says that it only monitored: $events"

client_py <<'END'
c = Connection()
c.send(request("m-1", UNKNOWN), request("m-2"), request("m-3", ""))
for number in 1, 2, 3:
    c.expect_served("m-%d" % number)
ok("served: good and bad ones over one connection")
c = Connection()
c.send_cut(request("m-split", UNKNOWN), range(10, 150, 10))
c.expect_served("m-split")
ok("served: a bad one in 15 segments")
END

must "service edit" ctl service edit api --mode enforce
refused "no key, in enforce" no_key
refused "a denied source, in enforce" source_denied --interface 10.77.0.3 -H "$(bearer "$KEY")"
served "a good key, in enforce" -H "$(bearer "$KEY")"
must "service edit" ctl service edit api --mode monitor
passes "no key, in monitor again" no_key
