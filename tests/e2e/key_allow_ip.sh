#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# A key that may come from some addresses only.
. "$(dirname "$0")/lib.sh"

start_all "${MODE:-native}"
make_key KEY homebound --allow-ip 10.77.0.3/32 --allow-ip fd77::2/127
make_key OTHER anywhere
auth=$(bearer "$KEY")
v6=http://[$SERVER6]:$PORT/v1/chat/completions

served "from its address" -H "$auth" --interface 10.77.0.3
refused "from another" ip_not_allowed -H "$auth" --interface 10.77.0.2
served "from its IPv6 network" -H "$auth" --interface fd77::3 "$v6"
refused "from another IPv6 network" ip_not_allowed -H "$auth" --interface fd77::4 "$v6"
served "a key without a list, from there" -H "$(bearer "$OTHER")" --interface 10.77.0.2

must "key edit" ctl key edit "$KEY_ID" --allow-ip 10.77.0.0/29
served "from the network it was given" -H "$auth" --interface 10.77.0.2
refused "outside of it" ip_not_allowed -H "$auth" --interface 10.77.0.8
refused "from the IPv6 network it lost" ip_not_allowed -H "$auth" --interface fd77::3 "$v6"

kill_daemon
denied "outside of it, the controller dead" -H "$auth" --interface 10.77.0.8
served "inside of it, the controller dead" -H "$auth" --interface 10.77.0.3
start_daemon
refused "outside of it, the controller back" ip_not_allowed -H "$auth" --interface 10.77.0.8
