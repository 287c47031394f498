#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# Every reason in the words of each protocol, to curl, in each mode, over IPv4 and IPv6: the whole
# answer, the end, nothing left at the backend. Then reset, drop and monitor, which say nothing.
. "$(dirname "$0")/lib.sh"

make_stage
start_backend
start_daemon
REFUSE=reply add_service
make_key GOOD good
make_key OFF off
make_key GONE gone
make_key OLD old --expires 1s
make_key HOME_KEY home --allow-ip 10.77.0.9/32
must "key disable" ctl key disable "$OFF_ID"
must "key delete" ctl key delete "$GONE_ID"
export GOOD OFF GONE OLD HOME_KEY SLOW MODE
sleep 1

cat > "$WORK/lists.py" <<'END'
from refusal import *

MODE = os.environ["MODE"]
key = lambda name: ["-H", "Authorization: Bearer " + os.environ[name]]
ASKED = {
    "no key": ("no_key", []),
    "unknown key": ("unknown_key", ["-H", "x-api-key: " + UNKNOWN]),
    "deleted key": ("unknown_key", key("GONE")),
    "disabled key": ("key_disabled", key("OFF")),
    "expired key": ("key_expired", key("OLD")),
    "other address": ("ip_not_allowed", key("HOME_KEY")),
    "too fast": ("rate_limited", key("SLOW")),
    "two keys": ("malformed", key("GOOD") + ["-H", "x-api-key: " + UNKNOWN]),
    "large head": ("head_too_large", key("GOOD") + ["-H", "x-fill: " + "x" * 17000]),
}
markers = []

def curl(host, path, options):
    markers.append("%s-%d" % (MODE, len(markers)))
    return subprocess.run(["curl", "-gsSi", "-m", str(3 * PATIENCE), "-H", "x-marker: " + markers[-1]] + options +
                          ["http://%s:%d%s" % (host, PORT, path)], capture_output=True)

def told(host, shape, name, options=(), head=False):
    reason, asked = ASKED[name]
    what = "%s %s %s" % (MODE, host, name)
    done = curl(host, PATHS[shape], asked + list(options))
    check(done.returncode == 0, "%s %s: curl: %s" % (what, shape, done.stderr.decode()))
    answer = check_refusal(done.stdout, reason, shape, head, what)
    expect_backend_free(what)
    return reason, answer.request_id(shape)
END

cat > "$WORK/reply.py" <<'END'
ids = []
before = counter("replies")
for host in SERVER, "[%s]" % SERVER6:
    for shape in PATHS:
        ids += [told(host, shape, name, ["-d", '{"model":"m"}']) for name in ASKED]
    ids += [told(host, "openai", name) for name in ("no key", "disabled key")] # GET
    told(host, "openai", "unknown key", ["-I"], head=True)
    told(host, "anthropic", "too fast", ["-I"], head=True)
expect_unseen(markers)
check(len(set(id for _, id in ids)) == len(ids), "a request id was given twice")
for reason, id in ids:
    check(event_of(id)["reason"] == reason, "%s: the event of %s is %s" % (reason, id, event_of(id)))
check(counter("replies") - before == len(markers), "%d replies counted for %d refusals" %
      (counter("replies") - before, len(markers)))
check(counter("replies_reset") == counter("replies_failed") == 0, "replies could not be made")
ok("%s: %d refusals, each told, each in events, none known to the backend" % (MODE, len(markers)))

# SYNs are answered as ever; who is served is not disturbed; what was refused has left the client, too.
c = Connection()
c.send(request("served-" + MODE, os.environ["GOOD"]))
c.expect_served("served-" + MODE)
c.close()
until = time.monotonic() + PATIENCE # its own close takes a moment
while client_sockets() and time.monotonic() < until:
    time.sleep(0.02)
check(not client_sockets(), "the client still has %s" % client_sockets())
ok(MODE + ": the client's sockets are closed in order")
END

cat > "$WORK/silent.py" <<'END'
def refused_how(host, wanted, within):
    marker = "%s-%s-%s" % (wanted, MODE, host)
    resets, c = counter("resets"), Connection(host)
    began = time.monotonic()
    c.send(request(marker, UNKNOWN))
    data, end = read_to_end(c.socket, within)
    check(data == b"" and end == wanted, "%s: got %r, then %s" % (marker, data, end))
    check(not backend_saw(marker), marker + ": the backend holds its head")
    if wanted == "reset":
        expect_backend_free(marker)
        check(counter("resets") == resets + 1, "resets: %d, then %d" % (resets, counter("resets")))
    ok("%s: %s after %.0f ms" % (marker, end, (time.monotonic() - began) * 1000))
    c.close(reset=True)

replies = counter("replies")
for host in SERVER, SERVER6:
    wanted, within = os.environ["HOW"].split()
    refused_how(host, wanted, float(within))
check(counter("replies") == replies, "replies were sent")
END

lists() { LIMIT=100 client_py < <(cat "$WORK/lists.py" "$WORK/$1.py"); }

for MODE in native generic tc; do
	attach "$MODE"
	make_key SLOW slow --rpm 1 --burst 1
	must "the one request of this minute" [ "$(request first -H "$(bearer "$SLOW")")" = 200 ]
	lists reply
	must "service edit" ctl service edit api --refuse reset
	HOW="reset 0.3" lists silent
	must "service edit" ctl service edit api --refuse drop
	HOW="silence 0.4" lists silent
	must "service edit" ctl service edit api --refuse reply --mode monitor
	before=$(counter no_key)
	[ "$(request monitored)" = 200 ] || fail "$MODE: a monitored service refuses"
	[ "$(counter no_key)" -eq $((before + 1)) ] || fail "$MODE: a monitored refusal is not counted"
	ok "$MODE: monitored: counted and served"
	must "service edit" ctl service edit api --mode enforce
	must "iface detach" ctl iface detach s0
done
