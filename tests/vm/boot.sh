#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# boot.sh [-f DIR]... [-t SECONDS] KERNEL COMMAND...
#
# Boots Debian's cloud kernel KERNEL (6.1 or 6.12) in qemu and runs COMMAND in it, as root, in
# /files, where a copy of each DIR lies, and the libraries of the programs in it where they belong.
# In the machine are busybox, bash, python3, ip, tc, nft, nsenter, bpftool, xdp-loader and curl, and
# nginx where scripts/deps.sh has unpacked it; veth, clsact, nftables, VLANs and sock_diag are loaded;
# the loopback is up and bpffs mounted. COMMAND's output is this script's output and COMMAND's exit
# status its own: 125 where the machine did not get that far (its console is shown then), 77 where the
# kernel cannot be had here.
#
#   tests/vm/boot.sh -f build/bpf 6.1 bpftool prog loadall keyfilter_xdp.bpf.o /sys/fs/bpf/x
#
# The kernels are fetched once, as packages, into ${XDG_CACHE_HOME:-~/.cache}/keyfilter.
set -euo pipefail

cache=${XDG_CACHE_HOME:-$HOME/.cache}/keyfilter
modules=(veth sch_ingress cls_bpf inet_diag tcp_diag nft_chain_nat nft_nat nft_numgen nf_tables 8021q)
programs=(bash ip tc bpftool xdp-loader curl nft nsenter setpriv ethtool /usr/bin/python3
	date timeout stat mktemp) # which busybox has too, with fewer options
PATH=$PATH:/usr/sbin:/sbin

usage() { sed -n '4s/^# /usage: /p' "$0" >&2; exit 2; }
die() { echo "boot.sh: $*" >&2; exit 125; }
skip() { echo "boot.sh: $*" >&2; exit 77; }

# The newest signed package of the wanted series, in whatever form Debian names it.
kernel_package() {
	apt-cache pkgnames "linux-image-$1." | grep -E -- '-cloud-amd64$' | sort -V | tail -n 1
}

# Unpacks the kernel of series $1 below the cache, once, and prints where.
kernel_unpack() {
	local package dir
	package=$(kernel_package "$1")
	[ -n "$package" ] || skip "apt knows no linux-image-$1*-cloud-amd64; run apt-get update"
	dir=$cache/$package
	if [ ! -e "$dir/done" ]; then
		rm -rf "$dir"
		mkdir -p "$dir"
		(cd "$dir" && apt-get download -qq "$package" > apt.log 2>&1) ||
			skip "cannot download $package: $(tail -n 1 "$dir/apt.log")"
		dpkg-deb -x "$dir"/*.deb "$dir"
		rm "$dir"/*.deb
		depmod -b "$dir" "$(ls "$dir/lib/modules")"
		touch "$dir/done"
	fi
	echo "$dir"
}

# Copies modules and what they need to $2, and writes the order to load them in.
copy_modules() {
	local tree to=$2/modules name path
	tree=$(echo "$1"/lib/modules/*)
	mkdir -p "$to"
	for name in "${modules[@]}"; do
		# modules.dep: "PATH: NEEDED...", the nearest need first.
		awk -v name="$name" '{ path = $1; sub(/:$/, "", path)
			if (path ~ "/" name "\\.ko") { for (i = NF; i > 1; i--) print $i; print path }
		}' $tree/modules.dep
	done | awk '!seen[$0]++' | while read -r path; do
		name=$(basename "${path%.xz}")
		case $path in
		*.xz) xz -dc $tree/"$path" > "$to/$name" ;;
		*) cp $tree/"$path" "$to/$name" ;;
		esac
		echo "$name"
	done > "$to/order"
}

# Copies the libraries that program $1 is linked to; a static program has none.
copy_libraries() {
	local library
	ldd "$1" 2> /dev/null | grep -oE '/[^ ]+' | while read -r library; do
		[ -e "$2$library" ] || install -D -m 755 "$library" "$2$library"
	done || true
}

copy_program() {
	local path
	path=$(command -v "$1") || die "no program $1; scripts/deps.sh vm installs it"
	cp -L "$path" "$2/bin/${1##*/}"
	copy_libraries "$path" "$2"
}

# Python's own modules, without those that no test needs, and compiled: in the emulator each start of
# http.client would compile for seconds.
copy_python() {
	local tree module
	tree=$(/usr/bin/python3 -c 'import sys; print("/usr/lib/python%d.%d" % sys.version_info[:2])')
	mkdir -p "$1$tree"
	tar -C "$tree" --exclude=__pycache__ --exclude=test --exclude=idlelib --exclude=lib2to3 \
		--exclude=pydoc_data --exclude='config-*' --exclude=ensurepip --exclude=tkinter \
		--exclude=dist-packages -c . | tar -C "$1$tree" -x
	compile_python "$1$tree"
	find "$1$tree/lib-dynload" -name '*.so' | while read -r module; do
		copy_libraries "$module" "$1"
	done
}

