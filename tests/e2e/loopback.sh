#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# The backend behind a terminator on the same host: connections over lo, which takes mode tc alone.
. "$(dirname "$0")/lib.sh"

make_stage
start_backend
start_daemon
REFUSE=reply add_service
make_key KEY good
EXTRA_NS+=("$CLIENT_NS")
CLIENT_NS=$SERVER_NS # the clients are here as well
SERVER=127.0.0.1
SERVER6=::1

told=$(ctl iface attach lo --mode native 2>&1) && fail "lo took native XDP"
[[ $told == *"--mode tc"* ]] || fail "native XDP on lo: $told"
ok "native: $told"
[ -n "${KF_UNFILTERED:-}" ] || must "iface attach lo" ctl iface attach lo --mode tc
head -c 6000000 /dev/urandom > "$WORK/upload"

for host in 127.0.0.1 "[::1]" "$(ip -n "$SERVER_NS" -4 -o address show dev s0 | sed -n 's/.*inet \([^/]*\).*/\1/p')"; do
	url=http://$host:$PORT/v1/chat/completions
	served "$host: a good key" -H "$(bearer "$KEY")" "$url"
	served "$host: a body of 6 MB" -H "$(bearer "$KEY")" --data-binary "@$WORK/upload" "$url"
	served "$host: a body of 6 MB, chunked" -H "$(bearer "$KEY")" -H "Transfer-Encoding: chunked" \
		-H "Expect: 100-continue" --data-binary "@$WORK/upload" "$url"
	refused_with 401 missing_api_key "$host: no key" "$url"
	refused_with 401 invalid_api_key "$host: an unknown key" -H "$(bearer "$UNKNOWN")" "$url"
done
client_py <<'END'
for address in SERVER, SERVER6:
    c = Connection(address)
    for n in range(200):
        c.send(request("kept-%s-%d" % (address, n), body=b"b" * (37 * n)))
        check(c.answer(5)[0] == 200, "request %d of a kept connection over %s" % (n, address))
    c.send(request("kept-bad-%s" % address, UNKNOWN))
    check(c.answer(5)[0] == 401, "a refusal behind good requests over %s" % address)
    check("kept-bad-%s" % address not in open(BACKEND_LOG).read(), "the backend holds a refused head")
    ok("200 requests over one connection and a refusal behind them, over %s" % address)
END
must "detach" ctl iface detach lo
status=$(request unfiltered "http://127.0.0.1:$PORT/v1/models")
[ "$status" = 200 ] || fail "detached, and a request gets $status"
