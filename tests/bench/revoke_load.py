# SPDX-License-Identifier: GPL-2.0-only
"""revoke_load.py LOAD - disables keys while LOAD goes on, for revoke_load.sh.

The loads: nothing; readers: 150 connections that ask for lists, searches and the status, new ones
for a third of the questions; searches: 31 connections that search all keys for what none has; lists:
31 that list; create: 100,000 keys, made at once; deny: a block that covers 500,000 denied sources;
graces, expiries: of 2,000 keys, in one second; start, restart: the first seconds of a controller. And disk: no
revocations, but what the disk takes for a page.
"""

import itertools
import subprocess
import time

from admin import *

SECONDS = 10 # of each load that has no end of its own
PACE = 0.004 # seconds from one answer to the next request
LOAD = sys.argv[1]
ids = [line.split()[0] for line in open(os.environ["WORK"] + "/seeded")]
# each load has keys of its own, so that each of them is really disabled
ORDER = ["nothing", "readers", "searches", "lists", "create", "deny", "graces", "expiries", "restart", "start"]
own = ids[ORDER.index(LOAD) * 2000:][:2000] if LOAD != "disk" else []

READER = """
import http.client, os, socket, sys, threading
paths, again = sys.argv[2].split(), sys.argv[3] == "again"
def read(number):
    c = None
    while True:
        try:
            if c is None:
                c = http.client.HTTPConnection("localhost")
                c.sock = socket.socket(socket.AF_UNIX)
                c.sock.connect(os.environ["SOCKET"])
            c.request("GET", paths[number % len(paths)])
            c.getresponse().read()
            if again and number % 3 == 0:
                c.close()
                c = None
        except (OSError, http.client.HTTPException):
            c = None
for number in range(int(sys.argv[1])):
    threading.Thread(target=read, args=(number,), daemon=True).start()
threading.Event().wait()
"""


class Readers:
    def __init__(self, count, paths, again=""):
        self.process = subprocess.Popen(
            ["setpriv", "--reuid", "65534", "--regid", os.environ["READERS"], "--clear-groups",
             sys.executable, "-c", READER, str(count), paths, again])
        time.sleep(1)
        self.until = time.monotonic() + SECONDS

    def goes_on(self):
        return time.monotonic() < self.until

    def end(self):
        self.process.kill()
        self.process.wait()


class Change:
    """One request that takes its time, of a process of its own, since its answer is long to read."""
    def __init__(self, method, target, body):
        self.process = subprocess.Popen(
            ["curl", "-sS", "-o", "/dev/null", "-w", "%{http_code}", "--unix-socket", os.environ["SOCKET"],
             "-X", method, "-d", json.dumps(body), "http://localhost" + target], stdout=subprocess.PIPE, text=True)

    def goes_on(self):
        return self.process.poll() is None

    def end(self):
        status = self.process.communicate()[0]
        if status not in ("200", "201"):
            die("%s: HTTP status %s" % (LOAD, status))


class Ends:
    """Of 2,000 keys that are made for it: within two seconds, some seconds from now."""
    def __init__(self, grace):
        admin = Admin()
        made = admin.call("POST", "/v1/keys", {"name": "ends", "quantity": 2000})[1]["keys"]
        self.until = time.monotonic() + 9
        end = time.time() + 6
        for key in made:
            target = "/v1/keys/" + key["id"]
            left = "%ds" % (end - time.time() + 1)
            status, answer = admin.call("POST", target + "/rotate", {"grace": left}) if grace else \
                admin.call("PATCH", target, {"expires": left})
            if status != 200:
                die("%s: %s" % (LOAD, answer))

    def goes_on(self):
        return time.monotonic() < self.until

    def end(self):
        pass


class Start:
    def __init__(self):
        self.until = time.monotonic() + 60
        while True:
            try:
                Admin().connect()
                break
            except OSError:
                time.sleep(0.001)
        self.until = time.monotonic() + 4

    def goes_on(self):
        return time.monotonic() < self.until

    def end(self):
        pass


LOADS = {
    "nothing": lambda: Readers(0, "/"),
    "readers": lambda: Readers(150, "/v1/keys?search=nobody /v1/status /v1/keys?limit=100 /v1/sources", "again"),
    "searches": lambda: Readers(31, "/v1/keys?search=nobody"),
    "lists": lambda: Readers(31, "/v1/keys?limit=1000 /v1/keys?status=disabled /v1/sources /metrics"),
    "create": lambda: Change("POST", "/v1/keys", {"name": "bulk", "quantity": 100000}),
    "deny": lambda: Change("POST", "/v1/sources", {"cidr": "11.0.0.0/8", "action": "deny"}),
    "graces": lambda: Ends(True),
    "expiries": lambda: Ends(False),
    "restart": Start,
    "start": Start,
}


def revoke(load):
    """
    Seconds that each took. The thread that measures comes before others where a CPU is wanted, so that what is
    measured is how long the controller takes.
    """
    admin, times = Admin(), []
    os.setpriority(os.PRIO_PROCESS, 0, -20)
    for ident in itertools.cycle(own):
        if not load.goes_on():
            return times
        since = time.monotonic()
        status, answer = admin.call("POST", "/v1/keys/%s/disable" % ident)
        times.append(time.monotonic() - since)
        if status != 200:
            die("%s: a revocation: %s" % (LOAD, answer))
        time.sleep(PACE)


def sync():
    """Seconds that the disk takes to write and sync a page of a log, with nothing else going on."""
    page, times = os.urandom(4096), []
    with open(os.environ["WORK"] + "/state/pages", "wb") as log:
        for _ in range(1000):
            since = time.monotonic()
            os.write(log.fileno(), page)
            os.fdatasync(log.fileno())
            times.append(time.monotonic() - since)
            time.sleep(PACE)
    os.unlink(log.name)
    return times


def measure():
    load = LOADS[LOAD]()
    try:
        return revoke(load)
    finally:
        load.end()


times = sorted(sync() if LOAD == "disk" else measure())
p50, p99, most = (times[int(place * (len(times) - 1))] * 1000 for place in (0.5, 0.99, 1))
print("  %-10s %5d   p50 %6.2f ms   p99 %6.2f ms   max %6.2f ms" % (LOAD, len(times), p50, p99, most), flush=True)
if LOAD != "disk" and p99 > float(os.environ.get("KF_P99_MS") or "inf"):
    die("%s: a revocation in a hundred takes %.2f ms or more" % (LOAD, p99))
