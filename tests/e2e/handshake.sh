#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# Connections that begin and end in every way, many of them, through a small table.
. "$(dirname "$0")/lib.sh"

write_config
sed -i 's/^flows_max .*/flows_max 256/' "$WORK/keyfilterd.conf"
start_all "${MODE:-native}"
make_key KEY good

client_py <<'END'
for number in range(1500):
    c = Connection()
    c.send(request("many-%d" % number))
    check(c.answer()[0] == 200, "connection %d" % number)
    c.close(reset=number % 5 == 0)
ok("1,500 connections one after the other through a table of 256")

for number in range(400):
    c = Connection()
    c.send(request("bad-%d" % number, UNKNOWN))
    c.close(reset=number % 2 == 0)
time.sleep(0.3)
check('"marker":"bad-' not in open(BACKEND_LOG).read(), "a refused request reached the backend")
c = Connection()
c.send(request("after-bad"))
c.expect_served("after-bad")
ok("400 refused connections that just left do not fill it")

# One port again and again: a new handshake is a new flow.
for number in range(20):
    s = socket.socket()
    s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    s.bind(("10.77.0.2", 20000))
    s.settimeout(3)
    s.connect((SERVER, PORT))
    key = KEY if number % 2 else UNKNOWN
    s.sendall(request("port-%d" % number, key))
    if number % 2:
        check(s.recv(4096).startswith(b"HTTP/1.1 200"), "port-%d" % number)
    else:
        time.sleep(0.05)
        check(not backend_saw("port-%d" % number), "port-%d reached the backend" % number)
    s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    s.close()
ok("20 connections from one port, good and bad in turn")

c = Connection()
c.send(request("half", body=b'{"stream":true,"max_tokens":20}'))
c.socket.shutdown(socket.SHUT_WR)
data = b""
while part := c.socket.recv(65536):
    data += part
check(b"[DONE]" in data, "the answer to a half-closed connection was cut: %r" % data[-80:])
ok("a client that closes its side still gets its stream")

c = Connection()
c.send(request("close", fields=["Connection: close"]))
c.expect_served("close")
check(c.socket.recv(10) == b"", "the server closes")
ok("closed by the server")

c = Connection()
time.sleep(1.2)
c.send(request("late"))
c.expect_served("late")
ok("a connection that is silent before its first request")

c = Connection()
c.send(b"\r\n" + request("crlf"))
try:
    c.answer(0.5)
    ok("an empty line before a request: served")
except OSError:
    check(not backend_saw("crlf"), "crlf: refused, but the backend holds its head")
    ok("an empty line before a request: refused")

s = socket.socket() # MSG_FASTOPEN: asks for a cookie, without data on the SYN yet
try:
    s.sendto(request("fastopen"), 0x20000000, (SERVER, PORT))
    s.settimeout(2)
    check(s.recv(4096).startswith(b"HTTP/1.1 200"), "fast open")
    ok("a client that asks for TCP fast open falls back and is served")
except OSError as error:
    fail("a client that asks for TCP fast open: %s" % error)
END
say "control $(counter control), flows_full $(counter flows_full), no_flow $(counter no_flow)"
