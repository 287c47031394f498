#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# Models: keys and groups that are held to some, named or by pattern, where the path, the query or the body names them.
. "$(dirname "$0")/lib.sh"

export REFUSE=reply
start_all "${MODE:-native}"

base=http://$SERVER:$PORT
gemini() { echo "$base/v1beta/models/$1:generateContent"; }
azure() { echo "$base/openai/deployments/$1/chat/completions"; }
post=(-d '{"messages":[]}' -H 'Content-Type: application/json')

# usage WHAT TEXT COMMAND...: is refused with this text in a line of cause and mend.
usage() {
	local output
	output=$(ctl "${@:3}" 2>&1) && fail "$1 is taken"
	[[ $output == *"$2"*"; "* ]] || fail "$1: $output"
	ok "$1: $output"
}
# in_kernel N: are there so many models in all sets?
in_kernel() {
	local count
	count=$(bpftool -j map dump pinned "$PIN/maps/kf_models" | json 'len(d)')
	[ "$count" = "$1" ] || fail "kf_models has $count entries, not $1"
}

usage "a pattern in the middle" "'*' that is not its end" key create --name x --model 'a*b'
usage "an empty name" "has not 1 to 255 bytes" key create --name x --model ''
usage "a pattern as a model" "is a pattern" model set 'a*'
must "model set" ctl model set qwen-small
must "model set, again" ctl model set qwen-small
must "model set" ctl model set meta/llama:7b

make_key KEY named --model gpt-4o --model 'qwen*'
make_key SAME same --model 'qwen*' --model gpt-4o
make_key FREE free
auth=$(bearer "$KEY")
in_kernel 2 # equal sets are one

served "a name of the list, in the path" -H "$auth" "${post[@]}" "$(azure gpt-4o)"
served "a model of the pattern" -H "$auth" "${post[@]}" "$(gemini qwen-small)"
refused_with 415 unsupported_body "in the query, and not in the body" -H "$auth" "${post[@]}" "$base/v1/chat/completions?model=gpt-4o"
served "in the query" -H "$auth" -X POST "$base/v1/x?model=gpt-4o"
served "the other key of the list" -H "$(bearer "$SAME")" "${post[@]}" "$(gemini qwen-small)"
refused_with 403 model_not_allowed "another model" -H "$auth" "${post[@]}" "$(azure gpt-4)"
refused_with 403 PERMISSION_DENIED "another one, of Gemini" -H "$auth" "${post[@]}" "$(gemini gpt-4)"
refused_with 403 model_not_allowed "a model of the pattern that is not known" -H "$auth" "${post[@]}" "$(azure qwen-large)"
refused_with 403 model_not_allowed "two names" -H "$auth" "${post[@]}" "$(azure gpt-4o)?model=gpt-4o"
json_type='Content-Type: application/json'
chat=$base/v1/chat/completions
served "a model in the body" -H "$auth" -H "$json_type" -d '{"messages":[{"model":"x"}],"model":"gpt-4o"}' "$chat"
served "..., in chunks" -H "$auth" -H "$json_type" -H 'Transfer-Encoding: chunked' -d '{"model":"qwen-small"}' "$chat"
served "..., of which the client asks first" -H "$auth" -H "$json_type" -H 'Expect: 100-continue' -d '{"model":"qwen-small"}' "$chat"
refused_with 403 model_not_allowed "another one in the body" -H "$auth" -H "$json_type" -d '{"messages":[{"model":"gpt-4o"}],"model":"gpt-4"}' "$chat"
refused_with 403 model_not_allowed "..., in chunks" -H "$auth" -H "$json_type" -H 'Transfer-Encoding: chunked' -d '{"model":"gpt-4"}' "$chat"
refused_with 415 unsupported_body "two in the body" -H "$auth" -H "$json_type" -d '{"model":"gpt-4o","model":"gpt-4"}' "$chat"
refused_with 415 unsupported_body "none in the body" -H "$auth" -H "$json_type" -d '{}' "$chat"
refused_with 415 application/json "a body that is a form" -H "$auth" -d '{"model":"gpt-4o"}' "$chat"
served "the list of models" -H "$auth" "$base/v1/models"
served "what there is to tell of one" -H "$auth" "$base/v1/models/gpt-4"
served "a key that may call every model" -H "$(bearer "$FREE")" -d '{"model":"x"}' "$base/v1/chat/completions"

