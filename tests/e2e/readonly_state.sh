#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# Where the state directory cannot be written to, keyfilterd does not start, says why and what to do;
# the filter goes on as it was, and the start that follows the mend takes it over.

# The mount is one of the test's own, seen by nobody else.
[ -n "${KF_OWN_MOUNTS:-}" ] ||
	KF_OWN_MOUNTS=1 exec unshare --mount --propagation private -- "$0" "$@"
. "$(dirname "$0")/lib.sh"
trap 'ended=$?; umount -l "$WORK/state" 2> /dev/null; (exit $ended); cleanup' EXIT

mkdir -m 700 "$WORK/state"
mount -t tmpfs -o size=4m,mode=700 kf-readonly "$WORK/state" || skip "cannot mount a tmpfs"
start_all "${MODE:-native}"
make_key KEY good
make_key OTHER off
must "key disable" ctl key disable "$OTHER_ID"
stop_daemon
must "read-only" mount -o remount,ro "$WORK/state"

# shellcheck disable=SC2046 # words, on purpose
output=$(timeout 60 nsenter --net="/run/netns/$SERVER_NS" -- $(daemon_command) 2>&1) && fail "started on a read-only file system"
for words in "is mounted read-only" "remount,rw" "goes on" "--state-dir"; do
	[[ $output == *"$words"* ]] || fail "expected '$words' in: $output"
done
ok "said: ${output##*error: }"
served "the filter goes on: a good key" -H "$(bearer "$KEY")"
kept_out() { # WHAT ARGUMENTS...: there is nobody to ask for a reason
	local status
	status=$(LIMIT=0.5 request alone "${@:2}")
	[ "$status" != 200 ] || fail "$1: was served"
	! backend_saw alone || fail "$1: the backend holds its head"
	ok "refused: $1"
}
kept_out "and a disabled one" -H "$(bearer "$OTHER")"
kept_out "and no key"

must "writable" mount -o remount,rw "$WORK/state"
start_daemon
served "taken over: a good key" -H "$(bearer "$KEY")"
refused "and a disabled one" key_disabled -H "$(bearer "$OTHER")"
must "key enable" ctl key enable "$OTHER_ID"
served "changes hold again" -H "$(bearer "$OTHER")"
