#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# floors.sh [DIR] - checks that the files below DIR (userspace) include their own folder's headers or
# those of a lower floor, never of one beside or above, by their path from daemon, and that no headers
# include each other in a circle. Prints what is wrong as FILE:LINE; exits 1 if there is something.
set -uo pipefail

cd "${1:-$(dirname "$0")/../userspace}" || exit 1

# From the lowest: the folders of a line stand beside each other. daemon: what is in no folder of it.
floors='
lib
daemon/base ctl
daemon/store
daemon/maps daemon/net daemon/ledger
daemon/policy daemon/attach
daemon/traffic
daemon/api daemon/fleet
daemon
'

find . -name '*.[ch]' | sort | xargs awk -v floors="$floors" '
function folder(path) { return path ~ /\// ? substr(path, 1, match(path, /\/[^\/]*$/) - 1) : "" }
function wrong(text) { printf "%s:%d: %s\n", path, FNR, text; status = 1 }
# The file that the compiler finds by that name: beside the including one, in lib, in daemon.
function found(name, beside) {
	if (beside "/" name in is_file) return beside "/" name
	if ("lib/" name in is_file) return "lib/" name
	if ("daemon/" name in is_file) return "daemon/" name
	return ""
}
function walk(header, way, i, n, next_ones) {
	if (header in on_way) {
		printf "%s: a circle of headers:%s %s\n", header, substr(way, index(way, " " header)), header
		status = 1
		return
	}
	if (header in walked) return
	on_way[header]
	n = split(includes[header], next_ones, " ")
	for (i = 1; i <= n; i++) walk(next_ones[i], way " " header)
	delete on_way[header]
	walked[header]
}
BEGIN {
	n = split(floors, lines, "\n")
	for (i = 1; i <= n; i++) {
		m = split(lines[i], names, " ")
		for (j = 1; j <= m; j++) floor[names[j]] = i
	}
	for (i = 1; i < ARGC; i++) is_file[substr(ARGV[i], 3)]
}
FNR == 1 {
	path = substr(FILENAME, 3)
	mine = folder(path)
	if (!(mine in floor)) wrong("the folder " mine " has no floor in scripts/floors.sh")
}
/^[ \t]*#[ \t]*include[ \t]*"/ {
	split($0, quoted, "\"")
	to = found(quoted[2], mine)
	if (quoted[2] ~ /^bpf\/[a-z_]*\.skel\.h$/) next # made by the build
	if (to == "") {
		wrong(quoted[2] " is no header of lib and none by its path from daemon")
		next
	}
	theirs = folder(to)
	if (theirs != mine && floor[theirs] == floor[mine]) wrong(to " is on the same floor")
	else if (floor[theirs] > floor[mine]) wrong(to " is on a higher floor")
	if (path ~ /\.h$/) includes[path] = includes[path] " " to
}
END {
	for (header in includes) walk(header, "")
	exit status
}'
