#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# A key is revoked at the instant at which the responses of its requests begin: each client gets a whole
# response, a whole answer, or a reset; never pieces of two, and never an end without an answer.
export REFUSE=reply
. "$(dirname "$0")/lib.sh"

start_all native
make_key KEY race
export KEY_ID
client_py <<'END'
import collections
import random
import re
import threading
from cut import *

admin, ident = Admin(), os.environ["KEY_ID"]
ends = collections.Counter()


def body_is_whole(text):
    top, blank, body = text.partition(b"\r\n\r\n")
    length = re.search(rb"content-length: (\d+)", top.lower())
    return bool(blank and length) and len(body) >= int(length.group(1))


def ask(number, think_ms):
    c = Connection()
    c.send(request("race-%d" % number, body=json.dumps({"think_ms": think_ms}).encode()))
    text = b""
    try:
        while not body_is_whole(text):
            data = c.socket.recv(65536)
            if not data:
                break
            text += data
    except ConnectionResetError:
        ends["reset"] += 1
        return
    finally:
        c.socket.close()
    pure = text.count(b"HTTP/1.1 ") == 1 and body_is_whole(text)
    if pure and text.startswith(b"HTTP/1.1 401 "):
        pure = json.loads(text.partition(b"\r\n\r\n")[2])["error"]["code"] == "api_key_disabled"
    ends[text[9:12].decode() if pure else "torn: %r" % text] += 1


number, until = 0, time.monotonic() + 4 * PATIENCE
while time.monotonic() < until:
    threads = []
    for _ in range(8):
        number += 1
        threads.append(threading.Thread(target=ask, args=(number, 10 * PATIENCE)))
        threads[-1].start()
    time.sleep((0.010 + random.uniform(-0.004, 0.003)) * PATIENCE)
    admin.call("POST", "/v1/keys/%s/disable" % ident)
    for thread in threads:
        thread.join()
    admin.call("POST", "/v1/keys/%s/enable" % ident)
check(sum(ends.values()) == number and set(ends) <= {"200", "401", "reset"}, "%d: %s" % (number, ends))
check(ends["200"] and ends["401"], "it was no race: %s" % ends)
ok("%d requests: %s" % (number, dict(ends)))
END
