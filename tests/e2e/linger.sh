#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# A refused client that is still sending: it gets the whole answer and the end, and no reset overtakes
# it. Answers that are lost come again; who ends in order leaves no flow behind, nor does, within a
# minute (KF_LONG=1 waits for it), who resets or vanishes.
. "$(dirname "$0")/lib.sh"

make_stage
start_backend
start_daemon
REFUSE=reply add_service
attach "${MODE:-native}"
make_key KEY good
head -c 5000000 /dev/urandom > "$WORK/upload"

# What curl uploads: it must have taken the refusal for what it is, and end with 0.
uploads() {
	local answer
	answer=$(client curl -gsS -m "$(patient 10)" -w ' %{http_code}' -H "$(bearer "$UNKNOWN")" \
		-H "x-marker: upload-$((MARK += 1))" "${@:2}" "http://$SERVER:$PORT/v1/chat/completions" 2>&1) ||
		fail "$1: curl ends with $?: $answer"
	[[ $answer == *'"code":"invalid_api_key"}} 401' ]] || fail "$1: $answer"
	! backend_saw "upload-$MARK" || fail "$1: refused, but the backend holds its head"
	await 1 backend_is_free || fail "$1: the backend still has a connection: $(backend_sockets)"
	ok "$1: told, and ended in order"
}
uploads "curl, 5 MB, Expect: 100-continue" -H "Expect: 100-continue" --data-binary "@$WORK/upload"
uploads "curl, 5 MB, without Expect" -H "Expect:" --data-binary "@$WORK/upload"
uploads "curl, 5 MB chunked" -H "Expect:" -H "Transfer-Encoding: chunked" -T "$WORK/upload" -X POST
uploads "curl, 5 MB at 10 MB/s" -H "Expect:" --limit-rate 10M --data-binary "@$WORK/upload"

cat > "$WORK/linger.py" <<'END'
from refusal import *
import http.client

def drop_at_client(*rules):
    """Rules of nftables on what reaches the client; gone with allow_all()."""
    table = "add table inet kf; add chain inet kf in { type filter hook input priority 0; };"
    subprocess.run(["nft", table + ";".join("add rule inet kf in " + rule for rule in rules)], check=True)

def allow_all():
    subprocess.run(["nft", "delete table inet kf"], check=True)
END

client_py < <(cat "$WORK/linger.py" - <<'END'
big = os.urandom(5000000)

# All of it is sent before a byte is read: whatever the client's stack still has to say must find ears.
for name, upload in (("content-length", head("cl", UNKNOWN, length=len(big)) + big),
                     ("chunked", head("ch", UNKNOWN, fields=["Transfer-Encoding: chunked"]) + chunked(big, [65536]))):
    c = Connection(timeout=8)
    began = time.monotonic()
    try:
        c.socket.sendall(upload)
    except OSError as error:
        fail("%s: sending ends with %s" % (name, error))
    took = time.monotonic() - began
    expect_refusal(c, "unknown_key", what=name)
    expect_backend_free(name)
    c.close()
    ok("5 MB with %s, sent whole in %.2f s before a byte is read: the answer is whole" % (name, took))
expect_unseen(["cl", "ch"])

client = http.client.HTTPConnection(SERVER, PORT, timeout=5 * PATIENCE)
client.request("POST", "/v1/messages", body=big, headers={"x-api-key": UNKNOWN, "x-marker": "apart"})
answer = client.getresponse()
body = json.loads(answer.read())
check(answer.status == 401 and body["error"]["type"] == "authentication_error", "http.client got %s" % body)
check(client.sock is None, "http.client thinks that the connection goes on")
check(not backend_saw("apart"), "apart: the backend holds its head")
ok("http.client, head and 5 MB body apart")

c = Connection()
c.send(head("expects", UNKNOWN, length=len(big), fields=["Expect: 100-continue"]))
data, end = read_to_end(c.socket)
check_refusal(data, "unknown_key", what="no 100 Continue") # 401 is the first and last thing it reads
check(end == "eof", "it ends with " + end)
ok("Expect: 100-continue: the final answer instead of a 100")

c = Connection(timeout=5)
c.send(head("slow", UNKNOWN, length=15 * 10000))
for part in range(15):
    time.sleep(0.1)
    try:
        c.send(b"s" * 10000)
    except OSError as error:
        fail("slow sender, part %d: %s" % (part, error))
expect_refusal(c, "unknown_key", what="slow sender")
check(c.socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) == 0, "slow sender: an error behind it")
c.close()
ok("a slow sender: 15 parts in 1.5 s behind the refusal, then it reads")

# The body in many small segments, the end of it behind the client's own half-close.
c = Connection()
c.send(head("half", UNKNOWN, length=50))
c.send(*[b"h" * 10] * 5)
c.socket.shutdown(socket.SHUT_WR)
expect_refusal(c, "unknown_key", what="half-closed")
c.close()
ok("a client that half-closes")
END
)

# A lost answer. For a while every packet with a FIN is lost: the answer carries the only one.
client_py < <(cat "$WORK/linger.py" - <<'END'
import threading

for name, body in ("bare", b""), ("with a body", b"b" * 300000):
    replies = counter("replies")
    drop_at_client("tcp sport %d tcp flags & fin == fin drop" % PORT)
    until = threading.Timer(0.35, allow_all)
    c = Connection(timeout=5)
    began = time.monotonic()
    until.start()
    c.socket.sendall(head("lost-" + name, UNKNOWN, length=len(body)) + body)
    expect_refusal(c, "unknown_key", what="lost, " + name, timeout=5)
    took = time.monotonic() - began
    until.join()
    check(took > 0.3, "nothing was lost: %.2f s" % took)
    check(counter("replies") == replies + 1, "one answer, but %d replies" % (counter("replies") - replies))
    c.close()
    ok("an answer lost until 0.35 s (%s): whole after %.2f s, counted once" % (name, took))
END
)

# Whose end was in order has left nothing. Who vanishes or resets is forgotten by the controller's sweep.
flows() { bpftool map dump pinned "$PIN/maps/kf_flows" -j | json 'len(d)'; }
no_flows() { [ "$(flows)" -eq 0 ]; }
left() { bpftool map dump pinned "$PIN/maps/kf_flows" -j | head -c 3000; }
await 3 no_flows || fail "$(flows) flows are left of clients that all ended in order: $(left)"
ok "no flow is left of all these"

client_py < <(cat "$WORK/linger.py" - <<'END'
c = Connection()
c.send(request("rude", UNKNOWN))
expect_refusal(c, "unknown_key", what="then RST")
c.close(reset=True)
c = Connection()
c.send(head("ruder", UNKNOWN, length=100000))
c.close(reset=True)
expect_backend_free("ruder")
c = Connection()
c.send(request("after-rude"))
c.expect_served("after-rude")
c.close()
c = Connection()
drop_at_client("tcp sport %d drop" % PORT)
c.send(head("vanishing", UNKNOWN, length=1000))
subprocess.run(["nft", "add chain inet kf out { type filter hook output priority 0; };"
                "add rule inet kf out tcp dport %d drop" % PORT], check=True)
expect_backend_free("vanishing")
expect_unseen(["rude", "ruder", "vanishing"])
ok("clients that reset, behind the answer and before it, and one that vanishes: the backend is free")
END
)
if [ -n "${KF_LONG:-}" ]; then
	begin=$SECONDS
	await 75 no_flows || fail "$(flows) flows are left: $(left)"
	ok "no flow is left after $((SECONDS - begin)) s"
fi
