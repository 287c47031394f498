#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# A service is added while connections to its port are open: what they send next is a judged head, also
# on those that were in use a moment ago, or never.
. "$(dirname "$0")/lib.sh"

make_stage
start_backend
start_daemon
make_key KEY good

# beside: another interface is being attached meanwhile.
make_link "$SERVER_NS" d0 "$CLIENT_NS" e0
for round in native tc beside; do
	MODE=${round/beside/native}
	attach "$MODE"
	client_start late < <(cat <<-END; cat <<-'END'
	how = "$round-"
	END
	fresh, used, good, halves = (Connection() for _ in range(4))
	for c in used, good, halves:
	    c.send(request(how + "before", ""))
	    c.expect_served(how + "before")
	tell(how + "connected")
	wait_for(how + "added")
	for c, name in (fresh, "fresh"), (used, "used"):
	    c.send(request(how + name, ""))
	    check(b" 401 " in c.socket.recv(4096), "%s: no 401" % name)
	    check(not backend_saw(how + name), "%s: the backend holds it" % name)
	ok("refused: the next request without a key")
	data = request(how + "halves", "")
	halves.send(data[:2], data[2:40], data[40:])
	check(b" 401 " in halves.socket.recv(4096), "halves: no 401")
	check(not backend_saw(how + "halves"), "halves: the backend holds it")
	ok("refused: the same in pieces")
	for number in 1, 2:
	    good.send(request(how + "good-%d" % number))
	    good.expect_served(how + "good-%d" % number)
	ok("served: the next requests with a key")
	END
	)
	met "$round-connected"
	attaching=
	if [ "$round" = beside ]; then
		ctl iface attach d0 --mode generic > "$WORK/beside" 2>&1 &
		attaching=$!
		sleep 0.1
	fi
	REFUSE=reply add_service
	[ -z "$attaching" ] || kill -0 $attaching || fail "d0 was attached before the service was there"
	tell "$round-added"
	client_done late
	[ -z "$attaching" ] || wait $attaching || fail "iface attach d0: $(cat "$WORK/beside")"
	must "service remove" ctl service remove api
	must "iface detach" ctl iface detach s0
done
