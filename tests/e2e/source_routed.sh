#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# A host that follows source routes, and a service on one of its addresses: no way by another address
# leads to it, and none to the service itself.
. "$(dirname "$0")/lib.sh"

make_stage
start_backend
start_daemon
must "service add" ctl service add api --listen "$SERVER:$PORT" --refuse drop
must "service add" ctl service add six --listen "[$SERVER6]:$PORT" --refuse drop
make_key KEY good
for dev in all s0; do
	server sysctl -qw net.ipv4.conf.$dev.accept_source_route=1 net.ipv4.conf.$dev.rp_filter=0 \
		net.ipv4.conf.$dev.forwarding=1 net.ipv6.conf.$dev.seg6_enabled=1
done
ip -n "$SERVER_NS" address add 10.77.0.99/24 dev s0
ip -n "$SERVER_NS" address add fd77::99/64 dev s0 nodad

routed() { ctl --json stats | json 'd.get("unread", {}).get("routed", 0)'; }

for mode in native generic tc; do
	attach "$mode"
	[ -n "${KF_UNFILTERED:-}" ] || before=$(routed)
	client_py <<END
MODE = "$mode"
$(cat <<'PYTHON'
from frames import *

learn()


def loose(*hops, kind=131):
    return lambda self, s: self.ip(TCP, s, options=source_route(*hops, kind=kind))


def by(kind):
    return lambda self, s: self.ip(ROUTING, extension(TCP, segments(SERVER6, kind)) + s)


WAYS = {
    "loose": Peer(target="10.77.0.99", final=SERVER, dress=loose(SERVER)),
    "strict": Peer(target="10.77.0.99", final=SERVER, dress=loose(SERVER, kind=137)),
    "two": Peer(target="10.77.0.99", final=SERVER, dress=loose("10.77.0.99", SERVER)),
    "home": Peer(target=SERVER, dress=loose("10.77.0.99", SERVER)),
    "segments": Peer(True, "fd77::99", SERVER6, by(4)),
    "type-0": Peer(True, "fd77::99", SERVER6, by(0)),
    "options": Peer(True, "fd77::99", SERVER6,
                    lambda self, s: self.ip(DSTOPTS, extension(ROUTING) + extension(TCP, segments(SERVER6)) + s)),
}
shaken = [name for name, peer in WAYS.items() if peer.connect(timeout=0.3)]
for name in shaken:
    WAYS[name].push(head("%s-%s" % (MODE, name), "", "GET"))
time.sleep(0.3)
arrived = [name for name in WAYS if backend_saw("%s-%s" % (MODE, name))]
check(not arrived, "source-routed to the backend: " + " ".join(arrived))
check(not shaken, "the backend shook hands by way of: " + " ".join(shaken))

# A handshake that was whole, and then a request by another way.
p = Peer().connected()
p.dress = loose("10.77.0.99", SERVER)
p.push(head(MODE + "-later", KEY, "GET"))
p = Peer(True).connected()
p.target, p.dress = "fd77::99", by(4)
p.push(head(MODE + "-later-6", "", "GET"))
# A packet in a packet behind a routing header, which segment routing takes out of it.
outer = Peer(True)
for name, kind, p in ("6", 41, Peer(True).connected()), ("4", 4, Peer().connected()):
    inner = p.packet(TCP, p.tcp(head(MODE + "-inner-" + name, "", "GET"), ACK | PSH))
    outer.ip(ROUTING, extension(kind, segments(SERVER6, 4, 0)) + inner)
time.sleep(0.2)
late = [name for name in ("later", "later-6", "inner-6", "inner-4") if backend_saw(MODE + "-" + name)]
check(not late, "source-routed behind a handshake: " + " ".join(late))
ok("%s: nothing comes to the service by a way that its sender chose" % MODE)

for peer in Peer(), Peer(True), Peer(dress=lambda self, s: self.ip(TCP, s, options=b"\x07\x07\x04\0\0\0\0")):
    peer.connected().push(head(MODE + "-plain", KEY, "GET", "/v1/models"))
    check(b"HTTP/1.1 200" in peer.answer(2.0), "not served on the usual way")
other = Peer(True, "fd77::99").connected()
other.push(head(MODE + "-other", "", "GET", "/v1/models"))
check(b"HTTP/1.1 200" in other.answer(2.0), "another address of the host is not the service's")
ok("%s: served on the usual way, and what is not for the service passes" % MODE)
PYTHON
)
END
	[ -n "${KF_UNFILTERED:-}" ] && continue
	[ $(($(routed) - before)) -ge 5 ] || fail "$mode: $(($(routed) - before)) packets are counted as routed"
	ok "$mode: counted: $(($(routed) - before)) by another address, $(counter malformed) to the service itself"
	must "iface detach" ctl iface detach s0
done
