#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# deps.sh [build|check|demo|vm]... - installs the Debian packages that are missing for it, and mounts
# bpffs where it is not. Says nothing and changes nothing when all is there; needs root otherwise.
# No package here starts a service. `check` and `demo` include `build`; `vm` is for tests/vm alone.
set -euo pipefail

# A|B: the first one is installed where neither is.
build=(clang llvm gcc make pkg-config libc6-dev libbpf-dev libxdp-dev xdp-tools bpftool libmnl-dev
	libmicrohttpd-dev libjansson-dev 'libcurl4-gnutls-dev|libcurl4-openssl-dev|libcurl4-nss-dev'
	libsystemd-dev libsqlite3-dev libcmocka-dev linux-libc-dev)
network=(curl iproute2 procps util-linux)
check=(python3 nftables tcpdump ethtool)
# The SDKs' tests take whichever of these is there, from Debian or not.
command -v node > /dev/null || check+=(nodejs)
command -v npm > /dev/null || check+=(npm)
command -v javac > /dev/null || check+=(default-jdk-headless)
vm=(qemu-system-x86 busybox-static cpio xz-utils kmod python3 curl iproute2 nftables xdp-tools bpftool
	util-linux ethtool)

wanted=()
runs= # will programs be loaded?
for what in "${@:-build}"; do
	case $what in
	build) wanted+=("${build[@]}") ;;
	demo) wanted+=("${build[@]}" "${network[@]}" python3) runs=1 ;;
	check) wanted+=("${build[@]}" "${network[@]}" "${check[@]}") runs=1 ;;
	vm) wanted+=("${vm[@]}") ;;
	*) echo "usage: deps.sh [build|check|demo|vm]..." >&2; exit 2 ;;
	esac
done

die() { echo "deps.sh: $*" >&2; exit 1; }

command -v dpkg-query > /dev/null ||
	die "this is no Debian; install what matches these by hand: ${wanted[*]%%|*}"

# shellcheck disable=SC2046 # names have no spaces
installed=$(dpkg-query -W -f '${db:Status-Status} ${Package}\n' $(tr '|' ' ' <<< "${wanted[*]}") \
	2> /dev/null | sed -n 's/^installed //p' || true)
missing=()
for choice in "${wanted[@]}"; do
	grep -qxE "$choice" <<< "$installed" || missing+=("${choice%%|*}")
done

if [ ${#missing[@]} -gt 0 ]; then
	[ "$(id -u)" -eq 0 ] || die "missing: ${missing[*]}; run 'make deps' as root to install them"
	echo "installing ${missing[*]}"
	export DEBIAN_FRONTEND=noninteractive
	log=$(mktemp)
	trap 'rm -f "$log"' EXIT
	{ apt-get update -qq && apt-get install -y -qq --no-install-recommends "${missing[@]}"; } \
		> "$log" 2>&1 < /dev/null || { tail -n 20 "$log" >&2; die "apt-get failed; its last lines are above"; }
fi

if [ -n "$runs" ] && [ "$(stat -f -c %T /sys/fs/bpf 2> /dev/null)" != bpf_fs ]; then
	[ "$(id -u)" -eq 0 ] || die "no bpffs at /sys/fs/bpf; run as root to have it mounted"
	mount -t bpf bpf /sys/fs/bpf ||
		die "cannot mount bpffs at /sys/fs/bpf; in a container, start it with CAP_SYS_ADMIN"
	echo "mounted bpffs at /sys/fs/bpf"
fi
