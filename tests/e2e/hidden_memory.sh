#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# The controller hides its memory by itself, whoever started it and as whatever user: no core, and for
# other processes of its user its /proc files belong to root (PR_SET_DUMPABLE, proc(5)).
. "$(dirname "$0")/lib.sh"

make_stage
NOBODY=65534
CAPS=+net_admin,+sys_admin,+dac_override,+chown,+fowner,+bpf,+perfmon
as_nobody() {
	echo setpriv --reuid=$NOBODY --regid=$NOBODY --clear-groups --inh-caps=$CAPS --ambient-caps=$CAPS -- "$@"
}
owner() { stat -c %u "/proc/$1/environ"; }
owner_is() { [ "$(owner "$1")" = "$2" ]; }
ulimit -c unlimited 2> /dev/null

# What it would be like without.
# shellcheck disable=SC2046 # words, on purpose
$(as_nobody sleep 60) &
SLEEP=$!
await 5 owner_is "$SLEEP" $NOBODY || fail "a process of $NOBODY has /proc files of $(owner "$SLEEP")"
kill "$SLEEP"

chmod 755 "$WORK"
write_config
mkdir -p "$PIN" && chown $NOBODY:$NOBODY "$PIN"
# shellcheck disable=SC2046
become_in_ns "$SERVER_NS" $(as_nobody $(daemon_command)) >> "$DAEMON_LOG" 2>&1 &
DAEMON=$!
await 60 ctl stats || fail "keyfilterd did not answer on its socket: $(tail -3 "$DAEMON_LOG")"
grep -q "^Uid:[[:space:]]*$NOBODY" "/proc/$DAEMON/status" || fail "it runs as another user"
owner_is "$DAEMON" 0 || fail "its /proc files belong to $(owner "$DAEMON"): its memory is open to that user"
ok "its memory is root's to read"
grep -q '^Max core file size *0 *0 ' "/proc/$DAEMON/limits" || fail "it may dump core: $(cat "/proc/$DAEMON/limits")"
kill -ABRT "$DAEMON"
wait "$DAEMON"
[ $? = 134 ] || fail "SIGABRT did not end it"
DAEMON=
! compgen -G "$WORK/*core*" > /dev/null && ! compgen -G "$WORK/*/core*" > /dev/null || fail "a core was dumped below $WORK"
ok "no core is dumped"
