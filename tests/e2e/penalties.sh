#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# Sources that keep failing: raised, kept and ended by the kernel alone; listed, forgiven and told of
# by the controller. And the rate of SYNs, which is off unless it is asked for.
. "$(dirname "$0")/lib.sh"

start_all "${MODE:-native}"
make_key KEY good
auth=$(bearer "$KEY")
bad=$(bearer "$UNKNOWN")
v6=http://[$SERVER6]:$PORT/v1/chat/completions
must "a second IPv6 network" ip -n "$CLIENT_NS" address add fd78::2/64 dev c0 nodad
must "a way back to it" ip -n "$SERVER_NS" -6 route add fd78::/64 dev s0

# fails SOURCE TIMES: requests with an unknown key, each on an established connection of its own.
fails() {
	local server=$SERVER
	[[ $1 != *:* ]] || server=$SERVER6
	client_py <<-END
	for i in range($2):
	    c = Connection(server="$server", source="$1")
	    c.send(request("fails-$1-%d" % i, UNKNOWN))
	    time.sleep(0.01)
	    c.close(reset=True)
	END
}

# list KIND EXPRESSION: over the sources l that source list shows.
list() { ctl --json source list "--$1" | json "(lambda l: $2)(d['sources'])"; }
penalised() { list penalised 'sorted(s["cidr"] for s in l)'; }
is_penalised() { [[ $(penalised) == *"'$1'"* ]]; }
# events_of KIND SOURCE: how many were told.
events_of() {
	ctl --json events | json "sum(e['event'] == '$1' and e['source'] == '$2' for e in d['events'])"
}
# told_of KIND SOURCE TIMES: waits until so many were told.
told_of() {
	await 4 eval "[ \$(events_of '$1' '$2') -ge $3 ]" && [ "$(events_of "$1" "$2")" -eq "$3" ] ||
		fail "expected $3 events $1 of $2: $(ctl events)"
	ok "event: $1 $2"
}
gauge() {
	curl -sm 5 --unix-socket "$SOCKET" http://localhost/metrics |
		awk '$1 == "keyfilter_sources_penalised" { print $2 }'
}

# ---- what operators set ---------------------------------------------------------------------------

