#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# What `make install` puts there, as README says it, under a systemd of its own: start, attach, restart
# under load, kill, stop, a boot, uninstall.
. "$(dirname "$0")/lib.sh"
. "$ROOT/tests/boot/machine.sh"

command -v systemd-nspawn > /dev/null || skip "no systemd-nspawn; scripts/deps.sh boot installs it"
MACHINE_ROOT=$("$ROOT/tests/boot/root.sh" 2> "$WORK/root.err") || {
	[ $? -eq 77 ] || fail "$(cat "$WORK/root.err")"
	skip "$(tail -n 1 "$WORK/root.err")"
}
SHARED=$WORK/shared
BACKEND_LOG=$SHARED/backend.log
mkdir -p "$WORK/upper/etc/systemd/"{system,network} "$WORK/upper/usr/local/bin" "$SHARED"
: > "$BACKEND_LOG"

ctl() { timeout 60 nsenter --target "$MACHINE_LEADER" --all --root --wd -- keyfilterctl "$@"; }
server() { nsenter --target "$MACHINE_LEADER" --net -- "$@"; }
journal() { machine journalctl --no-pager -o cat -u keyfilterd "$@"; }
property() { machine systemctl show --property "$1" --value "$2"; }

# ---- a machine with a backend, and nothing else ---------------------------------------------------

cp "$BUILD/tools/keyfilter-stub" "$WORK/upper/usr/local/bin/"
cat > "$WORK/upper/etc/systemd/network/s0.network" <<END
[Match]
Name=s0
[Network]
Address=$SERVER/24
Address=$SERVER6/64
IPv6AcceptRA=no
ConfigureWithoutCarrier=yes
[Link]
RequiredForOnline=no
END
cat > "$WORK/upper/etc/systemd/system/backend.service" <<END
[Unit]
After=network.target
[Service]
ExecStart=/usr/local/bin/keyfilter-stub --port $PORT --log /shared/backend.log
[Install]
WantedBy=multi-user.target
END
make_ns "$CLIENT_NS"
machine_on && await 40 machine_is_up ||
	skip "systemd-nspawn cannot boot a machine here: $(tail -n 1 "$MACHINE_LOG")"
must "enable the backend" machine systemctl enable --now systemd-networkd backend
await 10 client curl -sm 1 "http://$SERVER:$PORT/ready" || fail "the backend does not answer: $(machine systemctl status backend)"
ok "a machine with $(machine systemctl --version | head -n 1)"

# ---- as README says -------------------------------------------------------------------------------

must "make install" make -s -C "$ROOT" O="$BUILD" DESTDIR="$WORK/installed" install
cp -a "$WORK/installed/." "/proc/$MACHINE_LEADER/root/"
must "systemd-sysusers" machine systemd-sysusers
must "daemon-reload" machine systemctl daemon-reload
must "enable --now" machine systemctl enable --now keyfilterd
[ "$(property ActiveState keyfilterd)" = active ] || fail "keyfilterd: $(machine systemctl status keyfilterd)"
ok "started by systemd"
! journal | grep -iE 'permission|not permitted|read-only|EPERM' || fail "the unit forbids what keyfilterd does"
[ "$(machine stat -c %a:%U /var/lib/keyfilter)" = 700:root ] || fail "/var/lib/keyfilter: $(machine stat /var/lib/keyfilter)"
[ "$(machine stat -c %a:%G /run/keyfilter/admin.sock)" = 660:keyfilter ] || fail "$(machine ls -l /run/keyfilter)"
ok "the state is root's alone, the socket the group's"

# What the unit takes away is away, and only that.
confined() { machine nsenter --target "$(property MainPID keyfilterd)" --mount -- sh -c "$1"; }
for path in /sys /sys/fs/cgroup /usr/local /etc /boot /home; do
	! confined "mkdir $path/kf-test" 2> /dev/null || fail "keyfilterd may write below $path"
done
sysctl=/proc/sys/net/ipv4/ip_default_ttl
machine sh -c "echo 64 > $sysctl" || fail "the machine itself cannot write sysctls"
! confined "echo 64 > $sysctl" 2> /dev/null || fail "keyfilterd may write sysctls"
confined 'mkdir /sys/fs/bpf/kft && rmdir /sys/fs/bpf/kft' || fail "keyfilterd may not write to bpffs"
ok "it may write to bpffs, its state and its run directory, and nowhere else"

for mode in generic tc native; do
	[ $mode != generic ] || must "service add" ctl service add api --listen "*:$PORT" --refuse drop --penalty-failures 0
	[ $mode != generic ] || make_key KEY good
	must "attach in $mode mode" ctl iface attach s0 --mode $mode
	served "$mode: a good key" -H "$(bearer "$KEY")"
	refused "$mode: no key" no_key
	[ $mode = native ] || must "detach" ctl iface detach s0
done
make_key OTHER off
must "key disable" ctl key disable "$OTHER_ID"
refused "a disabled key" key_disabled -H "$(bearer "$OTHER")"
ctl status | grep -q '^health *good$' || fail "status: $(ctl status)"

# ---- restart, kill, stop: nobody notices ----------------------------------------------------------

