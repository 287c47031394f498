#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# Several requests in one segment, and heads that begin anywhere.
. "$(dirname "$0")/lib.sh"

start_all native
make_key KEY good
make_key OTHER other

client_py <<'END'
c = Connection()
c.send(request("two-1") + request("two-2", OTHER))
c.expect_served("two-1")
c.expect_served("two-2")
ok("two good requests in one segment")

c = Connection()
c.send(head("get-1", method="GET") + head("get-2", method="GET") + head("get-3", method="GET"))
for number in 1, 2, 3:
    c.expect_served("get-%d" % number)
ok("three GETs in one segment")

c = Connection()
c.send(request("good") + request("bad", UNKNOWN))
c.expect_served("good")
c.expect_nothing("bad", 0.6)
ok("good then bad in one segment: the good one is answered, the bad one never reached the backend")

c = Connection()
c.send(request("served-first"))
c.expect_served("served-first")
c.send(request("good-2") + request("bad-2", ""))
c.expect_served("good-2")
c.expect_nothing("bad-2", 0.6)
c.send(request("behind-bad"))
c.expect_nothing("behind-bad", 0.6)
ok("the same on a connection in use")

# A request that begins in the segment that ends the one before it, at every place of the second.
whole = request("x", body=b"0123456789")
for cut in range(1, len(whole), 9):
    c = Connection()
    first, second = request("a-%d" % cut, body=b"b" * 500), request("b-%d" % cut, OTHER, body=b"c" * 40)
    c.send(first[:300], first[300:] + second[:cut], second[cut:])
    check(c.expect_served("a-%d" % cut)["bytes"] == 500, "body of a-%d" % cut)
    check(c.expect_served("b-%d" % cut)["bytes"] == 40, "body of b-%d" % cut)
    c.close()
ok("two requests over three segments, cut at every ninth byte")

c = Connection()
stream = b"".join(request("long-%d" % n, body=b"z" * (n * 130 % 700)) for n in range(4))
for at in range(0, len(stream), 611):
    c.send(stream[at:at + 611])
for number in range(4): # each waits until TCP brings it again, twice as long each time
    c.expect_served("long-%d" % number)
ok("4 requests as one stream in pieces of 611 bytes")

# The requests of a client that waits for its responses, cut anywhere, wait for nothing.
c = Connection()
began = time.monotonic()
for number in range(60):
    whole = request("ka-%d" % number, body=b"z" * (number * 13 % 700))
    c.send_cut(whole, [number * 11 % len(whole)])
    c.expect_served("ka-%d" % number)
check(time.monotonic() - began < 3, "60 requests took %.1f s" % (time.monotonic() - began))
ok("60 requests of a connection, each in two segments")

c = Connection()
smuggled = request("inner", UNKNOWN)
c.send(request("outer", body=smuggled))
check(c.expect_served("outer")["bytes"] == len(smuggled), "the body is the body")
check(not backend_saw("inner"), "a body was read as a request")
ok("what looks like a request inside a body is a body")
END
[ "$(counter malformed)" -eq 0 ] || fail "good requests counted as malformed: $(counter malformed)"
