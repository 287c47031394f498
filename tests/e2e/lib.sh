# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
#
# lib.sh - what every end-to-end test stands on; each test sources it first.
#
# A test gets two network namespaces joined by a veth pair, named after the test and its process so
# that tests can run side by side, and directories of its own for state, run and pins:
#
#   kfc-NAME-PID  c0  10.77.0.2 ... 10.77.0.9  fd77::2 ... fd77::9     the clients
#   kfs-NAME-PID  s0  10.77.0.1                fd77::1                 filter, controller, backend
#
# The trap at the end removes exactly what was made here: processes by number, namespaces, pins. A
# test that fails prints the counters, the last events and the ends of the logs. A refusal is proven
# twice: by its counter, and by the backend's log, which must not know the request's x-marker.
# Namespaces are entered with nsenter: `ip netns exec` hides bpffs.
#
# KF_PATIENCE=N waits N times as long for what has to come, on a machine that is slow; what must not
# come is waited for no longer than elsewhere.

set -uo pipefail
PATH=$PATH:/usr/sbin:/sbin

NAME=$(basename "$0" .sh)
HERE=$(cd "$(dirname "$0")" && pwd)
ROOT=$(cd "$HERE/../.." && pwd)
BUILD=$(cd "${KF_BUILD:-$ROOT/build}" && pwd) || exit 1
CLIENT_NS=kfc-$NAME-$$
SERVER_NS=kfs-$NAME-$$
SERVER=10.77.0.1
SERVER6=fd77::1
PORT=8000
WORK=$(mktemp -d "${TMPDIR:-/tmp}/kf-$NAME-XXXXXX")
PIN=/sys/fs/bpf/kf-$NAME-$$
SOCKET=$WORK/run/admin.sock
BACKEND_LOG=$WORK/backend.log
DAEMON_LOG=$WORK/keyfilterd.log
DAEMON=
BACKEND=
PIDS=()
PATIENCE=${KF_PATIENCE:-1}
EXTRA_NS=()
PYTHON=/usr/bin/python3
[ -x "$PYTHON" ] || PYTHON=python3

# ---- the end ------------------------------------------------------------------------------------

say() { printf '  %s\n' "$*"; }
ok() { printf '  ok    %s\n' "$*"; }
skip() { printf '  skip  %s\n' "$*"; exit 77; }
fail() { printf '  FAIL  %s (%s)\n' "$*" "$(caller 0)"; exit 1; }

dump() {
	echo "  ---- keyfilterctl stats"
	timeout 5 "$BUILD/keyfilterctl" --socket "$SOCKET" stats 2>&1 | grep -vE '[[:space:]]0$' | tail -n 40
	echo "  ---- keyfilterctl events"
	timeout 5 "$BUILD/keyfilterctl" --socket "$SOCKET" events 2>&1 | tail -n 15
	echo "  ---- controller's log"
	tail -n 30 "$DAEMON_LOG" 2> /dev/null
	echo "  ---- backend's log"
	tail -n 15 "$BACKEND_LOG" 2> /dev/null
}

# Ends process $1, if it is ours and still there, and waits for it.
end_process() {
	kill -"${2:-TERM}" "$1" 2> /dev/null || true
	for _ in $(seq 50); do
		kill -0 "$1" 2> /dev/null || break
		sleep 0.1
	done
	kill -KILL "$1" 2> /dev/null || true
	wait "$1" 2> /dev/null || true
}

cleanup() {
	local status=$? namespace device pid
	trap - EXIT INT TERM
	[ "$status" -eq 0 ] || [ "$status" -eq 77 ] || dump
	for pid in "$DAEMON" "$BACKEND" ${PIDS[@]+"${PIDS[@]}"}; do
		[ -z "$pid" ] || end_process "$pid"
	done
	for namespace in "$CLIENT_NS" "$SERVER_NS" ${EXTRA_NS[@]+"${EXTRA_NS[@]}"}; do
		[ -e "/run/netns/$namespace" ] || continue
		# libxdp's dispatcher leaves pins of its own behind an interface that just vanishes.
		for device in $(devices "$namespace"); do
			in_ns "$namespace" xdp-loader unload "$device" --all > /dev/null 2>&1
		done
		ip netns delete "$namespace"
	done
	rm -rf "$PIN" "$WORK"
	exit "$status"
}
trap cleanup EXIT
trap 'exit 130' INT TERM

