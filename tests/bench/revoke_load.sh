#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# revoke_load.sh - how long root waits for `key disable` while others keep the controller busy, from the
# request to the durable answer; one load after the other (revoke_load.py), or those of KF_LOADS, over
# KF_BENCH_KEYS keys (1,000,000) and half as many denied sources. It fails where one revocation in a hundred
# takes longer than KF_P99_MS. The state is in TMPDIR: in a tmpfs, what is measured is the controller without
# its disk, whose own part the first line tells.
. "$(dirname "$0")/../e2e/lib.sh"
HERE=$ROOT/tests/e2e

keys=${KF_BENCH_KEYS:-1000000}
sources=$((keys / 2))
make_ns "$SERVER_NS"
make_readers
mkdir -m 700 "$WORK/state"
{ echo "keys_max $((keys + 300000))"; echo "sources_max $((sources + 1000))"; echo "flows_max 8192"; echo "embryos 4096"; } \
	> "$WORK/keyfilterd.conf"
"$BUILD/tools/keyfilter-seed" --state-dir "$WORK/state" --keys "$keys" --show 20000 > "$WORK/seeded" ||
	fail "keyfilter-seed: $(cat "$WORK/seeded")"
"$PYTHON" - "$WORK/state/keyfilter.db" "$sources" << 'END' || fail "cannot store the sources"
import sqlite3, sys
db = sqlite3.connect(sys.argv[1])
hosts = (bytes(10) + b"\xff\xff\x0b" + n.to_bytes(3, "big") for n in range(int(sys.argv[2])))
db.executemany("INSERT INTO source VALUES (?, 128, 0, 1, 4000000000000000000)", ((host,) for host in hosts))
db.commit()
END
chmod 711 "$WORK"
export SOCKET WORK READERS PYTHONPATH=$HERE PYTHONDONTWRITEBYTECODE=1
measure() { "$PYTHON" "$ROOT/tests/bench/revoke_load.py" "$@" || fail "$1: see above"; }

start_daemon
for load in ${KF_LOADS:-disk nothing readers searches lists create deny graces expiries}; do
	measure "$load"
done
stop_daemon
measure restart &
PIDS+=($!)
start_daemon
wait "${PIDS[-1]}" || fail "restart: see above"
unload
sleep 5 # the kernel frees the maps, which are large
measure start &
PIDS+=($!)
start_daemon
wait "${PIDS[-1]}" || fail "start: see above"
