#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# Interfaces are attached and detached beside the controller's loop: a revocation does not wait for the
# kernel's verifier, changes of one interface follow each other in the order in which they were asked for,
# and an end of the controller in the middle of one loses nothing.
. "$(dirname "$0")/lib.sh"

start_all "${MODE:-native}"
make_key KEY good
make_link "$SERVER_NS" d0 "$CLIENT_NS" e0
make_link "$SERVER_NS" d1 "$CLIENT_NS" e1
ctl --json key create --name batch --quantity 400 | json '"\n".join(k["id"] for k in d["keys"])' > "$WORK/ids" ||
	fail "cannot create keys"
export SOCKET WORK PYTHONPATH=$HERE PYTHONDONTWRITEBYTECODE=1

"$PYTHON" - <<'END' || fail "see above"
import threading
import time

from admin import *

ids = open(os.environ["WORK"] + "/ids").read().split()
stop, changes, wrong = threading.Event(), [0], []


def change_for_ever():
    admin = Admin()
    while not stop.is_set():
        for method, target, body, good in (("POST", "/v1/ifaces", {"dev": "d0", "mode": "generic"}, 201),
                                           ("DELETE", "/v1/ifaces/d0", None, 200)):
            status, answer = admin.call(method, target, body)
            if status != good:
                wrong.append("%s %s: %s %s" % (method, target, status, answer))
                return
            changes[0] += 1


changing = threading.Thread(target=change_for_ever)
changing.start()
root, times = Admin(), []
while len(times) < len(ids) and not wrong:
    since = time.monotonic()
    status, answer = root.call("POST", "/v1/keys/%s/disable" % ids[len(times)])
    times.append(time.monotonic() - since)
    if status != 200:
        die("not revoked: %s %s" % (status, answer))
    if len(times) % 100 == 0:
        status, answer = root.call("GET", "/v1/ifaces")
        if status != 200 or "s0" not in [i["dev"] for i in answer["ifaces"]]:
            die("iface list meanwhile: %s %s" % (status, answer))
    time.sleep(0.01)
stop.set()
changing.join()
if wrong:
    die(wrong[0])
times.sort()
p99 = times[len(times) * 99 // 100 - 1]
text = ("%d revoked beside %d changes of an interface: median %.1f ms, p99 %.1f ms, longest %.1f ms"
        % (len(times), changes[0], times[len(times) // 2] * 1000, p99 * 1000, times[-1] * 1000))
if changes[0] < 4:
    die("d0 was attached and detached %d times only" % changes[0])
if p99 > 0.1:
    die("a revocation waits for the attaching: " + text)
print("  ok    " + text)


# asked for together: each is done in its turn
def ask(method, target, body, answers):
    answers.append(Admin().call(method, target, body))


answers, threads = [], []
for method, target, body in (("POST", "/v1/ifaces", {"dev": "d0", "mode": "generic"}),
                             ("POST", "/v1/ifaces", {"dev": "d1", "mode": "tc"}),
                             ("POST", "/v1/ifaces", {"dev": "d0", "mode": "tc"}),
                             ("DELETE", "/v1/ifaces/d1", None)):
    threads.append(threading.Thread(target=ask, args=(method, target, body, answers)))
    threads[-1].start()
    time.sleep(0.02)
status, answer = root.call("GET", "/v1/ifaces")
if status != 200:
    die("iface list while four changes wait: %s %s" % (status, answer))
for thread in threads:
    thread.join()
statuses = sorted(status for status, answer in answers)
if statuses != [200, 201, 201, 409]:
    die("attach d0, attach d1, attach d0 in another mode, detach d1: %s" % answers)
states = {i["dev"]: (i["state"], i["mode"]) for i in root.call("GET", "/v1/ifaces")[1]["ifaces"]}
if states.get("d0") != ("attached", "generic") or "d1" in states or states["s0"][0] != "attached":
    die("and then: %s" % states)
print("  ok    four changes at once: each in its turn, and what was refused is as it was")
END

served "after all of that" -H "$(bearer "$KEY")"
refused "after all of that: no key" no_key

# An end in the middle: what had begun is finished and answered, what waits is not begun.
state() { ctl --json iface list | json 'dict((i["dev"], i["state"]) for i in d["ifaces"]).get("'"$1"'")'; }
state_is() { [ "$(state "$1")" = "$2" ]; }
must "iface detach" ctl iface detach d0
"$BUILD/keyfilterctl" --socket "$SOCKET" iface attach d0 --mode generic > "$WORK/first" 2>&1 &
first=$!
sleep 0.05
"$BUILD/keyfilterctl" --socket "$SOCKET" iface attach d1 --mode generic > "$WORK/second" 2>&1 &
second=$!
sleep 0.05
stop_daemon
wait "$first" || fail "SIGTERM while d0 is attached: $(cat "$WORK/first")"
wait "$second" && fail "SIGTERM while d1 waits: attached all the same: $(cat "$WORK/second")"
ok "SIGTERM: the first is done; the second: $(cat "$WORK/second")"
start_daemon
await 5 state_is d0 attached || fail "after SIGTERM d0 is $(state d0)"
[ "$(state d1)" = None ] || fail "after SIGTERM d1 is $(state d1), and was never begun"
ok "and the next start finds it so"

must "iface detach" ctl iface detach d0
"$BUILD/keyfilterctl" --socket "$SOCKET" iface attach d0 --mode generic > /dev/null 2>&1 &
first=$!
sleep 0.1
kill_daemon
wait "$first" && fail "SIGKILL while d0 is attached, and the tool says that it is"
start_daemon
await 5 state_is d0 attached || fail "after SIGKILL d0 is $(state d0): $(ctl iface list)"
must "iface detach" ctl iface detach d0
[ "$(state d0)" = None ] || fail "d0 cannot be detached after SIGKILL"
refused "after SIGKILL: no key" no_key
served "after SIGKILL: a good key" -H "$(bearer "$KEY")"
ok "SIGKILL in the middle: the next start goes on with it"
