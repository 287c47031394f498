#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""revoke.py SOCKET - makes 1,000 keys, disables each, prints p50 and p99 of both times."""
import http.client
import json
import socket
import sys

COUNT = 1000


class Admin(http.client.HTTPConnection):
    def __init__(self, path):
        super().__init__("localhost")
        self.path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.connect(self.path)

    def post(self, target, body=None):
        self.request("POST", target, json.dumps(body) if body else None)
        answer = self.getresponse()
        text = answer.read()
        if answer.status >= 300:
            sys.exit("%s: %s" % (target, text.decode()))
        return json.loads(text)


def say(bench, metric, value, unit):
    print(json.dumps({"bench": bench, "metric": metric, "value": round(value, 3), "unit": unit},
                     separators=(",", ":")))


def show(bench, values, unit):
    values.sort()
    for name, place in (("p50", 0.5), ("p99", 0.99)):
        say(bench, name, values[int(place * (len(values) - 1))], unit)


def main():
    admin = Admin(sys.argv[1])
    keys = admin.post("/v1/keys", {"name": "bench", "quantity": COUNT})["keys"]
    answers = [admin.post("/v1/keys/%s/disable" % key["id"]) for key in keys]
    show("revoke_kernel_us", [a["kernel_us"] for a in answers], "us")
    show("revoke_durable_ms", [a["durable_ms"] for a in answers], "ms")


if __name__ == "__main__":
    main()
