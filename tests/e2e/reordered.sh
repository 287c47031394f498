#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# Pieces of a request that overtake each other, each sent once: the backend puts them in order, says
# which ones it has (SACK), and serves the request; of a refused one it never holds the whole head.
. "$(dirname "$0")/lib.sh"

make_stage
start_backend
start_daemon
REFUSE=reply add_service
make_key KEY good

for mode in native generic tc; do
	attach "$mode"
	client_py <<END
MODE = "$mode"
$(cat <<'PYTHON'
import itertools, random
from frames import *

learn()
rng = random.Random(MODE)
SACK_PERMITTED = b"\x04\x02\x01\x01"


def send_in(p, pieces, order):
    starts = list(itertools.accumulate((len(piece) for piece in pieces), initial=p.seq))
    for n in order:
        p.send(pieces[n], ACK | PSH, seq=starts[n])
    p.seq = starts[-1]


def cut(data, count):
    at = [0] + sorted(rng.sample(range(1, len(data)), count - 1)) + [len(data)]
    return [data[a:b] for a, b in zip(at, at[1:])]


def orders(count):
    """One gap at a time: all of them backwards; the first one late, or one in the middle."""
    yield list(range(count))[::-1]
    for late in range(count - 1):
        yield [n for n in range(count) if n != late] + [late]


def check_status(p, status, what):
    answer = p.answer()
    check(answer.startswith(b"HTTP/1.1 %d " % status), "%s: %r" % (what, answer[:200]))


body = bytes(rng.randrange(97, 122) for _ in range(1000))
for ipv6 in False, True:
    for count in 2, 3, 4, 5:
        for order in orders(count):
            marker = "%s-%d-%s" % (MODE, ipv6, "".join(map(str, order)))
            good = {"head": head(marker, length=0, fields=["x-pad: " + "p" * 700]),
                    "body": head(marker, length=len(body)) + body,
                    "chunks": head(marker, fields=["Transfer-Encoding: chunked"]) + chunked(body, [300, 9])}
            for name, data in good.items():
                if name == "chunks" and order[0] == 0:
                    continue # behind a gap in their framing they are dropped, and come again
                p = Peer(ipv6).connected()
                send_in(p, cut(data, count), order)
                check_status(p, 200, marker + " " + name)
            p = Peer(ipv6).connected()
            send_in(p, cut(head(marker + "-bad", UNKNOWN, length=0), count), order)
            check_status(p, 401, marker + " unknown key")
            check(not backend_saw(marker + "-bad"), marker + ": the backend got the refused head")
ok("pieces in any order are served, and refused")

# The backend asks for what is missing only.
p = Peer().connected(options=SACK_PERMITTED)
whole = head(MODE + "-sack", length=0)
p.send(whole[50:], ACK | PSH, seq=p.seq + 50)
option = struct.pack("!BBII", 5, 10, p.seq + 50, p.seq + len(whole))
check(any(option in packet.tcp for packet in p.packets(0.5 * PATIENCE)), "what came ahead is not acknowledged")
p.send(whole[:50], ACK | PSH)
check_status(p, 200, "behind the SACK")
ok("what came ahead is acknowledged")

# A request without a key, hidden behind the gap of one that has a key; and other bytes than came ahead.
p = Peer().connected()
data = head(MODE + "-front", length=0)
p.send(data[60:] + head(MODE + "-hidden", "", "GET"), ACK | PSH, seq=p.seq + 60)
p.send(data[:60], ACK | PSH)
check_status(p, 408, "a request behind the gap of another one")
p = Peer().connected()
hidden = data + head(MODE + "-hidden", "", "GET")
p.send(hidden[60:], ACK | PSH, seq=p.seq + 60)
p.send(hidden, ACK | PSH)
check_status(p, 408, "a request that came ahead, in a segment that has all of it")
good, bad = head(MODE + "-swap", length=0), head(MODE + "-swap", UNKNOWN, length=0)
for pieces in ((60, bad[60:]), (60, good[60:]), (0, good[:60])), ((60, bad[60:]), (0, good)):
    p = Peer().connected()
    for at, piece in pieces:
        p.send(piece, ACK | PSH, seq=p.seq + at)
    p.answer(0.1)
for name in "hidden", "front", "swap":
    check(not backend_saw("%s-%s" % (MODE, name)), "the backend got the request " + name)
ok("nothing passes behind a gap")
PYTHON
)
END
	[ -n "${KF_UNFILTERED:-}" ] || must "iface detach" ctl iface detach s0
done
