#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# One connection, many requests: each is judged on the key it carries, at the moment it arrives.
. "$(dirname "$0")/lib.sh"

start_all native
make_key KEY good
make_key OTHER other

client_py <<'END'
import http.client

client = http.client.HTTPConnection(SERVER, PORT, timeout=3 * PATIENCE)
for number in range(50):
    # http.client sends head and body apart: two segments.
    client.request("POST", "/v1/chat/completions", body=b"x" * (number * 97), headers={
        "Authorization": "Bearer " + (KEY if number % 2 else OTHER), "x-marker": "ka-%d" % number})
    answer = client.getresponse()
    received = json.loads(answer.read())["received"]
    check(answer.status == 200, "request %d: %d" % (number, answer.status))
    check(received["connection"] == 2 and received["bytes"] == number * 97,
          "request %d: the backend got %s" % (number, received))
ok("50 requests with two keys over one connection")

c = Connection()
c.send(request("first"))
c.expect_served("first")
c.send(request("second", UNKNOWN))
c.expect_nothing("second")
c.send(request("third"))
c.expect_nothing("third")
ok("a request with an unknown key ends what follows on its connection")

c = Connection()
c.send(request("with"))
c.expect_served("with")
c.send(request("without", ""))
c.expect_nothing("without")
ok("an admitted request does not speak for the next one")
END

admitted=$(counter requests_admitted)
[ "$admitted" -eq 52 ] || fail "52 requests were served, $admitted are counted"
ok "52 admitted, as counted"

client_start revoked <<'END'
c = Connection()
c.send(request("before"))
c.expect_served("before")
tell("served")
wait_for("disabled")
c.send(request("after"))
c.expect_nothing("after", 0.6)
ok("the same connection, after the key was disabled: refused")
END
met served
must "key disable" ctl key disable "$KEY_ID"
tell disabled
client_done revoked
refused "a new connection" key_disabled -H "$(bearer "$KEY")"
