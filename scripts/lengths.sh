#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# lengths.sh [DIR] - checks that the C files below DIR (.) stay short: none of 600 lines or more; of all but
# the tests half below 200 lines, no function of more than 80, and 95 of 100 functions below 45. Prints
# what is wrong; exits 1 if there is something.
set -uo pipefail

cd "${1:-$(dirname "$0")/..}" || exit 1

find bpf include userspace tools tests -name '*.[ch]' | sort | xargs awk '
# What has rank @part of 100 among the @n counts, of which sorted[length] are that long.
function percentile(counts, n, part, length_, seen) {
	for (length_ = 0; seen * 100 < n * part; length_++) seen += counts[length_]
	return length_ - 1
}
function wrong(text) { print text; status = 1 }
function end_file() {
	if (last == "") return
	if (lines >= 600) wrong(last ": " lines " lines, and a file has less than 600")
	if (last !~ /^tests\//) { files[lines]++; file_count++ }
}
FNR == 1 { end_file(); last = FILENAME; begin = 0 }
{ lines = FNR }
/^{/ { begin = FNR }
/^}/ && begin {
	long = FNR - begin + 1
	begin = 0
	if (FILENAME ~ /^tests\//) next
	functions[long]++
	function_count++
	if (long > 80) wrong(FILENAME ":" FNR ": a function of " long " lines, and none has more than 80")
}
END {
	end_file()
	if (percentile(files, file_count, 50) >= 200) wrong("half of the files have 200 lines or more")
	if (percentile(functions, function_count, 95) >= 45) wrong("5 of 100 functions have 45 lines or more")
	exit status
}'
