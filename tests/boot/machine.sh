# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
#
# machine.sh - a machine of its own for a test that sourced e2e/lib.sh: systemd as process 1, in a
# container of systemd-nspawn, on the root that root.sh made. Its interface s0 is joined to c0 in the
# clients' namespace. What it writes goes into $WORK/upper, which stays when it is booted again; its
# bpffs and its network do not, as with any machine. $WORK/shared is /shared inside.

MACHINE=kf-$NAME-$$
MACHINE_PID=    # of systemd-nspawn
MACHINE_LEADER= # of process 1 inside
MACHINE_LOG=$WORK/machine.log

# Process 1 inside takes all that is in its control group for its own, so no two may share one.
machine_groups() {
	local hierarchy
	for hierarchy in /sys/fs/cgroup /sys/fs/cgroup/systemd /sys/fs/cgroup/unified; do
		[ ! -e "$hierarchy/cgroup.procs" ] || echo "$hierarchy/$MACHINE"
	done
}

# The mounts are made in a mount namespace that ends with the machine: nothing to undo, whatever happens.
machine_become() {
	local group
	trap - EXIT
	for group in $(machine_groups); do
		mkdir -p "$group" && echo "$BASHPID" > "$group/cgroup.procs"
	done
	export SYSTEMD_NSPAWN_API_VFS_WRITABLE=network WORK ROOT MACHINE MACHINE_ROOT
	# shellcheck disable=SC2016 # for the shell within
	exec nsenter --net="/run/netns/$CLIENT_NS" -- unshare --mount bash -c '
		set -e
		mkdir -p "$WORK"/{upper,work,root,bpffs,shared}
		mount -t overlay overlay "$WORK/root" \
			-o "lowerdir=$MACHINE_ROOT,upperdir=$WORK/upper,workdir=$WORK/work"
		mount -t bpf bpf "$WORK/bpffs"
		exec systemd-nspawn --quiet --directory="$WORK/root" --machine="$MACHINE" --boot \
			--register=no --keep-unit --private-network --network-veth-extra=c0:s0 \
			--capability=all --system-call-filter="bpf membarrier perf_event_open" \
			--bind="$WORK/bpffs:/sys/fs/bpf" --bind="$WORK/shared:/shared" \
			--bind-ro="$ROOT:/src"'
}

# Inside, as root.
machine() { nsenter --target "$MACHINE_LEADER" --mount --uts --ipc --net --pid --cgroup --root --wd -- "$@"; }

machine_find_leader() {
	MACHINE_LEADER=$(pgrep -P "$MACHINE_PID" | head -n 1)
	[ -n "$MACHINE_LEADER" ] && [ -e "/proc/$MACHINE_LEADER/root/run/systemd/private" ]
}

# "degraded" is up as well: a unit of the distribution that cannot run in a container is none of ours.
machine_is_up() {
	local state
	kill -0 "$MACHINE_PID" 2> /dev/null && machine_find_leader || return
	state=$(machine systemctl is-system-running 2> /dev/null)
	[ "$state" = running ] || [ "$state" = degraded ]
}

machine_link_clients() {
	local host
	await 10 ip -n "$CLIENT_NS" link set c0 up || return
	for host in 2 3; do
		ip -n "$CLIENT_NS" address add "10.77.0.$host/24" dev c0
		ip -n "$CLIENT_NS" address add "fd77::$host/64" dev c0 nodad
	done
}

# Switches it on; machine_is_up tells when it has come up.
machine_on() {
	machine_become < /dev/null > "$MACHINE_LOG" 2>&1 &
	MACHINE_PID=$!
	machine_link_clients || return
}

# Switches it off in order, from inside, and waits until it is.
machine_off() {
	machine systemctl poweroff > /dev/null 2>&1
	for _ in $(seq 200); do
		kill -0 "$MACHINE_PID" 2> /dev/null || break
		sleep 0.1
	done
	! kill -0 "$MACHINE_PID" 2> /dev/null || fail "the machine does not switch off: $(tail -n 5 "$MACHINE_LOG")"
	wait "$MACHINE_PID"
	MACHINE_PID=
}

machine_end() {
	local status=$? group
	trap - EXIT
	if [ -n "$MACHINE_PID" ] && machine_find_leader && [ "$status" -ne 0 ]; then
		machine journalctl --no-pager -u keyfilterd -n 40 > "$DAEMON_LOG" 2>&1
	fi
	[ -z "$MACHINE_PID" ] || end_process "$MACHINE_PID"
	for group in $(machine_groups); do
		find "$group" -depth -type d -exec rmdir {} + 2> /dev/null
	done
	(exit "$status")
	cleanup
}
trap machine_end EXIT
