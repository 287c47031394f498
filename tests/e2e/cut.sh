#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# What runs when its key is revoked, or its source denied, ends on both sides, silent or not. A request
# that has had no byte of its response is answered.
export REFUSE=reply
. "$(dirname "$0")/lib.sh"

# Everything of it, on the interface as it is attached now.
check_cuts() {
	client_py <<-'END'
	import errno
	from cut import *

	GONE = (errno.ECONNRESET, errno.ECONNABORTED, errno.EPIPE)
	admin = Admin()
	number = 0
	cuts = 0  # each must be counted once, and told once


	def counted():
	    service = [s for s in admin.call("GET", "/v1/stats")["services"] if s["name"] == "api"][0]
	    return service["flows_cut"]


	def told():
	    return [e for e in admin.call("GET", "/v1/events")["events"] if e["event"] == "cut"]


	counted_before, told_before = counted(), len(told())


	def key():
	    global number
	    number += 1
	    return admin.make_key("cut-%d" % number)


	def ended(what, running, since, within, last_byte=True, code=None):
	    """Both ends are told; the client had its last byte, its answer or its end, soon enough."""
	    global cuts
	    cuts += 1
	    running.wait(within + 3)
	    took = (running.last if last_byte else running.over) - since
	    if code:
	        check_answered(running, code, what)
	    else:
	        check(running.end == "ConnectionResetError", "%s: the client's end: %s" % (what, running.end))
	    check(took <= within * PATIENCE, "%s: it took %.0f ms" % (what, took * 1000))
	    error = backend_end(running.marker)
	    check(error in GONE, "%s: the backend was not reset: errno %s" % (what, error))
	    ok("%s: %.1f ms" % (what, max(took, 0) * 1000))


	def revoke(what, act, code, stream_within=0.1, silent_within=0.5):
	    for kind, begin, within in (("stream", stream, stream_within), ("silent", silent, silent_within)):
	        text, ident = key()
	        running = begin("%s-%s-%d" % (what, kind, number), text)
	        at = act(ident) or time.monotonic()
	        ended("%s, %s" % (what, kind), running, at, within, kind == "stream",
	              code if kind == "silent" else None)


	def expire(ident):
	    """Returns when it expires."""
	    admin.call("PATCH", "/v1/keys/" + ident, {"expires": "2s"})
	    return time.monotonic() + 2


	steady = stream("steady", KEY)
	revoke("disable", lambda i: admin.call("POST", "/v1/keys/%s/disable" % i) and None, "api_key_disabled")
	revoke("delete", lambda i: admin.call("DELETE", "/v1/keys/%s" % i) and None, "invalid_api_key")
	revoke("rotate", lambda i: admin.call("POST", "/v1/keys/%s/rotate" % i, {"grace": "0"}) and None,
	       "invalid_api_key")
	revoke("expiry", expire, "api_key_expired", 0.1, 1.7)

	# several at once: one answer each, one walk for all
	many = [key() for _ in range(8)]
	running = [silent("many-%d" % i, text) for i, (text, _) in enumerate(many)]
	for _, ident in many:
	    admin.call("POST", "/v1/keys/%s/disable" % ident)
	at = time.monotonic()
	for one in running:
	    one.wait(1)
	    check_answered(one, "api_key_disabled")
	    check(one.over - at < 0.5 * PATIENCE, "%s took %.0f ms" % (one.marker, (one.over - at) * 1000))
	cuts += len(many)
	ok("eight silent ones: %.1f ms" % (max(max(one.over for one in running) - at, 0) * 1000))

	# a source, and another one whose key is the same
	text, _ = key()
	for kind, begin in (("stream", stream), ("silent", silent)):
	    other = begin("other-" + kind, text, source="10.77.0.4")
	    denied = begin("denied-" + kind, text, source="10.77.0.3")
	    admin.call("POST", "/v1/sources", {"cidr": "10.77.0.3/32", "action": "deny"})
	    ended("deny, " + kind, denied, time.monotonic(), 0.5, kind == "stream")
	    check(other.end is None, "another source was cut: %s" % other.end)
	    admin.call("DELETE", "/v1/sources/10.77.0.3%2F32")
	    other.stop()

	# over IPv6
	text, ident = key()
	for kind, begin in (("stream", stream), ("silent", silent)):
	    running = begin("v6-" + kind, text, server=SERVER6)
	    admin.call("POST", "/v1/keys/%s/disable" % ident)
	    ended("IPv6, " + kind, running, time.monotonic(), 0.5, kind == "stream",
	          "api_key_disabled" if kind == "silent" else None)
	    admin.call("POST", "/v1/keys/%s/enable" % ident)

	# between two requests a connection stays, and the next one learns why
	text, ident = key()
	idle = Connection()
	idle.send(request("idle-before", text))
	idle.expect_served("idle-before")
	admin.call("POST", "/v1/keys/%s/disable" % ident)
	time.sleep(0.5)
	idle.send(request("idle-after", text))
	status, body = idle.answer()
	check(status == 401 and b"api_key_disabled" in body, "idle: HTTP status %d, %s" % (status, body))
	check(not backend_saw("idle-after"), "idle: the backend holds the request")
	ok("an idle connection stayed, and was told why")

	check(steady.end is None and time.monotonic() - steady.last < 0.2 * PATIENCE, "the steady stream ended")
	steady.stop()
	ok("the stream of another key went on all the time")

	time.sleep(0.5)
	check(counted() - counted_before == cuts, "%d cuts, counted %d" % (cuts, counted() - counted_before))
	check(len(told()) - told_before == cuts, "%d cuts, told %d: %s" % (cuts, len(told()) - told_before,
	      [(e["reason"], e["client_port"]) for e in told()[told_before:]]))
	ok("%d cuts, each counted once and told once" % cuts)
	END
}

start_all native
make_key KEY steady
export LIMIT=120
say "native"
check_cuts

must "iface detach" ctl iface detach s0
attach tc
say "tc"
check_cuts

# The controller is killed after the kernel and before its walk: the next start makes up for it.
make_key LAST last
client_start last <<END
from cut import *
running = silent("last", "$LAST")
tell("waiting")
running.wait(20)
check_answered(running, "api_key_disabled")
END
met waiting
kill_daemon
# as a revocation of which the store knows, and nobody else
sqlite3 "$WORK/state/keyfilter.db" "UPDATE api_key SET disabled = 1 WHERE id = '$LAST_ID'" 2> /dev/null ||
	"$PYTHON" - "$WORK/state/keyfilter.db" "$LAST_ID" <<-'END' || fail "cannot change the store"
	import sqlite3, sys
	store = sqlite3.connect(sys.argv[1])
	store.execute("UPDATE api_key SET disabled = 1 WHERE id = ?", (sys.argv[2],))
	store.commit()
	END
start_daemon
at=$(date +%s%N)
client_done last
[ $((($(date +%s%N) - at) / 1000000)) -lt $((4000 * PATIENCE)) ] || fail "the start did not cut what a crash left running"
ok "cut by the next start"
