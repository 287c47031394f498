#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# lint.sh [BUILD_DIR] - the floors of userspace (floors.sh), the files that comments name (named.sh),
# the names of functions (prefixes.sh), how long files and functions are (lengths.sh), how errors go on,
# the list of tests/vm, clang-format over all of the C, clang-tidy over userspace (.clang-tidy says what it
# looks for). Changes nothing; exits 1 if there is something to mend.
set -uo pipefail

cd "$(dirname "$0")/.." || exit 1
build=${1:-build}
status=0

scripts/floors.sh || status=1
scripts/named.sh || status=1
scripts/prefixes.sh || status=1
scripts/lengths.sh || status=1
if git grep -nE '\<(err|more|q\.err)[[:space:]]*\?:' -- 'userspace/*.c'; then
	echo "lint: these go on after an error by ?:, which clang-format tears apart; write if (!err)"
	status=1
fi
tests/vm/run.sh --list > /dev/null || status=1
git ls-files -z '*.c' '*.h' | xargs -0 clang-format --dry-run -Werror || status=1
clang-tidy --quiet $(git ls-files 'userspace/*.c') -- -std=gnu11 -D_GNU_SOURCE -Iinclude \
	-Iuserspace/lib -iquote userspace/daemon -I"$build" -DKF_VERSION='""' -DKF_PREFIX='""' \
	2> /dev/null || status=1
exit $status
