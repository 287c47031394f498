#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# Owners and labels of keys, what they find, and one change of all the keys that are found.
. "$(dirname "$0")/lib.sh"

export REFUSE=reply
start_all "${MODE:-native}"
base=http://$SERVER:$PORT/v1/models

# usage WHAT TEXT COMMAND...: is refused with this text in a line of cause and mend.
usage() {
	local output
	output=$(ctl "${@:3}" 2>&1) && fail "$1 is taken"
	[[ $output == *"$2"*"; "* ]] || fail "$1: $output"
	ok "$1: $output"
}
# found WHAT NAMES FILTER...: the keys that are listed, by name.
found() {
	local names
	names=$(ctl --json key list "${@:3}" | json '" ".join(k["name"] for k in d["keys"]) + " %d" % d["total"]')
	[ "$names" = "$2 $(wc -w <<< "$2")" ] || [ "$names" = " 0" -a -z "$2" ] || fail "$1: $names, not $2"
	ok "$1: ${2:-none}"
}
# changed WHAT TEXT COMMAND...
changed() {
	local output
	output=$(ctl "${@:3}" 2>&1) || fail "$1: $output"
	[[ $output == *"$2"* ]] || fail "$1: $output, not $2"
	ok "$1: $output"
}

must "group create" ctl group create g
make_key A a --owner u-17 --label team=blue --label env=prod
make_key B b --owner u-17 --label team=blue --group g
make_key C c --owner u-4 --label team=red --label env=prod --group g
make_key D d

found "all" "a b c d"
found "an owner" "a b" --owner u-17
found "a label" "a b" --label team=blue
found "two labels" "a" --label team=blue --label env=prod
found "a label of another value" "" --label team=green
found "a label that begins so" "" --label team=blu
found "a label and a group" "b" --label team=blue --group g
found "a label and an owner" "c" --label env=prod --owner u-4
found "a label and a name" "b" --label team=blue --search b
found "a label and a status" "" --label team=blue --status disabled
[ "$(ctl --json key list --label env=prod --limit 1 | json '(d["keys"][0]["name"], d["next"] is not None)')" = "('a', True)" ] ||
	fail "the first page of a label"
next=$(ctl --json key list --label env=prod --limit 1 | json 'd["next"]')
found_next=$(ctl --json key list --label env=prod --limit 1 --after "$next" | json '(d["keys"][0]["name"], d["next"])')
[ "$found_next" = "('c', None)" ] || fail "the second page of a label: $found_next"
ok "pages of a label"

usage "a label without a value" "takes NAME=VALUE" key create --name x --label team
usage "a label twice" "given twice" key create --name x --label a=1 --label a=2
usage "a label's name" "is not a label's name" key create --name x --label 'a b=1'
usage "a secret as a label" "looks like a secret" key create --name x --label "t=$A"
usage "a secret as an owner" "looks like a secret" key create --name x --owner "$A"
usage "an empty owner" "0 bytes" key create --name x --owner ''
usage "too many labels" "more than 16" key create --name x $(printf -- '--label l%d= ' $(seq 17))
found "nothing was made by these" "a b c d"

must "labels are edited one by one" ctl key edit "$A_ID" --label env=test --label x= --remove-label team
[ "$(ctl --json key show "$A_ID" | json '(d["labels"], d["owner"])')" = "({'env': 'test', 'x': ''}, 'u-17')" ] ||
	fail "the labels after an edit: $(ctl --json key show "$A_ID")"
must "the owner goes" ctl key edit "$A_ID" --owner none --label env=prod --label team=blue --remove-label x
[ "$(ctl --json key show "$A_ID" | json '(d["labels"], d["owner"])')" = "({'env': 'prod', 'team': 'blue'}, None)" ] ||
	fail "the labels after another edit: $(ctl --json key show "$A_ID")"
usage "set and removed at once" "given twice" key edit "$A_ID" --label a=1 --remove-label a

# All of them for another program: in pages here, never a secret.
names_of() { ctl --json key list "$@" | json '" ".join(k["name"] for k in d["keys"])'; }
[ "$(names_of --order newest)" = "$(names_of | tr ' ' '\n' | tac | xargs)" ] || fail "the newest first: $(names_of --order newest)"
next=$(ctl --json key list --order newest --limit 1 | json 'd["next"]')
[ "$(names_of --order newest --limit 1 --after "$next")" = "$(names_of --order newest | cut -d' ' -f2)" ] || fail "the second page of the newest first"
usage "another order" "cannot be 'name'" key list --order name
must "a name to be quoted" ctl key edit "$D_ID" --name '=d "x", =y'
for options in "" "--label env=prod" "--status disabled"; do
	# shellcheck disable=SC2086 # words, on purpose
	ctl key export $options > "$WORK/export.json" && ctl key export --csv $options > "$WORK/export.csv" || fail "key export $options"
	# shellcheck disable=SC2086 # words, on purpose
	ctl --json key list $options > "$WORK/listed.json"
	"$PYTHON" - "$WORK" <<-'END' || fail "key export $options"
	import csv, json, sys
	load = lambda name: json.load(open(sys.argv[1] + "/" + name))
	keys, listed = load("export.json"), load("listed.json")["keys"]
	assert keys == listed, (keys, listed)
	rows = list(csv.DictReader(open(sys.argv[1] + "/export.csv", newline="")))
	assert len(rows) == len(keys) and not any(None in row for row in rows), rows
	for row, key in zip(rows, keys):
	    name = ("'" if key["name"].startswith("=") else "") + key["name"]  # no formula in a spreadsheet
    assert row["id"] == key["id"] and row["name"] == name and row["group"] == (key["group"] or ""), (row, key)
	    assert dict(pair.split("=") for pair in row["labels"].split()) == key["labels"], (row, key)
	assert not any("sk-" in value and "..." not in value for row in rows for value in row.values()), rows
	END
	ok "key export $options"
