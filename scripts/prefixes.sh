#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# prefixes.sh [DIR] - checks that each function of bpf and include/keyfilter below DIR (.) tells by its name
# where it is: kf_ and the name of its file, or of the module that the file is a part of (up to the
# first underscore: http1_field.h has kf_http1_*), or of what the file is the state or the hash of
# (flowstate.h has kf_flow_*). Prints what is wrong as FILE:LINE; exits 1 if there is something.
set -uo pipefail

cd "${1:-$(dirname "$0")/..}" || exit 1

# abi*.h and maps.bpf.h have what is the maps'; an entry point's name is its program's.
find bpf include/keyfilter -name '*.h' ! -name 'abi*.h' ! -name maps.bpf.h | sort | xargs awk '
FNR == 1 {
	file = FILENAME
	sub(/.*\//, "", file)
	sub(/\..*/, "", file)
	module = file
	sub(/_.*/, "", module)
	subject = file
	sub(/(state|hash)$/, "", subject)
}
/^(static|__noinline|KF_INLINE)[^;=]*[ *]kf_[a-z0-9_]+\(/ {
	match($0, /[ *]kf_[a-z0-9_]+\(/)
	name = substr($0, RSTART + 4, RLENGTH - 5)
	if (name != file && index(name, file "_") != 1 && index(name, module "_") != 1 &&
	    name != subject && index(name, subject "_") != 1) {
		printf "%s:%d: kf_%s has not the name of its file\n", FILENAME, FNR, name
		status = 1
	}
}
END { exit status }
'
