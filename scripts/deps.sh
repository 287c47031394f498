#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# deps.sh [WHAT]... - installs the Debian packages that are missing for WHAT, and mounts bpffs where
# programs will be loaded and it is not. Says nothing and changes nothing when all is there; needs root
# otherwise. No service is started, and none is set up to be.
#
#   build  to compile; the default                   demo  to run the demonstration
#   run    what an installed keyfilterd needs        vm    for the tests in emulated machines
#   lint   for the rules of the house
#   check  for the tests, with other people's        boot  for the tests under a real systemd
#          clients and servers, beside build
#
# deps.sh list [WHAT]... - prints the names instead.
set -euo pipefail

# A|B: the first one is installed where neither is.
build=(clang gcc make pkg-config libc6-dev linux-libc-dev libbpf-dev libxdp-dev bpftool libmnl-dev
	libmicrohttpd-dev libjansson-dev 'libcurl4-gnutls-dev|libcurl4-openssl-dev|libcurl4-nss-dev'
	libsystemd-dev libsqlite3-dev)
# The libraries, by the names of Debian 12 and 13; libxdp1 brings its dispatcher as well.
run=(libbpf1 libxdp1 libmnl0 'libmicrohttpd12|libmicrohttpd12t64' libjansson4
	'libcurl3-gnutls|libcurl3t64-gnutls' libsystemd0 libsqlite3-0)
network=(curl iproute2 procps util-linux)
check=(libcmocka-dev xdp-tools python3 nftables tcpdump ethtool libpcre2-8-0 'libssl3|libssl3t64')
# The SDKs' tests take whichever of these is there, from Debian or not.
command -v node > /dev/null || check+=(nodejs)
command -v npm > /dev/null || check+=(npm)
command -v javac > /dev/null || check+=(default-jdk-headless)
vm=(qemu-system-x86 busybox-static cpio xz-utils kmod python3 curl iproute2 nftables xdp-tools bpftool
	util-linux ethtool)
boot=(debootstrap systemd-container)
lint=(clang-format clang-tidy python3)

list=
if [ "${1:-}" = list ]; then
	list=1
	shift
fi
wanted=()
runs= # will programs be loaded?
nginx=
for what in "${@:-build}"; do
	case $what in
	build) wanted+=("${build[@]}") ;;
	run) wanted+=("${run[@]}") ;;
	demo) wanted+=("${build[@]}" "${network[@]}" python3) runs=1 ;;
	check) wanted+=("${build[@]}" "${network[@]}" "${check[@]}" "${boot[@]}") runs=1 nginx=1 ;;
	boot) wanted+=("${boot[@]}" "${network[@]}" python3) ;;
	vm) wanted+=("${vm[@]}") ;;
	lint) wanted+=("${lint[@]}") ;;
	*) echo "usage: deps.sh [list] [build|run|check|demo|boot|lint|vm]..." >&2; exit 2 ;;
	esac
done

die() { echo "deps.sh: $*" >&2; exit 1; }

command -v dpkg-query > /dev/null ||
	die "this is no Debian; install what matches these by hand: ${wanted[*]%%|*}"

# Of A|B the one that is installed, else the first that apt knows.
choose() {
	local name
	for name in ${1//|/ }; do
		! grep -qxF "$name" <<< "$installed" || { echo "$name"; return; }
	done
	for name in ${1//|/ }; do
		! apt-cache show -q "$name" > /dev/null 2>&1 || { echo "$name"; return; }
	done
	echo "${1%%|*}"
}

# shellcheck disable=SC2046 # names have no spaces
installed=$(dpkg-query -W -f '${db:Status-Status} ${Package}\n' $(tr '|' ' ' <<< "${wanted[*]}") \
	2> /dev/null | sed -n 's/^installed //p' || true)
if [ -n "$list" ]; then
	for choice in "${wanted[@]}"; do choose "$choice"; done | tr '\n' ' ' | sed 's/ $/\n/'
	exit
fi
missing=()
for choice in "${wanted[@]}"; do
	grep -qxE "$choice" <<< "$installed" || missing+=("$choice")
done

log=$(mktemp)
trap 'rm -f "$log"' EXIT

# Whoever installs a package may want its service; we want none. An own policy-rc.d(8) is kept.
without_services() {
	local policy=/usr/sbin/policy-rc.d status=0
	[ ! -e $policy ] || { "$@"; return; }
	printf '#!/bin/sh\nexit 101\n' > $policy
	chmod 755 $policy
	"$@" || status=$?
	rm -f $policy
	return $status
}

install_packages() {
	local names=() choice
	export DEBIAN_FRONTEND=noninteractive
	apt-get update -qq || return
	for choice in "${missing[@]}"; do names+=("$(choose "$choice")"); done
	echo "installing ${names[*]}" >&3
	without_services apt-get install -y -qq --no-install-recommends "${names[@]}"
}

if [ ${#missing[@]} -gt 0 ]; then
	[ "$(id -u)" -eq 0 ] || die "missing: ${missing[*]%%|*}; run it as root to have them installed"
	install_packages 3>&1 > "$log" 2>&1 < /dev/null ||
		{ tail -n 20 "$log" >&2; die "apt-get failed; its last lines are above"; }
fi

# nginx is unpacked beside the tests' other things and not installed: its package would start it at
# every boot. Without it one test is skipped.
unpack_nginx() {
	local to=${XDG_CACHE_HOME:-$HOME/.cache}/keyfilter/nginx package
	! command -v nginx > /dev/null || return 0
	[ ! -x "$to/usr/sbin/nginx" ] || return 0
	rm -rf "$to.new"
	mkdir -p "$to.new"
	[ -n "$(apt-cache madison nginx)" ] || apt-get update -qq
	for package in nginx nginx-light; do # the program is in either, by the release
		(cd "$to.new" && apt-get download -qq "$package" && dpkg-deb -x "$package"_*.deb .) || return
		[ ! -x "$to.new/usr/sbin/nginx" ] || break
	done
	rm -rf "$to"
	mv "$to.new" "$to"
}
[ -z "$nginx" ] || unpack_nginx > "$log" 2>&1 < /dev/null ||
	echo "deps.sh: cannot unpack nginx, its test will be skipped: $(tail -n 1 "$log")" >&2

if [ -n "$runs" ] && [ "$(stat -f -c %T /sys/fs/bpf 2> /dev/null)" != bpf_fs ]; then
	[ "$(id -u)" -eq 0 ] || die "no bpffs at /sys/fs/bpf; run as root to have it mounted"
	mount -t bpf bpf /sys/fs/bpf ||
		die "cannot mount bpffs at /sys/fs/bpf; in a container, start it with CAP_SYS_ADMIN"
	echo "mounted bpffs at /sys/fs/bpf"
fi
