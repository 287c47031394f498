# SPDX-License-Identifier: GPL-2.0-only
"""refusal.py - what a refused client must have been told, and what both sides look like behind it.

Tests import it next to raw.py. An answer is checked to the byte count: status, the fields that SDKs
go by, a body in the shape of the protocol that the path names. What the controller and the server's
kernel know is asked for directly, over the admin socket and in /proc/net.
"""

import json
import os
import re
import socket
import subprocess
import time

from raw import BACKEND_LOG, PATIENCE, PORT, check, fail

SOCKET = os.environ["SOCKET"]
SERVER_NS = os.environ["SERVER_NS"]

PATHS = {
    "openai": "/v1/chat/completions",
    "anthropic": "/v1/messages",
    "gemini": "/v1beta/models/m:generateContent",
}
REFUSALS = {  # reason: status, code
    "no_key": (401, "missing_api_key"),
    "unknown_key": (401, "invalid_api_key"),
    "key_disabled": (401, "api_key_disabled"),
    "key_expired": (401, "api_key_expired"),
    "ip_not_allowed": (403, "ip_not_allowed"),
    "rate_limited": (429, "rate_limit_exceeded"),
    "malformed": (400, "malformed_request"),
    "head_too_large": (431, "head_too_large"),
}
ANTHROPIC_TYPES = {
    400: "invalid_request_error",
    401: "authentication_error",
    403: "permission_error",
    429: "rate_limit_error",
    431: "request_too_large",
}
GEMINI_STATUSES = {
    400: "INVALID_ARGUMENT",
    401: "UNAUTHENTICATED",
    403: "PERMISSION_DENIED",
    429: "RESOURCE_EXHAUSTED",
    431: "INVALID_ARGUMENT",
}


class Answer:
    """One HTTP/1.1 response, whole, and nothing behind it."""

    def __init__(self, raw, what=""):
        check(b"\r\n\r\n" in raw, "%s: no whole head in %r" % (what, raw[:200]))
        top, self.body = raw.split(b"\r\n\r\n", 1)
        lines = top.decode("ascii").split("\r\n")
        version, status, self.phrase = lines[0].split(" ", 2)
        check(version == "HTTP/1.1", "%s: version %s" % (what, version))
        self.status = int(status)
        self.fields = {}
        for line in lines[1:]:
            name, value = line.split(":", 1)
            check(re.fullmatch("[a-z-]+", name), "%s: field %r" % (what, line))
            check(name not in self.fields, "%s: two %s" % (what, name))
            self.fields[name] = value.strip(" ")

    def request_id(self, shape="openai"):
        return self.fields.get("request-id" if shape == "anthropic" else "x-request-id", "")


def check_body(answer, code, shape, what):
    body = json.loads(answer.body)
    error = body["error"]
    check(len(error["message"]) > 20, "%s: message %r" % (what, error["message"]))
    if shape == "openai":
        check(error["code"] == code and error["type"] and error["param"] is None, "%s: %s" % (what, body))
    elif shape == "anthropic":
        check(body["type"] == "error" and error["type"] == ANTHROPIC_TYPES[answer.status] and
              "(%s)" % code in error["message"], "%s: %s" % (what, body))
    else:
        check(error["code"] == answer.status and error["status"] == GEMINI_STATUSES[answer.status] and
              "(%s)" % code in error["message"], "%s: %s" % (what, body))


def check_refusal(raw, reason, shape="openai", head=False, what=""):
    """The bytes that a client read up to the end are the answer for this reason, and only that."""
    what = "%s %s %s" % (what, reason, shape)
    status, code = REFUSALS[reason]
    answer = Answer(raw, what)
    fields = answer.fields
    check(answer.status == status, "%s: HTTP status %d, wanted %d" % (what, answer.status, status))
    check(fields.get("content-type") == "application/json", "%s: %s" % (what, fields))
    check(fields.get("connection") == "close", "%s: %s" % (what, fields))
    if reason == "rate_limited":
        check(1 <= int(fields["retry-after"]) <= 60, "%s: retry-after %s" % (what, fields["retry-after"]))
        check("x-should-retry" not in fields, "%s: %s" % (what, fields))
    else:
        check(fields.get("x-should-retry") == "false" and "retry-after" not in fields,
              "%s: %s" % (what, fields))
    check(re.fullmatch("req_[0-9a-f]{16}", answer.request_id(shape)) and
          int(answer.request_id(shape)[4:], 16), "%s: request id in %s" % (what, fields))
    if head:
        check(answer.body == b"", "%s: HEAD got a body: %r" % (what, answer.body))
        return answer
    check(int(fields["content-length"]) == len(answer.body),
          "%s: content-length %s, body of %d bytes" % (what, fields["content-length"], len(answer.body)))
    check_body(answer, code, shape, what)
    return answer


