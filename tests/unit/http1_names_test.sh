#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# include/keyfilter/http1_names.h is what scripts/http1_names.py makes. That each name is found in its place
# is http1_test's.
set -uo pipefail

root=$(cd "$(dirname "$0")/../.." && pwd)
python3 "$root/scripts/http1_names.py" | diff - "$root/include/keyfilter/http1_names.h" || {
	echo "  FAIL  the table is another one; make it with scripts/http1_names.py"
	exit 1
}
echo "  ok    the table of names is the one that its generator makes"
