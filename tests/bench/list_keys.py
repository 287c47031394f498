#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""list_keys.py SOCKET - how long a page of 100 keys takes, of as many as there are in the store.

The median of 20: the first page, one behind half of all keys, and the first one of what a filter finds.
"""
import json
import statistics
import sys
import time

from revoke import Admin, say

ROUNDS = 20


def get(admin, query=""):
    admin.request("GET", "/v1/keys?limit=100" + query)
    answer = admin.getresponse()
    text = answer.read()
    if answer.status != 200:
        sys.exit("%s: %s" % (query, text.decode()))
    return json.loads(text)


def milliseconds(admin, query):
    begin = time.perf_counter()
    get(admin, query)
    return (time.perf_counter() - begin) * 1000


def main():
    admin = Admin(sys.argv[1])
    first = get(admin)
    key = first["keys"][50]["id"]
    admin.post("/v1/keys/%s/disable" % key)
    queries = {"first_page": "", "behind_half": "&after=%d" % (first["total"] // 2), "disabled": "&status=disabled",
               "exhausted": "&status=exhausted", "by_id": "&search=" + key, "by_name": "&search=nobody",
               "account_default": "&account=default"}
    for name, query in queries.items():
        times = [milliseconds(admin, query) for _ in range(ROUNDS)]
        say("list_keys_ms_at_1m", name, statistics.median(times), "ms")


if __name__ == "__main__":
    main()