# A model becomes known, and is forgotten.
must "model set" ctl model set qwen-large
served "a model of the pattern, known by now" -H "$auth" "${post[@]}" "$(azure qwen-large)"
in_kernel 3
must "model delete" ctl model delete qwen-large
refused_with 403 model_not_allowed "and forgotten again" -H "$auth" "${post[@]}" "$(azure qwen-large)"
usage "a model that is not known" "no model 'qwen-large'" model delete qwen-large

# The group's list and the key's.
must "group create" ctl group create staff --model 'qwen*' --model meta/llama:7b
must "key edit" ctl key edit "$KEY_ID" --group staff
served "what both have" -H "$auth" "${post[@]}" "$(gemini qwen-small)"
refused_with 403 model_not_allowed "what the key has alone" -H "$auth" "${post[@]}" "$(azure gpt-4o)"
refused_with 403 model_not_allowed "what the group has alone" -H "$auth" -X POST "$base/v1/x?model=meta%2Fllama%3A7b"
must "key edit" ctl key edit "$KEY_ID" --any-model
served "what the group has, encoded" -H "$auth" -X POST "$base/v1/x?model=meta%2Fllama%3A7b"
[[ $(ctl --json model list --group staff | json 'sorted(m["name"] for m in d["models"])') == "['meta/llama:7b', 'qwen-small']" ]] ||
	fail "model list --group: $(ctl --json model list --group staff)"
[[ $(ctl --json key show "$KEY_ID" | json 'd["models"], d["group"]') == "[] staff" ]] || fail "key show: $(ctl key show "$KEY_ID")"
must "group edit" ctl group edit staff --model gpt-4o
refused_with 403 model_not_allowed "the group has lost it" -H "$auth" "${post[@]}" "$(gemini qwen-small)"
served "and got another" -H "$auth" "${post[@]}" "$(azure gpt-4o)"
in_kernel 3 # of SAME two, of the group one

kill_daemon
denied "the controller dead" -H "$auth" "${post[@]}" "$(gemini qwen-small)"
served "the controller dead" -H "$auth" "${post[@]}" "$(azure gpt-4o)"
start_daemon
refused_with 403 model_not_allowed "the controller back" -H "$auth" "${post[@]}" "$(gemini qwen-small)"
in_kernel 3

must "key edit" ctl key edit "$SAME_ID" --any-model
in_kernel 1
must "group edit" ctl group edit staff --any-model
in_kernel 0
served "held to nothing" -H "$auth" -d '{"model":"x"}' "$base/v1/chat/completions"
many=$(ctl --json key create --name many --quantity 100 --model gpt-4o)
last=$(json 'd["keys"][99]["key"]' <<< "$many")
refused_with 403 model_not_allowed "one of many" -H "$(bearer "$last")" "${post[@]}" "$(azure gpt-4)"
in_kernel 1
for id in $(json '" ".join(k["id"] for k in d["keys"])' <<< "$many"); do must "key delete" ctl key delete "$id"; done
in_kernel 0

# Prices: exact, kept, and shown to a group by its multiplier.
offer() {
	local seen
	seen=$(ctl --json model list "${@:2}" | json '" ".join("%s:%s/%s/%s/%s/%s" % (m["name"], m["input"], m["cached"], m["cache_write"], m["output"], m["request"]) for m in d["models"])')
	[[ $seen == *"$1"* ]] || fail "model list ${*:2}: $seen, not $1"
	ok "model list ${*:2}: $1"
}
usage "no amount" "is not an amount" model set p --input 2,5
usage "a price below nothing" "is not an amount" model set p --input=-1
usage "a price in too many digits" "too many digits" model set p --input 0.0000001
usage "too high a price" "the most that is possible" model set p --input 1000000001
usage "no context" "cannot be 0" model set p --context 0
ctl model list | grep -q '^p ' && fail "a model with bad prices became known"
must "model set with prices" ctl model set p --input 2.5 --output 10.000001 --request 0.01
must "model set, one price more" ctl model set p --cached 0.000001
offer "p:2.5/0.000001/None/10.000001/0.01"
must "a group that pays less" ctl group create cheap --multiplier 0.333333 --model p --model 'unknown'
offer "p:0.833333/0.000001/None/3.333331/0.01 unknown:None/None/None/None/None" --group cheap
must "its multiplier" ctl group edit cheap --multiplier 3
offer "p:7.5/0.000003/None/30.000003/0.01" --group cheap
[ "$(ctl --json group show cheap | json 'd["multiplier"]')" = 3 ] || fail "the multiplier: $(ctl group show cheap)"
usage "too large a multiplier" "the most that is possible" group edit cheap --multiplier 1000.000001
must "a price goes" ctl model set p --cached none --output 0
kill_daemon
start_daemon
offer "p:2.5/None/None/0/0.01"
