#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# Each kind of refusal, packet by packet: tcpdump on the client's interface, and what the backend's TCP
# got, read back and compared with what TCP demands.
. "$(dirname "$0")/lib.sh"

make_stage
for side in "$CLIENT_NS c0" "$SERVER_NS s0"; do
	in_ns ${side% *} ethtool -K "${side#* }" tx off > /dev/null 2>&1 # whole checksums, real segments
done
must "nft" server nft -f - <<-'END'
	table inet kf {
		chain in {
			type filter hook input priority 0
			tcp dport 8000 log group 5 snaplen 65535
		}
	}
END
start_backend --rate 50
start_daemon
REFUSE=reply add_service
make_key KEY good
make_key OTHER cut
export OTHER_ID

# capture FILE NS DEVICE: until end_capture.
CAPTURES=()
capture() {
	local log=$WORK/${1##*/}.err
	become_in_ns "$2" tcpdump -i "$3" -Z root -U --immediate-mode -s 4096 -B 16384 -w "$1" "${@:4}" 2> "$log" &
	CAPTURES+=($!)
	PIDS+=($!)
	await 5 grep -q 'listening on' "$log" || skip "tcpdump cannot capture from $3: $(cat "$log")"
}
end_captures() {
	local pid
	sleep 0.3 # what is on its way to the files
	for pid in "${CAPTURES[@]}"; do end_process "$pid" INT; done
	CAPTURES=()
}

cat > "$WORK/noted.py" <<'END'
from refusal import *
noted = []

def note(c, kind, check, **arguments):
    noted.append({"kind": kind, "client": c.socket.getsockname()[:2], "check": check, "arguments": arguments})

def save():
    path = os.path.join(WORK, "conns.json")
    old = json.load(open(path)) if os.path.exists(path) else []
    with open(path, "w") as file:
        json.dump(old + noted, file)

def refuse(kind, segments, reason, admitted=0, responses=0, wait=0.0, host=SERVER, **more):
    """Sends, reads to the end, closes as an orderly client does."""
    c = Connection(host)
    sent = sum(map(len, segments))
    note(c, kind, "answered", reason=reason, admitted=admitted, sent=sent, **more)
    for number, segment in enumerate(segments):
        if number:
            time.sleep(wait or PAUSE)
        c.socket.sendall(segment)
    data, end = read_to_end(c.socket, 5)
    check(end == "eof", "%s: ends with %s behind %r" % (kind, end, data[-200:]))
    check(data.count(b"HTTP/1.1 ") == responses + 1, "%s: %r" % (kind, data[:3000]))
    c.close()
END

cat > "$WORK/reply.py" <<'END'
subprocess.run(["sysctl", "-qw", "net.ipv4.tcp_timestamps=1"], check=True)
for host, name in (SERVER, "IPv4"), (SERVER6, "IPv6"):
    refuse("reply, " + name, [request("w", UNKNOWN)], "unknown_key", host=host)
    refuse("reply, GET, " + name, [head("w", "", method="GET")], "no_key", host=host)
    refuse("reply, HEAD, " + name, [head("w", "", method="HEAD")], "no_key", host=host, head=True)
    refuse("reply, /v1/messages, " + name, [request("w", UNKNOWN, target="/v1/messages")], "unknown_key",
           host=host, shape="anthropic")
    refuse("linger, " + name, [head("w", UNKNOWN, length=200000)] + [b"l" * 20000] * 10, "unknown_key", host=host)
    good = request("w1") + request("w2")
    refuse("pipelined, " + name, [good + request("w3", UNKNOWN)], "unknown_key", admitted=len(good),
           responses=2, host=host)
    stream = request("ws", body=b'{"stream":true,"max_tokens":15}')
    refuse("in a stream, " + name, [stream, request("wb", UNKNOWN)], "unknown_key", admitted=len(stream),
           responses=1, wait=0.1, host=host)
part = request("w", UNKNOWN)
refuse("split head", [part[:50], part[50:]], "unknown_key", admitted=50)
for host, name in (SERVER, "IPv4"), (SERVER6, "IPv6"):
    c = Connection(host)
    stream = request("wc", OTHER, body=b'{"stream":true,"max_tokens":200}')
    note(c, "cut, " + name, "cut", admitted=len(stream))
    c.send(stream)
    time.sleep(0.1)
    admin("/v1/keys/%s/disable" % os.environ["OTHER_ID"], "POST")
    data, end = read_to_end(c.socket, 2)
    check(end == "reset" and b"token-1 " in data, "cut: %s %r" % (end, data[-200:]))
    c.close()
    admin("/v1/keys/%s/enable" % os.environ["OTHER_ID"], "POST")
subprocess.run(["sysctl", "-qw", "net.ipv4.tcp_timestamps=0"], check=True)
refuse("reply, no time stamps", [request("w", UNKNOWN)], "unknown_key")
refuse("linger, no time stamps", [head("w", UNKNOWN, length=50000)] + [b"l" * 10000] * 5, "unknown_key")
subprocess.run(["sysctl", "-qw", "net.ipv4.tcp_timestamps=1"], check=True)
save()
END

cat > "$WORK/quiet.py" <<'END'
for host in SERVER, SERVER6:
    c = Connection(host)
    note(c, os.environ["HOW"], *os.environ["HOW"].split())
    c.send(request("wq", UNKNOWN))
    data, end = read_to_end(c.socket, 0.3)
    check(data == b"" and end == {"reset": "reset", "dropped": "silence"}[os.environ["HOW"]], "%r, %s" % (data, end))
    c.close()
save()
END

cat > "$WORK/check.py" <<'END'
import wire
from raw import ok
for connection, noted in wire.load(WORK):
    getattr(connection, noted["check"])(**noted["arguments"])
    ok("%s: %d packets as they must be" % (noted["kind"], len(connection.packets)))
END

resets() { server nstat -asz TcpEstabResets | awk '/TcpEstabResets/ { print $2 }'; }
program() { LIMIT=60 client_py < <(cat "$WORK/noted.py" "$WORK/$1.py"); }

for MODE in native generic tc; do
	say "$MODE"
	attach "$MODE"
	rm -f "$WORK/conns.json"
	capture "$WORK/client.pcap" "$CLIENT_NS" c0 tcp port "$PORT"
	capture "$WORK/backend.pcap" "$SERVER_NS" nflog:5
	before=$(resets)
	program reply
	must "service edit" ctl service edit api --refuse reset
	HOW=reset program quiet
	taken=$(($(resets) - before))
	must "service edit" ctl service edit api --refuse drop
	HOW=dropped program quiet
	end_captures
	program check
	must "service edit" ctl service edit api --refuse reply
	told=$(json 'sum(c["check"] != "dropped" for c in d)' < "$WORK/conns.json")
	[ "$taken" -eq "$told" ] || fail "$told connections were ended, $taken of the backend's were reset"
	ok "$MODE: each of $told connections was reset at the backend, once"
	must "iface detach" ctl iface detach s0
done
