#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# Reports of what requests have used: exact, booked once, in force with the answer, and not lost or counted twice
# when the daemon is killed.
. "$(dirname "$0")/lib.sh"

export REFUSE=reply
start_all "${MODE:-native}"

# usage WHAT TEXT COMMAND...: is refused with this text in a line of cause and mend.
usage() {
	local output
	output=$(ctl "${@:3}" 2>&1) && fail "$1 is taken"
	[[ $output == *"$2"*"; "* ]] || fail "$1: $output"
	ok "$1: $output"
}
# costs WHAT EXPECTED OPTIONS...: a report that costs so much.
costs() {
	local seen
	seen=$(ctl --json usage report --model m "${@:3}" | json 'd["cost"]') || fail "$1: no answer"
	[ "$seen" = "$2" ] || fail "$1: $seen, not $2"
	ok "$1: $seen"
}
shows() {
	local seen
	seen=$(ctl --json "${@:4}" | json "$3") || fail "$1: no answer"
	[ "$seen" = "$2" ] || fail "$1: $seen, not $2"
	ok "$1: $seen"
}
verified() {
	ctl ledger verify > "$WORK/verify" || fail "the ledger: $(cat "$WORK/verify")"
	ok "the ledger adds up"
}

must "model set" ctl model set m --input 2.5 --cached 0.25 --output 10 --request 0.01 --context 100000
must "model set" ctl model set free
must "group create" ctl group create team --multiplier 1.1
must "account create" ctl account create books --balance 3
make_key KEY key --account books --quota 1
make_key GROUP grouped --account books --group team
make_key OPEN open
id=(--key-id "$KEY_ID")
auth=$(bearer "$KEY")

# What has no price is not free of charge.
post() { printf '{"messages":[{"role":"user","content":"hi"}],"model":"%s"}' "$1"; }
chat=http://$SERVER:$PORT/v1/chat/completions json_type='Content-Type: application/json'
served "a model with a price" -H "$auth" -H "$json_type" -d "$(post m)" "$chat"
refused_with 403 model_not_priced "one without" -H "$auth" -H "$json_type" -d "$(post free)" "$chat"
refused_with 403 model_not_priced "one that is not known" -H "$auth" -H "$json_type" -d "$(post M)" "$chat"
refused_with 415 unsupported_body "one that is not named" -H "$auth" -H "$json_type" -d '{"prompt":"hi"}' "$chat"
refused_with 403 model_not_priced "of the account" -H "$(bearer "$GROUP")" -H "$json_type" -d "$(post free)" "$chat"
served "a key that draws on nothing" -H "$(bearer "$OPEN")" -H "$json_type" -d "$(post free)" "$chat"
must "a price" ctl model set free --input 0
served "0 is a price" -H "$auth" -H "$json_type" -d "$(post free)" "$chat"
kill_daemon
served "the controller dead" -H "$auth" -H "$json_type" -d "$(post free)" "$chat"
start_daemon
served "the controller back" -H "$auth" -H "$json_type" -d "$(post free)" "$chat"
must "no price" ctl model set free --input none
refused_with 403 model_not_priced "the price is gone" -H "$auth" -H "$json_type" -d "$(post free)" "$chat"

usage "no price" "has no price" usage report "${id[@]}" --model free --prompt 1 --completion 1 --request-id r
usage "no model" "there is no model x" usage report "${id[@]}" --model x --prompt 1 --completion 1 --request-id r
usage "no key" "there is no key k_none" usage report --key-id k_none --model m --prompt 1 --completion 1 --request-id r
usage "more cached than there is" "more of the prompt was cached" usage report "${id[@]}" --model m --prompt 5 --cached 4 --cache-write 2 --completion 1 --request-id r
usage "more than the model takes" "takes 100000" usage report "${id[@]}" --model m --prompt 100001 --completion 1 --request-id r
usage "no number" "takes a number" usage report "${id[@]}" --model m --prompt -5 --completion 1 --request-id r
shows "nothing is spent" 0 'd["spent"]' key show "$KEY_ID"

