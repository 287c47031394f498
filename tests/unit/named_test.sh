#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# scripts/named.sh: the tree as it is passes; a comment that names a file which is not there fails,
# and is told by its line.
set -uo pipefail

named=$(cd "$(dirname "$0")/../.." && pwd)/scripts/named.sh
tree=$(mktemp -d)
trap 'rm -rf "$tree"' EXIT
fail() { echo "  FAIL  $*"; exit 1; }

mkdir -p "$tree"/{bpf,include,tools,userspace/api}
echo '/* a.c, then api/b.h. Linux has net/c.h, the build main.skel.h */' > "$tree/userspace/api/b.h"
printf '#include "gone.h"\nint a; /* NOUN.c has one, (b.h) too */\n' > "$tree/bpf/a.c"
echo 'the tour: `api/b.h`, `bpf/a.c`' > "$tree/README.md"

"$named" || fail "the tree as it is"
echo "  ok    the tree as it is"
said=$("$named" "$tree") || fail "a good tree is refused: $said"
[ -z "$said" ] || fail "a good tree: expected no words, got: $said"
echo "  ok    a tree whose comments name what there is"

# expect_refused WORDS NAME: a comment with these words, which name the file NAME
expect_refused() {
	printf '/* one */\n/* %s */\n' "$1" > "$tree/tools/d.c"
	said=$("$named" "$tree") && fail "$1: let through"
	[ "$said" = "tools/d.c:2: there is no file $2" ] || fail "$1: got: $said"
	echo "  ok    refused: $1"
}

expect_refused 'see gone.c' gone.c
expect_refused 'see api_b.h.' api_b.h
expect_refused 'a.c calls store/b.h,' store/b.h
expect_refused '(the end of x.bpf.c)' x.bpf.c
expect_refused 'pi/b.h' pi/b.h
