#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# cut.sh - measures how soon a stream ends when its key is disabled: 100 streams of 50 tokens a second,
# one after the other, between two namespaces, in native mode. From the answer of `key disable` on:
# cut_stream_ms until the last byte came to the client (0 where that was before the answer),
# cut_stream_end_ms until the client was told of the end. KF_BUILD names the build.
export REFUSE=reply
. "$(dirname "$0")/../e2e/lib.sh"
# shellcheck disable=SC2034 # where the clients find raw.py and cut.py
HERE=$ROOT/tests/e2e

start_all native
COUNT=${COUNT:-100} LIMIT=300 client_py <<'END'
from cut import *


def show(bench, values):
    values.sort()
    for name, place in (("p50", 0.5), ("p99", 0.99)):
        value = round(values[int(place * (len(values) - 1))], 3)
        print(json.dumps({"bench": bench, "metric": name, "value": value, "unit": "ms"},
                         separators=(",", ":")))


admin = Admin()
last, end = [], []
for i in range(int(os.environ["COUNT"])):
    text, ident = admin.make_key("cut-%d" % i)
    running = stream("cut-%d" % i, text)
    time.sleep(i % 20 / 1000) # at any place between two tokens
    admin.call("POST", "/v1/keys/%s/disable" % ident)
    answered = time.monotonic()
    running.wait(5)
    last.append(max(running.last - answered, 0) * 1000)
    end.append(max(running.over - answered, 0) * 1000)
show("cut_stream_ms", last)
show("cut_stream_end_ms", end)
END