# ---- the client's end ---------------------------------------------------------------------------


def read_to_end(sock, timeout=None):
    """(bytes, how it ended: "eof", "reset" or "silence"); 3 s, with patience, unless timeout is given."""
    data = b""
    timeout = 3.0 * PATIENCE if timeout is None else timeout
    until = time.monotonic() + timeout
    while True:
        sock.settimeout(max(0.001, until - time.monotonic()))
        try:
            part = sock.recv(65536)
        except (TimeoutError, socket.timeout):
            return data, "silence"
        except ConnectionError:
            return data, "reset"
        if not part:
            return data, "eof"
        data += part


def expect_refusal(connection, reason, shape="openai", what="", head=False, timeout=3.0):
    """Reads on a raw.Connection up to the end: the refusal whole, then EOF."""
    data, end = read_to_end(connection.socket, timeout * PATIENCE)
    data, connection.buffer = connection.buffer + data, b""
    check(end == "eof", "%s: the connection ends with %s, behind %r" % (what, end, data[-300:]))
    return check_refusal(data, reason, shape, head, what)


# ---- the other side -----------------------------------------------------------------------------


def admin(path, method="GET"):
    """Asks the admin socket; its answer, which is JSON."""
    with socket.socket(socket.AF_UNIX) as s:
        s.settimeout(10 * PATIENCE)
        s.connect(SOCKET)
        s.sendall(b"%s %s HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
                  b"Content-Length: 0\r\n\r\n" % (method.encode(), path.encode()))
        answer, end = read_to_end(s, 10 * PATIENCE)
    check(end == "eof" and answer.startswith(b"HTTP/1.1 200"), "%s: %r" % (path, answer[:200]))
    return json.loads(answer.split(b"\r\n\r\n", 1)[1])


def counter(name, service="api"):
    found = next(s for s in admin("/v1/stats")["services"] if s["name"] == service)
    return found["packets"].get(name, found.get(name, 0))


def event_of(request_id, timeout=2.0):
    """The event that carries the id a client was told."""
    until = time.monotonic() + timeout * PATIENCE
    while True:
        found = [e for e in admin("/v1/events")["events"] if e.get("request_id") == request_id]
        if found or time.monotonic() > until:
            check(len(found) == 1, "%d events with the request id %s" % (len(found), request_id))
            return found[0]
        time.sleep(0.05)


LISTEN, TIME_WAIT = 10, 6


def sockets(lines, column, port):
    """Of /proc/net/tcp and tcp6: [(local, remote, state)] where that column has the port."""
    found = []
    for fields in map(str.split, lines):
        if fields[0][:-1].isdigit() and int(fields[column].rsplit(":", 1)[1], 16) == port:
            found.append((fields[1], fields[2], int(fields[3], 16)))
    return found


def backend_sockets(port=PORT):
    """The server's sockets of that port, but the listening one."""
    answer = subprocess.run(["nsenter", "--net=/run/netns/" + SERVER_NS, "cat", "/proc/net/tcp",
                             "/proc/net/tcp6"], capture_output=True, text=True, check=True)
    return [s for s in sockets(answer.stdout.splitlines(), 1, port) if s[2] != LISTEN]


def client_sockets(port=PORT):
    """The client's own, but those that only wait until their addresses may be used again."""
    lines = []
    for name in "/proc/net/tcp", "/proc/net/tcp6":
        with open(name, encoding="ascii") as file:
            lines += file
    return [s for s in sockets(lines, 2, port) if s[2] != TIME_WAIT]


def expect_backend_free(what, within=0.3):
    """Nothing is left at the backend; this soon is at once, looking takes some time itself."""
    until = time.monotonic() + within * PATIENCE
    while True:
        left = backend_sockets()
        if not left:
            return
        if time.monotonic() > until:
            fail("%s: the backend still has %s" % (what, left))
        time.sleep(0.005)


def expect_unseen(markers):
    """None of these requests reached the backend."""
    markers = set(markers)
    with open(BACKEND_LOG, encoding="utf-8", errors="replace") as log:
        for line in log:
            event = json.loads(line)
            check(event["event"] != "head" or event["marker"] not in markers,
                  "refused, but the backend holds its head: %s" % line)
