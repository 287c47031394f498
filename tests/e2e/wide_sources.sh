#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# Denying, or no longer denying, a block that covers very many sources takes its time, in which
# revocations and changes of other sources get in between; a controller that is killed or ended in
# the middle has done all of it or none.
. "$(dirname "$0")/lib.sh"

SOURCES=200000
make_stage
mkdir -m 700 "$WORK/state"
{ echo "keys_max 4096"; echo "sources_max $((SOURCES + 1000))"; echo "flows_max 8192"; echo "heads_max 64"; echo "embryos 4096"; } \
	> "$WORK/keyfilterd.conf"
"$BUILD/tools/keyfilter-seed" --state-dir "$WORK/state" --keys 1000 --show 1000 > "$WORK/seeded" ||
	fail "keyfilter-seed: $(cat "$WORK/seeded")"
"$PYTHON" - "$WORK/state/keyfilter.db" $SOURCES << 'END' || fail "cannot store the sources"
import sqlite3, sys
db = sqlite3.connect(sys.argv[1])
hosts = (bytes(10) + b"\xff\xff\x0b" + n.to_bytes(3, "big") for n in range(int(sys.argv[2])))
db.executemany("INSERT INTO source VALUES (?, 128, 0, 1, 4000000000000000000)", ((host,) for host in hosts))
db.commit()
END
start_daemon
export SOCKET WORK PYTHONPATH=$HERE PYTHONDONTWRITEBYTECODE=1

cat > "$WORK/wide.py" <<'END'
import os, sys, threading, time
from admin import Admin, die

ids = [line.split()[0] for line in open(os.environ["WORK"] + "/seeded")]
BLOCK = "/v1/sources/11.0.0.0%2f8"
wide = (("deny", 201, "POST", "/v1/sources", {"cidr": "11.0.0.0/8", "action": "deny"}),
        ("allow", 201, "POST", "/v1/sources", {"cidr": "11.0.0.0/8", "action": "allow"}),
        ("remove", 200, "DELETE", BLOCK, None))
admin, told = Admin(), 0
for name, expected, method, target, body in wide:
    answers, times, status = [], [], 0
    change = threading.Thread(target=lambda: answers.append(Admin().call(method, target, body)))
    change.start()
    time.sleep(0.01)
    while change.is_alive():
        since = time.monotonic()
        status, answer = admin.call("POST", "/v1/keys/%s/disable" % ids[len(times) % len(ids)])
        times.append(time.monotonic() - since)
        if status != 200:
            die("a revocation beside %s: %s" % (name, answer))
        if len(times) % 5:
            continue
        status, answer = admin.call("POST", "/v1/sources", {"cidr": "192.0.2.7", "action": "deny"})
        if status not in (200, 201):
            die("a denial beside %s: %s" % (name, answer))
        said = admin.call("GET", "/v1/status")[1]["degraded"]
        told += change.is_alive()
        if "11.0.0.0/8" in str(said):
            die("a change that goes on is called a fault: %s" % said)
    if not answers or answers[0][0] != expected:
        die("%s: %s" % (name, answers))
    if len(times) < 5:
        die("only %d revocations got in between; the longest took %.3f s" % (len(times), max(times)))
    times.sort()
    print("  ok    %d revoked while a block was changed (%s): median %.1f ms, longest %.1f ms"
          % (len(times), name, times[len(times) // 2] * 1000, times[-1] * 1000))
    if times[-2] > 0.25:
        die("a revocation waits for the change of a source: %s" % times[-5:])
if not told:
    die("status waits until a change is done")
END
"$PYTHON" "$WORK/wide.py" || fail "see above"

# A host of the many, by what the kernel has: denied for good once the block is, else until 2096.
denied_for_good() {
	bpftool -j map lookup pinned "$PIN/maps/kf_hosts" key 0 0 0 0 0 0 0 0 0 0 255 255 11 "$1" "$2" "$3" |
		json '"yes" if set(d["value"][8:16]) == {"0xff"} else "no"'
}
is_denied() { [ "$(denied_for_good "$@")" = yes ]; }
LAST=$((SOURCES - 1)) && LAST="$((LAST >> 16)) $((LAST >> 8 & 255)) $((LAST & 255))"
for way in KILL TERM; do
	ctl source deny 11.0.0.0/8 > "$WORK/half.out" 2>&1 &
	PIDS+=($!)
	await 5 is_denied 0 0 0 || fail "$way: the denial does not begin"
	if [ $way = KILL ]; then kill_daemon; else stop_daemon; fi
	wait "${PIDS[-1]}" && fail "$way: the denial was over too soon"
	[ "$(denied_for_good $LAST)" = no ] || fail "$way: the denial was over too soon"
	start_daemon
	[ "$(denied_for_good 0 0 0)" = no ] || fail "$way: the start has not undone a half denial"
	ctl --json source list --limit 1 | grep -q '"11.0.0.0/8"' && fail "$way: a half denial is stored"
	ok "SIG$way in the middle of a denial: the next start undoes it"
done
must "deny again" ctl source deny 11.0.0.0/8
[ "$(denied_for_good $LAST)" = yes ] || fail "the last one is not denied for good"
unload
nothing_left