# ---- the stage ----------------------------------------------------------------------------------

in_ns() { nsenter --net="/run/netns/$1" -- "${@:2}"; }
# For the background: the process is the program itself, and ends when it is told to.
become_in_ns() { exec nsenter --net="/run/netns/$1" -- "${@:2}"; }
client() { in_ns "$CLIENT_NS" "$@"; }
server() { in_ns "$SERVER_NS" "$@"; }
devices() { ip -n "$1" -o link show type veth 2> /dev/null | awk -F'[ :@]+' '{ print $2 }'; }

# Prints how long to wait here for what comes within $1 seconds (a fraction may be in it) elsewhere.
patient() {
	[ "$PATIENCE" -eq 1 ] && echo "$1" || awk "BEGIN { print $1 * $PATIENCE }"
}

# Waits up to $1 seconds for the command to succeed, and with patience.
await() {
	local until=$(($(date +%s%N) + $1 * PATIENCE * 1000000000))
	shift
	until "$@" > /dev/null 2>&1; do
		[ "$(date +%s%N)" -lt "$until" ] || return 1
		sleep 0.05
	done
}

# Makes namespace $1 of which the clean-up will know.
make_ns() {
	ip netns add "$1" || fail "cannot make the namespace $1; end-to-end tests need root"
	ip -n "$1" link set lo up
}

# make_link NS DEV NS DEV: a veth pair without offloads that a wire would not have.
make_link() {
	ip -n "$1" link add "$2" type veth peer name "$4" netns "$3" || fail "cannot make a veth pair"
	ip -n "$1" link set "$2" up
	ip -n "$3" link set "$4" up
}

make_stage() {
	local host
	make_ns "$CLIENT_NS"
	make_ns "$SERVER_NS"
	make_link "$CLIENT_NS" c0 "$SERVER_NS" s0
	for host in 2 3 4 5 6 7 8 9; do
		ip -n "$CLIENT_NS" address add "10.77.0.$host/24" dev c0
		ip -n "$CLIENT_NS" address add "fd77::$host/64" dev c0 nodad
	done
	ip -n "$SERVER_NS" address add "$SERVER/24" dev s0
	ip -n "$SERVER_NS" address add "$SERVER6/64" dev s0 nodad
}

# The backend gets a namespace of its own, BACKEND_NS, behind port PORT that the server's namespace
# publishes: the filter has no socket for it there.
make_published() {
	BACKEND_NS=kfb-$NAME-$$
	EXTRA_NS+=("$BACKEND_NS")
	make_ns "$BACKEND_NS"
	make_link "$SERVER_NS" b0 "$BACKEND_NS" e0
	ip -n "$SERVER_NS" address add 10.78.0.1/24 dev b0
	ip -n "$SERVER_NS" address add fd78::1/64 dev b0 nodad
	ip -n "$BACKEND_NS" address add 10.78.0.2/24 dev e0
	ip -n "$BACKEND_NS" address add fd78::2/64 dev e0 nodad
	ip -n "$BACKEND_NS" route add default via 10.78.0.1
	ip -n "$BACKEND_NS" -6 route add default via fd78::1
	must sysctl server sysctl -qw net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1
	must nft server nft -f - <<-END
	table ip published {
		chain in { type nat hook prerouting priority -100; tcp dport $PORT dnat to 10.78.0.2; }
	}
	table ip6 published {
		chain in { type nat hook prerouting priority -100; tcp dport $PORT dnat to fd78::2; }
	}
	END
}

# lose NAMESPACE HOOK PRIORITY "tcp MATCH" PERCENT: of what matches, until stop_losing NAMESPACE.
lose() {
	in_ns "$1" nft -f - <<-END || skip "no nft here that can lose packets"
	table inet lossy { chain c { type filter hook $2 priority $3; $4 numgen random mod 100 < $5 drop; }; }
	END
}
stop_losing() { in_ns "$1" nft delete table inet lossy; }

