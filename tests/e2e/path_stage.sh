# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
# path_stage.sh - a stage whose veth pair has a path in its middle (path.py), for scripts that source it behind
# lib.sh. PATH_ARGUMENTS: delay in seconds, percent lost, percent overtaken. The path carries frames as a wire
# does, so they have whole checksums and are no longer than it.

make_link() {
	local middle=kfp-$NAME-$$ device
	EXTRA_NS+=("$middle")
	make_ns "$middle"
	ip -n "$1" link add "$2" type veth peer name p0 netns "$middle" || fail "cannot make a veth pair"
	ip -n "$middle" link add p1 type veth peer name "$4" netns "$3" || fail "cannot make a veth pair"
	for device in "$1 $2" "$middle p0" "$middle p1" "$3 $4"; do
		# shellcheck disable=SC2086 # two words, on purpose
		set_link $device
	done
	# shellcheck disable=SC2086
	become_in_ns "$middle" "$PYTHON" -u "$HERE/path.py" p0 p1 $PATH_ARGUMENTS &
	PIDS+=($!)
}

set_link() {
	must "offloads off" in_ns "$1" ethtool -K "$2" tx off tso off gso off gro off
	ip -n "$1" link set "$2" up
}
