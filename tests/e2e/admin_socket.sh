#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# The admin socket: who may, what is refused, and that nobody is harmed by anybody.
. "$(dirname "$0")/lib.sh"

write_config
printf 'admin_timeout 2s\nadmin_max_connections 16\nadmin_body_max_kib 64\n' >> "$WORK/keyfilterd.conf"
start_all native
make_key KEY named

api() { curl -sS -m 5 --unix-socket "$SOCKET" -w '\n%{http_code}\n' "${@:2}" "http://localhost$1"; }
answers() { # WHAT STATUS TEXT PATH [CURL OPTIONS]
	local answer
	answer=$(api "${@:4}" 2>&1)
	[ "$(tail -n 1 <<< "$answer")" = "$2" ] || fail "$1: expected HTTP status $2: $answer"
	[[ $answer == *"$3"* ]] || fail "$1: expected '$3' in: $answer"
	ok "$1: $2"
}
post=(-X POST -H 'content-type: application/json' -d)
answers "GET /v1/status" 200 '"abi"' /v1/status
answers "GET /v1/keys" 200 '"total"' "/v1/keys?limit=1"
answers "/metrics" 200 keyfilter_build_info /metrics
answers "no such path" 404 '"mend"' /v1/nothing
answers "no such key" 404 '"mend"' /v1/keys/k_000000000000
answers "no such method" 405 '"error"' /v1/status -X PUT
answers "not JSON" 400 '"error"' /v1/keys "${post[@]}" '{"name":'
answers "a typo in a member" 400 quantiti /v1/keys "${post[@]}" '{"name":"a","quantiti":2}'
answers "no name" 400 name /v1/keys "${post[@]}" '{}'
answers "quantity 0" 400 quantity /v1/keys "${post[@]}" '{"name":"a","quantity":0}'
answers "quantity of a wrong type" 400 quantity /v1/keys "${post[@]}" '{"name":"a","quantity":"2"}'
answers "a control character in a name" 400 name /v1/keys "${post[@]}" '{"name":"a\u0007b"}'
answers "a bad address" 400 '"error"' /v1/sources "${post[@]}" '{"cidr":"10.0.0.256/32","action":"deny"}'
answers "a bad listen" 400 listen /v1/services "${post[@]}" '{"name":"x","listen":"nowhere"}'
for methods in '["GET"]' '["TRACE"]' '["a b"]' '["QUERY","QUERY"]' '["ABCDEFGHIJKLMNOPQ"]' '[1]' \
	'["A","B","C","D","E"]'; do
	answers "methods $methods" 400 PROPFIND /v1/services/api -X PATCH -d "{\"methods\":$methods}"
done
answers "the same service twice" 409 '"error"' /v1/services "${post[@]}" '{"name":"api","listen":"*:8000"}'
for way in "POST /v1/sources/forgive {\"cidr\":\"10.0.0.0/8\"}" "POST /v1/keys {\"name\":\"x\"}" \
	"DELETE /v1/sources/10.0.0.0 {}" "PATCH /v1/services/api {}"; do
	read -r method path body <<< "$way"
	answers "a parameter of $method $path" 400 "unknown query parameter 'x'" "$path?x=1" \
		-X "$method" -d "$body"
done
answers "a negative duration" 400 "'-1' is not a duration" /v1/services/api -X PATCH -d '{"penalty_time_s":-1}'
answers "a prefix with a zero before it" 400 "not a block" /v1/sources/forgive "${post[@]}" '{"cidr":"10.0.0.0/08"}'

