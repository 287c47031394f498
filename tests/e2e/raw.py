# SPDX-License-Identifier: GPL-2.0-only
"""raw.py - a client that decides itself how its bytes are cut into segments.

The end-to-end tests import it (lib.sh, client_py). Every send is one segment: TCP_NODELAY is set,
and a small pause keeps the kernel from joining two. What the backend saw is read from its log.
PATIENCE is how many times as long to wait here for what has to come (lib.sh).
"""

import json
import os
import socket
import struct
import sys
import time

SERVER = os.environ["SERVER"]
SERVER6 = os.environ["SERVER6"]
PORT = int(os.environ["PORT"])
KEY = os.environ["KEY"]
OTHER = os.environ["OTHER"]
UNKNOWN = os.environ["UNKNOWN"]
BACKEND_LOG = os.environ["BACKEND_LOG"]
WORK = os.environ["WORK"]
PATIENCE = int(os.environ.get("KF_PATIENCE", "1"))
PAUSE = 0.001


def fail(text):
    print("  FAIL ", text)
    sys.exit(1)


def ok(text):
    print("  ok   ", text)


def check(condition, text):
    if not condition:
        fail(text)


def tell(name):
    """Lets the test's `met NAME` go on."""
    with open(os.path.join(WORK, name), "w"):
        pass


def told(name):
    return os.path.exists(os.path.join(WORK, name))


def wait_for(name, timeout=20):
    """Waits for the test's `tell NAME`."""
    until = time.monotonic() + timeout * PATIENCE
    while not told(name):
        check(time.monotonic() < until, "waited in vain for " + name)
        time.sleep(0.002)


def seen(event, marker):
    """How many times the backend's log tells of this event of the request with this marker."""
    with open(BACKEND_LOG, encoding="utf-8", errors="replace") as log:
        return sum(line.startswith('{"event":"%s"' % event) and '"marker":"%s"' % marker in line
                   for line in log)


def backend_saw(marker):
    return seen("head", marker) > 0


def head(marker, key=None, method="POST", target="/v1/chat/completions", fields=(), length=None):
    """A request head; key None takes the good one, "" none."""
    key = KEY if key is None else key
    lines = ["%s %s HTTP/1.1" % (method, target), "Host: model.example", "x-marker: " + marker]
    if key:
        lines.append("Authorization: Bearer " + key)
    if length is not None:
        lines.append("Content-Length: %d" % length)
    return ("\r\n".join(lines + list(fields)) + "\r\n\r\n").encode()


def request(marker, key=None, body=b"{}", **more):
    return head(marker, key, length=len(body), **more) + body


def chunked(body, sizes, extension=""):
    """The body in chunks of the sizes given, in turn, and the last chunk."""
    out, at, turn = b"", 0, 0
    while at < len(body):
        part = body[at:at + sizes[turn % len(sizes)]]
        out += b"%x%s\r\n" % (len(part), extension.encode()) + part + b"\r\n"
        at += len(part)
        turn += 1
    return out + b"0\r\n\r\n"


class Connection:
    def __init__(self, server=SERVER, port=PORT, source=None, timeout=3.0):
        self.socket = socket.create_connection((server, port), timeout * PATIENCE,
                                               (source, 0) if source else None)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.buffer = b""

    def send(self, *segments):
        for segment in segments:
            self.socket.sendall(segment)
            if len(segments) > 1:
                time.sleep(PAUSE)

    def send_cut(self, data, cuts):
        """Sends data in segments that end at the places in cuts."""
        places = [0] + sorted(cuts) + [len(data)]
        self.send(*[data[a:b] for a, b in zip(places, places[1:]) if a < b])

    def _fill(self, timeout):
        self.socket.settimeout(timeout)
        try:
            data = self.socket.recv(65536)
        except (TimeoutError, socket.timeout):
            raise TimeoutError("no answer within %.1f s" % timeout) from None
        if not data:
            raise ConnectionError("closed by the other side")
        self.buffer += data

    def answer(self, timeout=3.0):
        """Reads one answer with a Content-Length, which has to come: (status, body)."""
        return self._answer(timeout * PATIENCE)

    def _answer(self, timeout):
        while b"\r\n\r\n" not in self.buffer:
            self._fill(timeout)
        top, rest = self.buffer.split(b"\r\n\r\n", 1)
        length = 0
        for line in top.split(b"\r\n")[1:]:
            name, value = line.split(b":", 1)
            if name.lower() == b"content-length":
                length = int(value)
        self.buffer = rest
        while len(self.buffer) < length:
            self._fill(timeout)
        body, self.buffer = self.buffer[:length], self.buffer[length:]
        status = int(top.split()[1])
        return self._answer(timeout) if status == 100 else (status, body)

    def expect_served(self, marker, timeout=3.0):
        try:
            status, body = self.answer(timeout)
        except OSError as error:
            fail("%s: expected an answer: %s" % (marker, error))
        check(status == 200, "%s: HTTP status %d" % (marker, status))
        check(backend_saw(marker), "%s: answered, but the backend knows nothing of it" % marker)
        return json.loads(body)["received"]

    def try_answer(self, timeout=1.0):
        """Reads an answer that may come or not."""
        try:
            self._answer(timeout)
        except OSError:
            pass

    def expect_nothing(self, marker, timeout=0.4):
        """No answer of the backend, and no head of it there."""
        try:
            status, _ = self._answer(timeout)
            check(status != 200, "%s: was served" % marker)
        except OSError:
            pass
        check(not backend_saw(marker), "%s: the backend holds its head" % marker)

    def close(self, reset=False):
        if reset:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.socket.close()
