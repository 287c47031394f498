#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# A refused request behind admitted ones: they are answered in full, in order, and then it is told.
. "$(dirname "$0")/lib.sh"

make_stage
start_backend --rate 100
start_daemon
REFUSE=reply add_service
attach "${MODE:-native}"
make_key KEY good
make_key OTHER other

cat > "$WORK/stream.py" <<'END'
from refusal import *

STREAM = b'{"stream":true,"max_tokens":%d}'

def take_responses(data, number):
    """Takes so many whole responses off the front: [(status, body)], rest."""
    found = []
    for _ in range(number):
        check(b"\r\n\r\n" in data, "%d of %d responses, then %r" % (len(found), number, data[:200]))
        top, data = data.split(b"\r\n\r\n", 1)
        fields = dict(line.lower().split(b": ", 1) for line in top.split(b"\r\n")[1:])
        body = b""
        if b"transfer-encoding" in fields:
            while True:
                size, data = data.split(b"\r\n", 1)
                part, data = data[:int(size, 16)], data[int(size, 16) + 2:]
                body += part
                if not part:
                    break
        else:
            length = int(fields[b"content-length"])
            check(len(data) >= length, "a response was cut at %d of %d bytes" % (len(data), length))
            body, data = data[:length], data[length:]
        found.append((int(top.split()[1]), body))
    return found, data

def expect_all(c, markers, reason, what, shape="openai", bad=None, timeout=4.0):
    """All of the good responses, in order, then the refusal, then EOF."""
    data, end = read_to_end(c.socket, timeout * PATIENCE)
    data = c.buffer + data
    found, rest = take_responses(data, len(markers))
    check(all(status == 200 for status, _ in found), "%s: %s" % (what, [s for s, _ in found]))
    for marker in markers:
        check(backend_saw(marker), "%s: %s was not seen" % (what, marker))
    check(end == "eof", "%s: ends with %s, behind %r" % (what, end, rest[-200:]))
    check_refusal(rest, reason, shape, what=what)
    if bad:
        check(not backend_saw(bad), "%s: the backend holds %s" % (what, bad))
    expect_backend_free(what)
    c.close()
    return [body for _, body in found]

def tokens(body):
    return body.count(b"token-")
END

client_py < <(cat "$WORK/stream.py" - <<'END'
c = Connection()
c.send(request("p1") + request("p2", OTHER) + request("p3", UNKNOWN))
expect_all(c, ["p1", "p2"], "unknown_key", "three in one segment", bad="p3")
ok("two good requests and a bad one in one segment")

c = Connection()
c.send(request("q1"), request("q2", OTHER), request("q3", ""))
expect_all(c, ["q1", "q2"], "no_key", "in three segments", bad="q3")
ok("the same in three segments")

c = Connection()
c.send(request("r1") + request("r2", UNKNOWN) + request("r3"), request("r4"))
expect_all(c, ["r1"], "unknown_key", "good ones behind the bad one", bad="r2")
check(not backend_saw("r3") and not backend_saw("r4"), "what stands behind a refusal was admitted")
ok("good requests behind the bad one are not looked at")

c = Connection()
whole = request("cut1", body=b"b" * 400) + request("cut2", UNKNOWN, body=b"c" * 300)
c.send_cut(whole, [100, len(whole) - 350, len(whole) - 200])
expect_all(c, ["cut1"], "unknown_key", "split heads", bad="cut2")
ok("split anywhere")

c = Connection()
c.send(head("h1", method="HEAD") + head("h2", UNKNOWN, method="HEAD"))
data, end = read_to_end(c.socket)
check(end == "eof" and data.startswith(b"HTTP/1.1 200"), "HEAD: %s %r" % (end, data))
check_refusal(data.split(b"\r\n\r\n", 1)[1], "unknown_key", head=True, what="HEAD behind HEAD")
ok("HEAD behind HEAD: no body, twice")

# The response is half sent when the bad request comes.
for host in SERVER, SERVER6:
    c = Connection(host)
    marker = "s-" + host
    c.send(request(marker, body=STREAM % 60))
    time.sleep(0.2)
    began = time.monotonic()
    c.send(request("bad-" + marker, UNKNOWN))
    body, = expect_all(c, [marker], "unknown_key", "in a stream", bad="bad-" + marker)
    check(tokens(body) == 60 and b"[DONE]" in body, "the stream was cut after %d tokens" % tokens(body))
    check(time.monotonic() - began > 0.3, "the stream was over when the bad request came")
ok("a bad request in the middle of a stream: all 60 tokens, then the refusal")

c = Connection()
c.send(request("t1", body=STREAM % 20) + request("t2", OTHER, body=STREAM % 20) + request("t3", ""))
bodies = expect_all(c, ["t1", "t2"], "no_key", "behind two streams", bad="t3")
check([tokens(body) for body in bodies] == [20, 20], "%s tokens" % [tokens(body) for body in bodies])
ok("two streams and a bad request in one segment")

# The bad one has a body that goes on while the stream does.
c = Connection()
c.send(request("u1", body=STREAM % 40), head("u2", UNKNOWN, length=200000))
for _ in range(20):
    c.send(b"u" * 10000)
    time.sleep(0.01)
body, = expect_all(c, ["u1"], "unknown_key", "with a body", bad="u2")
check(tokens(body) == 40, "%d tokens" % tokens(body))
ok("the same with a body of 200 kB behind the bad head")
END
)

