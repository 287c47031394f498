#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# With a full disk the filter starts, goes on, and refuses what is revoked; what failed is said, held or
# taken back, and over once there is room.

# The disk is one of the test's own, seen by nobody else.
[ -n "${KF_OWN_MOUNTS:-}" ] ||
	KF_OWN_MOUNTS=1 exec unshare --mount --propagation private -- "$0" "$@"
. "$(dirname "$0")/lib.sh"
trap 'ended=$?; umount -l "$WORK/state" 2> /dev/null; (exit $ended); cleanup' EXIT

mkdir -m 700 "$WORK/state"
mount -t tmpfs -o size=1m,mode=700 kf-full-disk "$WORK/state" || skip "cannot mount a tmpfs"
fill_disk() { cat /dev/zero > "$WORK/state/ballast" 2> /dev/null; }

# fails WHAT WORDS COMMAND...: with an answer that has the words.
fails() {
	local output
	! output=$("${@:3}" 2>&1) || fail "$1: expected to fail, got: $output"
	[[ $output == *"$2"* ]] || fail "$1: expected '$2' in: $output"
	ok "$1: $output"
}
status_says() { [[ $(ctl status) == *"$1"* ]]; }
from() { printf '%s\n' --interface "10.77.0.$1"; }

start_all "${MODE:-native}"
make_key KEY listed
make_key OTHER other
make_key GONE gone
grep -q '^Max core file size *0 *0 ' "/proc/$DAEMON/limits" || fail "it may dump core: $(cat "/proc/$DAEMON/limits")"
ok "no core is dumped"
stop_daemon
fill_disk
start_daemon
ok "started with a full disk"
served "as before" -H "$(bearer "$KEY")"

fails "an allow list" "not durable" ctl key edit "$KEY_ID" --allow-ip 10.77.0.3
# shellcheck disable=SC2046 # two words
served "from the address it names" -H "$(bearer "$KEY")" $(from 3)
# shellcheck disable=SC2046
refused "from another" ip_not_allowed -H "$(bearer "$KEY")" $(from 2)
fails "disable" "not durable" ctl key disable "$OTHER_ID"
refused "what was disabled" key_disabled -H "$(bearer "$OTHER")"
fails "an end" "not durable" ctl key edit "$GONE_ID" --expires 1s
fails "a new key" "cannot store the key" ctl key create --name never
fails "a service" "it is as before" ctl service edit api --mode monitor
fails "a denial" "the kernel has the change" ctl source deny 10.77.0.9
status_says "nothing can be stored" || fail "status is silent about the disk: $(ctl status)"
for id in "$KEY_ID" "$OTHER_ID" "$GONE_ID" "source 10.77.0.9"; do
	status_says "$id" || fail "status is silent about $id: $(ctl status)"
done
[ "$(grep -c "the store fails" "$DAEMON_LOG")" -eq 1 ] || fail "expected one line of log: $(cat "$DAEMON_LOG")"
ok "told by status, and logged once"

rm "$WORK/state/ballast"
await 5 eval '! status_says "nothing can be stored"' || fail "it does not find the room: $(ctl status)"
must "key edit" ctl key edit "$KEY_ID" --allow-ip 10.77.0.4
# shellcheck disable=SC2046
{
	served "from the address that was edited in" -H "$(bearer "$KEY")" $(from 4)
	refused "from the one that failed" ip_not_allowed -H "$(bearer "$KEY")" $(from 3)
	refused "from any other" ip_not_allowed -H "$(bearer "$KEY")" $(from 2)
}
for id in "$OTHER_ID" "$GONE_ID"; do
	must "key edit" ctl key edit "$id" --name renamed
done
refused "disabled, over an unrelated edit" key_disabled -H "$(bearer "$OTHER")"
refused "at its end, over an unrelated edit" key_expired -H "$(bearer "$GONE")"
denied "a source, still" -H "$(bearer "$OTHER")" --interface 10.77.0.9
must "key enable" ctl key enable "$OTHER_ID"
served "enabled" -H "$(bearer "$OTHER")"
must "key edit" ctl key edit "$GONE_ID" --expires never
served "without an end" -H "$(bearer "$GONE")"
must "source remove" ctl source remove 10.77.0.9
! status_says "not durable" || fail "something is left: $(ctl status)"
ok "store and kernel agree"

mv "$WORK/state/keyfilter.db" "$WORK/state/away"
await 5 status_says "was removed" || fail "nobody saw that the store is gone: $(ctl status)"
fails "disable, without a store" "was removed" ctl key disable "$OTHER_ID"
refused "what was disabled" key_disabled -H "$(bearer "$OTHER")"
mv "$WORK/state/away" "$WORK/state/keyfilter.db"
must "key disable" ctl key disable "$OTHER_ID"
stop_daemon
start_daemon
refused "after a restart" key_disabled -H "$(bearer "$OTHER")"
# shellcheck disable=SC2046
served "and from the address" -H "$(bearer "$KEY")" $(from 4)
