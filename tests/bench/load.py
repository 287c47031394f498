# SPDX-License-Identifier: GPL-2.0-only
"""load.py HOST PORT KEY RATE SECONDS - good requests at a fixed rate, whatever becomes of them.

Every second one comes on a connection that is kept, the others on connections of their own. A
request counts as served where its whole answer came within a second. Prints one JSON object:
offered and served requests a second, and the milliseconds that half and 99 of 100 of the served
ones took at most.
"""

import asyncio
import json
import sys
import time

HOST, PORT, KEY = sys.argv[1], int(sys.argv[2]), sys.argv[3]
RATE, SECONDS = float(sys.argv[4]), float(sys.argv[5])
TIMEOUT = 1.0
HEAD = ("POST /v1/chat/completions HTTP/1.1\r\nHost: load\r\nAuthorization: Bearer %s\r\n"
        "Content-Length: 2\r\n%%s\r\n{}" % KEY)
KEPT = HEAD % ""
CLOSED = HEAD % "Connection: close\r\n"


async def ask(reader, writer, text):
    writer.write(text.encode())
    top = await reader.readuntil(b"\r\n\r\n")
    length = next(int(line[15:]) for line in top.lower().split(b"\r\n") if line.startswith(b"content-length:"))
    await reader.readexactly(length)
    return top.startswith(b"HTTP/1.1 200")


class Load:
    def __init__(self):
        self.idle = []
        self.took = []

    async def kept(self):
        reader, writer = self.idle.pop() if self.idle else await asyncio.open_connection(HOST, PORT)
        if await ask(reader, writer, KEPT):
            self.idle.append((reader, writer))
            return True
        return False

    async def fresh(self):
        reader, writer = await asyncio.open_connection(HOST, PORT)
        try:
            return await ask(reader, writer, CLOSED)
        finally:
            writer.close()

    async def one(self, number):
        begun = time.monotonic()
        try:
            served = await asyncio.wait_for(self.fresh() if number % 2 else self.kept(), TIMEOUT)
        except (OSError, asyncio.TimeoutError, asyncio.IncompleteReadError):
            served = False
        if served:
            self.took.append(time.monotonic() - begun)

    async def run(self):
        begun, tasks = time.monotonic(), []
        count = int(RATE * SECONDS)
        for number in range(count):
            wait = begun + number / RATE - time.monotonic()
            if wait > 0:
                await asyncio.sleep(wait)
            tasks.append(asyncio.create_task(self.one(number)))
        await asyncio.gather(*tasks)
        self.took.sort()
        place = lambda share: round(1000 * self.took[int(share * (len(self.took) - 1))], 2) if self.took else None
        print(json.dumps({"offered": RATE, "served": round(len(self.took) / SECONDS, 1),
                          "p50_ms": place(0.5), "p99_ms": place(0.99)}))


asyncio.run(Load().run())
