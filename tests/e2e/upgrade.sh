#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# A keyfilterd of another layout has pinned its maps: a start that cannot take them over leaves all as
# it was, the store too, so that the keyfilterd of before still starts; and what its mend says is true.
. "$(dirname "$0")/lib.sh"

start_all "${MODE:-native}"
make_key KEY good
served "before" -H "$(bearer "$KEY")"
stop_daemon

# The store as version 1 left it, and the layout, which stands behind the magic of kf_config.
store() {
	"$PYTHON" - "$WORK/state/keyfilter.db" "$@" <<-'END_PY'
	import sqlite3, sys
	db = sqlite3.connect(sys.argv[1])
	for statement in sys.argv[2:]:
	    rows = db.execute(statement).fetchall()
	    if rows: print(*rows[0])
	db.commit()
	END_PY
}
old_store() {
	must "a store of version 1" store \
		"ALTER TABLE service DROP COLUMN penalty_time_max" "ALTER TABLE service DROP COLUMN penalty_time" \
		"ALTER TABLE service DROP COLUMN penalty_window" "ALTER TABLE service DROP COLUMN penalty_failures" \
		"ALTER TABLE service DROP COLUMN syn_rate" "ALTER TABLE service DROP COLUMN syn_burst" \
		"ALTER TABLE api_key DROP COLUMN rpm_burst" "ALTER TABLE api_key DROP COLUMN rpm" \
		"ALTER TABLE service DROP COLUMN revision" "ALTER TABLE api_key DROP COLUMN revision" \
		"ALTER TABLE service DROP COLUMN methods" \
		"DROP TABLE usage" "DROP TABLE usage_day" "DROP TABLE ledger" "DROP TRIGGER api_key_wallet_gone" \
		"DROP INDEX api_key_wallet" "DROP INDEX api_key_exhausted" "DROP INDEX api_key_account" \
		"ALTER TABLE api_key DROP COLUMN quota" "ALTER TABLE api_key DROP COLUMN wallet" \
		"ALTER TABLE api_key DROP COLUMN account" "ALTER TABLE api_key DROP COLUMN spent" \
		"DROP TABLE account" "DROP TABLE wallet" \
		"DROP TABLE key_label" "DROP INDEX api_key_owner" "ALTER TABLE api_key DROP COLUMN owner" \
		"DROP INDEX api_key_models" "ALTER TABLE api_key DROP COLUMN models" \
		"DROP INDEX api_key_group" "ALTER TABLE api_key DROP COLUMN in_group" "DROP TABLE key_group" \
		"DROP TABLE model_set" "DROP TABLE model" \
		"DROP TABLE state" "DROP TABLE key_batch" \
		"PRAGMA user_version = 1"
}
set_layout() {
	local config=$PIN/maps/kf_config bytes
	bytes=$(bpftool -j map lookup pinned "$config" key 0 0 0 0 |
		json "' '.join(str(int(b, 16)) for b in d['value'][:8] + ['$1'] + d['value'][9:])")
	# shellcheck disable=SC2086 # a number each
	must "another layout" bpftool map update pinned "$config" key 0 0 0 0 value $bytes
}
# not_started CAUSE MEND: the start fails so, and changes nothing.
not_started() {
	local output
	# shellcheck disable=SC2046
	output=$(server timeout 20 $(daemon_command) 2>&1) && fail "it started"
	[[ $output == *"$1"*"; "*"$2"* ]] || fail "expected '$1' and the mend '$2': $output"
	[ "$(store 'PRAGMA user_version')" = 1 ] || fail "the store was migrated by a start that failed"
	denied "while no daemon could start" -H "$(bearer "$UNKNOWN")"
}

old_store
sed -i 's/^flows_max .*/flows_max 16384/' "$WORK/keyfilterd.conf"
not_started "flows_max 8192, the setting is 16384" "set it back"
ok "other sizes: not started, and the store is as it was"
write_config

set_layout 0x01
not_started "has layout 1, this keyfilterd knows" "keyfilterd --unload"
ok "another layout: not started, and the store is as it was"

unload
nothing_left
ok "--unload takes off what another layout left"
start_daemon
[ "$(ctl --json service show api | json 'd["penalty_failures"]')" = 0 ] ||
	fail "a service from before penalties got them: $(ctl service show api)"
[ "$(store 'PRAGMA user_version')" = 9 ] || fail "the store was not migrated"
served "after" -H "$(bearer "$KEY")"
refused "after" unknown_key -H "$(bearer "$UNKNOWN")"
