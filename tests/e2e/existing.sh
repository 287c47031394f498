#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# Connections from before the attach: adopted and then judged, or ended.
. "$(dirname "$0")/lib.sh"

make_stage
start_backend --rate 25
start_daemon
add_service
make_key KEY good

# Four connections that are there before the filter is, and one round of requests after it.
program() {
	cat <<-END
	how = "$1"
	END
	cat <<-'END'
	idle, refused, silent, streaming = (Connection() for _ in range(4))
	for c, name in (idle, "idle"), (refused, "refused"):
	    c.send(request(how + name))
	    c.expect_served(how + name)
	time.sleep(1.1) # idle, so that the answers are told apart from what was asked
	body = b'{"stream":true,"max_tokens":60}'
	streaming.send(request(how + "stream", body=body))
	check(b"200" in streaming.socket.recv(65536), "no stream")
	tell(how + "connected")
	wait_for(how + "attached")
	END
}

client_start adopt < <(program adopt-; cat <<'END'
idle.send(request("adopt-next"))
idle.expect_served("adopt-next")
idle.send(request("adopt-next-2"))
idle.expect_served("adopt-next-2")
ok("served: the next requests of an adopted keep-alive connection")
idle.send(request("adopt-bad", UNKNOWN))
idle.expect_nothing("adopt-bad")
refused.send(request("adopt-bad-2", ""))
refused.expect_nothing("adopt-bad-2")
ok("refused: bad requests on adopted connections")
silent.send(request("adopt-silent-bad", UNKNOWN))
silent.expect_nothing("adopt-silent-bad")
ok("refused: a bad first request on an adopted connection")
data = b""
while b"[DONE]" not in data:
    part = streaming.socket.recv(65536)
    check(part, "the stream was cut: %r" % data[-100:])
    data += part
ok("a stream that ran through the attach came to its end")
END
)
met adopt-connected
answer=$([ -n "${KF_UNFILTERED:-}" ] || ctl --json iface attach s0 --mode "${MODE:-native}" --existing adopt) ||
	fail "iface attach --existing adopt"
tell adopt-attached
client_done adopt
adopted=$(json 'd["adopted"]' <<< "$answer")
[ "$adopted" -ge 4 ] || fail "4 connections were there, $adopted are told to be adopted"
ok "told: $adopted adopted"
must "iface detach" ctl iface detach s0

client_start reset < <(program reset-; cat <<'END'
for c, name in (idle, "idle"), (refused, "refused"), (silent, "silent"), (streaming, "stream"):
    c.socket.settimeout(3 * PATIENCE)
    try:
        while c.socket.recv(65536):
            pass
        fail(name + ": closed, expected a reset")
    except ConnectionResetError:
        pass
    except OSError as error:
        fail("%s: expected a reset: %s" % (name, error))
ok("reset: all four connections")
c = Connection()
c.send(request("reset-new"))
c.expect_served("reset-new")
ok("served: a new one")
END
)
met reset-connected
answer=$(ctl --json iface attach s0 --mode "${MODE:-native}" --existing reset) || fail "iface attach --existing reset"
tell reset-attached
client_done reset
[ "$(json 'd["reset"]' <<< "$answer")" -ge 4 ] || fail "4 connections were there: $answer"
refused "after it, an unknown key" unknown_key -H "$(bearer "$UNKNOWN")"
