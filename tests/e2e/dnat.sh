#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# The backend is behind a published port: the namespace of the filter has no socket for it.
. "$(dirname "$0")/lib.sh"

make_stage
make_published
start_backend
await 5 client curl -sm 1 "http://$SERVER:$PORT/ready" || fail "the published port does not answer without the filter"
start_daemon
add_service
make_key KEY good
v6=http://[$SERVER6]:$PORT/v1/chat/completions

for mode in native generic tc; do
	attach "$mode"
	served "$mode, through the published port" -H "$(bearer "$KEY")"
	served "$mode, through the published port, IPv6" -H "$(bearer "$KEY")" "$v6"
	served "$mode, a body of many segments" -H "$(bearer "$KEY")" --data-binary "@$BUILD/keyfilterctl"
	refused "$mode, unknown key" unknown_key -H "$(bearer "$UNKNOWN")"
	refused "$mode, no key, IPv6" no_key "$v6"
	client_py <<-END
	c = Connection()
	for number in range(5):
	    c.send_cut(request("$mode-%d" % number), [40, 90])
	    c.expect_served("$mode-%d" % number)
	c.send(request("$mode-bad", UNKNOWN))
	c.expect_nothing("$mode-bad")
	ok("$mode, keep-alive and split heads")
	END
	must "iface detach" ctl iface detach s0
done
