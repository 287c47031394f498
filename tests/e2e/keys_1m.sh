#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# 1,000,000 keys: enforced right after the start, revoked at once, and after a restart too.
. "$(dirname "$0")/lib.sh"

keys=1000000
memory=$(awk '/MemAvailable/ { print int($2 / 1024) }' /proc/meminfo)
[ "$memory" -ge 3072 ] || skip "needs 3 GiB of memory, $memory MiB are available"

make_stage
start_backend
state=$(daemon_command | sed -n 's/.*--state-dir \([^ ]*\).*/\1/p')
mkdir -p "$state"
chmod 700 "$state"
cat > "$WORK/keyfilterd.conf" <<-END
	keys_max 1048576
	sources_max 4096
	flows_max 8192
	heads_max 64
	embryos 4096
END

"$BUILD/tools/keyfilter-seed" --state-dir "$state" --keys $keys --show 3 > "$WORK/seeded" ||
	fail "keyfilter-seed: $(cat "$WORK/seeded")"
mapfile -t ids < <(awk '{ print $1 }' "$WORK/seeded")
mapfile -t texts < <(awk '{ print $2 }' "$WORK/seeded")

begin=$(date +%s%N)
start_daemon
ok "started with $keys keys in $((($(date +%s%N) - begin) / 1000000)) ms"
add_service
attach native
total=$(ctl --json status | json 'd["keys"]["total"]')
[ "$total" = $keys ] || fail "status counts $total keys"
served "the first of them" -H "$(bearer "${texts[0]}")"
served "the last of them" -H "$(bearer "${texts[2]}")"
refused "one that is none of them" unknown_key -H "$(bearer "${texts[0]:0:50}!")"
must "key disable" ctl key disable "${ids[1]}"
refused "one that was revoked" key_disabled -H "$(bearer "${texts[1]}")"

kill_daemon
served "a key while the controller is dead" -H "$(bearer "${texts[0]}")"
denied "the revoked one then" -H "$(bearer "${texts[1]}")"
begin=$(date +%s%N)
start_daemon
ok "reconciled $keys keys in $((($(date +%s%N) - begin) / 1000000)) ms"
served "a key behind the restart" -H "$(bearer "${texts[2]}")"
refused "the revoked one behind the restart" key_disabled -H "$(bearer "${texts[1]}")"
unload
nothing_left
