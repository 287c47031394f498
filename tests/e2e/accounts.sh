#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# Accounts and quotas: what is used up is refused, what is put in holds with the answer, over kills and restarts; the
# ledger adds up.
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
# shows WHAT EXPECTED EXPRESSION COMMAND...: a Python expression over the answer's JSON, d.
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

# Words.
usage "an account that is not there" "no account 'nobody'" key create --name x --account nobody
usage "the name default" "is there always" account create default
usage "a bad balance" "is not an amount" account create x --balance 1,5
usage "too much" "the most that is possible" account create x --balance 1000000001
usage "a top-up without an amount" "AMOUNT is missing" account topup x
usage "a top-up of nobody" "x" account topup x 5
usage "of default" "has no limit" account topup default 5
usage "a quota below nothing" "is not an amount" key create --name x --quota=-1

# An account with nothing in it.
must "account create" ctl account create team
usage "again" "already" account create team
make_key TEAM member --account team
make_key FREE free
team=$(bearer "$TEAM")
served "a key of default" -H "$(bearer "$FREE")"
refused_with 429 insufficient_quota "of an account with nothing in it" -H "$team"
[[ $ANSWERED == *"x-should-retry: false"* ]] || fail "a client would try again: $ANSWERED"
shows "its status" exhausted 'd["status"]' key show "$TEAM_ID"
usage "a top-up of nothing" "it is 0" account topup team 0
usage "a withdrawal of nothing" "it is 0" account withdraw team 0.000
must "topup" ctl account topup team 5.25 --note invoice-7
served "with the answer of the top-up" -H "$team"
shows "the balance" 5.25 'd["balance"]' account show team
must "withdraw" ctl account withdraw team 5.25
refused_with 429 insufficient_quota "taken out again" -H "$team"
usage "more than there is" "less than nothing" account withdraw team 0.000001
must "unlimited" ctl account edit team --unlimited yes
served "without a limit" -H "$team"
must "limited" ctl account edit team --unlimited no
refused_with 429 insufficient_quota "with one again" -H "$team"
must "key edit" ctl key edit "$TEAM_ID" --account default
served "drawing on default" -H "$team"
must "key edit" ctl key edit "$TEAM_ID" --account team
refused_with 429 insufficient_quota "drawing on team again" -H "$team"
must "topup" ctl account topup team 10

# A quota.
make_key QUOTA quota --quota 0 --account team
quota=$(bearer "$QUOTA")
refused_with 429 insufficient_quota "a quota of nothing" -H "$quota"
usage "a key's top-up of nothing" "it is 0" key topup "$QUOTA_ID" 0
must "key topup" ctl key topup "$QUOTA_ID" 1.5
served "with the answer of the top-up" -H "$quota"
shows "its figures" "1.5 0 1.5 enabled" '" ".join([d["quota"], d["spent"], d["left"], d["status"]])' key show "$QUOTA_ID"
must "a lower quota" ctl key edit "$QUOTA_ID" --quota 0
refused_with 429 insufficient_quota "a lower quota" -H "$quota"
rotated=$(ctl key rotate "$QUOTA_ID" 2> /dev/null) || fail "key rotate"
refused_with 429 insufficient_quota "the new secret" -H "$(bearer "$rotated")"
must "no quota" ctl key edit "$QUOTA_ID" --quota unlimited
served "no quota" -H "$quota"
served "no quota, the new secret" -H "$(bearer "$rotated")"
usage "a top-up without a quota" "has no quota" key topup "$QUOTA_ID" 1
must "withdraw" ctl account withdraw team 10
refused_with 429 insufficient_quota "the account bounds it" -H "$quota"

# Many.
answer=$(ctl --json key create --name many --quantity 300 --quota 2 --account team)
last=$(json 'd["keys"][299]["key"]' <<< "$answer")
refused_with 429 insufficient_quota "one of many" -H "$(bearer "$last")"
shows "the list by account" 302 'd["total"]' key list --account team
shows "the list by status" 302 'd["total"]' key list --status exhausted
shows "the state" "302 1" '"%d %d" % (d["keys"]["exhausted"], d["keys"]["enabled"])' status
must "topup" ctl account topup team 1
served "one of many" -H "$(bearer "$last")"
shows "the list by status" 0 'd["total"]' key list --status exhausted
must "many at once" ctl key edit --where-account team --quota 0
shows "the list by status" 302 'd["total"]' key list --status exhausted --account team
refused_with 429 insufficient_quota "one of many" -H "$(bearer "$last")"

# Over a kill, and over maps that are made anew.
kill_daemon
denied "the controller dead" -H "$(bearer "$last")"
start_daemon
refused_with 429 insufficient_quota "the controller back" -H "$(bearer "$last")"
must "many at once" ctl key edit --where-account team --quota 3
served "one of many" -H "$(bearer "$last")"
shows "the keys of default" "$(ctl --json key list | json 'sum(k["account"] in (None, "default") for k in d["keys"])')" 'd["total"]' key list --account default
must "delete" ctl key delete --account team
shows "the entries of a key that is gone" quota 'd["entries"][0]["kind"]' ledger list --key "$QUOTA_ID"
shows "the note" invoice-7 '[e["note"] for e in d["entries"] if e["note"]][0]' ledger list --account team
shows "since" 0 'len(d["entries"])' ledger list --since 2250-01-01T00:00:00Z
verified
in_store() { "$PYTHON" -c 'import sqlite3, sys; print(sqlite3.connect(sys.argv[1] + "/keyfilter.db").execute(sys.argv[2]).fetchone()[0])' "$WORK/state" "$1"; }
[ "$(in_store 'SELECT count(*) FROM wallet')" = 1 ] || fail "$(in_store 'SELECT count(*) FROM wallet') wallets are left"
ok "the wallets of keys that are gone are free"
make_key AGAIN again --quota 1
served "a key with a wallet that was another's" -H "$(bearer "$AGAIN")"
unload
start_daemon
must "attach" ctl iface attach s0 --mode "${MODE:-native}"
served "new maps" -H "$(bearer "$AGAIN")"
must "a quota of nothing" ctl key edit "$AGAIN_ID" --quota 0
refused_with 429 insufficient_quota "new maps" -H "$(bearer "$AGAIN")"

# Figures that were tampered with are found.
stop_daemon
"$PYTHON" -c 'import sqlite3, sys; c = sqlite3.connect(sys.argv[1] + "/keyfilter.db"); c.execute("UPDATE account SET granted = granted + 1"); c.commit()' "$WORK/state"
start_daemon
ctl ledger verify > "$WORK/verify" && fail "the ledger does not find what was changed behind it"
grep -q "account team: granted" "$WORK/verify" || fail "the ledger says: $(cat "$WORK/verify")"
ok "the ledger finds what was changed behind it"
