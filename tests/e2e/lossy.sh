#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# A bad network harms no good client: packets are lost behind the filter, where the backend never gets
# what was judged, and segments that offload had joined come again one by one; and packets are lost
# before it. No request hangs and none is refused. KF_REQUESTS=N sends more of them (make check: 300).
. "$(dirname "$0")/lib.sh"

make_stage
start_backend
start_daemon
REFUSE=reply add_service
make_key KEY good

cat > "$WORK/load.py" <<'END'
import random, threading
from raw import *

WHAT, COUNT, LIMIT = sys.argv[1], int(sys.argv[2]), float(sys.argv[3])
took, bad, lock = [], [], threading.Lock()

def one(c, marker, rng):
    kind = rng.choice(["long head", "length", "chunks", "tiny chunks"])
    fields = ["X-Pad-%d: %s" % (i, "p" * rng.randrange(100, 900)) for i in range(rng.randrange(1, 7))]
    body = bytes(rng.randrange(97, 122) for _ in range(100)) * rng.randrange(1, 600)
    if kind == "long head":
        data = head(marker, fields=fields, length=0)
    elif kind == "length":
        data = head(marker, fields=fields, length=len(body)) + body
    else:
        sizes = [8192, 3000] if kind == "chunks" else [rng.randrange(40, 700) for _ in range(7)]
        body = body if kind == "chunks" else body[:20000]
        data = head(marker, fields=fields + ["Transfer-Encoding: chunked"]) + chunked(body, sizes)
    begin = time.monotonic()
    c.socket.sendall(data) # in one call, so that offload joins what it can
    answer = c.expect_served(marker, LIMIT)
    if kind != "long head":
        check(answer["bytes"] == len(body), "%s: %s of %d bytes" % (marker, answer, len(body)))
    with lock:
        took.append((time.monotonic() - begin, kind))

def client(number, requests):
    rng, c = random.Random(number * 7919 + COUNT), None
    for n in range(requests):
        marker = "%s-%d-%d" % (WHAT, number, n)
        try:
            c = c or Connection(timeout=LIMIT)
            one(c, marker, rng)
        except (Exception, SystemExit) as error:
            with lock:
                bad.append("%s: %s" % (marker, error))
            c = None

threads = [threading.Thread(target=client, args=(n, COUNT // 20)) for n in range(20)]
for t in threads: t.start()
for t in threads: t.join()
took.sort()
print("  %s: %d requests, p50 %.3f s, p99 %.3f s, slowest %.1f s (%s), %d failed" % (WHAT, len(took),
      took[len(took) // 2][0], took[len(took) * 99 // 100][0], took[-1][0], took[-1][1], len(bad)))
check(not bad, "%d of %d failed: %s" % (len(bad), COUNT, bad[:5]))
ok(WHAT)
END

lose() { # NAMESPACE HOOK PRIORITY DIRECTION PERCENT
	in_ns "$1" nft -f - <<-END
	table inet lossy { chain c { type filter hook $2 priority $3; tcp $4 $PORT numgen random mod 100 < $5 drop; }; }
	END
}
stop_losing() { in_ns "$1" nft delete table inet lossy; }

load() {
	export PYTHONPATH=$HERE SERVER SERVER6 PORT UNKNOWN BACKEND_LOG WORK KEY OTHER=
	in_ns "$CLIENT_NS" timeout "$(patient 150)" "$PYTHON" -u "$WORK/load.py" "$@" || fail "the client says so"
}

# attach_and_load MODE: over native XDP veth sends no joined segments, in the others it does.
attach_and_load() {
	attach "$1"
	lose "$SERVER_NS" prerouting -310 dport 3 || skip "no nft here that can lose packets"
	load "$1, 3 % lost behind the filter" "${KF_REQUESTS:-300}" "${LIMIT:-20}"
	stop_losing "$SERVER_NS"
	lose "$CLIENT_NS" postrouting 310 dport 5
	load "$1, 5 % lost before the filter" "${KF_REQUESTS:-300}" "${LIMIT:-20}"
	stop_losing "$CLIENT_NS"
	[ -n "${KF_UNFILTERED:-}" ] || must "iface detach" ctl iface detach s0
}

attach_and_load tc
attach_and_load native
[ "$(ctl --json stats | json 'd["services"][0]["requests_refused"]')" = 0 ] ||
	[ -n "${KF_UNFILTERED:-}" ] || fail "good requests were refused"
ok "nobody was refused"