# start_backend [OPTIONS of keyfilter-stub]: in the server's namespace, or in BACKEND_NS.
start_backend() {
	become_in_ns "${BACKEND_NS:-$SERVER_NS}" "$BUILD/tools/keyfilter-stub" --port "$PORT" \
		--log "$BACKEND_LOG" "$@" 2> "$WORK/backend.err" &
	BACKEND=$!
	await 30 in_ns "${BACKEND_NS:-$SERVER_NS}" curl -sm 1 "http://127.0.0.1:$PORT/ready" ||
		fail "the backend did not start: $(cat "$WORK/backend.err")"
}

# Sets NGINX to the server, which scripts/deps.sh may have unpacked without installing it.
find_nginx() {
	NGINX=$(command -v nginx || echo "${XDG_CACHE_HOME:-$HOME/.cache}/keyfilter/nginx/usr/sbin/nginx")
	[ -x "$NGINX" ] || skip "no nginx, and scripts/deps.sh check could not unpack one"
}

write_config() {
	cat > "$WORK/keyfilterd.conf" <<-END
	keys_max 4096
	sources_max 4096
	flows_max 8192
	heads_max 64
	embryos 4096
	END
}

# Those whom `as_reader COMMAND` makes members of may read: the controller that starts behind this sees an
# /etc/group of its own.
make_readers() {
	command -v setpriv > /dev/null || skip "no setpriv to become a reader"
	READERS=4711
	{ grep -v '^keyfilter:' /etc/group; echo "keyfilter:x:$READERS:"; } > "$WORK/group"
	cat > "$WORK/with-group" <<-END
		#!/bin/sh
		mount --bind "$WORK/group" /etc/group && exec "\$@"
	END
	chmod 755 "$WORK/with-group"
	DAEMON_RUNS_IN=(unshare --mount "$WORK/with-group")
}
as_reader() { setpriv --reuid 65534 --regid "$READERS" --clear-groups "$@"; }

# The command line of the controller; a second one is the same with another state.
daemon_command() {
	echo "${DAEMON_RUNS_IN[*]-} $BUILD/keyfilterd --state-dir $WORK/state --run-dir $WORK/run --pin-dir $PIN" \
		"--config $WORK/keyfilterd.conf"
}

start_daemon() {
	chmod 755 "$WORK"
	[ -e "$WORK/keyfilterd.conf" ] || write_config
	# shellcheck disable=SC2046 # words, on purpose
	become_in_ns "$SERVER_NS" $(daemon_command) "$@" >> "$DAEMON_LOG" 2>&1 &
	DAEMON=$!
	await 60 ctl stats || fail "keyfilterd did not answer on its socket"
}

# Kills the controller without a chance to say anything, and waits until it is gone.
kill_daemon() {
	kill -KILL "$DAEMON"
	wait "$DAEMON" 2> /dev/null
	DAEMON=
}

# Ends the controller as systemd does.
stop_daemon() {
	kill -TERM "$DAEMON"
	wait "$DAEMON" || fail "keyfilterd ended with status $? on SIGTERM"
	DAEMON=
}

