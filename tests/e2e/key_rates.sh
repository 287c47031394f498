#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# A key's rate: its burst and not one more, whoever asks, and whether the controller lives or not.
. "$(dirname "$0")/lib.sh"

export REFUSE=reply
start_all "${MODE:-native}"

# told WHAT EXPRESSION ID: is it true of the key as `key show --json` tells it?
told() { ctl --json key show "$3" | json "$2" | grep -q True || fail "$1: $(ctl --json key show "$3")"; }

# usage WHAT TEXT COMMAND...: is refused with this text in a line of cause and mend.
usage() {
	local output
	output=$(ctl "${@:3}" 2>&1) && fail "$1 is taken"
	[[ $output == *"$2"*"; "* ]] || fail "$1: $output"
	ok "$1: $output"
}

usage "a rate of 0" "rpm: it cannot be 0" key create --name x --rpm 0
usage "a rate beyond what an interval holds" "rpm: it cannot be 6000001" key create --name x --rpm 6000001
usage "a burst without a rate" "it needs a rate" key create --name x --burst 5
usage "a burst for no rate" "it needs a rate" key create --name x --rpm none --burst 5

# The default: who keeps to the rate in every minute is never refused, so all of it may come at once.
make_key KEY default --rpm 60
told "the burst is the rate" 'd["rpm"] == 60 and d["burst"] == 60' "$KEY_ID"
usage "a burst is no number" "--burst takes a number" key edit "$KEY_ID" --burst many
client_py <<'END'
connections = [Connection() for _ in range(10)]
for number, c in enumerate(connections):
    c.send(request("start-%d" % number))
for number, c in enumerate(connections):
    c.expect_served("start-%d" % number)
ok("10 requests at once with --rpm 60: none is refused")
END
make_key FREE free
told "no rate" 'd["rpm"] is None and d["burst"] is None' "$FREE_ID"

# The answer tells when to come again.
make_key KEY told --rpm 1 --burst 1
served "1 of 1" -H "$(bearer "$KEY")"
refused_with 429 rate_limit_exceeded "the second" -H "$(bearer "$KEY")"
after=$(sed -n 's/^retry-after: *\([0-9]*\).*/\1/ip' <<< "$ANSWERED")
((${after:-0} > 40 && after <= 60)) || fail "retry-after should be up to 60: $ANSWERED"
ok "retry-after: $after"
must "service edit" ctl service edit api --refuse drop

# Burst, refusal, and admitted again once the time has come that the refusal told.
make_key KEY slow --rpm 12 --burst 3
for number in 1 2 3; do served "$number of 3" -H "$(bearer "$KEY")"; done
refused "the fourth" rate_limited -H "$(bearer "$KEY")"
served "another key meanwhile" -H "$(bearer "$FREE")"
wait=$(ctl --json events | json '[e["retry_after_s"] for e in d["events"] if e["reason"] == "rate_limited"][-1]')
((wait >= 1 && wait <= 5)) || fail "5 s are a request's worth, told was $wait s"
sleep "$wait"
served "after the $wait s that were told" -H "$(bearer "$KEY")"
refused "and the next one" rate_limited -H "$(bearer "$KEY")"
told "what was counted" 'd["requests_admitted"] == 4 and d["requests_refused"] == 2' "$KEY_ID"

# Two hundred at once from four processes: the burst exactly, and what the seconds since have added.
make_key KEY crowd --rpm 6 --burst 50
for number in 1 2 3 4; do
	client_start "crowd$number" <<-END
	connections = [Connection(timeout=10) for _ in range(50)]
	tell("crowd$number")
	wait_for("go")
	begun = time.monotonic()
	for n, c in enumerate(connections):
	    c.send(request("crowd$number-%d" % n))
	sent = time.monotonic()
	served, until = 0, time.monotonic() + 3
	for c in connections:
	    try:
	        c.answer(max(0.05, until - time.monotonic()))
	        served += 1
	    except OSError:
	        pass
	with open(os.path.join(WORK, "served$number"), "w") as out:
	    print(served, begun, sent, file=out)
	END
