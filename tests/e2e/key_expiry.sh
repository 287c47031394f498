#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# A key ends at its time, to a few milliseconds, with no controller alive.
. "$(dirname "$0")/lib.sh"

start_all "${MODE:-native}"
make_key OTHER lasting
ends=$(($(date +%s) + 4))
make_key KEY short --expires "$(date -u -d "@$ends" +%Y-%m-%dT%H:%M:%SZ)"
make_key BRIEF brief --expires 1s
output=$(ctl key create --name past --expires 2020-01-01T00:00:00Z 2>&1) && fail "a key with an end in the past was made"
ok "an end in the past: $output"
served "before its end" -H "$(bearer "$KEY")"
kill_daemon
say "the controller is dead (SIGKILL)"

ENDS=$ends client_py <<'END'
ends = float(os.environ["ENDS"])
c, number, last, first, cut = Connection(), 0, 0.0, None, False
while first is None:
    check(time.time() < ends + 2, "still served 2 s after its end")
    marker = "until-%d" % (number := number + 1)
    sent = time.time()
    c.send(request(marker))
    try:
        c.answer(0.3)
        last = sent
    except OSError as error:
        first, cut = sent, isinstance(error, ConnectionResetError)
print("  %d requests served, the last %+.1f ms from the end, the first refused at %+.1f ms" %
      (number - 1, (last - ends) * 1e3, (first - ends) * 1e3))
check(number > 100, "too few requests to tell: %d" % number)
check(abs(first - ends) < 0.010, "the end is off by more than 10 ms")
# one that was admitted in the last moment may have its answer cut
check(cut or not backend_saw(marker), "the backend holds the head of a refused request")
ok("the kernel alone ended it, within 10 ms")
c = Connection()
c.send(request("new"))
c.expect_nothing("new")
c = Connection()
c.send(request("lasting", OTHER))
c.expect_served("lasting")
ok("the other key goes on")
END

start_daemon
refused "after a restart" key_expired -H "$(bearer "$KEY")"
refused "the brief one" key_expired -H "$(bearer "$BRIEF")"
status=$(ctl --json key show "$KEY_ID" | json 'd["status"]')
[ "$status" = expired ] || fail "key show calls it $status"
[ "$(ctl --json key list --status expired | json 'd["total"]')" -eq 2 ] || fail "two keys are expired: $(ctl key list)"
must "key edit" ctl key edit "$KEY_ID" --expires never
served "after its end was lifted" -H "$(bearer "$KEY")"
