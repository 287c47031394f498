#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# Uploads over a long and bad path: 25 ms each way, 2 % lost, 5 % overtaken; chunked ones, which are
# framed, and JSON of a key held to models, which is read. With the filter
# they take twice as long as without, not ten times. KF_UPLOADS=N sends more of them (60), KF_MODES="native generic tc" says
# how the filter is attached, in turn.
. "$(dirname "$0")/lib.sh"

export PATH_ARGUMENTS="0.025 2 5"
# shellcheck source=tests/e2e/path_stage.sh
. "$HERE/path_stage.sh"

make_stage
start_backend
start_daemon
REFUSE=reply add_service
make_key GOOD good
make_key HELD held --model allowed

# upload WHAT KIND: in $WORK/took-WHAT stands how long each took.
upload() {
	local KEY=$GOOD # client_py hands it on
	[ "$2" = json ] && KEY=$HELD
	LIMIT=300 client_py <<-END
	WHAT, KIND, COUNT = "$1", "$2", ${KF_UPLOADS:-60}
	$(cat <<'PYTHON'
import random, threading

took, bad, lock = [], [], threading.Lock()


def one(c, marker, rng):
    body = b'{"messages":"' + b"x" * rng.randrange(50000, 200000) + b'","model":"allowed"}'
    if KIND == "json" and rng.randrange(2):
        data = head(marker, length=len(body)) + body
    else:
        data = head(marker, fields=["Transfer-Encoding: chunked"])
        data += chunked(body, [rng.choice([500, 2000, 8192])])
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

upload none chunked
read -r median slow < "$WORK/took-none"
for mode in ${KF_MODES:-native tc}; do
	attach "$mode"
	for kind in chunked json; do
		upload "$mode-$kind" $kind
		read -r filtered_median filtered_slow < "$WORK/took-$mode-$kind"
		# what is dropped and comes again by its timer alone takes ten times as long, and more
		if [ "$filtered_median" -gt $((median * 3 + 300)) ] || [ "$filtered_slow" -gt $((slow * 3 + 1000)) ]; then
			fail "$mode, $kind: $filtered_median and $filtered_slow ms, without the filter $median and $slow ms"
		fi
		ok "$mode, $kind: not much longer than without the filter"
	done
	must "iface detach" ctl iface detach s0
done
[ "$(ctl --json stats | json 'd["services"][0]["requests_refused"]')" = 0 ] || fail "good uploads were refused"
ok "nobody was refused"
