#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# Bodies of any size and framing arrive whole, and what follows them is judged.
. "$(dirname "$0")/lib.sh"

start_all "${MODE:-native}"
make_key KEY good

# What curl uploads, by the CRC-32 that the backend computed.
head -c 5000000 /dev/urandom > "$WORK/upload"
crc=$("$PYTHON" -c "import sys,zlib; print('%08x' % zlib.crc32(open(sys.argv[1],'rb').read()))" "$WORK/upload")
arrives() {
	local answer
	answer=$(client curl -gsS -m "$(patient 20)" -H "$(bearer "$KEY")" "${@:2}" 2>&1) || fail "$1: $answer"
	[[ $answer == *"\"crc32\":\"$crc\""* ]] || fail "$1: the backend got something else: $answer"
	ok "$1"
}
url=http://$SERVER:$PORT/v1/files
arrives "5 MB with Content-Length" --data-binary "@$WORK/upload" "$url"
arrives "5 MB, Expect: 100-continue" -H "Expect: 100-continue" -T "$WORK/upload" "$url"
arrives "5 MB chunked" -H "Transfer-Encoding: chunked" -T "$WORK/upload" "$url"
arrives "5 MB chunked over IPv6" -H "Transfer-Encoding: chunked" -T "$WORK/upload" "http://[$SERVER6]:$PORT/v1/files"

client_py <<'END'
import zlib
CHUNKED = ["Transfer-Encoding: chunked"]

def served(c, marker, body):
    received = c.expect_served(marker)
    check(received["bytes"] == len(body) and received["crc32"] == "%08x" % zlib.crc32(body),
          "%s: the body did not arrive as sent: %s" % (marker, received))

body = os.urandom(30011)
for name, sizes in ("ones", [1]), ("odd", [1, 15, 16, 17, 255, 4096, 3]), ("one", [100000]):
    short = body[:300] if name == "ones" else body
    c = Connection()
    c.send(head(name, fields=CHUNKED) + chunked(short, sizes))
    served(c, name, short)
    c.send(request("after-" + name))
    c.expect_served("after-" + name)
    c.send(request("bad-" + name, UNKNOWN))
    c.expect_nothing("bad-" + name, 0.3)
ok("chunks of odd sizes; what follows them is judged")

data = head("cut", fields=CHUNKED) + chunked(body[:900], [7, 100, 33], ";name=value") + request("next")
for step in 11, 64, 257:
    c = Connection()
    marked = data.replace(b"x-marker: cut", b"x-marker: %03d" % step)
    for at in range(0, len(marked), step):
        c.send(marked[at:at + step])
        time.sleep(PAUSE)
    served(c, "%03d" % step, body[:900])
    c.expect_served("next")
    c.close()
ok("chunk framing cut in pieces of 11, 64 and 257 bytes, a request right behind it")

c = Connection()
c.send(head("pipe", fields=CHUNKED) + chunked(body[:50], [10]) + request("pipe-bad", UNKNOWN))
served(c, "pipe", body[:50])
c.expect_nothing("pipe-bad", 0.6)
ok("a bad request right behind a chunked one, in its segment")

c = Connection()
c.send(head("trailer", fields=CHUNKED) + chunked(b"abc", [3])[:-2] + b"X-Checksum: 1\r\n\r\n")
served(c, "trailer", b"abc")
ok("a trailer")

c = Connection()
c.send(head("expect", length=5, fields=["Expect: 100-continue"]))
c.socket.settimeout(3 * PATIENCE)
check(c.socket.recv(100).startswith(b"HTTP/1.1 100"), "no 100 Continue")
c.send(b"hello")
served(c, "expect", b"hello")
ok("Expect: 100-continue, body only after the 100")

c = Connection()
c.send(head("empty", length=0))
c.expect_served("empty")
c.send(head("zero", fields=CHUNKED) + b"0\r\n\r\n")
c.expect_served("zero")
ok("empty bodies")

for name, tail in (("size", b"5 \r\nhello\r\n0\r\n\r\n"), ("hex", b"0x5\r\nhello\r\n0\r\n\r\n"),
                   ("lf", b"5\nhello\n0\n\n"), ("end", b"5\r\nhelloXX0\r\n\r\n"),
                   ("huge", b"ffffffffffffffff\r\n"), ("sign", b"+5\r\nhello\r\n0\r\n\r\n")):
    c = Connection()
    c.send(head("chunk-" + name, fields=CHUNKED))
    time.sleep(0.02)
    c.send(tail)
    time.sleep(0.1)
    check(not seen("body", "chunk-" + name), "chunk-%s: the backend holds its body" % name)
    c.send(request("behind-" + name))
    c.expect_nothing("behind-" + name, 0.25)
ok("chunk framing that servers read differently: refused")
END
