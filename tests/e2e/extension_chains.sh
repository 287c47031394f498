#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# Requests hidden behind chains of IPv6 extension headers, and in fragments: the stack behind the
# filter would put them together, so none of their beginnings may come to it.
. "$(dirname "$0")/lib.sh"

start_unattached
make_key KEY good
server sysctl -qw net.ipv4.conf.all.rp_filter=0 net.ipv4.conf.s0.rp_filter=0

# Sends back what comes by UDP, to the service's port.
become_in_ns "$SERVER_NS" "$PYTHON" -c "
import socket
s = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
s.bind(('::', $PORT))
while True:
    s.sendto(*s.recvfrom(65535))" &
PIDS+=($!)

unread() { ctl --json stats | json "d.get('unread', {}).get('headers', 0)"; }

for mode in native generic tc; do
	attach "$mode"
	[ -n "${KF_UNFILTERED:-}" ] || before=$(unread)
	client_py <<END
MODE = "$mode"
$(cat <<'PYTHON'
from frames import *

learn()
sent, strangers = [], 0


def keyless(name):
    marker = "%s-%s" % (MODE, name)
    sent.append(marker)
    return head(marker, "", "GET")


def peer(ipv6=True):
    return Peer(ipv6).connected()


def split(p, chain, first, at, reverse=False, behind=b"", more=True):
    """The chain in two fragments, cut at a multiple of 8."""
    pieces = [(fragment(first, 0, more, p.number) + chain[:at], behind),
              (fragment(first, at, False, p.number) + chain[at:], b"")]
    for piece, rest in reversed(pieces) if reverse else pieces:
        p.ip(FRAGMENT, piece, rest)


OPTIONS = extension(DSTOPTS)
LAST = extension(TCP)

# The chain goes on in the second fragment, in either order.
for reverse in False, True:
    p = peer()
    split(p, OPTIONS + LAST + p.tcp(keyless("chain-%d" % reverse), ACK | PSH), DSTOPTS, 8, reverse)

# As before, and what looks like the end of the chain stands behind the IP packet.
for name, behind in (("udp", extension(UDP)), ("none", extension(NONE)), ("tcp", LAST + b"\x75\x31\x1f\x41" + b"\0" * 16)):
    p = peer()
    split(p, OPTIONS + LAST + p.tcp(keyless("behind-" + name), ACK | PSH), DSTOPTS, 8, behind=behind)
p = peer()
split(p, LAST + p.tcp(keyless("behind-ports"), ACK | PSH), DSTOPTS, 8, behind=p.tcp(port=9999))

# The TCP header is cut, in front of its ports or behind them.
for at in 8, 16, 24:
    p = peer()
    split(p, LAST + p.tcp(keyless("cut-%d" % at), ACK | PSH), DSTOPTS, at)
p = peer()
split(p, p.tcp(keyless("cut-plain"), ACK | PSH), TCP, 8)
p = peer()
split(p, p.tcp(keyless("whole"), ACK | PSH), TCP, 40)

# Other headers in front of it, inside it, and in the first place.
for name, kind, data in (("hop", HOPOPTS, PADDING), ("route", ROUTING, b"\x04\0" + b"\0" * 4),
                         ("mobility", 135, PADDING), ("hip", 139, PADDING), ("shim6", 140, PADDING),
                         ("exp1", 253, PADDING), ("exp2", 254, PADDING), ("nothing", NONE, PADDING)):
    p = peer()
    split(p, extension(kind) + extension(TCP, data) + p.tcp(keyless("inside-" + name), ACK | PSH), DSTOPTS, 8)
    p = peer()
    split(p, extension(DSTOPTS, data) + LAST + p.tcp(keyless("first-" + name), ACK | PSH), kind, 8)
    if kind in (HOPOPTS, ROUTING):
        for reverse in False, True:
            p = peer()
            chain = OPTIONS + LAST + p.tcp(keyless("before-%s-%d" % (name, reverse)), ACK | PSH)
            pieces = [(fragment(DSTOPTS, 0, True, p.number) + chain[:8]), fragment(DSTOPTS, 8, False, p.number) + chain[8:]]
            for piece in reversed(pieces) if reverse else pieces:
                p.ip(kind, extension(FRAGMENT, data) + piece)

# Atomic fragments, alone and in one another; a fragment of a fragment.
p = peer()
p.ip(FRAGMENT, fragment(TCP, 0, False, p.number) + p.tcp(keyless("atomic"), ACK | PSH))
p = peer()
p.ip(FRAGMENT, fragment(FRAGMENT, 0, False, p.number) + fragment(TCP, 0, False, p.number) + p.tcp(keyless("atomic-2"), ACK | PSH))
p = peer()
segment = p.tcp(keyless("nested"), ACK | PSH)
p.ip(FRAGMENT, fragment(FRAGMENT, 0, False, p.number) + fragment(TCP, 0, True, p.number + 1) + segment[:40])
p.ip(FRAGMENT, fragment(FRAGMENT, 0, False, p.number) + fragment(TCP, 40, False, p.number + 1) + segment[40:])

# Overlapping fragments: which copy counts is the receiver's affair.
p = peer()
segment = LAST + p.tcp(keyless("overlap"), ACK | PSH)
other = LAST + p.tcp(b"", port=9999)
p.ip(FRAGMENT, fragment(DSTOPTS, 0, True, p.number) + other[:32])
p.ip(FRAGMENT, fragment(DSTOPTS, 8, False, p.number) + segment[8:])
p = peer()
segment = LAST + p.tcp(keyless("overlap-late"), ACK | PSH)
p.ip(FRAGMENT, fragment(DSTOPTS, 8, False, p.number) + segment[8:])
p.ip(FRAGMENT, fragment(DSTOPTS, 0, True, p.number) + segment[:8])

# Long chains: more headers than are followed, and longer than is in reach.
for count in 7, 8, 9, 20, 100:
    p = peer()
    p.ip(DSTOPTS, OPTIONS * count + LAST + p.tcp(keyless("many-%d" % count), ACK | PSH))
for size in 24, 200, 1000:
    p = peer()
    p.ip(DSTOPTS, extension(TCP, padding(size)) + p.tcp(keyless("long-%d" % size), ACK | PSH))

# IPv4: ports in one fragment and the rest in the next, and all that stands behind the packet.
for at in 8, 16, 24, 40:
    for reverse in False, True:
        p = peer(False)
        segment = p.tcp(keyless("v4-%d-%d" % (at, reverse)), ACK | PSH)
        pieces = [(0x2000, segment[:at]), (at // 8, segment[at:])]
        for flags, piece in reversed(pieces) if reverse else pieces:
            p.ip(TCP, piece, flags=flags, behind=p.tcp(port=9999) if flags & 0x2000 else b"")
p = peer(False)
segment = p.tcp(keyless("v4-options"), ACK | PSH)
p.ip(TCP, segment[:40], flags=0x2000, options=b"\x01" * 40)
p.ip(TCP, segment[40:], flags=5, options=b"\x01" * 40)

time.sleep(0.4)
log = open(BACKEND_LOG).read()
arrived = [marker for marker in sent if '"marker":"%s"' % marker in log]
check(not arrived, "without a key, and the backend holds: " + " ".join(arrived))
ok("%s: %d requests without a key in chains and fragments: none arrived" % (MODE, len(sent)))

# What is not hidden is judged like any other segment.
for name, around in (("destination options", lambda s: (DSTOPTS, LAST + s)), ("hop-by-hop", lambda s: (HOPOPTS, LAST + s)),
                     ("seven headers", lambda s: (DSTOPTS, OPTIONS * 6 + LAST + s)),
                     ("a way that ends here", lambda s: (ROUTING, extension(TCP, b"\xfd\0" + b"\0" * 4) + s))):
    p = Peer(True, dress=lambda self, s: self.ip(*around(s))).connected()
    p.push(head("%s-%s" % (MODE, name.replace(" ", "-")), KEY, "GET", "/v1/models"))
    check(b"HTTP/1.1 200" in p.answer(2.0), "%s: not served behind %s" % (MODE, name))
ok("%s: requests with a key are served behind extension headers" % MODE)

for family, host in (socket.AF_INET, SERVER), (socket.AF_INET6, SERVER6):
    udp = socket.socket(family, socket.SOCK_DGRAM)
    udp.settimeout(3 * PATIENCE)
    udp.sendto(b"u" * 5000, (host, PORT))
    try:
        check(len(udp.recv(65535)) == 5000, "%s: UDP came back cut" % MODE)
    except TimeoutError:
        fail("%s: fragments of UDP to %s do not pass" % (MODE, host))
ok("%s: fragments that are not TCP pass" % MODE)
PYTHON
)
END
	[ -n "${KF_UNFILTERED:-}" ] && continue
	[ $(($(unread) - before)) -ge 20 ] || fail "$mode: $(($(unread) - before)) packets are counted as unread"
	ok "$mode: counted: $(($(unread) - before)) that cannot be read, $(counter malformed) malformed"
	must "iface detach" ctl iface detach s0
done
