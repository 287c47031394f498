#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# Two who change one thing: nobody overwrites what they have not seen.
. "$(dirname "$0")/lib.sh"

start_all native
make_key KEY shared --allow-ip 10.77.0.2 --allow-ip 10.77.0.3

field() { ctl --json "$1" show "$2" | json "d['$3']"; }
list() { ctl --json key show "$KEY_ID" | json "' '.join(d['allow_ips'])"; }
# refuses WHAT TEXT COMMAND...: ends with 1, says this, and changes nothing.
refuses() {
	local output before
	before=$(field key "$KEY_ID" revision)
	output=$(ctl "${@:3}" 2>&1) && fail "$1: was done: $output"
	[[ $output == *"$2"* ]] || fail "$1: expected '$2' in: $output"
	[ "$(field key "$KEY_ID" revision)" = "$before" ] || fail "$1: was refused, and changed something"
	ok "$1: $output"
}

# Both add a block at once, and both have theirs in it.
for host in 4 5 6 7; do
	ctl key edit "$KEY_ID" --add-allow-ip "10.77.0.$host" > "$WORK/edit-$host" 2>&1 &
	adding[host]=$!
done
for host in 4 5 6 7; do wait "${adding[host]}" || fail "adding: $(cat "$WORK/edit-$host")"; done
[ "$(list)" = "$(printf '10.77.0.%d/32 ' 2 3 4 5 6 7 | sed 's/ $//')" ] || fail "blocks are missing: $(list)"
ok "four who add a block at once: $(list)"
served "from a block that was added" -H "$(bearer "$KEY")" --interface 10.77.0.5
must "remove" ctl key edit "$KEY_ID" --remove-allow-ip 10.77.0.5 --remove-allow-ip 10.77.0.6 --add-allow-ip 10.77.0.8
refused "from a block that was removed" ip_not_allowed -H "$(bearer "$KEY")" --interface 10.77.0.5
served "from the one that came in the same edit" -H "$(bearer "$KEY")" --interface 10.77.0.8
served "from one that stayed" -H "$(bearer "$KEY")" --interface 10.77.0.7
refuses "a block that is not there" "10.77.0.0/24 is not in the allow list" key edit "$KEY_ID" --remove-allow-ip 10.77.0.0/24
refuses "the whole list and a change of it" "--add-allow-ip" key edit "$KEY_ID" --allow-ip ::1 --add-allow-ip ::1
must "one block" ctl key edit "$KEY_ID" --allow-ip 10.77.0.2
refuses "the last block" "would be served from anywhere" key edit "$KEY_ID" --remove-allow-ip 10.77.0.2

# A condition: the second is told.
seen=$(field key "$KEY_ID" revision)
must "the first" ctl key edit "$KEY_ID" --allow-ip 10.77.0.3 --if-match "$seen"
refuses "the second" "somebody has changed key '$KEY_ID'" key edit "$KEY_ID" --allow-ip 10.77.0.4 --if-match "$seen"
[ "$(list)" = 10.77.0.3/32 ] || fail "the second overwrote the first: $(list)"
for verb in enable disable delete rotate; do
	refuses "$verb by an old revision" "somebody has changed" key "$verb" "$KEY_ID" --if-match "$seen"
done
for verb in disable enable rotate; do
	seen=$(field key "$KEY_ID" revision)
	must "$verb" ctl key "$verb" "$KEY_ID" --if-match "$seen"
	[ "$(field key "$KEY_ID" revision)" != "$seen" ] || fail "$verb: the revision is the same"
done
ok "each change makes another revision"

seen=$(field service api revision)
must "service edit" ctl service edit api --syn-rate 5 --if-match "$seen"
for command in "edit api --syn-rate 6" "remove api"; do
	# shellcheck disable=SC2086 # words, on purpose
	output=$(ctl service $command --if-match "$seen" 2>&1) && fail "service $command by an old revision: $output"
	[[ $output == *"somebody has changed service 'api'"* ]] || fail "service $command: $output"
done
[ "$(field service api syn_rate)" = 5 ] || fail "a service was overwritten"
must "service remove" ctl service remove api --if-match "$(field service api revision)"
add_service
output=$(ctl service edit api --syn-rate 6 --if-match "$seen" 2>&1) && fail "the revision of the service before is taken: $output"
ok "services, too, and one made anew under the name"

# On the socket: ETag and If-Match, and no condition that nobody looks at.
api() { curl -sS -m 5 -o /dev/null -w '%{http_code}' --unix-socket "$SOCKET" "${@:2}" "http://localhost$1"; }
tag=$(curl -sS -m 5 -D - -o /dev/null --unix-socket "$SOCKET" "http://localhost/v1/keys/$KEY_ID" | sed -n 's/^etag: *\(.*\)\r$/\1/ip')
[ "$tag" = "\"$(field key "$KEY_ID" revision)\"" ] || fail "ETag is $tag"
status=$(api "/v1/keys/$KEY_ID" -X PATCH -H "If-Match: $tag" -d '{"name":"by its tag"}')$(
	api "/v1/keys/$KEY_ID" -X PATCH -H "If-Match: $tag" -d '{"name":"again"}')$(
	api "/v1/keys/$KEY_ID" -X DELETE -H "If-Match: oops")$(
	api /v1/sources -X POST -H "If-Match: $tag" -d '{"cidr":"192.0.2.1","action":"deny"}')
[ "$status" = 200412400400 ] || fail "If-Match: expected 200, 412, 400, 400, got $status"
[ "$(field key "$KEY_ID" name)" = "by its tag" ] || fail "the second PATCH was carried out"
ok "ETag and If-Match: 200, 412, and 400 where it cannot be understood or is not looked at"