# A key in the place of something else is not repeated, whole or in part.
hides() { # WHAT PATH [CURL OPTIONS]
	local answer
	answer=$(api "${@:2}" 2>&1)
	[[ $answer == *'"error"'* ]] || fail "$1: expected an error: $answer"
	[[ $answer == *"sk-..."* && $answer != *"${KEY:3:12}"* ]] || fail "$1: the key comes back: $answer"
	ok "a key is hidden: $1"
}
hides "as an ID" "/v1/keys/$KEY"
hides "as a service" "/v1/services/$KEY"
hides "as an interface" /v1/ifaces "${post[@]}" "{\"dev\":\"${KEY:0:15}\"}"
hides "as a source" "/v1/sources/$KEY" -X DELETE
hides "as a member" /v1/keys "${post[@]}" "{\"$KEY\":1}"
hides "as a parameter" "/v1/keys?$KEY=1"
hides "as the value of a parameter" "/v1/sources?penalised=$KEY"
hides "as a cursor" "/v1/keys?after=$KEY"
hides "as a duration" /v1/services/api -X PATCH -d "{\"penalty_time_s\":\"$KEY\"}"
hides "as a key's name" /v1/keys "${post[@]}" "{\"name\":\"for alice: $KEY\"}"
hides "as a key's new name" "/v1/keys/$KEY_ID" -X PATCH -d "{\"name\":\"$KEY\"}"
hides "as the name of a service" /v1/services "${post[@]}" "{\"name\":\"$KEY\",\"listen\":\"*:1\"}"
hides "as what is searched for" "/v1/keys?search=${KEY/sk-/sk%2D}"
hides "as an ID to disable" "/v1/keys/$KEY/disable" -X POST
for command in "key create --name $KEY" "key show $KEY" "key disable $KEY" "key list --search $KEY" "key edit $KEY_ID --name x$KEY" \
	"service add $KEY --listen *:1" "service show $KEY" "iface attach $KEY" "source deny $KEY" "$KEY" "key $KEY" "key list $KEY" \
	"key create --name a --rpm $KEY" "key create --name a --expires $KEY" "key create --name a --allow-ip $KEY" "--$KEY"; do
	# shellcheck disable=SC2086 # words, on purpose
	output=$(set -f; ctl $command 2>&1) && fail "${command//$KEY/KEY} is taken"
	[[ $output == keyfilterctl:*";"* && $output != *"${KEY:3:12}"* ]] || fail "${command//$KEY/KEY}: $output"
done
[[ $(ctl key show "$KEY" 2>&1) == *"looks like a secret"*"\`keyfilterctl key list\` has the IDs"* ]] || fail "key show KEY: $(ctl key show "$KEY" 2>&1)"
ok "the tool does not take it for anything, nor repeat it"
make_key FOUND found
[[ $(ctl key find <<< " $FOUND ") == *"ID "*"$FOUND_ID"*"Status "* ]] || fail "key find: $(ctl key find <<< "$FOUND")"
for text in "$UNKNOWN" "${FOUND%?}" "" "${FOUND}x" "k_0123456789ab"; do
	output=$(ctl key find <<< "$text" 2>&1) && fail "key find takes ${#text} characters"
	[[ $output == *"no key has this secret; "* && ( -z "$text" || $output != *"$text"* ) ]] || fail "key find: $output"
done
output=$(ctl key find < /dev/null 2>&1) && fail "key find without a key"
[[ $output == *"no key on the standard input; "* ]] || fail "key find without a key: $output"
ctl --json key rotate "$FOUND_ID" > "$WORK/rotated"
[ "$(ctl --json key find <<< "$FOUND" | json '(d["id"], d["secret_until"] is not None)')" = "('$FOUND_ID', True)" ] ||
	fail "an old secret: $(ctl key find <<< "$FOUND")"
[ "$(json 'd["key"]' < "$WORK/rotated" | ctl --json key find | json '(d["id"], d["secret_until"])')" = "('$FOUND_ID', None)" ] ||
	fail "its new secret is not found"
ctl key rotate --grace 0 "$FOUND_ID" > /dev/null 2>&1
ctl key find <<< "$FOUND" > /dev/null 2>&1 && fail "a secret that is over is found"
must "key delete" ctl key delete "$FOUND_ID"
ok "the tool tells whose a secret is, until when it is served, and of no other"
answers "words that only look so" 404 "'task-force-nineteen'" /v1/services/task-force-nineteen
head -c 200000 /dev/zero | tr '\0' ' ' > "$WORK/big"
answers "a body over the limit" 413 '"error"' /v1/keys -X POST -H 'Expect:' --data-binary "@$WORK/big"
answers "still there" 200 '"abi"' /v1/status

