#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# Chunked uploads over a long and bad path: 25 ms each way, 2 % lost, 5 % overtaken. With the filter
# they take twice as long as without, not ten times. KF_UPLOADS=N sends more of them (60), KF_MODES="native generic tc" says
# how the filter is attached, in turn.
. "$(dirname "$0")/lib.sh"

# The stage's veth pair, with the path in its middle. It carries frames as a wire does, so they have
# whole checksums and are no longer than it.
make_link() {
	local middle=kfp-$NAME-$$ device
	EXTRA_NS+=("$middle")
	make_ns "$middle"
	ip -n "$1" link add "$2" type veth peer name p0 netns "$middle" || fail "cannot make a veth pair"
	ip -n "$middle" link add p1 type veth peer name "$4" netns "$3" || fail "cannot make a veth pair"
	for device in "$1 $2" "$middle p0" "$middle p1" "$3 $4"; do
		# shellcheck disable=SC2086 # two words, on purpose
		set_link $device
	done
	become_in_ns "$middle" "$PYTHON" -u "$HERE/path.py" p0 p1 0.025 2 5 &
	PIDS+=($!)
}

set_link() {
	must "offloads off" in_ns "$1" ethtool -K "$2" tx off tso off gso off gro off
	ip -n "$1" link set "$2" up
}

make_stage
start_backend
start_daemon
REFUSE=reply add_service
make_key KEY good

# upload WHAT: in $WORK/took-WHAT stands how long each took.
upload() {
	LIMIT=300 client_py <<-END
	WHAT, COUNT = "$1", ${KF_UPLOADS:-60}
	$(cat <<'PYTHON'
import random, threading

took, bad, lock = [], [], threading.Lock()


def one(c, marker, rng):
    body = b"x" * rng.randrange(50000, 200000)
    sizes = [rng.choice([500, 2000, 8192])]
    data = head(marker, fields=["Transfer-Encoding: chunked"]) + chunked(body, sizes)
    begin = time.monotonic()
    c.socket.sendall(data)
    answer = c.expect_served(marker, 60)
    check(answer["bytes"] == len(body), "%s: %s of %d bytes" % (marker, answer, len(body)))
    with lock:
        took.append(time.monotonic() - begin)


def client(number):
    rng, c = random.Random(number), None
    for n in range(COUNT // 6):
        marker = "%s-%d-%d" % (WHAT, number, n)
        try:
            c = c or Connection(timeout=60)
            one(c, marker, rng)
        except (Exception, SystemExit) as error:
            with lock:
                bad.append("%s: %s" % (marker, error))
            c = None


threads = [threading.Thread(target=client, args=(n,)) for n in range(6)]
for t in threads: t.start()
for t in threads: t.join()
took.sort()
at = lambda percent: took[len(took) * percent // 100]
print("  %s: %d uploads, p50 %.2f s, p90 %.2f s, p99 %.2f s" % (WHAT, len(took), at(50), at(90), at(99)))
check(not bad, "%d of %d failed: %s" % (len(bad), COUNT, bad[:5]))
with open(WORK + "/took-" + WHAT, "w") as f:
    print("%.0f %.0f" % (at(50) * 1000, at(90) * 1000), file=f)
PYTHON
)
	END
}

upload none
read -r median slow < "$WORK/took-none"
for mode in ${KF_MODES:-native tc}; do
	attach "$mode"
	upload "$mode"
	must "iface detach" ctl iface detach s0
	read -r filtered_median filtered_slow < "$WORK/took-$mode"
	# what is dropped and comes again by its timer alone takes ten times as long, and more
	if [ "$filtered_median" -gt $((median * 3 + 300)) ] || [ "$filtered_slow" -gt $((slow * 3 + 1000)) ]; then
		fail "$mode: $filtered_median and $filtered_slow ms, without the filter $median and $slow ms"
	fi
	ok "$mode: not much longer than without the filter"
done
[ "$(ctl --json stats | json 'd["services"][0]["requests_refused"]')" = 0 ] || fail "good uploads were refused"
ok "nobody was refused"
