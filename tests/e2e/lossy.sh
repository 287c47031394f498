#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# A bad network harms no good client: packets are lost behind the filter, where the backend never gets
# what was judged, and segments that offload had joined come again one by one; and packets are lost
# before it. No request hangs and none is refused. KF_REQUESTS=N sends more of them (300), KF_MODES="native
# generic tc" says how the filter is attached, in turn, `none` for not at all, and KF_ROUNDS=N how often that
# is repeated: `make check-lossy` sends 5,000 in each mode, and without the filter in between.
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
with open(WORK + "/took-" + WHAT, "a") as all_rounds:
    all_rounds.writelines("%.3f\n" % seconds for seconds, _ in took)
print("  %s: %d requests, p50 %.3f s, p99 %.3f s, slowest %.1f s (%s), %d failed" % (WHAT, len(took),
      took[len(took) // 2][0], took[len(took) * 99 // 100][0], took[-1][0], took[-1][1], len(bad)))
check(not bad, "%d of %d failed: %s" % (len(bad), COUNT, bad[:5]))
ok(WHAT)
END

load() {
	export PYTHONPATH=$HERE SERVER SERVER6 PORT UNKNOWN BACKEND_LOG WORK KEY OTHER=
	: > "$BACKEND_LOG" # it is searched at each answer
	in_ns "$CLIENT_NS" timeout "$(patient $((90 + ${KF_REQUESTS:-300} / 5)))" \
		"$PYTHON" -u "$WORK/load.py" "$1" "${KF_REQUESTS:-300}" "${LIMIT:-20}" || fail "the client says so"
}

# attach_and_load MODE: over native XDP veth sends no joined segments, in the others it does.
attach_and_load() {
	[ "$1" = none ] || attach "$1"
	lose "$SERVER_NS" prerouting -310 "tcp dport $PORT" 3
	load "$1, 3 % lost behind the filter"
	stop_losing "$SERVER_NS"
	lose "$CLIENT_NS" postrouting 310 "tcp dport $PORT" 5
	load "$1, 5 % lost before the filter"
	stop_losing "$CLIENT_NS"
	[ "$1" = none ] || [ -n "${KF_UNFILTERED:-}" ] || must "iface detach" ctl iface detach s0
}

# The rounds of one kind together: their spread tells whether the filter has a part in what is slow.
summary() {
	local file
	for file in "$WORK"/took-*; do
		sort -n "$file" | awk -v "what=${file#*/took-}" '{ t[NR] = $1 } END {
			printf "  in all, %s: %d requests, p50 %.3f s, p99 %.3f s, slowest %.1f s\n",
				what, NR, t[int(NR / 2)], t[int(NR * 0.99)], t[NR] }'
	done
}

for _ in $(seq "${KF_ROUNDS:-1}"); do
	for mode in ${KF_MODES:-tc native}; do attach_and_load "$mode"; done
done
summary
[ "$(ctl --json stats | json 'd["services"][0]["requests_refused"]')" = 0 ] ||
	[ -n "${KF_UNFILTERED:-}" ] || fail "good requests were refused"
ok "nobody was refused"
