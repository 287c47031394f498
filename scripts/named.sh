#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# named.sh [DIR] - checks that the C files which comments and the README below DIR (the source tree)
# name are there: by their name, or by the end of their path (api/key.c). A line that says Linux may
# name a file of the kernel. Prints what is wrong as FILE:LINE; exits 1 if there is something.
set -uo pipefail

cd "${1:-$(dirname "$0")/..}" || exit 1

find README.md bpf include userspace tools \( -name '*.[ch]' -o -name '*.sql' -o -name '*.md' \) |
	sort | xargs awk -v present="$(find . -name '*.[ch]' -not -path './build*')" '
BEGIN {
	n = split(present, paths, "\n")
	for (i = 1; i <= n; i++) {
		path = paths[i]
		while (sub(/^[^\/]*\//, "", path)) there[path]
	}
}
/^[ \t]*#[ \t]*include/ || /Linux/ { next }
{
	line = $0
	while (match(line, /[A-Za-z0-9_\/*.-]*[A-Za-z0-9_]\.[ch]($|[^A-Za-z0-9_-])/)) {
		name = substr(line, RSTART, RLENGTH)
		line = substr(line, RSTART + RLENGTH)
		if (name ~ /\.$/ && line ~ /^[A-Za-z0-9]/) continue # an address a.b.c.d
		sub(/[^A-Za-z0-9_]$/, "", name) # what follows the name
		if (name ~ /^\/|\*|^NOUN\.c$|\.skel\.h$/ || name in there) continue
		printf "%s:%d: there is no file %s\n", FILENAME, FNR, name
		status = 1
	}
}
END { exit status }'
