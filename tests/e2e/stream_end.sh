#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# Two servers as they are written every day: one takes the end of the stream for the end of a head, the
# other leaves a body unread and takes it for the next request. Neither serves anybody without a key.
. "$(dirname "$0")/lib.sh"

cat > "$WORK/lenient.py" <<'END'
import http.server, sys

class Lenient(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def answer(self, status):
        with open(sys.argv[2], "a") as log:
            log.write("%s %s\n" % (self.command, self.path))
        self.send_response(status)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"ok")

    def do_GET(self):
        self.answer(200)

    def do_POST(self):
        self.answer(415)  # its body stays where it is

    def log_message(self, *args):
        pass

http.server.ThreadingHTTPServer(("0.0.0.0", int(sys.argv[1])), Lenient).serve_forever()
END

make_stage
become_in_ns "$SERVER_NS" "$PYTHON" "$WORK/lenient.py" "$PORT" "$WORK/served" 2> "$WORK/lenient.err" &
BACKEND=$!
await 5 server curl -sm 1 "http://127.0.0.1:$PORT/ready" || fail "the server: $(cat "$WORK/lenient.err")"
start_daemon
REFUSE=reply add_service
make_key KEY good

served_paths() { grep -c "$1" "$WORK/served"; }

for mode in native generic tc; do
	attach "$mode"
	rm -f "$WORK/served"
	client_py <<'END'
HEAD = b"GET /stolen HTTP/1.1\r\nHost: h\r\n"

def expect_ok(c):
    data = b""
    while not data.endswith(b"\r\n\r\nok"):
        part = c.socket.recv(4096)
        check(part, "closed behind %r" % data)
        data += part
    check(data.startswith(b"HTTP/1.1 200 "), "answered: %r" % data)

def ends(what, *segments, before=False):
    """Sends the segments and half-closes; nothing of /stolen may be served."""
    c = Connection()
    if before:
        c.send(request("before", method="GET", body=b""))
        expect_ok(c)
    for segment in segments[:-1]:
        c.send(segment)
        time.sleep(0.05)
    last, flags = segments[-1], 0
    if last:
        # MSG_MORE holds the data back, so that the FIN goes in its segment
        c.socket.send(last, socket.MSG_MORE)
    c.socket.shutdown(socket.SHUT_WR)
    c.socket.settimeout(3 * PATIENCE)
    data = b""
    try:
        while True:
            part = c.socket.recv(65536)
            if not part:
                break
            data += part
    except OSError:
        pass
    check(b" 200 " not in data, "%s: served: %r" % (what, data[-200:]))
    c.close()

ends("a FIN behind the head", HEAD, b"")
ends("a FIN in its segment", HEAD)
ends("a FIN behind the request line", b"GET /stolen HTTP/1.1\r\n", b"")
ends("a FIN behind a line that is not ended", b"GET /stolen HTTP/1.1\r\nHost: h", b"")
ends("a FIN behind a piece of it and its rest", HEAD[:9], HEAD[9:])
ends("a FIN behind a good request and a head", HEAD, b"", before=True)
ok("a stream that ends in the middle of a head is not served")

# A body that is a request: the server reads it as one, and its response ends the connection.
inner = b"GET /stolen-body HTTP/1.1\r\nHost: h\r\n\r\n"
c = Connection()
c.send(request("outer", body=inner * 20))
c.socket.settimeout(3 * PATIENCE)
data, ended = b"", "eof"
try:
    while True:
        part = c.socket.recv(65536)
        if not part:
            break
        data += part
except OSError as error:
    ended = type(error).__name__
check(ended == "ConnectionResetError", "the connection ends by %s" % ended)
check(data.count(b"HTTP/1.1 200") == 0, "the client got responses that nobody asked for: %r" % data)
ok("a response that no request awaits ends the connection")

for number in range(3):
    c = Connection()
    c.send(request("later-%d" % number, method="GET", body=b""))
    expect_ok(c)
    c.close()
ok("good requests are served")
END
	[ "$(served_paths '/stolen$')" -eq 0 ] || fail "$mode: /stolen was served"
	ok "$mode: what ended in the middle of a head was never served"
	# the server has one in its hands by the time it gives itself away, and no second one
	[ "$(served_paths '/stolen-body$')" -le 1 ] ||
		fail "$mode: $(served_paths '/stolen-body$') of 20 requests in a body were carried out"
	must "iface detach" ctl iface detach s0
done
ctl events | grep -q 'response_stray' || fail "no event tells of the response that nobody awaits"
ctl events | grep -q 'truncated' || fail "no event tells of the heads that were not whole"