# Keep-alive: what was good 50 times is refused at once, on the same connection.
client_start revoked < <(cat "$WORK/stream.py" - <<'END'
c = Connection()
for number in range(50):
    c.send(request("ka-%d" % number))
    c.expect_served("ka-%d" % number)
tell("served")
wait_for("disabled")
began = time.monotonic()
c.send(request("ka-off"))
expect_refusal(c, "key_disabled", what="keep-alive")
took = time.monotonic() - began
check(took < 0.2 * PATIENCE, "it took %.3f s" % took)
check(not backend_saw("ka-off"), "the backend holds it")
expect_backend_free("keep-alive")
ok("50 requests, the key disabled, the 51st refused after %.1f ms on the same connection" % (took * 1000))
END
)
met served
must "key disable" ctl key disable "$OTHER_ID" # another one: nothing happens to ours
must "key disable" ctl key disable "$KEY_ID"
tell disabled
client_done revoked
must "key enable" ctl key enable "$KEY_ID"

# A backend whose responses end where the connection does: nothing may stand behind them.
become_in_ns "$SERVER_NS" "$PYTHON" "$HERE/close_backend.py" 8002 2> "$WORK/close.err" &
PIDS+=($!)
must "service add" ctl service add closing --listen "*:8002" --refuse reply
await 5 server curl -sm 1 -H "$(bearer "$KEY")" http://127.0.0.1:8002/ || fail "close_backend.py: $(cat "$WORK/close.err")"
client_py < <(cat "$WORK/stream.py" - <<'END'
def closing(name, wait, *segments):
    c = Connection(port=8002)
    c.send(segments[0])
    if wait:
        time.sleep(0.15)
    c.send(*segments[1:])
    data, end = read_to_end(c.socket)
    check(end == "eof", "%s: ends with %s behind %r" % (name, end, data[-100:]))
    top, body = data.split(b"\r\n\r\n", 1)
    check(top.startswith(b"HTTP/1.1 200") and body.endswith(b"the end\n") and body.count(b"line") == 40,
          "%s: the response was not whole, or something follows it: %r" % (name, body[-300:]))
    c.close()
    ok("a response that ends with the connection, " + name)

closing("the bad request behind it in its segment", False, head("c1", method="GET") + request("c2", UNKNOWN))
closing("the bad request in its middle", True, head("c3", method="GET"), request("c4", UNKNOWN))
END
)
