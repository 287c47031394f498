#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# How strictly HTTP is read, as clients meet it: what real ones send is served, what is refused says
# why in its own words and in the shape of its protocol, and HTTP/2 is told to come back in HTTP/1.1.
. "$(dirname "$0")/lib.sh"

make_stage
start_backend
start_daemon
REFUSE=reply add_service
attach "${MODE:-native}"
make_key KEY good
make_key OTHER other

# ---- what is served

client_py <<'END'
AUTH = "Authorization: Bearer " + KEY

TARGETS = ["/v1/files/{id}|a^b[0]", "/v1/x?filter[]={a|b}^c&q=100%&a+b=c", "/50%/x", "/v1/x?a=b;c=d",
           "/models/meta%2FLlama", "/.well-known/openid", "/.env", "/v1/a%2Db%5Fc%25",
           "http://model.example/v1/chat/completions", "HTTP://Model.Example/x?y"]
c = Connection()
for i, target in enumerate(TARGETS):
    c.send(request("target-%d" % i, target=target))
    c.expect_served("target-%d" % i)
ok("%d targets that real clients send are served" % len(TARGETS))

c.send(request("post-1") + b"\r\n")
c.expect_served("post-1")
time.sleep(0.1)
c.send(request("post-2"))
c.expect_served("post-2")
c.send(b"\r\n" + request("post-3"))
c.expect_served("post-3")
c.send(b"\r\n")
c.close()
ok("an empty line behind a body, and before a request, harms nobody")
END

before=$(counter malformed)
refused_with 400 malformed_request "a method that nobody need know" -X QUERY -H "$(bearer "$KEY")" -d '{}'
[[ $ANSWERED == *"PATCH, DELETE or OPTIONS"* ]] || fail "the methods are not named: $ANSWERED"
must "service edit" ctl service edit api --method QUERY --method PROPFIND
[ "$(ctl --json service show api | json '",".join(d["methods"])')" = QUERY,PROPFIND ] ||
	fail "service show does not know the methods"
served "the same, once the service adds it" -X QUERY -H "$(bearer "$KEY")" -d '{}'
must "service edit" ctl service edit api --no-method
refused_with 400 malformed_request "and refused once it does not" -X QUERY -H "$(bearer "$KEY")" -d '{}'
[ "$(counter malformed)" -eq $((before + 2)) ] || fail "2 requests of a method, $before then $(counter malformed)"

# ---- what is refused, and how it is said

cat > "$WORK/words.py" <<'END'
from refusal import *

KEYS = "Authorization: Bearer " + KEY
MORE = "x-api-key: " + OTHER

def line(target="/v1/chat/completions", method="POST", version="HTTP/1.1"):
    return "%s %s %s\r\n" % (method, target, version)

HOST = "Host: model.example\r\n"
CASES = [  # what is sent, the detail in the event, words of the answer
    (line() + HOST + KEYS + "\r\n" + MORE + "\r\n\r\n", "keys_disagree", "two API keys that differ"),
    (line("//v1/chat/completions") + HOST + KEYS + "\r\n\r\n", "target_empty_segment", "doubled slash"),
    (line() + HOST + "Authorization: Bearer a b\r\n\r\n", "key_bytes", "no key has"),
    (line() + KEYS + "\r\n\r\n", "host_missing", "no Host field"),
    (line("http://other.example/") + HOST + KEYS + "\r\n\r\n", "host_disagrees", "another host"),
    (line() + HOST + KEYS + "\r\nContent-Length: 4294967301\r\n\r\n", "length_overflow", "2147483647"),
    (line(method="GET") + HOST + KEYS + "\r\nContent-Length: 5\r\n\r\nhello", "content", "has one"),
    (line(method="get") + HOST + KEYS + "\r\n\r\n", "method", "in capitals"),
    (line("/a/../b") + HOST + KEYS + "\r\n\r\n", "target_segment", "'.' or '..'"),
    (line("/v1/%6d") + HOST + KEYS + "\r\n\r\n", "target_encoding", "percent-encoded"),
    (line("/?%6bey=a") + HOST + KEYS + "\r\n\r\n", "query", "taken for 'key'"),
    ("\x16\x03\x01\x02\x00\x01\x00\x01\xfc", "tls", "looks like TLS"),
]
for data, detail, words in CASES:
    c = Connection()
    c.send(data.encode("latin-1"))
    answer = expect_refusal(c, "malformed", what=detail)
    check(words in json.loads(answer.body)["error"]["message"], "%s: %s" % (detail, answer.body))
    check(KEY not in answer.body.decode(), "%s: a key comes back" % detail)
    event = event_of(answer.request_id())
    check(event["detail"] == detail, "%s: the event says %s" % (detail, event["detail"]))
ok("%d ways to be malformed, each in words of its own" % len(CASES))

SHAPES = {"/v1alpha/models/m:generateContent": "gemini", "/v1/models/m:streamGenerateContent": "gemini",
          "/google/v1beta/models": "gemini", "/anthropic/v1/messages": "anthropic",
          "/gateway/a/v1/messages/batches?x": "anthropic", "/openai/v1/chat/completions": "openai"}
for target, shape in SHAPES.items():
    c = Connection()
    c.send(request("shape", UNKNOWN, target=target))
    expect_refusal(c, "unknown_key", shape, target)
ok("%d paths, each in the shape of its protocol" % len(SHAPES))

for data, words in (("x-a: " + "a" * 8187, ""), ("\r\n".join("x-%d: a" % i for i in range(99)), "100 fields")):
    c = Connection()
    c.send((line() + HOST + KEYS + "\r\n" + data + "\r\n\r\n").encode())
    answer = expect_refusal(c, "head_too_large")
    check(words in answer.body.decode(), "%r is not in %s" % (words, answer.body))
ok("a line and a field too many")

# RFC 9113: empty SETTINGS, GOAWAY with HTTP_1_1_REQUIRED, the end
c = Connection()
began = time.monotonic()
c.send(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes([0, 0, 0, 4, 0, 0, 0, 0, 0]))
data, end = read_to_end(c.socket)
check(end == "eof" and time.monotonic() - began < 0.5 * PATIENCE, "HTTP/2: %s after %.1f s" % (end, time.monotonic() - began))
check(data[:9] == bytes([0, 0, 0, 4, 0, 0, 0, 0, 0]) and data[12] == 7 and
      data[18:26] == bytes([0, 0, 0, 0, 0, 0, 0, 13]), "HTTP/2: %r" % data)
expect_backend_free("HTTP/2")
END
client_py < "$WORK/words.py"

began=$(date +%s%N)
answer=$(client curl -sSv -m "$(patient 3)" --http2-prior-knowledge "http://$SERVER:$PORT/v1/models" 2>&1) &&
	fail "HTTP/2 with prior knowledge was served"
took=$((($(date +%s%N) - began) / 1000000))
[ "$took" -lt $((1000 * PATIENCE)) ] || fail "curl --http2-prior-knowledge took $took ms: $answer"
ok "curl --http2-prior-knowledge ends after $took ms: $(tail -n 1 <<< "$answer")"
