#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# Keys that others have made are taken in, and their clients go on with them.
. "$(dirname "$0")/lib.sh"

export REFUSE=reply
start_all "${MODE:-native}"
base=http://$SERVER:$PORT/v1/models

# take TEXT OPTIONS...: the ID that it gets.
take() { ctl --json key import "${@:2}" <<< "$1" | json 'd["keys"][0]["id"]'; }
# spoilt WHAT TEXT KEY: is refused with this text, and not shown.
spoilt() {
	local output
	output=$(ctl key import --name spoilt <<< "$3" 2>&1) && fail "$1 is taken"
	[[ $output == *"$2"*"; "* ]] || fail "$1: $output"
	[ "${#3}" -lt 8 ] || [[ $output != *"$3"* ]] || fail "$1 is shown: $output"
	ok "$1: $output"
}
random() { tr -dc 'A-Za-z0-9_-' < /dev/urandom | head -c "$1"; }

for len in 17 22 48 47 49 53 61 117; do # behind sk-, words of 8 bytes and parts of them
	key=sk-$(random "$len")
	id=$(take "$key" --name "n$len") || fail "a key of $len and 3 bytes"
	served "a key of $len and 3 bytes" -H "$(bearer "$key")" "$base"
	served "..., x-api-key" -H "x-api-key: $key" "$base"
	served "..., in the query" "$base?key=$key"
	refused_with 401 invalid_api_key "..., one more byte" -H "$(bearer "${key}x")" "$base"
	refused_with 401 invalid_api_key "..., one byte less" -H "$(bearer "${key%?}")" "$base"
	refused_with 401 invalid_api_key "..., another last byte" -H "$(bearer "${key%?}$([ "${key: -1}" = x ] && echo y || echo x)")" "$base"
	[ "$(ctl --json key find <<< "$key" | json 'd["id"]')" = "$id" ] || fail "key find of $len and 3 bytes"
	masked=$(ctl --json key show "$id" | json 'd["masked"]')
	[ "$masked" = "${key:0:5}...${key: -4}" ] || fail "masked: $masked, of $key"
done
ok "they are found, and shown masked"

spoilt "the same key again" "is one already" "$key"
spoilt "a short one" "cannot be imported" "sk-$(random 16)"
spoilt "a long one" "cannot be imported" "sk-$(random 118)"
spoilt "another prefix" "cannot be imported" "pk-$(random 48)"
spoilt "what ends at a blank too soon" "cannot be imported" "sk-$(random 12) $(random 30)"
spoilt "a letter that has to be encoded" "cannot be imported" "sk-$(random 30)+/"
spoilt "nothing" "cannot be imported" ""
[ "$(ctl --json key list --search spoilt | json 'd["total"]')" = 0 ] || fail "a key was made all the same"
must "a token of new-api" ctl key import --name new-api --quota 1 --rpm 2 --burst 1 --label from=new-api <<< "sk-$(random 48)"
ctl --json key import --name quiet <<< "sk-$(random 48)" | json '"key" in d["keys"][0]' | grep -q False || fail "an imported key is told again"
usage=$(curl -sm 5 --unix-socket "$SOCKET" -d '{"name":"two","quantity":2,"key":"'"sk-$(random 48)"'"}' http://localhost/v1/keys)
[[ $usage == *"a given key is one"* ]] || fail "two of one key: $usage"

must "disable" ctl key disable "$id"
refused_with 401 api_key_disabled "disabled" -H "$(bearer "$key")" "$base"
must "enable" ctl key enable "$id"
kill_daemon
served "the controller dead" -H "$(bearer "$key")" "$base"
start_daemon
served "the controller back" -H "$(bearer "$key")" "$base"
new=$(ctl key rotate "$id" --grace 0 2> /dev/null) || fail "key rotate"
refused_with 401 invalid_api_key "rotated" -H "$(bearer "$key")" "$base"
served "the new one" -H "$(bearer "$new")" "$base"
must "import of the old one again" ctl key import --name again <<< "$key"
served "which another key may have now" -H "$(bearer "$key")" "$base"
for file in "$WORK"/state/* "$WORK"/*.log; do
	[ "$file" != "$WORK/backend.log" ] || continue # it tells of ?key=
	[ ! -f "$file" ] || ! grep -qaF "$key" "$file" || fail "the key stands in $file"
done
ok "the key stands in no file"
