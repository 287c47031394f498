# SPDX-License-Identifier: GPL-2.0-only
"""cut.py - running requests, and what ends them; for cut.sh and tests/bench/cut.sh."""

import http.client
import json
import os
import socket
import threading
import time

import raw


class Admin(http.client.HTTPConnection):
    """The admin socket; what is asked must succeed."""

    def __init__(self):
        super().__init__("localhost")

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.connect(os.environ["SOCKET"])

    def call(self, method, target, body=None):
        self.request(method, target, json.dumps(body) if body is not None else None)
        answer = self.getresponse()
        text = answer.read()
        raw.check(answer.status < 300, "%s %s: %s" % (method, target, text.decode()))
        return json.loads(text)

    def make_key(self, name):
        made = self.call("POST", "/v1/keys", {"name": name})["keys"][0]
        return made["key"], made["id"]


class Running:
    """A request under way: when its last byte came, and how it ended."""

    def __init__(self, marker, key, body, source=None, server=raw.SERVER):
        self.marker = marker
        self.connection = raw.Connection(server=server, source=source)
        self.bytes, self.last, self.over, self.end = 0, 0.0, 0.0, None
        self.start = b""  # of what came
        self.connection.send(raw.request(marker, key, json.dumps(body).encode()))
        self.thread = threading.Thread(target=self._read, daemon=True)
        self.thread.start()

    def _read(self):
        self.connection.socket.settimeout(30 * raw.PATIENCE)
        while self.end is None:
            try:
                data = self.connection.socket.recv(65536)
            except OSError as error:
                data, self.end = b"", type(error).__name__
            if data:
                self.bytes += len(data)
                self.start = (self.start + data)[:4096]
                self.last = time.monotonic()
            elif self.end is None:
                self.end = "closed"
        self.over = time.monotonic()

    def stop(self):
        self.connection.socket.shutdown(raw.socket.SHUT_RDWR)
        self.thread.join()
        self.connection.close()

    def wait(self, seconds):
        self.thread.join(seconds * raw.PATIENCE)
        raw.check(not self.thread.is_alive(), "%s: still running" % self.marker)


def check_answered(running, code, what=""):
    """Its client was told why, from the kernel, and the connection ended in order."""
    top, _, body = running.start.partition(b"\r\n\r\n")
    what = what or running.marker
    raw.check(running.end == "closed", "%s: the client's end: %s" % (what, running.end))
    raw.check(top.startswith(b"HTTP/1.1 401 ") and b"\r\nx-request-id: req_" in top,
              "%s: no answer of ours: %r" % (what, running.start))
    raw.check(json.loads(body)["error"]["code"] == code, "%s: %s" % (what, body))


def stream(marker, key, **more):
    """50 tokens a second, for a minute."""
    running = Running(marker, key, {"stream": True, "max_tokens": 3000}, **more)
    until = time.monotonic() + 5 * raw.PATIENCE
    while running.bytes < 500 and time.monotonic() < until:
        time.sleep(0.005)
    raw.check(running.bytes >= 500 and running.end is None, marker + ": the stream does not run")
    return running


def silent(marker, key, **more):
    """The backend computes for ten seconds, and with patience, before its first byte."""
    running = Running(marker, key, {"think_ms": 10000 * raw.PATIENCE}, **more)
    until = time.monotonic() + 5 * raw.PATIENCE
    while not raw.seen("body", marker) and time.monotonic() < until:
        time.sleep(0.005)
    raw.check(raw.seen("body", marker), marker + ": the request did not come to the backend")
    return running


def backend_end(marker, timeout=2.0):
    """How the backend's connection of this request ended: its errno; None: it did not."""
    until = time.monotonic() + timeout * raw.PATIENCE
    while time.monotonic() < until:
        with open(raw.BACKEND_LOG, encoding="utf-8", errors="replace") as log:
            events = [json.loads(line) for line in log if line.endswith("}\n")]
        number = [e["connection"] for e in events if e.get("marker") == marker]
        ends = [e for e in events if e["event"] == "close" and number and
                e["connection"] == number[0]]
        if ends:
            return ends[0]["errno"]
        time.sleep(0.01)
    return None
