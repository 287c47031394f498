# SPDX-License-Identifier: GPL-2.0-only
"""heads_taken.py take PATTERN COUNT held|fed
heads_taken.py good PATTERN WHAT SECONDS LIMIT

The two sides of heads_taken.sh; PATTERN with a number from 1 to 24 in it is a source address.
`take` opens COUNT connections, sends one byte of a head on each, and keeps them open; `fed` sends
one byte more on each in every half second. `good` sends requests in one piece and in two until the
takers have all been there for SECONDS, and fails where one waits longer than LIMIT.
"""

import threading

from raw import *

SOURCES = 24
PATTERN = sys.argv[2]
ADDRESS = SERVER6 if ":" in PATTERN else SERVER


def take(count, fed):
    connections = []
    for i in range(count):
        connections.append(Connection(ADDRESS, source=PATTERN % (1 + i % SOURCES), timeout=5))
        connections[-1].socket.setblocking(False)
        connections[-1].socket.send(b"G")
    tell("taken")
    for byte in b"ET /v1/models HTTP/1.1\r\nHost: taken\r\n" * 4:
        time.sleep(0.5)
        if told("enough"):
            return
        for c in connections if fed else ():
            try:
                c.socket.send(bytes([byte]))
            except OSError:
                pass


def one(marker, source, pieces):
    """Seconds from the beginning of the handshake to the answer."""
    data = request(marker)
    begin = time.monotonic()
    c = Connection(ADDRESS, source=source, timeout=20)
    c.socket.sendall(data[:60] if pieces == 2 else data)
    if pieces == 2:
        time.sleep(0.01)
        c.socket.sendall(data[60:])
    status, _ = c.answer(20)
    took = time.monotonic() - begin
    check(status == 200, "%s: HTTP status %d" % (marker, status))
    c.close()
    return took


def good_client(number, what, seconds, took, bad):
    n, until = 0, None
    while until is None or time.monotonic() < until:
        if until is None and told("taken"):
            until = time.monotonic() + seconds
        pieces, marker = 1 + (number + n) % 2, "%s-%d-%d" % (what, number, n)
        try:
            took[pieces].append(one(marker, PATTERN % (1 + (number + n * 7) % SOURCES), pieces))
        except (Exception, SystemExit) as error:
            bad.append("%s: %s" % (marker, error))
        n += 1
        time.sleep(0.01)


def good(what, seconds, limit):
    took, bad = {1: [], 2: []}, []
    threads = [threading.Thread(target=good_client, args=(n, what, seconds, took, bad)) for n in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    tell("enough")
    for pieces, times in took.items():
        times.sort()
        check(len(times) >= 40, "%s: only %d requests, %s" % (what, len(times), bad[:3]))
        print("  %s, heads in %d: %d, p50 %.3f s, p99 %.3f s, p100 %.3f s; %d over %.0f s" %
              (what, pieces, len(times), times[len(times) // 2], times[len(times) * 99 // 100], times[-1],
               sum(t > limit for t in times), limit))
    check(not bad, "%s: %d failed: %s" % (what, len(bad), bad[:5]))
    check(max(took[1][-1], took[2][-1]) <= limit, "%s: a good client waited over %.0f s" % (what, limit))
    ok(what)


if sys.argv[1] == "take":
    take(int(sys.argv[3]), sys.argv[4] == "fed")
else:
    good(sys.argv[3], float(sys.argv[4]), float(sys.argv[5]))
