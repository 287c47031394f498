#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# demo.sh [BUILD_DIR] - the whole of keyfilter in half a minute, on two network namespaces joined by
# a veth pair: a model backend on one side, curl on the other, the filter in between. Exits 0 only if
# each step was seen. It stands on what the end-to-end tests stand on, and touches nothing else of
# this host: no interface, no file outside a temporary directory, no service.
KF_BUILD=${1:-${KF_BUILD:-$(dirname "$0")/../build}}
. "$(dirname "$0")/../tests/e2e/lib.sh"

bold='' green='' dim='' plain=''
[ ! -t 1 ] || bold=$'\e[1m' green=$'\e[32m' dim=$'\e[2m' plain=$'\e[0m'
steps=0

title() { printf '\n%s%s%s\n' "$bold" "$*" "$plain"; }
command_line() { printf '  %s$ keyfilterctl %s%s\n' "$dim" "$*" "$plain"; }
ok() { steps=$((steps + 1)); printf '  %s✓%s %s\n' "$green" "$plain" "$*"; }

# Runs the operator's tool and shows the command; its answer is in $ANSWER.
operator() {
	command_line "$@"
	ANSWER=$(ctl "$@" 2>&1) || fail "keyfilterctl $*: $ANSWER"
}

# Makes a key as an operator would, and shows it: KEY, KEY_ID.
operator_key() { # VARIABLE NAME [OPTIONS]
	command_line key create --name "${@:2}"
	make_key "$@"
	local key=$1
	ok "key $2 made: ${!key:0:5}...${!key: -4} (shown once, stored nowhere)"
}

# What the client of the last refusal read, as it stands there.
show_answer() { sed "s/\r\$//; s/.*/  $dim| &$plain/" <<< "$ANSWERED"; }
show_field() { printf '  %s| %s%s\n' "$dim" "$(grep -i "^$1:" <<< "$ANSWERED" | tr -d '\r')" "$plain"; }

title "A model backend, and a client that has no key"
make_stage
start_backend
[ "$(request before)" = 200 ] || fail "the client cannot reach the backend"
ok "without keyfilter: anyone is served (HTTP 200)"

title "The filter in front of it"
start_daemon
ok "keyfilterd runs, with its store in a temporary directory"
operator service add api --listen "*:$PORT"
command_line iface attach s0 --mode native
attach native
ok "attached to the interface s0, native XDP"
operator_key KEY demo

title "Who is served, and who is not"
served "a good key" -H "$(bearer "$KEY")"
served "a good key, a stream of tokens" -H "$(bearer "$KEY")" -d '{"stream":true,"max_tokens":10}'
refused_with 401 missing_api_key "no key; the kernel answers, in the words of the API that was asked"
show_answer
refused_with 401 authentication_error "an unknown key, asking another API" -H "x-api-key: $UNKNOWN" \
	"http://$SERVER:$PORT/v1/messages"
operator source deny 10.77.0.3/32
refused "a denied source, with a good key: not a word" source_denied -H "$(bearer "$KEY")" --interface 10.77.0.3
operator_key HOME_KEY homebound --allow-ip 10.77.0.4/32
served "from the address the key is for" -H "$(bearer "$HOME_KEY")" --interface 10.77.0.4
refused_with 403 ip_not_allowed "from outside the key's allowlist" -H "$(bearer "$HOME_KEY")"
operator_key SHORT_KEY short --expires 2s
served "before the key's end" -H "$(bearer "$SHORT_KEY")"
sleep 2.1
refused_with 401 api_key_expired "after the key's end" -H "$(bearer "$SHORT_KEY")"

title "A rate"
operator_key SLOW_KEY slow --rpm 30 --burst 1
served "one request in two seconds" -H "$(bearer "$SLOW_KEY")"
refused_with 429 rate_limit_exceeded "a second one at once; an SDK repeats it when it is told to" -H "$(bearer "$SLOW_KEY")"
show_field retry-after
sleep 2
served "after that time" -H "$(bearer "$SLOW_KEY")"

title "A revocation, while a stream of 50 tokens a second runs"
client curl -sSN -m 20 -H "$(bearer "$KEY")" -d '{"stream":true,"max_tokens":500}' \
	"http://$SERVER:$PORT/v1/chat/completions" > "$WORK/stream" 2> "$WORK/stream.err" &
stream=$!
sleep 1
operator key disable "$KEY_ID"
began=$(date +%s%N)
ok "$ANSWER"
wait "$stream" && fail "the stream ended as if nothing had happened"
took=$((($(date +%s%N) - began) / 1000000))
[ "$took" -lt 1000 ] || fail "the stream went on for $took ms"
await 2 backend_is_free || fail "the backend still works on it: $(backend_sockets)"
ok "the stream was cut after $(grep -c token- "$WORK/stream") of 500 tokens, at both ends: $(cat "$WORK/stream.err")"
refused_with 401 api_key_disabled "the disabled key, from the next packet on" -H "$(bearer "$KEY")"
operator key enable "$KEY_ID"
served "the key, enabled again" -H "$(bearer "$KEY")"

title "The controller dies (SIGKILL), the kernel goes on"
make_key OTHER off
operator key disable "$OTHER_ID"
kill_daemon
refused_with 401 missing_api_key "no key"
refused_with 401 invalid_api_key "an unknown key" -H "$(bearer "$UNKNOWN")"
refused_with 401 api_key_disabled "a disabled key" -H "$(bearer "$OTHER")"
refused_with 401 api_key_expired "an expired key" -H "$(bearer "$SHORT_KEY")"
denied "a denied source" -H "$(bearer "$KEY")" --interface 10.77.0.3
served "a good key" -H "$(bearer "$KEY")"
start_daemon
[ "$(counter requests_admitted)" -eq 9 ] || fail "9 requests were admitted, $(counter requests_admitted) are counted"
ok "it is back, and has lost no counter: $(counter requests_admitted) admitted, $(counter requests_refused) refused"

title "Everything is removed"
unload
[ "$(request after)" = 200 ] || fail "the filter is gone, and the client is not served"
ok "the filter is gone: anyone is served again (HTTP 200)"
nothing_left
ok "no program, no map, no pin is left"

printf '\n%s%d steps, all seen.%s\n' "$bold" "$steps" "$plain"