# Who may: nobody may not even connect, or is told 403.
chmod 711 "$WORK"
as_nobody() { setpriv --reuid 65534 --regid 65534 --clear-groups "$@"; }
if command -v setpriv > /dev/null; then
	status=$(as_nobody curl -s -m 5 -o /dev/null -w '%{http_code}' --unix-socket "$SOCKET" http://localhost/v1/status)
	[ "$status" = 000 ] || [ "$status" = 403 ] || fail "nobody was answered $status"
	chmod 666 "$SOCKET"
	status=$(as_nobody curl -s -m 5 -o /dev/null -w '%{http_code}' --unix-socket "$SOCKET" http://localhost/v1/status)
	[ "$status" = 403 ] || fail "nobody could connect and was answered $status, not 403"
	status=$(as_nobody curl -s -m 5 -o /dev/null -w '%{http_code}' --unix-socket "$SOCKET" "${post[@]}" '{"name":"mine"}' http://localhost/v1/keys)
	[ "$status" = 403 ] || fail "nobody could make a key: $status"
	ok "nobody: refused by the file's mode, and by 403 behind it"
fi
mode=$(stat -c %a "$WORK/state")
[ "$mode" = 700 ] || fail "the state directory has mode $mode"
for file in "$WORK"/state/*; do
	[[ $(stat -c %a "$file") == ?00 ]] || fail "$file has mode $(stat -c %a "$file")"
done
ok "state: readable by its owner alone"

# Slow, silent and broken clients; more of them than there may be.
SOCKET=$SOCKET "$PYTHON" - <<'END' || fail "see above"
import os, socket, subprocess, sys, time

def connect():
    s = socket.socket(socket.AF_UNIX)
    s.connect(os.environ["SOCKET"])
    return s

slow = [connect() for _ in range(8)]
for s in slow:
    s.sendall(b"POST /v1/keys HTTP/1.1\r\nHost: l\r\nContent-Length: 100\r\n\r\n{")
broken = connect()
broken.sendall(os.urandom(5000))
gone = connect()
gone.sendall(b"GET /v1/status HTTP/1.1\r\nHost: l\r\n\r\n")
gone.close()
ask = ["curl", "-s", "-m", "2", "-o", "/dev/null", "-w", "%{http_code} %{time_total}",
       "--unix-socket", os.environ["SOCKET"], "http://localhost/v1/status"]
answer = subprocess.run(ask, capture_output=True, text=True).stdout
status, took = answer.split()
if status != "200" or float(took) > 1:
    sys.exit("  FAIL  slow clients hold up the others: " + answer)
crowd = []
for _ in range(20):
    try:
        crowd.append(connect())
    except OSError:
        break
time.sleep(5)
answer = subprocess.run(ask, capture_output=True, text=True).stdout
if not answer.startswith("200"):
    sys.exit("  FAIL  silent clients hold up the others beyond the time limit: " + answer)
slow[0].settimeout(1)
try:
    data = slow[0].recv(100)
    if data and b"408" not in data and b"400" not in data:
        sys.exit("  FAIL  a request that never ended was answered: %r" % data)
except TimeoutError:
    sys.exit("  FAIL  a slow client is kept beyond the time limit")
except OSError:
    pass
print("  ok    slow, silent, broken and too many clients harm nobody")
END
[ "$(ctl --json key list | json 'd["total"]')" -eq 1 ] || fail "something made a key: $(ctl key list)"

# A follower of events that stops reading does not hold up the filter or other followers.
curl -sN --unix-socket "$SOCKET" "http://localhost/v1/events?follow=1" > "$WORK/followed" &
PIDS+=($!)
sleep 0.2
refused "for the follower" no_key
await 3 grep -q '"reason": *"no_key"' "$WORK/followed" || fail "events --follow did not tell: $(cat "$WORK/followed")"
ok "events?follow=1: $(head -c 300 "$WORK/followed" | head -n 1)"

for argument in "$KEY" "--$KEY" "-$KEY" "--unload=$KEY"; do
	! said=$("$BUILD/keyfilterd" "$argument" 2>&1) || fail "keyfilterd took $argument"
	[[ $said == *"sk-..."* && $said != *"${KEY:3:12}"* ]] || fail "keyfilterd repeats a key: $said"
done
ok "keyfilterd repeats no key"

# No secret anywhere but in its file.
make_key OTHER spoken
served "a key" -H "$(bearer "$OTHER")"
ctl --json events > "$WORK/events"
ctl --json key list > "$WORK/keys"
stop_daemon
for secret in "$KEY" "$OTHER" "${KEY#sk-}"; do
	! grep -raqF -- "$secret" "$WORK/state" "$WORK/events" "$WORK/keys" "$DAEMON_LOG" "$WORK/followed" ||
		fail "a full key is in: $(grep -ralF -- "$secret" "$WORK/state" "$WORK/events" "$WORK/keys" "$DAEMON_LOG")"
done
ok "no full key in store, events, lists and log"