# The result counts whatever time its source bears.
compile_python() {
	/usr/bin/python3 -m compileall -q --invalidation-mode unchecked-hash "$1" || die "cannot compile $1"
}

write_init() {
	cat > "$1/init" <<'INIT'
#!/bin/busybox sh
/bin/busybox --install -s /bin 2> /dev/null # what is there already stays
export PATH=/bin HOME=/tmp
mount -t devtmpfs none /dev
mount -t proc none /proc
ln -s /proc/self/fd /dev/fd # bash makes <(...) of it
mount -t sysfs none /sys
mount -t bpf bpf /sys/fs/bpf
mount -t tmpfs none /tmp
mount -t tmpfs none /run
ulimit -l unlimited
while read -r module; do insmod /modules/$module || echo "insmod $module failed"; done < /modules/order
ip link set lo up
exec < /dev/null > /dev/ttyS1 2>&1
stty raw -echo < /dev/ttyS1
cd /files
/bin/bash /command
echo "boot.sh: exit $?"
sleep 1
poweroff -f
INIT
	chmod 755 "$1/init"
}

make_initramfs() {
	local root=$1/root dir program library
	mkdir -p "$root"/{bin,dev,proc,sys,tmp,run,etc,files,root,var/lib}
	cp "$(command -v busybox)" "$root/bin/busybox"
	copy_modules "$2" "$root"
	copy_python "$root"
	for program in "${programs[@]}"; do
		copy_program "$program" "$root"
	done
	if [ -x "$cache/nginx/usr/sbin/nginx" ]; then
		cp "$cache/nginx/usr/sbin/nginx" "$root/bin/"
		copy_libraries "$root/bin/nginx" "$root"
	fi
	ln -s bash "$root/bin/sh" # busybox's own shell prefers its own ip and tc
	for library in /usr/lib/*/bpf /usr/local/lib/bpf; do # libxdp's dispatcher
		[ ! -d "$library" ] || { mkdir -p "$root$library"; cp "$library"/*.o "$root$library"; }
	done
	for dir in ${files[@]+"${files[@]}"}; do
		cp -rL "$dir/." "$root/files/"
	done
	compile_python "$root/files"
	find "$root/files" -type f -perm /111 | while read -r program; do
		copy_libraries "$program" "$root"
	done
	printf 'root:x:0:0::/root:/bin/sh\nnobody:x:65534:65534::/:/bin/sh\n' > "$root/etc/passwd"
	printf 'root:x:0:\n' > "$root/etc/group"
	printf '%q ' "${command[@]}" > "$root/command"
	write_init "$root"
	(cd "$root" && find . | cpio -o -H newc --quiet) > "$1/initramfs"
}

# The emulator, not KVM: a nested KVM that half works is worse than one that is slow.
run_machine() {
	timeout "$limit" qemu-system-x86_64 -M q35 -accel tcg,thread=multi -cpu max \
		-m 2G -smp 2 -display none -no-reboot -nic none \
		-kernel "$2"/boot/vmlinuz-* -initrd "$1/initramfs" \
		-append "console=ttyS0 loglevel=4 panic=-1 mitigations=off" \
		-serial "file:$1/console" -serial stdio -monitor none \
		< /dev/null 2> "$1/qemu"
}

files=()
limit=300
while getopts f:t: option; do
	case $option in
	f) files+=("$OPTARG") ;;
	t) limit=$OPTARG ;;
	*) usage ;;
	esac
done
shift $((OPTIND - 1))
[ $# -ge 2 ] || usage
series=$1
shift
command=("$@")

command -v qemu-system-x86_64 > /dev/null || skip "no qemu-system-x86_64; scripts/deps.sh vm installs it"
kernel=$(kernel_unpack "$series")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
make_initramfs "$work" "$kernel"

status=
while IFS= read -r line; do
	line=${line%$'\r'}
	case $line in
	"boot.sh: exit "*) status=${line##* } ;;
	*) printf '%s\n' "$line" ;;
	esac
done < <(run_machine "$work" "$kernel" || true)
if [ -z "$status" ]; then
	tail -n 60 "$work/console" "$work/qemu" >&2
	die "the machine did not finish within $limit s; its console is above"
fi
exit "$status"
