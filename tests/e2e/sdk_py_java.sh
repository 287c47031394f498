#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# Python's and Java's own HTTP clients, which send head and body apart, see status, fields and body.
. "$(dirname "$0")/lib.sh"

make_stage
start_backend
start_daemon
REFUSE=reply add_service
attach "${MODE:-native}"
make_key KEY good
make_key OTHER off
must "key disable" ctl key disable "$OTHER_ID"

client_py <<'END'
from refusal import *
import http.client
import urllib.error
import urllib.request

def urllib_asks(key, path, body, field="Authorization"):
    request = urllib.request.Request("http://%s:%d%s" % (SERVER, PORT, path), data=body)
    if key:
        request.add_header(field, ("Bearer " if field == "Authorization" else "") + key)
    try:
        with urllib.request.urlopen(request, timeout=5) as answer:
            return answer.status, answer.headers, answer.read()
    except urllib.error.HTTPError as error:
        return error.code, error.headers, error.read()

big = b"x" * 5000000
for what, key, path, body, code in (
        ("no key", "", "/v1/chat/completions", b"{}", "missing_api_key"),
        ("unknown key", UNKNOWN, "/v1/messages", b"{}", "invalid_api_key"),
        ("disabled key", OTHER, "/v1beta/models/m:generateContent", b"{}", "api_key_disabled"),
        ("GET", UNKNOWN, "/v1/models", None, "invalid_api_key"),
        ("5 MB", UNKNOWN, "/v1/chat/completions", big, "invalid_api_key")):
    status, fields, data = urllib_asks(key, path, body)
    check(status == 401 and code in data.decode() and int(fields["content-length"]) == len(data),
          "urllib, %s: %d %s %r" % (what, status, fields, data))
    check(fields["x-request-id"] or fields["request-id"], "urllib, %s: no id: %s" % (what, fields))
    json.loads(data)
    ok("urllib, %s: 401 %s" % (what, code))
check(urllib_asks(KEY, "/v1/chat/completions", big)[0] == 200, "urllib, the good key, 5 MB")
ok("urllib, the good key, 5 MB")

client = http.client.HTTPConnection(SERVER, PORT, timeout=5)
for number in range(20):
    # It opens a new connection by itself, for the answer says Connection: close.
    key = UNKNOWN if number % 2 else KEY
    client.request("POST", "/v1/chat/completions", body=b"x" * (number * 5000), headers={
        "Authorization": "Bearer " + key, "x-marker": "py-%d" % number})
    answer = client.getresponse()
    data = answer.read()
    check(answer.status == (401 if number % 2 else 200), "http.client, %d: %d %r" % (number, answer.status, data))
    check(backend_saw("py-%d" % number) == (number % 2 == 0), "py-%d" % number)
ok("http.client, good and bad in turn with one object")
END

command -v javac > /dev/null || skip "no Java compiler here; scripts/deps.sh check installs one (Python: passed)"
client env BASE="http://$SERVER:$PORT" KEY="$KEY" UNKNOWN="$UNKNOWN" OFF="$OTHER" \
	timeout 60 java -XX:TieredStopAtLevel=1 -Djava.net.preferIPv4Stack=true "$HERE/sdk/Refusals.java" ||
	fail "Java says so"
