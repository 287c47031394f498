#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# Beside another XDP program: both run, and either leaves without the other.
. "$(dirname "$0")/lib.sh"

# The machines of tests/vm bring it along, compiled.
other=$BUILD/tests/other_xdp.o
if [ ! -e "$other" ]; then
	command -v clang > /dev/null || skip "no clang to compile the other program with"
	other=$WORK/other_xdp.o
	clang -O2 -g -target bpf -I"/usr/include/$(gcc -print-multiarch)" -c "$HERE/other_xdp.c" -o "$other" ||
		fail "cannot compile the other program"
fi
command -v xdp-loader > /dev/null || skip "no xdp-loader to load the other program with"

loader() { server xdp-loader "$@" 2>&1; }
programs() { loader status s0; }
other_count() {
	local id
	id=$(bpftool -j map list | json '[m["id"] for m in d if m.get("name") == "kf_other"][-1]')
	bpftool -j map dump id "$id" | json 'd[0]["formatted"]["value"]'
}

start_unattached
make_key KEY good

output=$(loader load -m native s0 "$other") || fail "xdp-loader load: $output"
if ! programs | grep -q xdp_dispatcher; then
	# Without BPF_PROG_TYPE_EXT there is one XDP program at a time: what is said then can be done.
	output=$(ctl iface attach s0 --mode native 2>&1) && fail "attached over another program: $output"
	[[ $output == *"; attach with --mode tc beside it"* ]] || fail "the mend should be --mode tc: $output"
	attach tc
	programs | grep -q other_xdp || fail "the other program is gone: $(programs)"
	served "in tc, beside another XDP program" -H "$(bearer "$KEY")"
	refused "in tc, beside it" no_key
	ok "one XDP program only, and keyfilter beside it: $output"
	exit 0
fi
attach native
programs | grep -q other_xdp && programs | grep -q keyfilter || fail "not both are loaded: $(programs)"
before=$(other_count)
served "beside a program that was there first" -H "$(bearer "$KEY")"
refused "beside it" no_key
[ "$(other_count)" -gt "$before" ] || fail "the other program no longer sees packets"
ok "the other program saw $(($(other_count) - before)) packets"

must "iface detach" ctl iface detach s0
programs | grep -q other_xdp || fail "detaching took the other program with it: $(programs)"
! programs | grep -q keyfilter || fail "detaching left ours: $(programs)"
status=$(request gone)
[ "$status" = 200 ] || fail "detached, and a request gets $status"
ok "ours left, the other stayed"

loader unload s0 --all > /dev/null
attach native
output=$(loader load -m native s0 "$other") || fail "xdp-loader load beside ours: $output"
served "beside a program that came later" -H "$(bearer "$KEY")"
refused "beside it" unknown_key -H "$(bearer "$UNKNOWN")"
id=$(programs | awk '$3 == "other_xdp" { print $4 }') # => PRIORITY NAME ID TAG ACTIONS
output=$(loader unload s0 --id "$id") || fail "xdp-loader unload --id '$id': $output"
! programs | grep -q other_xdp || fail "the other program is still there: $(programs)"
refused "after the other one left" no_key
served "after the other one left" -H "$(bearer "$KEY")"

output=$(ctl iface attach s0 --mode generic 2>&1) && fail "attached in native and generic mode at a time"
ok "a second mode: $output"
