#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# Groups: their keys use the protocols of the group and no others, from the answer of the change on.
. "$(dirname "$0")/lib.sh"

export REFUSE=reply
start_all "${MODE:-native}"

base=http://$SERVER:$PORT
openai=$base/v1/chat/completions
anthropic=$base/v1/messages
gemini=$base/v1beta/models/m:generateContent

# usage WHAT TEXT COMMAND...: is refused with this text in a line of cause and mend.
usage() {
	local output
	output=$(ctl "${@:3}" 2>&1) && fail "$1 is taken"
	[[ $output == *"$2"*"; "* ]] || fail "$1: $output"
	ok "$1: $output"
}

must "group create" ctl group create chat --protocol openai
must "group create" ctl group create all
must "group create" ctl group create claude --protocol anthropic --protocol gemini
usage "a second group of the name" "there is a group chat already" group create chat
usage "an unknown protocol" "grpc" group create x --protocol grpc
usage "a name with a blank" "is not a group's name" group create "a b"
usage "the name none" "is not a group's name" group create none
usage "a key of a group that is not there" "there is no group 'nobody'" key create --name x --group nobody
usage "an edit to such a group" "no group 'nobody'" group edit nobody --protocol openai
usage "a list of such a group" "there is no group 'nobody'" key list --group nobody
usage "an edit of nothing" "nothing to change" group edit chat
[[ $(ctl --json group list | json '[(g["name"], g["protocols"], g["keys"]) for g in d["groups"]]') == \
	"[('all', ['openai', 'anthropic', 'gemini'], 0), ('chat', ['openai'], 0), ('claude', ['anthropic', 'gemini'], 0)]" ]] ||
	fail "group list: $(ctl --json group list)"
ok "group list"

make_key KEY one --group chat
make_key FREE free
auth=$(bearer "$KEY")
served "a group's protocol" -H "$auth" "$openai"
refused_with 403 protocol_not_allowed "another one" -H "$auth" "$anthropic"
[[ $ANSWERED == *'{"type":"error","error":{"type":"permission_error",'* ]] || fail "not Anthropic's error: $ANSWERED"
refused_with 403 PERMISSION_DENIED "and the third" -H "$auth" "$gemini"
refused_with 403 permission_error "the key in Anthropic's field" -H "x-api-key: $KEY" "$anthropic"
served "the list of models" -H "$auth" "$base/v1/models"
served "a path of no protocol is openai's" -H "$auth" "$base/health"
for url in "$openai" "$anthropic" "$gemini"; do served "a key in no group" -H "$(bearer "$FREE")" "$url"; done

# The events name key and reason.
ctl --json events | json "len([e for e in d['events'] if e.get('reason') == 'protocol_not_allowed' and e.get('key_id') == '$KEY_ID']) == 3" |
	grep -q True || fail "no event: $(ctl events)"

# Of all keys of the group, with the answer.
many=$(ctl --json key create --name many --quantity 200 --group chat)
last=$(json 'd["keys"][199]["key"]' <<< "$many")
json 'all(k["group"] == "chat" for k in d["keys"])' <<< "$many" | grep -q True || fail "key create: $many"
served "one of many" -H "$(bearer "$last")" "$openai"
must "group edit" ctl group edit chat --protocol anthropic
refused_with 403 protocol_not_allowed "the group has lost it" -H "$(bearer "$last")" "$openai"
served "and got another" -H "$(bearer "$last")" "$anthropic"
served "the key in no group" -H "$(bearer "$FREE")" "$openai"

# A key changes its group.
must "key edit" ctl key edit "$KEY_ID" --group all
served "in the wider group" -H "$auth" "$gemini"
must "key edit" ctl key edit "$KEY_ID" --group claude
refused_with 403 protocol_not_allowed "in the other one" -H "$auth" "$openai"
must "key rotate" ctl key rotate "$KEY_ID"
refused_with 403 protocol_not_allowed "its old secret after a rotation" -H "$auth" "$openai"
must "key edit" ctl key edit "$KEY_ID" --group none
served "in none" -H "$auth" "$openai"
must "key edit" ctl key edit "$KEY_ID" --group claude --name "of claude"
[ "$(ctl --json key show "$KEY_ID" | json 'd["group"]')" = claude ] || fail "key show: $(ctl key show "$KEY_ID")"
[ "$(ctl --json key list --group claude | json '[k["id"] for k in d["keys"]]')" = "['$KEY_ID']" ] ||
	fail "key list --group: $(ctl --json key list --group claude)"
[ "$(ctl --json key list --group chat --status enabled | json 'd["total"]')" = 200 ] || fail "key list --group chat"
ok "key show, key list --group"

# The controller is not needed, and a new one knows.
kill_daemon
denied "the controller dead" -H "$auth" "$openai"
served "the controller dead" -H "$auth" "$anthropic"
start_daemon
refused_with 403 protocol_not_allowed "the controller back" -H "$auth" "$openai"
[ "$(ctl --json group show claude | json 'd["keys"]')" = 1 ] || fail "group show: $(ctl group show claude)"

usage "the deletion of a group with keys" "200 keys are in group chat" group delete chat
usage "... with one" "1 key is in group claude" group delete claude
revision=$(ctl --json group show all | json 'd["revision"]')
must "group edit" ctl group edit all --protocol openai --if-match "$revision"
usage "a change of what was changed" "has changed" group edit all --protocol gemini --if-match "$revision"
must "key delete" ctl key delete "$KEY_ID"
must "group delete" ctl group delete claude
usage "a group that is gone" "no group 'claude'" group show claude
must "group create" ctl group create new --protocol gemini
make_key KEY again --group new
served "a group in its place" -H "$(bearer "$KEY")" "$gemini"
refused_with 403 protocol_not_allowed "and what that one may not" -H "$(bearer "$KEY")" "$anthropic"
