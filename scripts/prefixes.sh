#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# prefixes.sh [DIR] - checks that each function below DIR (.) tells by its name where it is. In bpf and
# include/keyfilter: kf_ and the name of its file, or of the module that the file is a part of (up to the
# first underscore: http1_field.h has kf_http1_*), or of what the file is the state or the hash of
# (flowstate.h has kf_flow_*). In userspace what other files may call: kf_ and its folder below daemon
# (policy/key.c has kf_policy_*), and where there is none, as in base, lib and ctl, the module. Prints what
# is wrong as FILE:LINE; exits 1 if there is something.
set -uo pipefail

cd "${1:-$(dirname "$0")/..}" || exit 1

# abi*.h and maps.bpf.h have what is the maps'; an entry point's name is its program's.
{
	find bpf include/keyfilter -name '*.h' ! -name 'abi*.h' ! -name maps.bpf.h
	find userspace -name '*.c'
} | sort | xargs awk '
FNR == 1 {
	file = FILENAME
	sub(/.*\//, "", file)
	sub(/\..*/, "", file)
	module = file
	sub(/_.*/, "", module)
	subject = file
	sub(/(state|hash)$/, "", subject)
	user = FILENAME ~ /^userspace\//
	folder = ""
	if (user && match(FILENAME, /daemon\/[a-z]+\//)) {
		folder = substr(FILENAME, RSTART + 7, RLENGTH - 8)
		if (folder != "base") file = module = subject = folder
	}
}
# kf_sql_*: the language in which the files of store talk to SQLite; kf_cleanup_*: as cleanup.h names them
function is_free(name) {
	return FILENAME ~ /^userspace\/daemon\/store\// && name ~ /^sql_/ || user && name ~ /^cleanup_/
}
function starts(name, with) { return name == with || index(name, with "_") == 1 }
{
	if (user) defines = /^[a-z][^;={]*[ *]kf_[a-z0-9_]+\(/ && !/^(static|typedef|extern) /
	else defines = /^(static|__noinline|KF_INLINE)[^;=]*[ *]kf_[a-z0-9_]+\(/
	if (!defines) next
	match($0, /[ *]kf_[a-z0-9_]+\(/)
	name = substr($0, RSTART + 4, RLENGTH - 5)
	if (!starts(name, file) && !starts(name, module) && !starts(name, subject) && !is_free(name)) {
		printf "%s:%d: kf_%s has not the name of its %s\n", FILENAME, FNR, name,
			user && file == folder ? "folder" : "file"
		status = 1
	}
}
END { exit status }
'
