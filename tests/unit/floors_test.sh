#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# scripts/floors.sh: the tree as it is passes; a tree with one include that goes up, sideways, round
# in a circle or into a folder without a floor fails, and is told by its line.
set -uo pipefail

floors=$(cd "$(dirname "$0")/../.." && pwd)/scripts/floors.sh
tree=$(mktemp -d)
trap 'rm -rf "$tree"' EXIT
fail() { echo "  FAIL  $*"; exit 1; }

# A tree in which each folder has a.h and a.c, and may include what stands below it.
make_tree() {
	rm -rf "${tree:?}"/*
	mkdir -p "$tree"/lib "$tree"/ctl "$tree"/daemon/{base,store,maps,net,policy,attach,traffic,api}
	for folder in "$tree"/lib "$tree"/daemon/*; do
		echo '/* nothing */' > "$folder/a.h"
	done
	echo 'int loop;' > "$tree/daemon/loop.h"
	echo 'int a;' > "$tree/lib/why.h"
	printf '#include <errno.h>\n#include "why.h"\n#include "maps/a.h"\n' > "$tree/daemon/policy/b.h"
	printf '#include "policy/b.h"\n#include "traffic/a.h"\n' > "$tree/daemon/api/b.c"
	printf '#include "api/a.h"\n#include "bpf/made.skel.h"\n' > "$tree/daemon/main.c"
}

# expect_refused FILE INCLUDED WORDS: the good tree with one more include
expect_refused() {
	local said
	make_tree
	printf '/* one */\n#include "%s"\n' "$2" > "$tree/$1"
	said=$("$floors" "$tree") && fail "$1 may include $2"
	[[ $said == *"$1:2: "*"$3"* ]] || fail "$1 includes $2; expected $1:2 and '$3', got: $said"
	[ "$(wc -l <<< "$said")" = 1 ] || fail "$1 includes $2; expected one line, got: $said"
	echo "  ok    $1 must not include $2"
}

"$floors" || fail "the tree as it is"
echo "  ok    the tree as it is"
make_tree
said=$("$floors" "$tree") || fail "a good tree is refused: $said"
[ -z "$said" ] || fail "a good tree: expected no words, got: $said"
echo "  ok    a tree whose includes all go down"

higher='is on a higher floor' beside='is on the same floor'
expect_refused lib/c.c base/a.h "daemon/base/a.h $higher"
expect_refused daemon/base/c.h store/a.h "daemon/store/a.h $higher"
expect_refused daemon/store/c.c policy/a.h "daemon/policy/a.h $higher"
expect_refused daemon/attach/c.h traffic/a.h "daemon/traffic/a.h $higher"
expect_refused daemon/traffic/c.c api/a.h "daemon/api/a.h $higher"
expect_refused daemon/api/c.c loop.h "daemon/loop.h $higher"
expect_refused daemon/maps/c.c net/a.h "daemon/net/a.h $beside"
expect_refused daemon/policy/c.h attach/a.h "daemon/attach/a.h $beside"
expect_refused ctl/c.c base/a.h "daemon/base/a.h $beside"
expect_refused daemon/api/c.c ../store/a.h 'by its path from daemon'
expect_refused daemon/api/c.c gone.h 'gone.h is no header'

make_tree
mkdir "$tree/daemon/attic"
echo 'int c;' > "$tree/daemon/attic/c.c"
said=$("$floors" "$tree") && fail "a folder that has no floor is let through"
[[ $said == *'daemon/attic has no floor'* ]] || fail "a folder without a floor: $said"
echo "  ok    a folder must have a floor"

make_tree
printf '#include "policy/d.h"\n' > "$tree/daemon/policy/c.h"
printf '#include "policy/e.h"\n' > "$tree/daemon/policy/d.h"
printf '#include "policy/c.h"\n' > "$tree/daemon/policy/e.h"
said=$("$floors" "$tree") && fail "three headers that include each other in a circle are let through"
[[ $said == *'a circle of headers:'*daemon/policy/[cde].h*daemon/policy/[cde].h* ]] ||
	fail "a circle of headers: $said"
[ "$(wc -l <<< "$said")" = 1 ] || fail "a circle of headers; expected one line, got: $said"
echo "  ok    no circle of headers"
