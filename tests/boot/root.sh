#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# root.sh - makes a small Debian of this machine's own release, with systemd, make and what an installed
# keyfilterd needs (scripts/deps.sh list run), and prints the directory it is in. It is made once, into
# ${XDG_CACHE_HOME:-~/.cache}/keyfilter, from the mirror that apt uses here, and never changed: who boots
# it lays something to write to above it. Ends with 77 where it cannot be made here.
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
cache=${XDG_CACHE_HOME:-$HOME/.cache}/keyfilter
PATH=$PATH:/usr/sbin:/sbin

skip() { echo "root.sh: $*" >&2; exit 77; }

[ "$(id -u)" -eq 0 ] || skip "a root directory is made by root"
command -v debootstrap > /dev/null || skip "no debootstrap; scripts/deps.sh boot installs it"
release=$(sed -n 's/^VERSION_CODENAME=//p' /etc/os-release)
mirror=$(apt-get indextargets --format '$(SITE) $(CODENAME) $(COMPONENT)' 'Created-By: Packages' |
	awk -v release="$release" '$2 == release && $3 == "main" { print $1; exit }')
[ -n "$mirror" ] || skip "apt has no mirror of $release here"

packages=$("$here/../../scripts/deps.sh" list run)
packages="systemd systemd-sysv make $packages"
root=$cache/root-$release-$(dpkg --print-architecture)-$(cksum <<< "$packages" | cut -d ' ' -f 1)

mkdir -p "$cache"
exec 9> "$cache/root.lock"
flock 9 # two tests may ask at once
if [ ! -e "$root" ]; then
	rm -rf "$root.new"
	trap 'rm -rf "$root.new"' EXIT
	debootstrap --variant=minbase --include="${packages// /,}" "$release" "$root.new" "$mirror" \
		> "$cache/debootstrap.log" 2>&1 < /dev/null ||
		skip "debootstrap failed: $(tail -n 1 "$cache/debootstrap.log")"
	rm -rf "$root.new"/var/cache/apt/archives/*.deb "$root.new"/var/lib/apt/lists/*
	rm -f "$root.new/etc/machine-id"
	mv "$root.new" "$root"
fi
echo "$root"
