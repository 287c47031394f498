#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# The filter is on a gateway, and packets are lost between it and the backend: of responses, which it
# then sees with a gap, and of requests that it has judged. No connection is lost over that.
export REFUSE=reply
. "$(dirname "$0")/lib.sh"

make_stage
make_published
start_backend --rate 2000
start_daemon
add_service
make_key KEY good

cat > "$WORK/load.py" <<'END'
import threading
from raw import *

WHAT, EACH, LIMIT = sys.argv[1], int(sys.argv[2]), 20
took, bad, lock = [], [], threading.Lock()


def stream(c, marker):
    """A response in many chunks, and the connection is used again behind it."""
    c.send(request(marker, body=b'{"stream":true,"max_tokens":40}'))
    data = b""
    c.socket.settimeout(LIMIT)
    while not data.endswith(b"0\r\n\r\n"):
        part = c.socket.recv(65536)
        check(part, "%s: the stream was cut: %r" % (marker, data[-60:]))
        data += part
    check(b"[DONE]" in data, marker + ": no end of the stream")


def client(number):
    c = None
    for n in range(EACH):
        marker = "%s-%d-%d" % (WHAT.replace(" ", "-"), number, n)
        begin = time.monotonic()
        try:
            c = c or Connection(SERVER6 if number % 2 else SERVER, timeout=LIMIT)
            if n % 3 < 2:
                stream(c, marker)
            else:
                c.send(request(marker))
                c.expect_served(marker, LIMIT)
            with lock:
                took.append(time.monotonic() - begin)
        except (Exception, SystemExit) as error:
            with lock:
                bad.append("%s: %s" % (marker, error))
            c = None


threads = [threading.Thread(target=client, args=(n,)) for n in range(20)]
for t in threads: t.start()
for t in threads: t.join()
took.sort()
print("  %s: %d requests, p50 %.3f s, p99 %.3f s, slowest %.1f s, %d failed" % (
    WHAT, len(took), took[len(took) // 2], took[len(took) * 99 // 100], took[-1], len(bad)))
check(not bad, "%d failed: %s" % (len(bad), bad[:3]))
END

load() {
	export PYTHONPATH=$HERE SERVER SERVER6 PORT UNKNOWN BACKEND_LOG WORK KEY OTHER=
	in_ns "$CLIENT_NS" timeout "$(patient 150)" "$PYTHON" -u "$WORK/load.py" "$1" "${KF_EACH:-15}" || fail "the client says so"
	ok "$1"
}

for mode in ${KF_MODES:-native tc}; do
	[ "$mode" = none ] || attach "$mode"
	lose "$SERVER_NS" prerouting -310 "iifname b0 tcp sport $PORT" 3
	load "$mode, responses lost"
	stop_losing "$SERVER_NS"
	# behind the filter on the way in, and of what the backend acknowledges
	lose "$BACKEND_NS" prerouting -310 "tcp dport $PORT" 3
	load "$mode, requests lost"
	stop_losing "$BACKEND_NS"
	[ "$mode" = none ] || [ -n "${KF_UNFILTERED:-}" ] || must "iface detach" ctl iface detach s0
done
[ "$(ctl --json stats | json 'd["services"][0]["requests_refused"]')" = 0 ] ||
	[ -n "${KF_UNFILTERED:-}" ] || fail "good requests were refused"
ok "nobody was refused"
