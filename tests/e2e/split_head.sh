#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# A head in as many segments as it takes, cut anywhere.
. "$(dirname "$0")/lib.sh"

start_all "${MODE:-native}"
make_key KEY good

client_py <<'END'
c = Connection()
data = request("three")
c.send_cut(data, [30, 90])
c.expect_served("three")
ok("three segments")

for key, name in (KEY, "good"), (UNKNOWN, "bad"):
    whole = request("x-%s-000" % name, key)
    for cut in range(1, len(whole), 7 if name == "good" else 40):
        marker = "x-%s-%03d" % (name, cut)
        c = Connection()
        c.send_cut(request(marker, key), [cut])
        c.expect_served(marker) if name == "good" else c.expect_nothing(marker, 0.25)
        c.close()
    ok("two segments, cut at every %s byte: all %s" %
       (("seventh", "served") if name == "good" else ("fortieth", "refused")))

c = Connection()
c.send_cut(request("sevens"), range(7, 400, 7))
c.expect_served("sevens")
ok("seven bytes a segment")

c = Connection()
data = head("bytes", method="GET")
c.send_cut(data, list(range(1, 55)))
c.expect_served("bytes")
ok("the first 54 bytes one by one")

c = Connection()
data = head("tail", method="GET")
c.send_cut(data, list(range(len(data) - 50, len(data))))
c.expect_served("tail")
ok("the last 50 bytes one by one")

c = Connection()
fields = ["X-Filler-%d: %s" % (n, "f" * 200) for n in range(40)]
c.send_cut(request("long", fields=fields), range(1000, 9000, 1000))
c.expect_served("long")
ok("a head of 8 KiB in ten segments")

c = Connection()
c.send_cut(request("again"), [100])
c.expect_served("again")
c.send_cut(request("again-2"), [20, 21, 22, 150])
c.expect_served("again-2")
ok("split heads one after the other on one connection")

c = Connection()
c.send_cut(request("late-bad", UNKNOWN), [len(request("late-bad", UNKNOWN)) - 4])
c.expect_nothing("late-bad")
c = Connection()
c.send_cut(request("bytes-bad", UNKNOWN), range(3, 150, 3))
c.expect_nothing("bytes-bad")
ok("a bad key in a split head never reached the backend whole")

c = Connection()
c.send_cut(request("seventy"), range(1, 71))
c.expect_nothing("seventy")
ok("more than 64 segments: refused")

c = Connection()
c.send(*[request("huge", fields=["X-Filler-%d: %s" % (n, "f" * 500) for n in range(40)])[a:a + 1400]
         for a in range(0, 22000, 1400)])
c.expect_nothing("huge")
ok("more than 16 KiB: refused")

# What Java's HttpClient and `curl --http2` ask for, with a head over several segments.
FIELDS = ["Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: AAEAAEAAAAIAAAAB"]
for fields, name in (FIELDS, "last"), (FIELDS + ["X-Long: " + "l" * 3000], "first"):
    whole = request("h2c-%s-000" % name, fields=fields)
    for cut in range(60, whole.index(b"HTTP2-Settings: "), 9):
        marker = "h2c-%s-%03d" % (name, cut)
        c = Connection()
        c.send_cut(request(marker, fields=fields), [cut])
        c.expect_served(marker)
        c.send(request(marker + "-next"))
        c.expect_served(marker + "-next")
        c.close()
ok("Upgrade: h2c, cut at every ninth byte: served")
END
[ "$(counter head_too_large)" -gt 0 ] || fail "the head over 16 KiB was not counted as head_too_large"
[ "$(counter malformed)" -gt 0 ] || fail "the head of 71 segments was not counted as malformed"
ok "counted by their reasons"
