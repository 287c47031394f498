#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# Clients that ask for Multipath TCP or Fast Open connect at once, and by plain TCP; what they send
# with their SYN is judged; and the keep-alive probes of a client that has said nothing are answered.
. "$(dirname "$0")/lib.sh"

make_stage
# every listener takes data on a SYN, with a cookie or without one
server sysctl -qw net.ipv4.tcp_fastopen=$((0x603)) net.ipv4.tcp_invalid_ratelimit=0
client sysctl -qw net.ipv4.tcp_fastopen=1
start_backend
become_in_ns "$SERVER_NS" "$PYTHON" -u - "$WORK/multipath" > "$WORK/multipath.log" 2>&1 <<'END' &
import socket, sys, threading
listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, 262)
listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
listener.bind(("", 8001))
listener.listen(64)
open(sys.argv[1], "w")
def serve(connection):
    while data := connection.recv(65536):
        print(data)
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
while True:
    threading.Thread(target=serve, args=(listener.accept()[0],), daemon=True).start()
END
PIDS+=($!)
await 5 test -e "$WORK/multipath" || skip "this kernel has no Multipath TCP: $(tail -n 1 "$WORK/multipath.log")"
start_daemon
REFUSE=reset add_service
must "service add" ctl service add multi --listen "*:8001" --refuse reset --penalty-failures 0
make_key KEY good

multipath() { # the SYNs with the option that came to the server so far
	server awk '/^MPTcpExt:/ { if (!n) { n = split($0, names) } else { split($0, values);
		for (i in names) if (names[i] == "MPCapableSYNRX") print values[i] } }' /proc/net/netstat
}
client_py <<'END'
s = socket.socket(socket.AF_INET, socket.SOCK_STREAM, 262)
s.settimeout(3 * PATIENCE)
s.connect((SERVER, 8001))
s.sendall(request("before"))
check(s.recv(100).startswith(b"HTTP/1.1 200"), "Multipath TCP does not work here")
for _ in range(2):
    s = socket.socket()
    s.sendto(request("cookie"), 0x20000000, (SERVER, PORT))
    s.settimeout(3 * PATIENCE)
    s.recv(4096)
ok("before the attach: Multipath TCP and Fast Open, with a cookie for later")
END
[ "$(multipath)" -gt 0 ] || fail "the client does not speak Multipath TCP"

for mode in native generic tc; do
	attach "$mode"
	had=$(multipath)
	client_py <<END
MODE = "$mode"
$(cat <<'PYTHON'
from frames import *

learn()
slowest = 0


def timed(name, port, protocol, key, fast_open=False):
    """The first bytes of the answer, and how long they took from the first SYN on."""
    global slowest
    s = socket.socket(socket.AF_INET, socket.SOCK_STREAM, protocol)
    data = head("%s-%s" % (MODE, name), key, "GET", "/v1/models")
    begin = time.monotonic()
    try:
        if fast_open:
            s.sendto(data, 0x20000000, (SERVER, port))
        else:
            s.connect((SERVER, port))
            s.sendall(data)
        s.settimeout(3 * PATIENCE if key else 0.4)
        answer = s.recv(65536)
    except OSError:
        answer = b""
    took = time.monotonic() - begin
    if key:
        check(answer.startswith(b"HTTP/1.1 200"), "%s %s: not served: %r" % (MODE, name, answer[:40]))
        check(took < 0.4 * PATIENCE, "%s %s: it took %.2f s" % (MODE, name, took))
        slowest = max(slowest, took)
    else:
        check(not answer.startswith(b"HTTP/1.1 200"), "%s %s: served without a key" % (MODE, name))


timed("multipath", 8001, 262, KEY)
timed("multipath-plain-server", PORT, 262, KEY)
timed("multipath-keyless", 8001, 262, "")
timed("fast-open-cookie", PORT, 6, KEY, True)
timed("fast-open-keyless", PORT, 6, "", True)
open("/proc/sys/net/ipv4/tcp_fastopen", "w").write("5") # data without a cookie
for turn in range(3):
    timed("fast-open-%d" % turn, PORT, 6, KEY, True)
timed("fast-open-blind", PORT, 6, "", True)
open("/proc/sys/net/ipv4/tcp_fastopen", "w").write("1")
timed("multipath-again", 8001, 262, KEY)
ok("%s: Multipath TCP and Fast Open: served, the slowest after %.0f ms" % (MODE, slowest * 1000))

# The SYN brings a request without a key, in every form of Fast Open; the server takes such data.
COOKIE = b"\x22\x0a" + b"c" * 8
for name, options in ("none", b""), ("cookie", COOKIE), ("old", b"\xfe\x0c\xf9\x89" + b"c" * 8), ("odd", b"\x01" + COOKIE + b"\x1e\x04\x01\0"):
    for ipv6 in False, True:
        p = Peer(ipv6)
        data = head("%s-syn-%s-%d" % (MODE, name, ipv6), "", "GET")
        check(p.connect(options, data), "%s: no answer to a SYN with data" % MODE)
        check(p.seq == p.first + 1,
              "%s: the server took data from a SYN" % MODE)
        check(not set(p.answered.options) & {30, 34, 69, 253, 254}, "the SYN-ACK has options: %s" % p.answered.options)
        p.push(head("%s-%s-behind-%d" % (MODE, name, ipv6), KEY, "GET", "/v1/models"))
        check(b"HTTP/1.1 200" in p.answer(2.0), "%s: not served behind a SYN with data" % MODE)
check('-syn-' not in open(BACKEND_LOG).read(), "data of a SYN came to the backend")
ok("%s: data on a SYN is taken off, and what comes behind it is judged" % MODE)

# Probes, of one byte and without, before the first byte of the stream and behind a request.
for ipv6 in False, True:
    p = Peer(ipv6).connected()
    for when in "before", "behind":
        for byte in b"", b"\0", b"x", b"\0":
            p.send(byte, seq=p.seq - 1)
            ack = next((q.ack for q in p.packets()), None)
            check(ack == p.seq, "%s: a probe of %d bytes %s a request: answered by %s, not %s" %
                  (MODE, len(byte), when, ack, p.seq))
        p.push(head("%s-probed-%s-%d" % (MODE, when, ipv6), KEY, "GET", "/v1/models"))
        check(b"HTTP/1.1 200" in p.answer(2.0), "%s: not served behind a probe" % MODE)
ok("%s: keep-alive probes are answered" % MODE)
PYTHON
)
END
	[ "$(multipath)" = "$had" ] || fail "$mode: $(($(multipath) - had)) SYNs came with Multipath TCP"
	! grep -q keyless "$WORK/multipath.log" || fail "$mode: a request without a key came by Multipath TCP"
	! backend_saw ".*\(keyless\|blind\)" || fail "$mode: a request without a key came by Fast Open"
	must "iface detach" ctl iface detach s0
done

attach native
client_py <<'END'
c = Connection()
for option, value in (socket.TCP_KEEPIDLE, 1), (socket.TCP_KEEPINTVL, 1), (socket.TCP_KEEPCNT, 1):
    c.socket.setsockopt(socket.IPPROTO_TCP, option, value)
c.socket.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
time.sleep(3.3)
c.send(request("idle"))
c.expect_served("idle")
ok("SO_KEEPALIVE of a second keeps a connection that has said nothing for 3 s")
END
