#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""usage.py SOCKET - 4 processes report usage, of 200 keys of one account, as fast as they are answered.

Prints how many reports a second were durable, 500 in a request, and what a revocation takes meanwhile,
from its request to its answer.
"""
import multiprocessing
import sys
import time

from revoke import Admin, say, show

PROCESSES, BATCH, SECONDS = 4, 500, 5


def report(path, ids, who, counts):
    admin, count, until = Admin(path), 0, time.monotonic() + SECONDS
    while time.monotonic() < until:
        answer = admin.post("/v1/usage", {"reports": [
            {"key_id": ids[(count + i) % len(ids)], "model": "bench", "prompt": 1000, "completion": 10,
             "request_id": "%d-%d" % (who, count + i)} for i in range(BATCH)]})
        if answer["booked"] != BATCH:
            sys.exit("usage.py: %s" % answer)
        count += BATCH
    counts.put(count)


def main():
    path = sys.argv[1]
    admin = Admin(path)
    admin.post("/v1/models", {"name": "bench", "input": "2.5", "output": "10"})
    admin.post("/v1/accounts", {"name": "bench", "currency": "USD", "balance": "1000000"})
    ids = [key["id"] for key in admin.post("/v1/keys", {"name": "paid", "quantity": 200, "account": "bench"})["keys"]]
    keys = admin.post("/v1/keys", {"name": "beside", "quantity": 200})["keys"]
    counts, times = multiprocessing.Queue(), []
    reporters = [multiprocessing.Process(target=report, args=(path, ids, who, counts)) for who in range(PROCESSES)]
    for process in reporters:
        process.start()
    for key in keys:
        since = time.monotonic()
        admin.post("/v1/keys/%s/disable" % key["id"])
        times.append((time.monotonic() - since) * 1000)
        time.sleep(0.02)
    total = sum(counts.get() for _ in reporters)
    for process in reporters:
        process.join()
        if process.exitcode:
            sys.exit(1)
    say("usage_reports_per_s", "durable", total / SECONDS, "1/s")
    show("revoke_under_load_ms", times, "ms")


main()
