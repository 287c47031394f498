#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# What two HTTP parsers could read differently never reaches the backend.
. "$(dirname "$0")/lib.sh"

start_all "${MODE:-native}"
make_key KEY good
make_key OTHER other
before=$(counter malformed)

client_py <<'END'
AUTH = b"Authorization: Bearer " + KEY.encode() + b"\r\n"
HOST = b"Host: model.example\r\n"
LINE = b"POST /v1/chat/completions HTTP/1.1\r\n"
INNER = b"GET /v1/inner HTTP/1.1\r\nHost: h\r\nx-marker: inner\r\n\r\n"

CASES = {
    "cl-te": LINE + HOST + AUTH + b"Content-Length: 6\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nG",
    "te-cl": LINE + HOST + AUTH + b"Transfer-Encoding: chunked\r\nContent-Length: 6\r\n\r\n0\r\n\r\nG",
    "te-te": LINE + HOST + AUTH + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: x\r\n\r\n0\r\n\r\n",
    "te-identity": LINE + HOST + AUTH + b"Transfer-Encoding: identity\r\n\r\n" + INNER,
    "te-list": LINE + HOST + AUTH + b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
    "te-tab": LINE + HOST + AUTH + b"Transfer-Encoding: \x0bchunked\r\n\r\n0\r\n\r\n",
    "cl-cl": LINE + HOST + AUTH + b"Content-Length: 0\r\nContent-Length: 0\r\n\r\n",
    "cl-list": LINE + HOST + AUTH + b"Content-Length: 0, 0\r\n\r\n",
    "cl-plus": LINE + HOST + AUTH + b"Content-Length: +2\r\n\r\n{}",
    "cl-minus": LINE + HOST + AUTH + b"Content-Length: -1\r\n\r\n",
    "cl-hex": LINE + HOST + AUTH + b"Content-Length: 0x2\r\n\r\n{}",
    "cl-overflow": LINE + HOST + AUTH + b"Content-Length: 18446744073709551618\r\n\r\n{}",
    "bare-lf": LINE.replace(b"\r\n", b"\n") + HOST + AUTH + b"\r\n",
    "bare-lf-field": LINE + HOST.replace(b"\r\n", b"\n") + AUTH + b"\r\n",
    "bare-lf-end": LINE + HOST + AUTH + b"\n",
    "bare-cr": LINE + HOST + b"X-A: a\rb\r\n" + AUTH + b"\r\n",
    "nul": LINE + HOST + b"X-A: a\0b\r\n" + AUTH + b"\r\n",
    "obs-fold": LINE + HOST + b"X-A: a\r\n b\r\n" + AUTH + b"\r\n",
    "space-colon": LINE + HOST + b"Content-Length : 0\r\n" + AUTH + b"\r\n",
    "empty-name": LINE + HOST + b": a\r\n" + AUTH + b"\r\n",
    "no-colon": LINE + HOST + b"X-A\r\n" + AUTH + b"\r\n",
    "no-host": LINE + AUTH + b"\r\n",
    "two-hosts": LINE + HOST + HOST + AUTH + b"\r\n",
    "two-keys": LINE + HOST + AUTH + b"X-Api-Key: " + OTHER.encode() + b"\r\n\r\n",
    "http-0.9": b"GET /v1/models\r\n\r\n",
    "http-1.2": b"GET / HTTP/1.2\r\n" + HOST + AUTH + b"\r\n",
    "two-spaces": b"GET  / HTTP/1.1\r\n" + HOST + AUTH + b"\r\n",
    "connect": b"CONNECT model.example:80 HTTP/1.1\r\n" + HOST + AUTH + b"\r\n",
    "h2-preface": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "tls": bytes.fromhex("16030100f8010000f40303") + b"\0" * 200,
}

for name, data in CASES.items():
    marker = "smuggle-" + name
    cut = data.find(b"\n") + 1
    if name not in ("http-0.9", "h2-preface", "tls", "bare-lf"):
        data = data[:cut] + b"x-marker: " + marker.encode() + b"\r\n" + data[cut:]
    c = Connection()
    c.send(data)
    c.expect_nothing(marker, 0.15)
    c.send(request(marker + "-behind"))
    c.expect_nothing(marker + "-behind", 0.15)
    c.close()
check(not backend_saw("inner"), "a smuggled request reached the backend")
log = open(BACKEND_LOG).read()
check("SM" not in log and "HTTP/1.2" not in log and '"GET /v1/models"' not in log, "a request line reached the backend")
ok("%d ways to be ambiguous: none reached the backend" % len(CASES))

c = Connection()
c.send(request("still-good"))
c.expect_served("still-good")
ok("a good request beside them is served")
END

heads=$(grep -c '"event":"head"' "$BACKEND_LOG")
[ "$heads" -eq 2 ] || fail "the backend should know 2 heads, the readiness probe and the good one: it knows $heads"
count=$(($(counter malformed) - before))
[ "$count" -ge 30 ] || fail "30 malformed requests were sent, $count are counted"
ok "counted as malformed: $count"
details=$(ctl --json events | json 'len({e["detail"] for e in d["events"] if e["reason"] == "malformed"})')
[ "$details" -ge 12 ] || fail "the events should tell the causes apart: $details different ones"
ok "the events name $details different causes"