done
must "the name again" ctl key edit "$D_ID" --name d

# One change of many.
usage "neither ID nor filters" "ID is missing" key disable
usage "both" "exclude each other" key disable "$A_ID" --label team=blue
usage "--dry-run of one" "--dry-run is for filters" key disable "$A_ID" --dry-run
usage "--all and more" "which keys is not clear" key disable --all --label team=blue
usage "a group that is not there" "there is no group 'h'" key disable --group h
usage "--if-match of many" "is for one" key disable --all --if-match 1
usage "a filter that is empty" "--search is empty" key delete --search ''
usage "one to look only" "--owner is empty" key delete --owner= --dry-run
for where in '{"search":""}' '{"owner":""}' '{"labels":{}}' '{"group":"g","search":""}'; do
	curl -s --unix-socket "$SOCKET" -d '{"action":"delete","where":'"$where"'}' http://localhost/v1/keys/bulk |
		grep -q 'is empty' || fail "keys/bulk where $where"
done
usage "an edit of nothing" "nothing to change is given" key edit --all
changed "a dry run" "2 keys would be concerned" key disable --label team=blue --dry-run
served "which changes nothing" -H "$(bearer "$A")" "$base"
changed "disable by a label" "2 of 2 keys changed" key disable --label team=blue
refused_with 401 api_key_disabled "one of them" -H "$(bearer "$A")" "$base"
refused_with 401 api_key_disabled "the other one" -H "$(bearer "$B")" "$base"
served "one without the label" -H "$(bearer "$C")" "$base"
changed "again" "0 of 2 keys changed" key disable --label team=blue
changed "enable by status" "2 of 2 keys changed" key enable --status disabled
served "enabled again" -H "$(bearer "$B")" "$base"
changed "edit by a group" "2 of 2 keys changed" key edit --where-group g --allow-ip 192.0.2.0/24 --label net=doc --group none
refused_with 403 ip_not_allowed "which is in force" -H "$(bearer "$C")" "$base"
found "and stored" "b c" --label net=doc
found "none is in the group" "" --group g
must "so it can go" ctl group delete g
changed "an edit that the second key cannot take" "1 of 1 key changed" key edit --where-search "$B_ID" --rpm 60
usage "a burst without a rate" "1 key is changed, and the next one is not" key edit --where-label net=doc --burst 5
[ "$(ctl --json key show "$B_ID" | json 'd["burst"]')" = 5 ] || fail "the first key was not changed"
changed "delete by a label" "2 of 2 keys changed" key delete --label net=doc
refused_with 401 invalid_api_key "which is gone" -H "$(bearer "$B")" "$base"
found "what is left" "a d"
labels=$("$PYTHON" -c 'import sqlite3, sys; print(*sqlite3.connect(sys.argv[1]).execute("SELECT count(*) FROM key_label").fetchone())' \
	"$WORK/state/keyfilter.db")
[ "$labels" = 2 ] || fail "$labels labels are stored: those of keys that are gone, too"

# Many, while single keys are revoked; killed in the middle of it.
ctl key create --name many --quantity 2000 --label many=yes > "$WORK/many" 2> /dev/null || fail "cannot create 2,000 keys"
changed "disable 2,000 keys" "2000 of 2000 keys changed" key disable --label many=yes
refused_with 401 api_key_disabled "the last of them" -H "$(bearer "$(tail -1 "$WORK/many")")" "$base"
ctl key enable --label many=yes > "$WORK/out" 2>&1 &
until [ "$(ctl --json key list --label many=yes --status enabled --limit 1 | json 'd["total"]')" -gt 0 ]; do sleep 0.002; done
kill_daemon
wait $! || true
start_daemon
enabled=$(ctl --json key list --label many=yes --status enabled --limit 1 | json 'd["total"]')
changed "killed behind $enabled keys; the same command does the rest" "$((2000 - enabled)) of 2000 keys changed" \
	key enable --label many=yes
served "the last of them" -H "$(bearer "$(tail -1 "$WORK/many")")" "$base"
