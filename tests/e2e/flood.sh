#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# A flood from 100,000 sources over a second link, as fast as it comes: what is established goes on, what
# is revoked ends, refusals are told, and who is good is served. It leaves no state.
. "$(dirname "$0")/lib.sh"
. "$HERE/flood_stage.sh"

cat > "$WORK/keyfilterd.conf" <<-END
	keys_max 1024
	sources_max 1024
	flows_max 512
	heads_max 16
	embryos 1024
END
make_stage
make_flood_stage
start_backend
start_daemon
REFUSE=reply add_service --penalty-failures 100
make_key KEY good
make_key OTHER revoked
export OTHER_ID
attach "${MODE:-native}"
[ -n "${KF_UNFILTERED:-}" ] || must "iface attach" ctl iface attach s1 --mode "${MODE:-native}"
flows() { bpftool map dump pinned "$PIN/maps/kf_flows" -j | json 'len(d)'; }

client_start good <<'END'
from refusal import *

def serve(c, marker):
    c.send(request(marker))
    try:
        status, _ = c.answer(3)
    except OSError as error:
        fail("%s: broke in the flood: %s" % (marker, error))
    check(status == 200, "%s: HTTP status %d" % (marker, status))

established = [Connection() for _ in range(60)]
for number, c in enumerate(established):
    serve(c, "before-%d" % number)
half = Connection()
half.send(request("half")[:60])
stream = Connection()
stream.send(request("stream", OTHER, body=b'{"stream":true,"max_tokens":5000}'))
idle = Connection()
idle.send(request("idle", OTHER))
idle.expect_served("idle")
tell("ready")
wait_for("flooding")

rounds, slowest, fresh = 0, 0.0, 0
until = time.monotonic() + 3
while time.monotonic() < until:
    for number, c in enumerate(established):
        began = time.monotonic()
        serve(c, "in-%d-%d" % (rounds, number))
        slowest = max(slowest, time.monotonic() - began)
    rounds += 1
    c = Connection(timeout=3)
    serve(c, "fresh-%d" % rounds)
    c.close()
    fresh += 1
    c = Connection(timeout=3)
    c.send(request("bad-%d" % rounds, UNKNOWN))
    expect_refusal(c, "unknown_key", what="in the flood")
    c.close()
    if rounds > 45: # penalties are another test's
        break
ok("in the flood: %d requests on 60 established connections, the slowest %.0f ms; %d new ones, %d refusals told" %
   (rounds * 60, slowest * 1000, fresh, fresh))
half.send(request("half")[60:])
half.expect_served("half")
ok("a half-sent head survived")

began = time.monotonic()
admin("/v1/keys/%s/disable" % os.environ["OTHER_ID"], "POST")
answered = time.monotonic()
data, end = read_to_end(stream.socket, 2)
over = time.monotonic() - answered
check(end == "reset" and b"token-" in data, "the stream of a revoked key ends with %s" % end)
check(over < 0.5, "the stream went on for %.3f s" % over)
idle.send(request("idle-off", OTHER))
expect_refusal(idle, "key_disabled", what="in the flood")
ok("a key disabled in the flood, in %.0f ms: its stream was cut after %.0f ms, its next request refused" %
   ((answered - began) * 1000, over * 1000))
check(not told("over"), "the flood was over before the test")
tell("done")
for number, c in enumerate(established):
    serve(c, "after-%d" % number)
    c.close()
END
met ready
held=$(flows)
flood 12 > "$WORK/flood.out" 2>&1 &
FLOODING=$!
PIDS+=("$FLOODING")
sleep 0.3
tell flooding
while kill -0 "$PID_good" 2> /dev/null && [ ! -e "$WORK/done" ]; do
	now=$(flows) # the client's own connections come and go, two a round
	[ "$now" -le $((held + 150)) ] || fail "$held flows were established, the flood made it $now"
	kill -0 "$FLOODING" 2> /dev/null || tell over
	sleep 0.2
done
kill "$FLOODING" 2> /dev/null
client_done good
ok "the flood made no state"
junk=$(($(counter no_flow) + $(counter unacked)))
[ "$junk" -gt 20000 ] || fail "only $junk packets of junk data were counted"
! grep -q '"request":"POST [^"]*","marker":""' "$BACKEND_LOG" || fail "the backend has a request of the flood"
say "junk data refused: $junk packets; SYNs and others passed: $(counter control)"
[ "$(counter penalties)" -eq 0 ] || fail "somebody was penalised for what no handshake came before"
ok "nobody was penalised for it"
