#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# The controller killed and started again under load: nobody notices, nothing is lost.
. "$(dirname "$0")/lib.sh"

start_all "${MODE:-native}"
make_key KEY good
make_key OTHER off
must "key disable" ctl key disable "$OTHER_ID"

# Two clients until told to stop: one that must always be served, one that never may be.
client_start good <<'END'
c, number, fresh = Connection(), 0, 0
tell("good-runs")
while not told("stop"):
    number += 1
    c.send(request("good-%d" % number, body=b"b" * (number % 3000)))
    status, _ = c.answer(3)
    check(status == 200, "a good request was refused")
    if number % 10 == 0:
        c.close()
        c, fresh = Connection(), fresh + 1
with open(WORK + "/good-count", "w") as count:
    count.write(str(number))
ok("served: %d requests over %d connections, all of them" % (number, fresh + 1))
END
client_start bad <<'END'
number, open_ones = 0, []
tell("bad-runs")
while not told("stop"):
    number += 1
    c = Connection()
    c.send(request("bad-%d" % number, (UNKNOWN, OTHER, "")[number % 3]))
    open_ones.append(c)
    time.sleep(0.005)
    if len(open_ones) > 40:
        old = open_ones.pop(0)
        old.expect_nothing("bad-", 0.001)
        old.close(reset=True)
log = open(BACKEND_LOG).read()
check('"marker":"bad-' not in log, "a refused request reached the backend")
ok("refused: %d requests, all of them" % number)
END
met good-runs
met bad-runs

kept=0
for round in 1 2 3; do
	sleep 0.7
	kill_daemon
	sleep 0.7
	start_daemon
	now=$(counter requests_admitted)
	refusals=$(counter requests_refused)
	[ "$now" -gt "$kept" ] || fail "round $round: the counters went back or stood still, from $kept to $now"
	[ "$refusals" -gt 0 ] || fail "round $round: the refusals are gone"
	kept=$now
	ok "round $round: killed and back; $now admitted, $refusals refused so far"
done
stop_daemon
start_daemon
ok "an orderly end and a new start"
sleep 0.3
tell stop
client_done good
client_done bad
served_all=$(cat "$WORK/good-count")
[ "$(counter requests_admitted)" -eq "$served_all" ] ||
	fail "$served_all requests were served, $(counter requests_admitted) are counted"
ok "counted over all starts: $served_all"
used=$(ctl --json key show "$KEY_ID" | json 'd["requests_admitted"]')
[ "$used" -eq "$served_all" ] || fail "the key's own counter says $used"

# What is there is found again; what is new works.
make_key NEW new
served "a key made after the restarts" -H "$(bearer "$NEW")"
refused "the disabled key" key_disabled -H "$(bearer "$OTHER")"
must "iface list" ctl iface list
[ "$(ctl --json iface list | json 'd["ifaces"][0]["state"]')" = attached ] || fail "the interface is not attached"

mkdir "$WORK/state2" "$WORK/run2"
output=$(server timeout $((10 * PATIENCE)) "$BUILD/keyfilterd" --state-dir "$WORK/state2" --run-dir "$WORK/run2" \
	--pin-dir "$PIN" --config "$WORK/keyfilterd.conf" 2>&1)
status=$?
[ "$status" -ne 0 ] && [ "$status" -ne 124 ] || fail "a second controller runs on the same pins ($status)"
ok "a second controller on the same pins: $output"
served "the first one's filter, afterwards" -H "$(bearer "$KEY")"
