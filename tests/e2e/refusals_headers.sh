#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# Segments with IPv4 options or IPv6 extension headers are answered as well; where there are more of them
# than an answer can be built on, nothing passes either, which is counted and named by status.
. "$(dirname "$0")/lib.sh"

make_stage
start_backend
start_daemon
REFUSE=reply add_service
make_key KEY good
degraded() { ctl --json status | json '"\n".join(d["degraded"])'; }

cat > "$WORK/headers.py" <<'END'
from refusal import *

def connect(host, level, option, value):
    c = Connection(host)
    c.socket.setsockopt(level, option, value) # in each packet from now on
    return c

def options(size):
    """Destination options of so many bytes: one of an experimental type, to be skipped (RFC 4727)."""
    return bytes([0, size // 8 - 1, 0x1e, size - 4]) + b"\0" * (size - 4)

IP_OPTIONS = 4 # of linux/in.h
ANSWERED = {
    "IPv4 options": (SERVER, socket.IPPROTO_IP, IP_OPTIONS, b"\1\1\1\1"),
    "40 bytes of IPv4 options": (SERVER, socket.IPPROTO_IP, IP_OPTIONS, b"\1" * 40),
    "destination options": (SERVER6, socket.IPPROTO_IPV6, socket.IPV6_DSTOPTS, options(8)),
    "32 bytes of destination options": (SERVER6, socket.IPPROTO_IPV6, socket.IPV6_DSTOPTS, options(32)),
}
for what, how in ANSWERED.items():
    c = connect(*how)
    c.send(request("served " + what))
    c.expect_served("served " + what)
    c.send(request("refused " + what, UNKNOWN))
    expect_refusal(c, "unknown_key", what=what)
    expect_backend_free(what)
    c.close()
    ok(what + ": told")

failed, replies = counter("replies_failed"), counter("replies")
c = connect(SERVER6, socket.IPPROTO_IPV6, socket.IPV6_DSTOPTS, options(248))
c.send(request("too many", UNKNOWN))
data, end = read_to_end(c.socket, 0.5)
check(data == b"" and end == "silence", "too many headers: %s %r" % (end, data))
check(not backend_saw("too many"), "the backend holds it")
check(counter("replies_failed") > failed and counter("replies") == replies, "%d replies_failed, %d replies" %
      (counter("replies_failed") - failed, counter("replies") - replies))
c.close(reset=True)
ok("248 bytes of destination options: nothing passes, counted")
END

[[ $(degraded) != *refused* ]] || fail "status names refusals that failed before there is one: $(degraded)"
for mode in native generic tc; do
	say "$mode"
	attach "$mode"
	client_py < "$WORK/headers.py"
	must "iface detach" ctl iface detach s0
done
[[ $(degraded) == *"refused clients were told nothing"* ]] || fail "status does not name it: $(degraded)"
ok "status names it"
