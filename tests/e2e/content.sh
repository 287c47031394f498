#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# Keys held to models, by what their requests' bodies name: of any size and framing, in pieces of any size,
# and none of what is refused is whole at the backend. KF_MODES="native generic tc" says how the filter is
# attached, in turn.
. "$(dirname "$0")/lib.sh"

export REFUSE=reply
make_stage
start_backend
start_daemon
add_service
make_key KEY held --model allowed

# 20 MB as SDKs send pictures, and text with escapes; the model comes last.
"$PYTHON" - "$WORK" <<'END'
import base64, json, os, sys
text = "".join("line %d of a \"text\"\n\tin \u4f60\u597d\\" % n for n in range(30000))
picture = base64.b64encode(os.urandom(14000000)).decode()
for name in "allowed", "other":
    with open(sys.argv[1] + "/" + name, "w") as f:
        json.dump({"messages": [{"role": "user", "content": [text, picture]}], "model": name}, f)
END
crc() { "$PYTHON" -c "import sys,zlib; print('%08x' % zlib.crc32(open(sys.argv[1],'rb').read()))" "$1"; }
CRC=$(crc "$WORK/allowed")

# send WHAT BODY [CURL OPTIONS]: sets STATUS and ANSWER.
send() {
	ANSWER=$(client curl -gsS -m "$(patient 30)" -w '\n%{http_code}' -H "$(bearer "$KEY")" -H 'Expect:' \
		-H 'Content-Type: application/json' -H "x-marker: $1" "${@:3}" --data-binary "@$WORK/$2" 2>&1)
	STATUS=${ANSWER##*$'\n'}
}

for mode in ${KF_MODES:-native generic tc}; do
	attach "$mode"
	for framing in "Content-Length" "chunks"; do
		options=()
		[ "$framing" = chunks ] && options=(-H 'Transfer-Encoding: chunked')
		for host in "$SERVER" "[$SERVER6]"; do
			url=http://$host:$PORT/v1/chat/completions
			marker=good-$((MARK += 1))
			send "$marker" allowed "${options[@]}" "$url"
			[[ $STATUS = 200 && $ANSWER == *"\"crc32\":\"$CRC\""* ]] || fail "$mode, $framing, $host: $ANSWER"
			marker=bad-$((MARK += 1))
			send "$marker" other "${options[@]}" "$url"
			[[ $STATUS = 403 && $ANSWER == *model_not_allowed* ]] || fail "$mode, $framing, $host, another model: $ANSWER"
			sleep 0.1
			backend_has_body "$marker" && fail "$mode, $framing, $host: the backend has the whole of a refused request"
		done
		ok "$mode: 20 MB with $framing, IPv4 and IPv6: served whole, and refused with its last piece"
	done

	client_py <<'END'
import json, zlib

GOOD = json.dumps({"messages": [{"role": "user", "content": "a \"text\" \u4f60 and more" * 9}], "model": "allowed"}).encode()
BAD = GOOD.replace(b"allowed", b"alloved")
TYPE = ["Content-Type: application/json"]


def framed(marker, body, sizes):
    if not sizes:
        return head(marker, fields=TYPE, length=len(body)) + body
    return head(marker, fields=TYPE + ["Transfer-Encoding: chunked"]) + chunked(body, sizes, ";name=value")


c, count = Connection(), 0
for sizes in None, [1], [7, 300]:
    for step in 29, 113, 1000:
        marker = "%s-%s-%d" % ("cut", sizes and sizes[0], step)
        data = framed(marker, GOOD, sizes)
        for at in range(0, len(data), step):
            c.send(data[at:at + step])
            time.sleep(PAUSE / 4)
        received = c.expect_served(marker)
        check(received["crc32"] == "%08x" % zlib.crc32(GOOD), "%s: arrived as %s" % (marker, received))
        b, marker = Connection(), "bad-" + marker
        data = framed(marker, BAD, sizes)
        try:
            for at in range(0, len(data), step):
                b.send(data[at:at + step])
                time.sleep(PAUSE / 4)
        except OSError:
            pass # answered before it was all sent
        status, _ = b.answer()
        check(status == 403, "%s: %s" % (marker, status))
        check(not seen("body", marker), marker + ": the backend has the body")
        count += 1
ok("%d bodies in pieces, one after the other on one connection; refused with their last piece" % count)

c = Connection()
c.send(framed("pipe", GOOD, None) + framed("pipe-bad", BAD, None))
c.expect_served("pipe")
status, _ = c.answer()
check(status == 403, "the second request behind the first: %s" % status)
c = Connection()
c.send(framed("end", GOOD, None)[:-1])
c.socket.shutdown(socket.SHUT_WR)
status, _ = c.answer()
check(status == 400, "the end of the stream in a body: %s" % status)
check(not seen("body", "end"), "the backend has what the end of the stream ended")
ok("a second body behind the first is judged; the end of the stream in a body is none")
END
	must "iface detach" ctl iface detach s0
done
[ "$(counter body_not_readable)" = 0 ] || fail "a good body was not readable"
