#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# Members of the group that may read cannot keep root from revoking, however many they are and whatever
# they ask; what they get is told in words. Nor does the tool wait for ever for a daemon that is stopped.
. "$(dirname "$0")/lib.sh"

make_readers
make_stage
mkdir -m 700 "$WORK/state"
{ echo "keys_max 65536"; echo "sources_max 4096"; echo "flows_max 8192"; echo "heads_max 64"; echo "embryos 4096"; } \
	> "$WORK/keyfilterd.conf"
"$BUILD/tools/keyfilter-seed" --state-dir "$WORK/state" --keys 50000 --show 100 > "$WORK/seeded" ||
	fail "keyfilter-seed: $(cat "$WORK/seeded")"
start_daemon
chmod 711 "$WORK"
export SOCKET WORK
[ "$(as_reader curl -s -m 5 -o /dev/null -w '%{http_code}' --unix-socket "$SOCKET" http://l/v1/status)" = 200 ] ||
	fail "a member of the group cannot read"

cat > "$WORK/readers.py" <<'END'
import os, socket, sys, threading, time

def reader(number):
    path = b"/v1/keys?search=nothing" if number % 2 else b"/v1/status"
    while True:
        try:
            s = socket.socket(socket.AF_UNIX)
            s.connect(os.environ["SOCKET"])
            while True:
                s.sendall(b"GET " + path + b" HTTP/1.1\r\nHost: l\r\n\r\n")
                answer = s.recv(65536)
                if not answer or b" 503 " in answer:
                    break
                if number % 3 == 0:
                    break
        except OSError:
            pass
        s.close()

for i in range(150):
    threading.Thread(target=reader, args=(i,), daemon=True).start()
open(os.environ["WORK"] + "/run/reading", "w").close()
time.sleep(60)
END
chmod 777 "$WORK/run"
as_reader "$PYTHON" "$WORK/readers.py" > /dev/null 2>&1 &
READING=$!
PIDS+=($READING)
await 10 test -e "$WORK/run/reading" || fail "the readers did not begin"
chmod 755 "$WORK/run"
sleep 1

cat > "$WORK/revoke.py" <<'END'
import os, socket, sys, time

ids = [line.split()[0] for line in open(os.environ["WORK"] + "/seeded")][int(sys.argv[1]):][:20]
times = []
for ident in ids:
    since = time.monotonic()
    s = socket.socket(socket.AF_UNIX)
    s.setblocking(False)  # as curl and others do: a full queue is an error at once
    try:
        s.connect(os.environ["SOCKET"])
    except OSError as error:
        sys.exit("  FAIL  root cannot connect: %s" % error)
    s.settimeout(10)
    s.sendall(b"POST /v1/keys/%s/disable HTTP/1.1\r\nHost: l\r\nContent-Length: 0\r\n\r\n" % ident.encode())
    answer = s.recv(4096)
    if b" 200 " not in answer:
        sys.exit("  FAIL  not revoked: %r" % answer)
    times.append(time.monotonic() - since)
    s.close()
times.sort()
print("  ok    20 of 20 revoked beside 150 readers (%s): median %.1f ms, longest %.1f ms"
      % (sys.argv[2], times[10] * 1000, times[-1] * 1000))
if times[18] > 0.25 or times[-1] > 2:
    sys.exit("  FAIL  a revocation waits for readers: %s" % " ".join("%.3f" % t for t in times))
END
"$PYTHON" "$WORK/revoke.py" 0 members || fail "see above"
must "key list beside 150 readers" ctl key list --limit 3
kill -0 $READING || fail "the readers have ended"
end_process $READING KILL

# Readers that are root themselves, as a monitor in a loop: what reads does not take the places of changes.
rm "$WORK/run/reading"
"$PYTHON" "$WORK/readers.py" > /dev/null 2>&1 &
READING=$!
PIDS+=($READING)
await 10 test -e "$WORK/run/reading" || fail "the readers that are root did not begin"
sleep 1
"$PYTHON" "$WORK/revoke.py" 40 root || fail "see above"
must "key list beside 150 readers that are root" ctl key list --limit 3
kill -0 $READING || fail "the readers that are root have ended"
end_process $READING KILL