client_start load <<'END'
good = bad = 0
c = Connection()
open_ones = []
tell("load-runs")
while not told("stop"):
    good += 1
    c.send(request("load-%d" % good, body=b"b" * (good % 3000)))
    status, _ = c.answer(5)
    check(status == 200, "a good request was refused")
    if good % 10 == 0:
        c.close()
        c = Connection()
    bad += 1
    time.sleep(0.003)
    b = Connection()
    b.send(request("bad-%d" % bad, (UNKNOWN, OTHER, "")[bad % 3]))
    open_ones.append(b)
    if len(open_ones) > 40:
        open_ones.pop(0).close(reset=True)
check('"marker":"bad-' not in open(BACKEND_LOG).read(), "a refused request reached the backend")
ok("served: %d requests, all of them; refused: %d, all of them" % (good, bad))
END
met load-runs
pid() { property MainPID keyfilterd; }
is_active() { [ "$(property ActiveState keyfilterd)" = active ]; }
# Another process than before, and up.
is_back() { [ "$(pid)" != "$before" ] && [ "$(pid)" != 0 ] && is_active; }
before=$(pid)
must "restart" machine systemctl restart keyfilterd
is_back || fail "restarted, and it is still process $before"
ok "systemctl restart under load"
for round in 1 2 3 4 5; do # more often than systemd's default allows in 10 s
	before=$(pid)
	must "kill" machine systemctl kill --signal=KILL keyfilterd
	await 10 is_back || fail "killed for the ${round}th time, and systemd did not start it again: $(machine systemctl status keyfilterd)"
done
ok "killed five times under load, and started again by systemd each time"
must "stop" machine systemctl stop keyfilterd
sleep 0.3
denied "stopped: no key"
must "start" machine systemctl start keyfilterd
tell stop
client_done load
! machine systemctl reload keyfilterd 2> /dev/null || fail "systemctl reload claims to do something"
ok "reload is said not to be there"
must "run the daemon by hand" sh -c "! nsenter --target $MACHINE_LEADER --all --root --wd -- keyfilterd"

# ---- a boot ---------------------------------------------------------------------------------------

# Asks without a key, from before the machine is there until it serves.
client_start early <<'END'
n = 0
tell("early-runs")
while not told("booted"):
    n += 1
    try:
        c = Connection()
        c.send(request("early-%d" % n, ""))
        c.close()
    except OSError:
        pass
    time.sleep(0.005)
check('"marker":"early-' not in open(BACKEND_LOG).read(), "a request without a key was served at boot")
ok("asked %d times without a key while it booted: nothing reached the backend" % n)
END
met early-runs
machine_off
machine_on || fail "the machine has no link: $(tail -n 5 "$MACHINE_LOG")"
await 40 machine_is_up || fail "the machine does not boot: $(tail -n 5 "$MACHINE_LOG")"
is_active || fail "booted, and keyfilterd is $(property ActiveState keyfilterd): $(machine systemctl status keyfilterd)"
! machine journalctl --no-pager -b | grep -E 'ordering cycle|Job .* deleted to break' || fail "the unit's order is a circle"
await 10 client curl -so /dev/null -m 1 -H "$(bearer "$KEY")" "http://$SERVER:$PORT/v1/models" || fail "booted, and a good key is not served"
tell booted
client_done early
[ "$(property ActiveEnterTimestampMonotonic keyfilterd)" -le "$(property ExecMainStartTimestampMonotonic systemd-networkd)" ] ||
	fail "the network was up before keyfilterd"
served "booted: a good key" -H "$(bearer "$KEY")"
refused "booted: no key" no_key
refused "booted: a disabled key" key_disabled -H "$(bearer "$OTHER")"
ctl status | grep -q '^health *good$' || fail "status: $(ctl status)"
ok "booted: filtered before the network was up"

# ---- uninstall ------------------------------------------------------------------------------------

uninstall() { machine make -s -C /src O=/tmp/none uninstall 2>&1; }
told=$(uninstall) && fail "uninstalled under a running filter"
[[ $told == *"/sys/fs/bpf/keyfilter is a filter that still runs"*"--unload"* ]] || fail "make uninstall says: $told"
refused "not uninstalled: no key" no_key
must "disable --now" machine systemctl disable --now keyfilterd
told=$(uninstall) && fail "uninstalled under a running filter"
denied "the daemon is stopped, and the filter not uninstalled"
must "unload" machine keyfilterd --unload
uninstall > "$WORK/uninstall.out" || fail "make uninstall: $(cat "$WORK/uninstall.out")"
status=$(request uninstalled)
[ "$status" = 200 ] || fail "uninstalled, and a request gets $status"
left=$(machine find / -xdev \( -name '*keyfilterd*' -o -name 'keyfilterctl*' \) -not -path '/shared/*' -not -path '/proc/*' | sort | tr '\n' ' ')
[ "$left" = "/etc/keyfilter/keyfilterd.conf " ] || fail "uninstalled, and there is still $left"
[ -e "/proc/$MACHINE_LEADER/root/var/lib/keyfilter/keyfilter.db" ] || fail "the store was uninstalled as well"
machine systemctl daemon-reload
ok "uninstalled: nothing but the configuration and the state is left, served without a key"
machine_off
