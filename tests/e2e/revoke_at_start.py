# SPDX-License-Identifier: GPL-2.0-only
"""revoke_at_start.py SECONDS GOOD < "ID KEY" lines - for tests of a start with very many keys.

Waits for the admin socket, then disables one key after the other, for SECONDS. Right behind the
answer of some the key is used: a filter that runs must refuse it, by its name. GOOD is used all the
time, and must be served all the time. Ends with a line of the times.
"""

import http.client
import os
import socket
import sys
import threading
import time

from admin import Admin, die

SECONDS, GOOD = float(sys.argv[1]), sys.argv[2]
keys = [line.split() for line in sys.stdin]
SERVER, PORT = os.environ["SERVER"], int(os.environ["PORT"])
ended, refused, served = threading.Event(), [], [0]


def use(key, marker):
    """(status, body) of a request with the key."""
    connection = http.client.HTTPConnection(SERVER, PORT, timeout=10)
    connection.request("GET", "/v1/models", headers={"Authorization": "Bearer " + key, "x-marker": marker})
    answer = connection.getresponse()
    body = answer.read()
    connection.close()
    return answer.status, body


def be_good():
    while not ended.is_set():
        status, body = use(GOOD, "good")
        if status != 200:
            refused.append((status, body))
        served[0] += 1
        time.sleep(0.005)


threading.Thread(target=be_good, daemon=True).start()
while True:
    try:
        admin = Admin()
        admin.connect()
        break
    except OSError:
        time.sleep(0.001)
begun = time.monotonic()
times, inside, admitted, states, enforced = [], [], [], set(), 0
longest = {"use": 0, "status": 0}


def timed(name, call, *args):
    """What call(*args) returns; its time counts for the longest of NAME."""
    at = time.monotonic()
    result = call(*args)
    longest[name] = max(longest[name], time.monotonic() - at)
    return result


for number, (ident, key) in enumerate(keys):
    since = time.monotonic()
    if since - begun > SECONDS:
        break
    status, answer = admin.call("POST", "/v1/keys/%s/disable" % ident)
    times.append((time.monotonic() - since, since - begun))
    inside.append(answer.get("durable_ms", 0))
    if status != 200:
        die("a revocation in the first seconds: HTTP status %d, %s" % (status, answer))
    if number % 7 == 0:
        status, body = timed("use", use, key, "revoked")
        if status == 401 and b"api_key_disabled" in body:
            enforced += 1
        else:
            admitted.append((ident, status, body))
    if number % 20 == 0:
        status, answer = timed("status", admin.call, "GET", "/v1/status")
        states.add(answer["state"])
    time.sleep(0.004)
ended.set()
values = sorted(took for took, _ in times)
inside.sort()
slow = sorted(times)[-3:]
print("  ok    %d revoked in the first %.1f s: p50 %.2f ms, p99 %.2f ms, longest %s; %d tried, "
      "%d good requests; states %s; from call to disk p50 %.2f p99 %.2f; longest use %.0f, status %.0f"
      % (len(times), SECONDS, values[len(values) // 2] * 1000, values[len(values) * 99 // 100] * 1000,
         " ".join("%.1f (at %.2f s)" % (took * 1000, at) for took, at in slow), enforced + len(admitted), served[0],
         "+".join(sorted(states)), inside[len(inside) // 2], inside[len(inside) * 99 // 100],
         longest["use"] * 1000, longest["status"] * 1000))
if os.environ.get("FILTERED") and admitted:
    die("admitted behind the answer that it is revoked: %s" % admitted[:3])
if refused:
    die("a good key was refused: %s" % refused[:3])
if "starting" not in states:
    die("the socket was there only when all keys were in")
LIMIT = float(os.environ.get("P99_MS", "250"))
if values[len(values) * 99 // 100] * 1000 > LIMIT:
    die("the 99th percentile is over %.0f ms" % LIMIT)
