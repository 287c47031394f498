#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# Disable, enable, delete and rotate hold from the moment they are answered.
. "$(dirname "$0")/lib.sh"

start_all "${MODE:-native}"
make_key KEY worn
make_key OTHER steady

for round in 1 2 3 4 5; do
	answer=$(ctl --json key disable "$KEY_ID") || fail "key disable: $answer"
	refused "disabled, round $round" key_disabled -H "$(bearer "$KEY")"
	must "key enable" ctl key enable "$KEY_ID"
	served "enabled, round $round" -H "$(bearer "$KEY")"
done
times=$(json '"%.1f us in the kernel, %.1f ms durable" % (d["kernel_us"], d["durable_ms"])' <<< "$answer") ||
	fail "key disable does not tell both times: $answer"
json '0 < d["kernel_us"] < 50000 and 0 < d["durable_ms"] < 5000' <<< "$answer" | grep -q True ||
	fail "the times of key disable cannot be right: $answer"
ok "$times"
output=$(ctl key disable "$KEY_ID")
[[ $output == *[0-9]*s*[0-9]*ms* ]] || fail "key disable should print both times: $output"
ok "$output"
must "key enable" ctl key enable "$KEY_ID"

# Under load: nothing that is sent after the answer to `key disable` is served.
client_start load <<'END'
c, number = Connection(), 0
tell("loading")
while not told("disabled"):
    number += 1
    c.send(request("load-%d" % number))
    try:
        c.answer(0.4)
    except OSError:
        break
check(told("disabling") and number > 20, "refused before it was disabled, after %d requests" % number)
wait_for("disabled")
for _ in range(20):
    c = Connection()
    c.send(request("afterwards"))
    c.expect_nothing("afterwards", 0.02)
ok("refused: everything sent after the answer (%d were served before)" % (number - 1))
END
met loading
sleep 0.3
tell disabling
must "key disable" ctl key disable "$KEY_ID"
tell disabled
client_done load
must "key enable" ctl key enable "$KEY_ID"

# rotate: a new secret; the old one is good for the grace given, or not at all.
answer=$(ctl --json key rotate "$KEY_ID" --grace 2s) || fail "key rotate: $answer"
at=$(date +%s%N)
fresh=$(json 'd["key"]' <<< "$answer")
[ "$fresh" != "$KEY" ] || fail "rotate gave the same key"
served "the new one" -H "$(bearer "$fresh")"
sleep 0.01
served "the old one, in its grace" -H "$(bearer "$KEY")"
[ "$(ctl --json key show "$KEY_ID" | json 'd["grace_last_used_at"] == d["last_used_at"] > d["created_at"]')" = True ] || fail "that the old one is used is not told"
left=$((2200 - ($(date +%s%N) - at) / 1000000))
[ "$left" -le 0 ] || sleep "$(printf '%d.%03d' $((left / 1000)) $((left % 1000)))"
denied "the old one, after its grace" -H "$(bearer "$KEY")"
served "the new one, after the grace" -H "$(bearer "$fresh")"
last=$(ctl --json key rotate "$KEY_ID" --grace 0 | json 'd["key"]')
served "the third" -H "$(bearer "$last")"
denied "the second, without a grace" -H "$(bearer "$fresh")"
output=$(ctl key rotate "$KEY_ID" 2>&1 > /dev/full) && fail "a secret that was lost: exit status 0"
[[ $output == *"$KEY_ID has a new secret"*"rotate it again"* ]] || fail "a secret that was lost: $output"
served "the third, for the fourth was lost" -H "$(bearer "$last")"
ok "a rotation has a grace: $output"
must "key disable" ctl key disable "$KEY_ID"
refused "the third, disabled" key_disabled -H "$(bearer "$last")"
must "key enable" ctl key enable "$KEY_ID"

answer=$(ctl --json key delete "$KEY_ID") || fail "key delete: $answer"
json 'd["kernel_us"] > 0 and d["durable_ms"] > 0' <<< "$answer" | grep -q True || fail "key delete: $answer"
refused "deleted" unknown_key -H "$(bearer "$last")"
denied "its first secret" -H "$(bearer "$KEY")"
output=$(ctl key show "$KEY_ID" 2>&1) && fail "a deleted key is still shown"
ok "key show: $output"
served "the other key" -H "$(bearer "$OTHER")"

# What was revoked stays so when the controller dies right afterwards.
make_key LAST last
must "key disable" ctl key disable "$LAST_ID"
kill_daemon
denied "disabled, the controller dead" -H "$(bearer "$LAST")"
start_daemon
refused "disabled, the controller back" key_disabled -H "$(bearer "$LAST")"
refused "deleted, the controller back" unknown_key -H "$(bearer "$last")"
