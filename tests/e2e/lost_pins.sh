#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# Pins that somebody took away, or a BPF file system mounted anew: the program on the interface goes on
# with its maps. The next start finds them there, a revocation is in force, and --unload takes it off.
. "$(dirname "$0")/lib.sh"

start_all "${MODE:-native}"
make_key KEY good
make_key OTHER off

NAMES=$(ls "$PIN/maps" | tr '\n' ' ')

# Where libxdp pins what its dispatcher on s0 runs, if it has one there.
dispatcher() {
	server ip -d link show s0 | sed -n 's/^\([0-9]*\): .*/\1/p; s/.*prog\/xdp.* id \([0-9]*\) .*/\1/p' |
		{ read -r index; read -r id; echo "/sys/fs/bpf/xdp/dispatch-$index-$id"; }
}

# The ids of the maps of ours that the program on s0 uses; it has some of its own beside.
in_use() {
	local id held
	id=$(server ip -d link show s0 | sed -n 's/.*prog\/xdp.* id \([0-9]*\) .*/\1/p')
	held=$(dispatcher)
	{
		if [ -e "$held" ]; then bpftool -j prog show pinned "$held/prog0-prog"; else bpftool -j prog show id "$id"; fi
		bpftool -j map show
	} | "$PYTHON" -c "
import json, sys
program, maps = map(json.loads, sys.stdin.read().splitlines())
print(sorted(m['id'] for m in maps if m['id'] in program['map_ids'] and m.get('name') in '$NAMES'.split()))"
}
ids=$(in_use)
[[ $ids == *,* ]] || fail "no XDP program is on s0: $(server ip -d link show s0)"

in_force() {
	served "$1: a good key" -H "$(bearer "$KEY")"
	must "key enable" ctl key enable "$OTHER_ID"
	served "$1: enabled" -H "$(bearer "$OTHER")"
	must "key disable" ctl key disable "$OTHER_ID"
	refused "$1: disabled" key_disabled -H "$(bearer "$OTHER")"
	[ "$(in_use)" = "$ids" ] || fail "$1: the program on s0 uses other maps than before"
	await 5 ctl_is_good || fail "$1: $(ctl status)"
	for map in "$PIN"/maps/*; do
		[[ $map == */kf_answers || $ids == *"$(bpftool -j map show pinned "$map" | json 'd["id"]')"* ]] ||
			fail "$1: $map is not the map that the program on s0 uses"
	done
}
ctl_is_good() { ctl status | grep -q '^health *good$'; }

in_force "before"
served_before=$(counter requests_admitted)
kill_daemon
rm "$PIN/maps/kf_config"
start_daemon
in_force "kf_config taken away"

kill_daemon
for map in kf_slots kf_tags kf_flows kf_services kf_penalties kf_counters; do rm "$PIN/maps/$map"; done
rm -f "$PIN"/links/*-in "$PIN"/links/*-out
start_daemon
in_force "six maps and the links taken away"
[ "$(counter requests_admitted)" -gt "$served_before" ] || fail "the counters begin anew"

kill_daemon
rm "$PIN/maps/kf_config" "$PIN/maps/kf_tags"
must "bpftool" bpftool map create "$PIN/maps/kf_tags" type hash key 16 value 4 entries 4096 name kf_tags flags 1
start_daemon
in_force "kf_tags is the pin of another map"

# A dispatcher without its pins runs nothing any more: maps that only XDP uses are lost then.
remove_all() {
	local held
	held=$(dispatcher)
	rm -r "$PIN"
	[ -e "$held" ] || return 0
	rm -r "$held"
	ids=
}

kill_daemon
remove_all
start_daemon
ids=${ids:-$(in_use)}
in_force "all pins were taken away, as by mounting bpffs anew"

# While the controller runs, too.
remove_all
await "${PUT_BACK_S:-10}" test -e "$PIN/maps/kf_config" || fail "the pins were not made again: $(find "$PIN")"
await "${PUT_BACK_S:-10}" ctl_is_good || fail "pins made again: $(ctl status)"
ids=${ids:-$(in_use)}
in_force "all pins were taken away from a running controller"
grep -q 'were taken away by someone else; made again' "$DAEMON_LOG" || fail "the log does not say so"

# Another pin directory holds them: two controllers must not share one installation's keys.
kill_daemon
mv "$PIN" "$PIN-moved"
# shellcheck disable=SC2046
told=$(server timeout $((20 * PATIENCE)) $(daemon_command) 2>&1) && fail "it started beside $PIN-moved"
[[ $told == *"$PIN-moved"* ]] || { mv "$PIN-moved" "$PIN"; fail "it does not name $PIN-moved: $told"; }
rm -rf "$PIN"
mv "$PIN-moved" "$PIN"
ok "maps pinned elsewhere: $told"

# --unload finds what runs through the interface.
rm -r "$PIN"
# shellcheck disable=SC2046
told=$(server $(daemon_command) --state-dir "$WORK/none" --unload 2>&1) &&
	fail "unload claims success without knowing whose program it is: $(server ip link show s0)"
[[ $told == *s0* ]] || fail "unload does not name s0: $told"
ok "unload without pins and without the secret: $told"
must "unload" server $(daemon_command) --unload
nothing_on() { ! server ip link show s0 | grep -q xdp; }
nothing_on || fail "unloaded, and XDP is still on s0"
status=$(request unloaded)
[ "$status" = 200 ] || fail "unloaded, and a request gets $status"
MAP_IDS=${ids//[^0-9 ]/}
nothing_left
ok "unloaded without pins: nothing left, served without a key"
