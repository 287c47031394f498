# SPDX-License-Identifier: GPL-2.0-only
"""admin.py - a client of the admin socket at $SOCKET, for tests that time it."""

import http.client
import json
import os
import socket
import sys


class Admin(http.client.HTTPConnection):
    def __init__(self):
        super().__init__("localhost", timeout=60)

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(60)
        self.sock.connect(os.environ["SOCKET"])

    def call(self, method, target, body=None):
        """(status, document)"""
        self.request(method, target, json.dumps(body) if body is not None else None)
        answer = self.getresponse()
        return answer.status, json.loads(answer.read())


def die(text):
    sys.exit("  FAIL  " + text)