wrong() {
	local output
	output=$(ctl service edit api "${@:2}" 2>&1) && fail "taken: service edit ${*:2}"
	[[ $output == *"$1"* ]] || fail "the mend should say '$1': $output"
	ok "not taken: $output"
}
must "service add" ctl service add fresh --listen "*:9"
service=$(ctl --json service show fresh)
[ "$(json 'd["penalty_failures"], d["penalty_window_s"], d["penalty_time_s"], d["penalty_time_max_s"],
	d["syn_rate"], d["syn_burst"]' <<< "$service")" = "100 60 60 3600 0 0" ] ||
	fail "a new service has other limits: $service"
must "service remove" ctl service remove fresh
wrong "give 1s to 30d" --penalty-window 0s
wrong "give 1s to 30d" --penalty-time-max 31d
wrong "give 0 to 1000000" --penalty-failures 1000001
wrong "no longer than" --penalty-time 2h --penalty-time-max 1h
wrong "give 0 to 1000000" --syn-rate 1000001
wrong "give --syn-rate, too" --syn-burst 5
wrong "give --syn-rate, too" --syn-rate 0 --syn-burst 5
wrong "'-1' is not a duration" --penalty-time -1
must edit ctl service edit api --syn-rate 1000 --syn-burst 500
must edit ctl service edit api --syn-rate 0
[ "$(ctl --json service show api | json 'd["syn_burst"]')" = 0 ] || fail "a burst is left without its rate"
must edit ctl service edit api --penalty-failures 5 --penalty-window 1m --penalty-time 4s --penalty-time-max 6s
[[ $(ctl service show api) == *"5 failures in 1m: dropped for 4s, doubled each time up to 6s"* ]] ||
	fail "service show: $(ctl service show api)"

# ---- raised ---------------------------------------------------------------------------------------

client_start idle <<'END'
c = Connection(source="10.77.0.3")
tell("idle")
wait_for("penalised")
c.send(request("idle-1"))
c.expect_nothing("idle-1", 0.5)
c.close(reset=True)  # or the kernel sends the request again, until it is admitted
ok("refused: an older connection of a penalised source")
END
met idle
fails 10.77.0.3 4
[ "$(penalised)" = "[]" ] || fail "penalised after 4 of 5 failures: $(penalised)"
[ "$(list failing '[(s["cidr"], s["failures"]) for s in l]')" = "[('10.77.0.3/32', 4)]" ] ||
	fail "4 failures were to be listed: $(ctl source list --failing)"
refused "the fifth failure" unknown_key -H "$bad" --interface 10.77.0.3
[ "$(list penalised '[(s["cidr"], s["service"], s["level"], 1 <= s["remaining_s"] <= 4) for s in l]')" = \
	"[('10.77.0.3/32', 'api', 1, True)]" ] || fail "listed otherwise: $(ctl --json source list --penalised)"
refused "a good key from a penalised source" source_penalised -H "$auth" --interface 10.77.0.3
tell penalised
client_done idle
served "another source" -H "$auth" --interface 10.77.0.2
[ "$(gauge)" = 1 ] || fail "the gauge says $(gauge)"
told_of penalty_raised 10.77.0.3/32 1
[ "$(ctl --json events | json '[(e["penalty_s"], e["retry_after_s"]) for e in d["events"]
	if e["event"] == "penalty_raised"]')" = "[(4, None)]" ] || fail "told otherwise: $(ctl --json events)"

# ---- ended, and raised for longer -----------------------------------------------------------------

told_of penalty_ended 10.77.0.3/32 1
[ "$(gauge)" = 0 ] || fail "the gauge says $(gauge) after the end"
[ "$(penalised)" = "[]" ] || fail "listed after the end: $(penalised)"
fails 10.77.0.3 5
[ "$(list penalised '[(s["level"], 4 < s["remaining_s"] <= 6) for s in l]')" = "[(2, True)]" ] ||
	fail "the second one is to be 6 s long: $(ctl --json source list --penalised)"
ok "the second penalty is longer"

# ---- forgiven -------------------------------------------------------------------------------------

[[ $(ctl source forgive 10.77.0.4/32) == *"nothing is held"* ]] || fail "forgiven: who had done nothing"
is_penalised 10.77.0.3/32 || fail "no longer penalised: $(penalised)"
[[ $(ctl source forgive 10.77.0.0/30) == *"1 source forgiven, 1 of them penalised"* ]] ||
	fail "nobody was forgiven"
served "a forgiven source" -H "$auth" --interface 10.77.0.3
told_of penalty_ended 10.77.0.3/32 2

# ---- the grace, and the allow list ----------------------------------------------------------------

client_py <<'END'
for i in range(20):
    c = Connection(source="10.77.0.6")
    c.send(request("many-users-%d" % i))
    c.expect_served("many-users-%d" % i)
ok("served: 20 requests of a source with many users behind it")
END
fails 10.77.0.6 49
served "the same, after 49 failures at once of one of them" -H "$auth" --interface 10.77.0.6
fails 10.77.0.6 1
refused "after ten times the failures" source_penalised -H "$auth" --interface 10.77.0.6
must allow ctl source allow 10.77.0.6/32
served "penalised, then allowed" -H "$auth" --interface 10.77.0.6
must remove ctl source remove 10.77.0.6/32
must allow ctl source allow 10.77.0.4/32
fails 10.77.0.4 8
served "an allowed source after 8 failures" -H "$auth" --interface 10.77.0.4
! is_penalised 10.77.0.4/32 || fail "an allowed source is penalised"
[[ $(list failing '[s["cidr"] for s in l]') != *10.77.0.4* ]] || fail "failures of an allowed source are counted"

# ---- IPv6: a /64 is one source --------------------------------------------------------------------

for host in 2 3 4 5 6; do fails fd77::$host 1; done
is_penalised fd77::/64 || fail "five addresses of a /64 failed: $(penalised)"
refused "a sixth address of a penalised /64" source_penalised -H "$auth" --interface fd77::7 "$v6"
served "another /64" -H "$auth" --interface fd78::2 "$v6"
must forgive ctl source forgive fd77::9/128
served "a /64 forgiven by one of its addresses" -H "$auth" --interface fd77::7 "$v6"

# ---- without the controller -----------------------------------------------------------------------

must edit ctl service edit api --penalty-time 3s
kill_daemon
say "the controller is dead (SIGKILL)"
fails 10.77.0.7 5
denied "penalised while there is no controller" -H "$auth" --interface 10.77.0.7
served "another source meanwhile" -H "$auth" --interface 10.77.0.2
sleep 3
served "after its end" -H "$auth" --interface 10.77.0.7
fails 10.77.0.8 5
start_daemon
[[ $(ctl status) == *"sources   "*" of 4096, 1 penalised"* ]] || fail "status: $(ctl status)"
is_penalised 10.77.0.8/32 || fail "the controller does not know of it: $(ctl source list --penalised)"
ok "listed by the next controller"
told_of penalty_ended 10.77.0.8/32 1
served "and over" -H "$auth" --interface 10.77.0.8

# ---- SYNs -----------------------------------------------------------------------------------------

must edit ctl service edit api --syn-rate 1 --syn-burst 3
client_py <<'END'
sockets = [socket.socket() for _ in range(8)]
for s in sockets:
    s.setblocking(False)
    s.bind(("10.77.0.9", 0))
    s.connect_ex((SERVER, PORT))
time.sleep(0.5)  # a second later SYNs are sent again
connected = 0
for s in sockets:
    try:
        connected += bool(s.getpeername())
    except OSError:
        pass
check(3 <= connected <= 4, "%d of 8 connections at once, where 3 may" % connected)
ok("%d of 8 connections at once" % connected)
END
[ "$(counter syn_rate)" -ge 4 ] || fail "counted $(counter syn_rate) SYNs too many"
served "another source" -H "$auth" --interface 10.77.0.2
must edit ctl service edit api --syn-rate 0
served "without a limit" -H "$auth" --interface 10.77.0.9