# Takes everything off, through the controller that runs, or without one.
unload() {
	local map
	MAP_IDS=$(for map in "$PIN"/maps/*; do bpftool map show pinned "$map"; done |
		sed -n 's/^\([0-9]*\): .*/\1/p' | tr '\n' ' ')
	[ -n "$MAP_IDS" ] || fail "no maps are pinned in $PIN/maps"
	# shellcheck disable=SC2046
	must "keyfilterd --unload" server $(daemon_command) --unload
	[ -z "$DAEMON" ] || wait "$DAEMON" || fail "the controller ended with status $? when it was unloaded"
	DAEMON=
}

maps_are_gone() {
	local id
	for id in $MAP_IDS; do ! bpftool map show id "$id" 2> /dev/null | grep -q . || return; done
}

# A program of ours is one that holds a map of ours.
programs_are_gone() {
	bpftool -j prog show |
		json "not any(set(p.get('map_ids', [])) & set(map(int, '$MAP_IDS'.split())) for p in d)" |
		grep -q True
}

# After unload: is anything of this test's filter still in the kernel?
nothing_left() {
	[ ! -e "$PIN" ] || [ -z "$(ls -A "$PIN")" ] || fail "pins are left: $(find "$PIN")"
	! server ip link show s0 | grep -q xdp || fail "an XDP program is still on s0"
	await 5 programs_are_gone || fail "programs are still loaded: $(bpftool prog show)"
	await 5 maps_are_gone || fail "maps are still loaded: $(bpftool map show)"
}

# An emulated machine takes half a minute to load what `iface attach` loads.
ctl() { timeout $((60 * PATIENCE)) "$BUILD/keyfilterctl" --socket "$SOCKET" "$@"; }

# must WHAT COMMAND...: a step that is not the point of the test but has to succeed.
must() {
	local output
	output=$("${@:2}" 2>&1) || fail "$1: $output"
}

# add_service [OPTIONS]: refuses by drop, unless REFUSE says reply or reset. A test's refusals come from
# one address by the hundred: no penalty for that, unless the options say so.
add_service() {
	local penalty=(--penalty-failures 0)
	[[ " $*" != *" --penalty"* ]] || penalty=()
	must "service add" ctl service add api --listen "*:$PORT" --refuse "${REFUSE:-drop}" \
		${penalty[@]+"${penalty[@]}"} "$@"
}

# attach [MODE]...; the interface is s0. With KF_UNFILTERED=1 nothing is attached, and every test that
# claims a refusal has to fail: that is how a test is tested.
attach() {
	[ -z "${KF_UNFILTERED:-}" ] || return 0
	must "iface attach" ctl iface attach s0 --mode "${1:-native}" "${@:2}"
}

# start_unattached [OPTIONS of add_service]: the usual beginning, but for the attach.
start_unattached() {
	make_stage
	start_backend
	start_daemon
	add_service "$@"
}

# The usual beginning: all of it, attached in mode $1.
start_all() {
	start_unattached
	attach "${1:-native}"
}

# ---- keys ---------------------------------------------------------------------------------------

# json EXPRESSION: evaluates it over the document d on standard input.
json() { "$PYTHON" -IS -c "import json,sys; d=json.load(sys.stdin); print($1)"; }

# make_key VARIABLE NAME [OPTIONS]: sets VARIABLE to the key and VARIABLE_ID to its ID.
make_key() {
	local answer
	answer=$(ctl --json key create --name "$2" "${@:3}") || fail "cannot create the key $2"
	printf -v "$1" %s "$(json 'd["keys"][0]["key"]' <<< "$answer")"
	printf -v "$1_ID" %s "$(json 'd["keys"][0]["id"]' <<< "$answer")"
	[[ ${!1} == sk-* ]] || fail "key create answered: $answer"
}

UNKNOWN=sk-000000000000000000000000000000000000000000000000 # well formed, never made

# ---- what was seen ------------------------------------------------------------------------------

# counter NAME: packets of a reason, or requests_admitted, requests_refused, of the service api.
counter() {
	ctl --json stats | json "[s['packets'].get('$1', s.get('$1', 0)) for s in d['services'] \
		if s['name'] == 'api'][0]"
}

# Did the backend get the head of the request with this x-marker?
backend_saw() { grep -q "\"event\":\"head\".*\"marker\":\"$1\"" "$BACKEND_LOG" 2> /dev/null; }
backend_has_body() { grep -q "\"event\":\"body\".*\"marker\":\"$1\"" "$BACKEND_LOG" 2> /dev/null; }

# request MARKER [CURL OPTIONS]: the HTTP status, 000 if none came; a URL is added if none is given.
request() {
	local marker=$1 url=http://$SERVER:$PORT/v1/chat/completions argument
	shift
	for argument; do [[ $argument != http://* ]] || url=; done
	client curl -gsS -o /dev/null -w '%{http_code}' -m "${LIMIT:-$(patient 2)}" -H "x-marker: $marker" \
		"$@" ${url:+"$url"} 2> /dev/null
}

bearer() { echo "Authorization: Bearer $1"; }

MARK=0 # every request has a marker of its own

# served WHAT [CURL OPTIONS]: it must be answered, and have reached the backend.
served() {
	local marker=served-$((MARK += 1)) status
	status=$(LIMIT=$(patient "${LIMIT:-5}") request "$marker" "${@:2}")
	[ "$status" = 200 ] || fail "$1: expected to be served, got HTTP status $status"
	# nginx writes its log behind the answer
	await 2 backend_saw "$marker" || fail "$1: answered, but the backend knows nothing of it"
	ok "served: $1"
}

# refused WHAT REASON [CURL OPTIONS]: no answer, counted under REASON, unknown to the backend.
refused() {
	local marker=refused-$((MARK += 1)) before after status
	before=$(counter "$2")
	status=$(LIMIT=${LIMIT:-0.5} request "$marker" "${@:3}")
	[ "$status" != 200 ] || fail "$1: expected to be refused ($2), was served"
	! backend_saw "$marker" || fail "$1: refused, but the backend holds its head"
	after=$(counter "$2")
	[ "$after" -gt "$before" ] || fail "$1: expected the reason $2, which still counts $after"
	ok "refused ($2): $1"
}

# refused_with STATUS CODE WHAT [CURL OPTIONS]: answered so from the kernel, and unknown to the backend.
# The whole answer is in $ANSWERED.
refused_with() {
	local marker=told-$((MARK += 1)) url=http://$SERVER:$PORT/v1/chat/completions argument status
	for argument in "${@:4}"; do [[ $argument != http://* ]] || url=; done
	ANSWERED=$(client curl -gsSi -m "$(patient "${LIMIT:-3}")" -H "x-marker: $marker" "${@:4}" ${url:+"$url"} 2>&1) ||
		fail "$3: expected HTTP status $1, curl says: $ANSWERED"
	read -r _ status _ <<< "$ANSWERED"
	[ "$status" = "$1" ] || fail "$3: expected HTTP status $1, got: $ANSWERED"
	[[ $ANSWERED == *$'\r\n\r\n'*"$2"* ]] || fail "$3: expected the code $2 in the body of: $ANSWERED"
	! backend_saw "$marker" || fail "$3: refused, but the backend holds its head"
	await 1 backend_is_free || fail "$3: the backend still has a connection: $(backend_sockets)"
	ok "refused ($1, $2): $3"
}

# The backend's connections, as its kernel knows them: all sockets but those that listen (0A).
backend_sockets() {
	server cat /proc/net/tcp /proc/net/tcp6 |
		grep -E "^ *[0-9]+: [0-9A-F]+:$(printf %04X "$PORT") [0-9A-F:]+ (0[1-9B-F])"
}
backend_is_free() { [ -z "$(backend_sockets)" ]; }

# denied WHAT [CURL OPTIONS]: as refused, but without asking the controller, who may be dead.
denied() {
	local marker=denied-$((MARK += 1)) status
	status=$(LIMIT=${LIMIT:-0.5} request "$marker" "${@:2}")
	[ "$status" != 200 ] || fail "$1: expected to be refused, was served"
	! backend_saw "$marker" || fail "$1: refused, but the backend holds its head"
	ok "refused: $1"
}

# client_py < PROGRAM: runs it on the client's side with raw.py imported and what it needs to know.
client_py() { (client_become) || fail "the client says so"; }

client_become() {
	local program
	trap - EXIT
	program=$(mktemp "$WORK/client-XXXXXX.py")
	{ echo "from raw import *"; cat; } > "$program"
	export PYTHONPATH=$HERE PYTHONDONTWRITEBYTECODE=1 KF_PATIENCE=$PATIENCE SERVER SERVER6 PORT UNKNOWN BACKEND_LOG WORK \
		SERVER_NS SOCKET KEY=${KEY:-} OTHER=${OTHER:-}
	become_in_ns "$CLIENT_NS" timeout "$(patient "${LIMIT:-60}")" "$PYTHON" -u "$program"
}

# client_start NAME < PROGRAM: the same in the background. The program and the test meet at files:
# there tell("X") makes $WORK/X for `met X` here, and `tell X` here lets wait_for("X") there go on.
client_start() {
	local name=$1
	cat > "$WORK/$name.in"
	client_become < "$WORK/$name.in" > "$WORK/$name.out" 2>&1 &
	printf -v "PID_$name" %s $!
	PIDS+=($!)
}

# client_done NAME: waits for it; it has to have succeeded.
client_done() {
	local pid=PID_$1 status=0
	wait "${!pid}" || status=$?
	cat "$WORK/$1.out"
	[ "$status" -eq 0 ] || fail "the client $1 says so"
}

tell() { : > "$WORK/$1"; }
met() { await "${2:-10}" test -e "$WORK/$1" || { cat "$WORK"/*.out; fail "waited in vain for $1"; }; }

[ "$(id -u)" -eq 0 ] || skip "end-to-end tests make namespaces and load programs; run them as root"
