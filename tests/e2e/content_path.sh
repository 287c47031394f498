#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# A body of 20 MB that is read, of a key held to models, over 25 ms each way with 2 MB in flight: how much longer
# does it take than one that is not read, and than without the filter? In native mode veth's buffers alone make the
# window grow more slowly, whatever the XDP program does. KF_ROUNDS=N, in turns; KF_MODES="native generic tc".
. "$(dirname "$0")/lib.sh"

export PATH_ARGUMENTS="0.025 0 0"
# shellcheck source=tests/e2e/path_stage.sh
. "$HERE/path_stage.sh"

make_stage
start_backend
start_daemon
REFUSE=reply add_service
make_key HELD held --model allowed
make_key FREE free
server sysctl -qw net.ipv4.tcp_rmem="4096 131072 4194304" # 2 MB of it are window
"$PYTHON" -c 'print("{\"messages\":\"%s\",\"model\":\"allowed\"}" % ("a picture " * 2000000), end="")' > "$WORK/body"

# once WHAT KEY: adds the milliseconds that it took to $WORK/WHAT.
once() {
	client curl -sS -o "$WORK/answer" -w '%{http_code} %{time_total}' -m 60 -H "$(bearer "$2")" -H 'Expect:' \
		-H 'Content-Type: application/json' --data-binary "@$WORK/body" "http://$SERVER:$PORT/v1/chat/completions" |
		awk '$1 != 200 { exit 1 } { printf "%d\n", $2 * 1000 }' >> "$WORK/$1" || fail "$1: $(cat "$WORK/answer")"
}
median() { sort -n "$WORK/$1" | sed -n "$(((ROUNDS + 1) / 2))p"; }

ROUNDS=${KF_ROUNDS:-3}
for mode in ${KF_MODES:-native tc}; do
	rm -f "$WORK/unfiltered" "$WORK/unread" "$WORK/read"
	for ((round = 0; round < ROUNDS; round++)); do
		once unfiltered "$FREE"
		attach "$mode"
		once unread "$FREE"
		once read "$HELD"
		must "iface detach" ctl iface detach s0
	done
	say "$mode: $(median read) ms, not read $(median unread) ms, without the filter $(median unfiltered) ms"
	# 10 % are what it may take; another 10 are the noise of a busy machine
	[ $(($(median read) * 100)) -le $(($(median unread) * 120)) ] || fail "$mode: reading it takes a fifth longer"
	ok "$mode: reading it takes no longer than it may"
done
