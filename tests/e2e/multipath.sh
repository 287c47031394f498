#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# A Multipath TCP connection that is open when the filter comes is ended: its client could send a
# request's pieces on two paths, neither of which holds a head. Others of the same backend are adopted.
. "$(dirname "$0")/lib.sh"

make_stage
become_in_ns "$SERVER_NS" "$PYTHON" -u - "$WORK/up" "$PORT" "$BACKEND_LOG" > "$WORK/backend.out" 2>&1 <<'END' &
import json, re, socket, sys, threading

server = socket.socket(socket.AF_INET, socket.SOCK_STREAM, 262)
server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
server.bind(("", int(sys.argv[2])))
server.listen(64)
open(sys.argv[1], "w").close()


def serve(c):
    data = b""
    while True:
        part = c.recv(4096)
        if not part:
            return
        data += part
        while b"\r\n\r\n" in data:
            head, data = data.split(b"\r\n\r\n", 1)
            marker = re.search(rb"x-marker: (\S*)", head).group(1).decode()
            with open(sys.argv[3], "a") as log:
                print(json.dumps({"event": "head", "marker": marker}, separators=(",", ":")), file=log)
            c.sendall(b'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}')


while True:
    threading.Thread(target=serve, args=(server.accept()[0],), daemon=True).start()
END
BACKEND=$!
await 5 test -e "$WORK/up" || skip "this kernel has no Multipath TCP: $(tail -n 1 "$WORK/backend.out")"
: > "$BACKEND_LOG"
for ns in "$CLIENT_NS" "$SERVER_NS"; do ip -n "$ns" mptcp limits set subflow 2 add_addr_accepted 2; done
must "a second path" ip -n "$CLIENT_NS" mptcp endpoint add 10.77.0.3 dev c0 subflow
start_daemon
make_key KEY good
REFUSE=reply add_service

joined() { server grep -A1 MPTcpExt /proc/net/netstat | awk '/MPJoinAckRx/ { for (i = 1; i <= NF; i++) if ($i == "MPJoinAckRx") n = i }
	n && $1 == "MPTcpExt:" && $n ~ /^[0-9]+$/ { print $n }'; }

for mode in native tc; do
	before=$(joined)
	client_start paths < <(cat <<-END; cat <<-'END'
	how = "$mode-"
	END
	def ask(c, marker):
	    c.sendall(head(marker, method="GET"))
	    check(c.recv(4096).startswith(b"HTTP/1.1 200"), marker + ": no answer")


	multi = socket.socket(socket.AF_INET, socket.SOCK_STREAM, 262)
	multi.settimeout(8)
	multi.bind(("10.77.0.2", 0))
	multi.connect((SERVER, PORT))
	ask(multi, how + "multi")
	plain = Connection()
	ask(plain.socket, how + "plain")
	tell(how + "connected")
	wait_for(how + "attached")
	ask(plain.socket, how + "plain-next")
	ok("served: the next request of a plain connection to the same backend")
	piece = head(how + "hidden", "", method="GET")
	try:
	    multi.sendall(piece[:-2])
	    time.sleep(0.3)
	    tell(how + "one-path")
	    wait_for(how + "other-path")
	    multi.sendall(piece[-2:])
	    said = multi.recv(4096)
	except OSError:
	    said = b""
	check(not backend_saw(how + "hidden"), "the backend holds a request without a key, in two pieces: %r" % said)
	ok("refused: a request in pieces on two paths")
	END
	)
	met "$mode-connected"
	sleep 0.5
	[ "$(joined)" -gt "$before" ] || fail "there is no second path: $(client ss -tni | head -n 20)"
	answer=$([ -n "${KF_UNFILTERED:-}" ] || ctl --json iface attach s0 --mode "$mode") || fail "iface attach"
	tell "$mode-attached"
	if await 2 test -e "$WORK/$mode-one-path"; then
		must nft client nft -f - <<-END
		table inet path { chain c { type filter hook output priority 0; ip saddr 10.77.0.2 tcp dport $PORT drop; }; }
		END
		tell "$mode-other-path"
	fi
	client_done paths
	! client nft delete table inet path 2> /dev/null || say "one path was closed"
	[ -n "${KF_UNFILTERED:-}" ] || must "iface detach" ctl iface detach s0
	[ "$(json 'd["reset"]' <<< "$answer")" -ge 2 ] || fail "two paths were there: $answer"
	ok "$mode: told: $(json '"%d adopted, %d reset" % (d["adopted"], d["reset"])' <<< "$answer")"
done