done
for number in 1 2 3 4; do met "crowd$number" 30; done
tell go
for number in 1 2 3 4; do client_done "crowd$number"; done
cat "$WORK"/served[1-4] > "$WORK/served"
# shellcheck disable=SC2016 # awk's
awk '{ n += $1; if (!from || $2 < from) from = $2; if ($3 > to) to = $3 }
	END { print n, 50 + int((to - from) / 10) }' "$WORK/served" > "$WORK/sum"
read -r served most < "$WORK/sum"
((served >= 50 && served <= most)) || fail "of 200 requests $served were served, should be 50 to $most"
told "what was counted" "d['requests_admitted'] == $served and d['requests_refused'] == 200 - $served" "$KEY_ID"
heads=$(grep -c '"event":"head".*"marker":"crowd' "$BACKEND_LOG")
[ "$heads" -eq "$served" ] || fail "$served were served, the backend holds $heads"
ok "200 at once, --rpm 6 --burst 50: $served admitted, 200 - $served refused"

# An edit holds from the next request on, and nobody waits by the old rate.
refused "used up" rate_limited -H "$(bearer "$KEY")"
must "key edit" ctl key edit "$KEY_ID" --rpm none
told "no rate" 'd["rpm"] is None and d["burst"] is None' "$KEY_ID"
served "without a rate" -H "$(bearer "$KEY")"
must "key edit" ctl key edit "$KEY_ID" --rpm 1 --burst 1
refused "of what was used up as much stays as the new rate knows" rate_limited -H "$(bearer "$KEY")"
must "key edit" ctl key edit "$KEY_ID" --rpm 6000 --burst none
told "burst none" 'd["rpm"] == 6000 and d["burst"] == 6000' "$KEY_ID"
served "raised" -H "$(bearer "$KEY")"
must "key edit" ctl key edit "$KEY_ID" --burst 2
told "the rate stays" 'd["rpm"] == 6000 and d["burst"] == 2' "$KEY_ID"
usage "a burst for a key without a rate" "a burst needs a rate" key edit "$FREE_ID" --burst 3
must "key edit" ctl key edit "$FREE_ID" --rpm 1 --burst 1
served "the first under a new rate" -H "$(bearer "$FREE")"
refused "the second" rate_limited -H "$(bearer "$FREE")"

# Two secrets of one key have one rate, and a new secret is no new burst.
make_key KEY turning --rpm 1 --burst 4
served "1 of 4, the first secret" -H "$(bearer "$KEY")"
fresh=$(ctl --json key rotate "$KEY_ID" --grace 1h | json 'd["key"]')
served "2 of 4, the second secret" -H "$(bearer "$fresh")"
served "3 of 4, the first in its grace" -H "$(bearer "$KEY")"
served "4 of 4, the second" -H "$(bearer "$fresh")"
refused "the second" rate_limited -H "$(bearer "$fresh")"
refused "the first" rate_limited -H "$(bearer "$KEY")"
last=$(ctl --json key rotate "$KEY_ID" --grace 0 | json 'd["key"]')
refused "the third secret" rate_limited -H "$(bearer "$last")"

# The controller dies: the rate goes on. It comes back: what was used up is used up.
make_key OTHER before --rpm 1 --burst 1
make_key KEY orphan --rpm 1 --burst 2
served "1 of 1" -H "$(bearer "$OTHER")"
kill_daemon
denied "used up before" -H "$(bearer "$OTHER")"
served "1 of 2, the controller dead" -H "$(bearer "$KEY")"
served "2 of 2" -H "$(bearer "$KEY")"
denied "the third" -H "$(bearer "$KEY")"
start_daemon
refused "used up before" rate_limited -H "$(bearer "$OTHER")"
refused "the third, the controller back" rate_limited -H "$(bearer "$KEY")"
told "the rate" 'd["rpm"] == 1 and d["burst"] == 2' "$KEY_ID"
must "key edit" ctl key edit "$KEY_ID" --rpm 60 --burst 1
sleep 1
served "a second after the rate is one a second" -H "$(bearer "$KEY")"
make_key KEY last --rpm 1 --burst 1
served "1 of 1" -H "$(bearer "$KEY")"
stop_daemon
denied "the controller ended" -H "$(bearer "$KEY")"
start_daemon
refused "and begun again" rate_limited -H "$(bearer "$KEY")"
