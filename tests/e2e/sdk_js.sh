#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# The official JavaScript SDKs of OpenAI and Anthropic raise their own errors, repeat what may succeed
# after the time they are told, and nothing else. Their versions are pinned in sdk/package.json.
. "$(dirname "$0")/lib.sh"

command -v node npm > /dev/null || skip "no node or npm here; scripts/deps.sh check installs them"

# Into the build directory, once for each package.json.
SDK=$BUILD/tests/sdk
if ! cmp -s "$HERE/sdk/package.json" "$SDK/installed.json"; then
	mkdir -p "$SDK"
	cp "$HERE/sdk/package.json" "$SDK/package.json"
	if ! (cd "$SDK" && timeout 120 npm install --no-package-lock --no-audit --no-fund --ignore-scripts \
		--fetch-retries 1 --loglevel error > npm.log 2>&1); then
		! grep -qE 'EAI_AGAIN|ENOTFOUND|ECONNREFUSED|ENETUNREACH|EHOSTUNREACH|ETIMEDOUT|ECONNRESET' "$SDK/npm.log" ||
			skip "npm has no network to install the SDKs: $(grep -m 1 -E ' code |network' "$SDK/npm.log")"
		fail "npm install: $(tail -n 20 "$SDK/npm.log")"
	fi
	cp "$HERE/sdk/package.json" "$SDK/installed.json"
fi

make_stage
start_backend --rate 500
start_daemon
REFUSE=reply add_service
attach "${MODE:-native}"
make_key KEY good
make_key OFF off
make_key OLD old --expires 1s
make_key HOME_KEY home --allow-ip 10.77.0.9/32
make_key SLOW slow --rpm 1 --burst 1
make_key PACED paced --rpm 30 --burst 1
make_key PACED_TOO paced-too --rpm 30 --burst 1
must "key disable" ctl key disable "$OFF_ID"
must "the one request that its rate allows" [ "$(request first -H "$(bearer "$SLOW")")" = 200 ]
sleep 1

for host in "$SERVER" "[$SERVER6]"; do
	client env -i PATH="$PATH" HOME="$WORK" NODE_PATH="$SDK/node_modules" BASE="http://$host:$PORT" \
		KEY="$KEY" UNKNOWN="$UNKNOWN" OFF="$OFF" OLD="$OLD" HOME_KEY="$HOME_KEY" SLOW="$SLOW" \
		PACED="$PACED $PACED_TOO" timeout 60 node "$HERE/sdk/refusals.cjs" > "$WORK/node.out" 2>&1 ||
		fail "the SDKs say: $(grep -v '^  told' "$WORK/node.out")"
	grep -v '^  told' "$WORK/node.out"
	events=$(ctl --json events)
	for id in $(sed -n 's/^  told  //p' "$WORK/node.out"); do
		[[ $events == *"\"request_id\":\"$id\""* || $events == *"\"request_id\": \"$id\""* ]] ||
			fail "the request id $id is in no event"
	done
	ok "over $host: each of $(grep -c '^  told' "$WORK/node.out") request ids is in events"
done