# 2.5 and 10 for a million tokens, and 0.01 for a request: micro-units, rounded up once.
costs "a token of each" 0.010013 "${id[@]}" --prompt 1 --completion 1 --request-id r1
costs "no tokens" 0.01 "${id[@]}" --prompt 0 --completion 0 --request-id r2
costs "cached ones" 0.010145 "${id[@]}" --prompt 100 --cached 100 --completion 12 --request-id r3
costs "written ones, as input" 0.01025 "${id[@]}" --prompt 100 --cache-write 100 --completion 0 --request-id r4
costs "a group's multiplier, not of the request's price" 0.010014 --key-id "$GROUP_ID" --prompt 1 --completion 1 --request-id r1
costs "the same again" 0.010013 "${id[@]}" --prompt 1 --completion 1 --request-id r1
usage "the same request with other figures" "was reported before" usage report "${id[@]}" --model m --prompt 2 --completion 1 --request-id r1
shows "what the key has spent" 0.040408 'd["spent"]' key show "$KEY_ID"
shows "what the account has spent" 0.050422 'd["spent"]' account show books
seen=$(ctl --json usage report --key-id "$OPEN_ID" --model free --prompt 5 --completion 5 --request-id r1 | json 'd["cost"]')
[ "$seen" = 0 ] || fail "a key that draws on no money pays $seen"
ok "a key that draws on no money is counted, and pays nothing"
verified

# What it has used up the kernel refuses, with the answer of the report.
served "before" -H "$auth"
costs "nearly all" 0.95 "${id[@]}" --prompt 0 --completion 94000 --request-id r5
served "something is left" -H "$auth"
costs "more than all" 0.11 "${id[@]}" --prompt 0 --completion 10000 --request-id r6
refused_with 429 insufficient_quota "used up" -H "$auth"
shows "what is left" -0.100408 'd["left"]' key show "$KEY_ID"
must "topup" ctl key topup "$KEY_ID" 0.100409
served "a millionth is left" -H "$auth"
costs "the account" 1.509993 --key-id "$GROUP_ID" --prompt 0 --completion 136363 --request-id r2
served "something is left of the account" -H "$auth"
costs "the account" 0.461011 --key-id "$GROUP_ID" --prompt 0 --completion 41001 --request-id r3
refused_with 429 insufficient_quota "the account is used up" -H "$auth"
refused_with 429 insufficient_quota "... for all its keys" -H "$(bearer "$GROUP")"
must "topup" ctl account topup books 100
served "put in" -H "$auth"
# An answer may get lost: what was booked stays so, whatever became of its price and its key since.
must "no prices" ctl model set m --input none --output none --cached none --request none
costs "the same again, without a price" 0.010013 "${id[@]}" --prompt 1 --completion 1 --request-id r1
usage "... a new one" "has no price" usage report "${id[@]}" --model m --prompt 1 --completion 1 --request-id r9
must "prices" ctl model set m --input 2.5 --cached 0.25 --output 10 --request 0.01
make_key GONE gone --account books
costs "of a key that is deleted then" 0.01 --key-id "$GONE_ID" --prompt 0 --completion 0 --request-id r1
must "key delete" ctl key delete "$GONE_ID"
costs "the same again, of a key that is gone" 0.01 --key-id "$GONE_ID" --prompt 0 --completion 0 --request-id r1
usage "... a new one" "there is no key" usage report --key-id "$GONE_ID" --model m --prompt 0 --completion 0 --request-id r2
verified
shows "by day" 11 'sum(x["requests"] for x in d["days"])' usage list --since 2d
shows "by key" 3 'sum(x["requests"] for x in d["days"])' usage list --key "$GROUP_ID"
metric() { curl -sm 5 --unix-socket "$SOCKET" http://localhost/metrics | sed -n "s/^keyfilter_usage_reports_total{result=\"$1\"} //p"; }
before=$(metric refused)
curl -sfm 5 --unix-socket "$SOCKET" -d '{"key_id":"'"$KEY_ID"'","model":"m","request_id":"n","prompt":-1,"completion":1}' http://localhost/v1/usage &&
	fail "a negative count is taken"
[ "$(metric refused)" = $((before + 1)) ] && [ "$(metric booked)" -gt 0 ] && [ "$(metric repeated)" -gt 0 ] || fail "the reports in the metrics"
ok "refused reports are counted: $(metric refused)"
ctl usage list --csv > "$WORK/usage.csv" && ctl --json usage list > "$WORK/usage.json" || fail "usage list --csv"
"$PYTHON" - "$WORK" <<-'END' || fail "usage list --csv: $(cat "$WORK/usage.csv")"
import csv, json, sys
rows = list(csv.DictReader(open(sys.argv[1] + "/usage.csv", newline="")))
days = json.load(open(sys.argv[1] + "/usage.json"))["days"]
assert rows and rows == [{name: str(value) for name, value in day.items() if name in rows[0]} for day in days], (rows, days)
END
ok "usage list --csv"
shows "by model" 1 'sum(x["requests"] for x in d["days"])' usage list --model free

# Many at once, and the daemon killed in the middle of them: each is repeated until it is answered.
must "quota" ctl key edit "$KEY_ID" --quota unlimited
before=$(ctl --json account show books | json 'd["spent"]')
cat > "$WORK/reporter.py" <<'END'
import json, socket, sys, time
path, key, first, count = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])

