#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# Many keys at once are made in slices: revocations get in between, and whoever looks, or kills the
# controller in the middle, finds all of them or none. The ends of many graces make nobody wait either.
. "$(dirname "$0")/lib.sh"

make_stage
mkdir -m 700 "$WORK/state"
{ echo "keys_max 131072"; echo "sources_max 4096"; echo "flows_max 8192"; echo "heads_max 64"; echo "embryos 4096"; } \
	> "$WORK/keyfilterd.conf"
"$BUILD/tools/keyfilter-seed" --state-dir "$WORK/state" --keys 300 --show 300 > "$WORK/seeded" ||
	fail "keyfilter-seed: $(cat "$WORK/seeded")"
start_daemon
start_backend
add_service
attach native
export SOCKET WORK PYTHONPATH=$HERE PYTHONDONTWRITEBYTECODE=1

cat > "$WORK/bulk.py" <<'END'
import os, sys, threading, time
from admin import Admin, die

ids = [line.split()[0] for line in open(os.environ["WORK"] + "/seeded")]
made = []
def make(quantity):
    made.append(Admin().call("POST", "/v1/keys", {"name": "bulk", "quantity": quantity}))

QUANTITY = 20000
maker = threading.Thread(target=make, args=(QUANTITY,))
maker.start()
time.sleep(0.05)
admin, times, seen, between = Admin(), [], set(), 0
for ident in ids[:100]:
    since = time.monotonic()
    status, answer = admin.call("POST", "/v1/keys/%s/disable" % ident)
    times.append(time.monotonic() - since)
    if status != 200:
        die("a revocation beside a creation: %s" % answer)
    between += maker.is_alive()
    if len(times) % 10 == 0:
        seen.add(admin.call("GET", "/v1/keys?limit=1&search=bulk")[1]["total"])
        seen.add(admin.call("GET", "/v1/status")[1]["keys"]["total"] - len(ids))
if between < 5:
    die("only %d revocations got in between; the longest took %.3f s" % (between, max(times)))
maker.join()
status, answer = made[0]
if status != 201 or len(answer["keys"]) != QUANTITY:
    die("the creation: HTTP status %d, %s" % (status, str(answer)[:200]))
seen.add(admin.call("GET", "/v1/keys?limit=1&search=bulk")[1]["total"])
if not seen <= {0, QUANTITY} or QUANTITY not in seen:
    die("somebody saw a part of the new keys: %s" % seen)
times.sort()
print("  ok    100 revoked while %d keys were made: median %.1f ms, longest %.1f ms"
      % (QUANTITY, times[50] * 1000, times[-1] * 1000))
if times[97] > 0.25 or times[-1] > 2:
    die("a revocation waits for a creation: %s" % " ".join("%.3f" % t for t in times[-5:]))
for key in (answer["keys"][0], answer["keys"][-1]):
    print("KEY", key["key"])

# the graces of 300 keys end in the same second
for ident in ids[100:]:
    status, answer = admin.call("POST", "/v1/keys/%s/rotate" % ident, {"grace": "2s"})
    if status != 200:
        die("rotate: %s" % answer)
deadline, times = time.monotonic() + 4, []
while time.monotonic() < deadline:
    since = time.monotonic()
    status, answer = admin.call("POST", "/v1/keys/%s/disable" % ids[0])
    times.append(time.monotonic() - since)
    time.sleep(0.002)
times.sort()
print("  ok    %d revocations while 200 graces ended: longest %.1f ms" % (len(times), times[-1] * 1000))
if times[-4] > 0.25:
    die("a revocation waits for the ends of graces: %.3f s" % times[-4])
END
"$PYTHON" "$WORK/bulk.py" > "$WORK/bulk.out" || { grep -v KEY "$WORK/bulk.out"; fail "see above"; }
grep -v KEY "$WORK/bulk.out"
mapfile -t texts < <(sed -n 's/^KEY //p' "$WORK/bulk.out")
served "the first of many" -H "$(bearer "${texts[0]}")"
served "the last of many" -H "$(bearer "${texts[1]}")"

# Killed, or ended, in the middle: none of them is there, their places are free, and it can be done again.
total() { ctl --json key list --limit 1 --search "$1" | json 'd["total"]'; }
before=20300
for way in KILL TERM; do
	ctl --json key create --name "half-$way" --quantity 50000 > "$WORK/half.out" 2>&1 &
	PIDS+=($!)
	sleep 0.4
	if [ $way = KILL ]; then kill_daemon; else stop_daemon; fi
	wait "${PIDS[-1]}" && fail "$way: the creation was over too soon"
	start_daemon
	[ "$(total "half-$way")" = 0 ] || fail "$way: $(total "half-$way") keys are left of a creation that failed"
	[ "$(total seed)" = 300 ] && [ "$(total "")" = "$before" ] || fail "$way: the total is not as before"
	must "key create behind it" ctl key create --name "after-$way" --quantity 100
	before=$((before + 100))
	ok "SIG$way in the middle of a creation leaves nothing of it"
done
served "the last of many behind it" -H "$(bearer "${texts[1]}")"
unload
nothing_left