# Nor does a root that takes none of its answers: one GET too many is told so, a change has its place.
"$PYTHON" - <<'END' || fail "see above"
import os, select, socket, sys, time

def ask(text):
    s = socket.socket(socket.AF_UNIX)
    s.settimeout(5)
    s.connect(os.environ["SOCKET"])
    s.sendall(text)
    return s

# the kernel keeps only a part of such an answer
deaf = [ask(b"GET /v1/keys?limit=1000 HTTP/1.1\r\nHost: l\r\n\r\n") for _ in range(280)]
time.sleep(2)
told = [s for s in select.select(deaf, [], [], 0)[0] if b" 503 " in s.recv(100, socket.MSG_PEEK)]
ident = [line.split()[0] for line in open(os.environ["WORK"] + "/seeded")][70]
since = time.monotonic()
answer = ask(b"POST /v1/keys/%s/disable HTTP/1.1\r\nHost: l\r\nContent-Length: 0\r\n\r\n" % ident.encode()).recv(4096)
took = time.monotonic() - since
if b" 200 " not in answer or took > 2:
    sys.exit("  FAIL  not revoked in %.1f s beside 280 GETs: %r" % (took, answer))
if not told or b'"busy"' not in told[0].recv(4096):
    sys.exit("  FAIL  of 280 GETs at once none was told that there are too many")
print("  ok    revoked in %.1f ms beside GETs whose answers nobody takes; %d of 280 are told: too many"
      % (took * 1000, len(told)))
END

# One reader with 1,000 connections, half a request on each: another user still reads, root still writes.
cat > "$WORK/crowd.py" <<'END'
import os, socket, time
crowd = []
for i in range(900):
    try:
        s = socket.socket(socket.AF_UNIX)
        s.settimeout(5)
        s.connect(os.environ["SOCKET"])
        s.sendall(b"GET /v1/keys HTTP/1.1\r\nHos")
        crowd.append(s)
    except OSError:
        pass
last = crowd[-1]
data = b""
try:
    while True:
        more = last.recv(4096)
        if not more:
            break
        data += more
except OSError as error:
    data += str(error).encode()
print(data.decode(), flush=True)
time.sleep(60)
END
as_reader "$PYTHON" "$WORK/crowd.py" > "$WORK/crowd.out" 2>&1 &
PIDS+=($!)
CROWD=$!
await 10 grep -q '"busy"' "$WORK/crowd.out" || fail "the one too many was not told so: $(cat "$WORK/crowd.out")"
ok "one user with 900 connections is told: too many"
status=$(setpriv --reuid 65533 --regid $READERS --clear-groups curl -s -m 5 -o /dev/null -w '%{http_code}' \
	--unix-socket "$SOCKET" http://l/v1/status)
[ "$status" = 200 ] || fail "another reader got $status beside it"
must "key disable beside it" ctl key disable "$(sed -n '30s/ .*//p' "$WORK/seeded")"
ok "another user reads and root revokes beside it"
end_process $CROWD KILL

kill -STOP "$DAEMON"
begin=$SECONDS
output=$(ctl status 2>&1) && fail "a stopped daemon answered: $output"
kill -CONT "$DAEMON"
[[ $output == *"is stopped"*"kill -CONT $DAEMON"* ]] || fail "of a stopped daemon the tool says: $output"
[ $((SECONDS - begin)) -le 15 ] || fail "the tool took $((SECONDS - begin)) s to say so"
ok "the tool says that the daemon is stopped"
must "key list behind it" ctl key list --limit 1

begin=$SECONDS
stop_daemon
[ $((SECONDS - begin)) -le 5 ] || fail "the end took $((SECONDS - begin)) s"
unload
nothing_left