def post(body):
    data = json.dumps(body).encode()
    s = socket.socket(socket.AF_UNIX)
    s.settimeout(20)
    s.connect(path)
    s.sendall(b"POST /v1/usage HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: %d\r\n\r\n" % len(data) + data)
    answer = b""
    while True:
        piece = s.recv(65536)
        if not piece:
            break
        answer += piece
    status, rest = int(answer.split()[1]), answer.split(b"\r\n\r\n", 1)[1]
    return status, json.loads(rest)

at = first
while at < first + count:
    reports = [{"key_id": key, "model": "m", "prompt": 1, "completion": 1, "request_id": "many-%d" % n}
               for n in range(at, min(at + 50, first + count))]
    if at % 20 < 10: # now one, now many
        del reports[1:]
    try:
        status, answer = post({"reports": reports} if len(reports) > 1 else reports[0])
    except (OSError, ValueError, IndexError):
        status = 0
    if status != 200:
        time.sleep(0.02)
        continue
    assert len(reports) == 1 or answer["refused"] == 0, answer
    at += len(reports)
END
for part in 0 1 2; do
	"$PYTHON" "$WORK/reporter.py" "$SOCKET" "$KEY_ID" $((part * 4000)) 4000 &
	reporters[part]=$!
done
kills=0
while kill -0 "${reporters[0]}" 2> /dev/null && [ $kills -lt 12 ]; do
	sleep 0.4
	kill_daemon
	start_daemon
	kills=$((kills + 1))
done
for part in 0 1 2; do wait "${reporters[part]}" || fail "a reporter"; done
ok "12,000 reports, $kills kills meanwhile"
after=$(ctl --json account show books | json 'd["spent"]')
"$PYTHON" -c 'from decimal import Decimal as D; import sys; a, b = map(D, sys.argv[1:]); sys.exit(b - a != 12000 * D("0.010013"))' "$before" "$after" ||
	fail "12,000 reports took the account from $before to $after"
ok "each is booked once: from $before to $after"
shows "in the sums of the day" 12006 'sum(x["requests"] for x in d["days"] if x["key"] == "'"$KEY_ID"'")' usage list
verified
refused_with 429 insufficient_quota "the account is used up" -H "$auth"
