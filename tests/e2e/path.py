# SPDX-License-Identifier: GPL-2.0-only
"""path.py DEV DEV DELAY LOSS REORDER - carries frames between two devices as a bad path would.

Each frame arrives DELAY seconds later; LOSS percent of those with IP in them never do, and REORDER
percent are late by a quarter of DELAY more, so that others overtake them. Ends with SIGTERM.
"""

import heapq
import random
import selectors
import socket
import sys
import time

DELAY, LOSS, REORDER = (float(number) for number in sys.argv[3:6])
rng = random.Random(1)
ends = [socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3)) for _ in range(2)]
ready = selectors.DefaultSelector()
for end, device, other in zip(ends, sys.argv[1:3], reversed(ends)):
    end.bind((device, 0))
    end.setblocking(False)
    end.setsockopt(socket.SOL_SOCKET, 33, 1 << 24) # SO_RCVBUFFORCE
    ready.register(end, selectors.EVENT_READ, other)
frames, number = [], 0

while True:
    wait = frames[0][0] - time.monotonic() if frames else None
    for key, _ in ready.select(max(wait, 0) if wait is not None else None):
        while True:
            try:
                frame, where = key.fileobj.recvfrom(65535)
            except BlockingIOError:
                break
            if where[2] == socket.PACKET_OUTGOING:
                continue
            is_ip = frame[12:14] in (b"\x08\0", b"\x86\xdd")
            if is_ip and rng.random() * 100 < LOSS:
                continue
            late = DELAY / 4 if is_ip and rng.random() * 100 < REORDER else 0
            number += 1
            heapq.heappush(frames, (time.monotonic() + DELAY + late, number, key.data, frame))
    while frames and frames[0][0] <= time.monotonic():
        _, _, end, frame = heapq.heappop(frames)
        try:
            end.send(frame)
        except OSError:
            pass
