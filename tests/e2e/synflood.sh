#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# Floods of SYNs and of junk leave established connections and revocations alone.
. "$(dirname "$0")/lib.sh"

cat > "$WORK/keyfilterd.conf" <<-END
	keys_max 1024
	sources_max 1024
	flows_max 512
	heads_max 16
	embryos 1024
	END
start_all "${MODE:-native}"
make_key KEY good
make_key OTHER off
must "key disable" ctl key disable "$OTHER_ID"
# So that answers to forged sources leave on the wire, and reach nobody.
ip -n "$SERVER_NS" route add default via 10.77.0.2

client_py <<'END'
import random
import threading

def checksum(data):
    total = sum(struct.unpack("!%dH" % (len(data) // 2), data))
    total = (total >> 16) + (total & 0xffff)
    return ~(total + (total >> 16)) & 0xffff

def packet(source, port, flags, seq, ack=0, payload=b""):
    src, dst = socket.inet_aton(source), socket.inet_aton(SERVER)
    tcp = struct.pack("!HHIIBBHHH", port, PORT, seq, ack, 5 << 4, flags, 65535, 0, 0)
    whole = tcp + payload + b"\0" * (len(payload) % 2)
    pseudo = src + dst + struct.pack("!BBH", 0, 6, len(tcp) + len(payload))
    tcp = tcp[:16] + struct.pack("!H", checksum(pseudo + whole)) + tcp[18:]
    ip = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 20 + len(tcp) + len(payload), 0, 0, 64, 6, 0, src, dst)
    return ip + tcp + payload

SYN, RST, ACK, PSH = 2, 4, 16, 8
raw = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW)
pick = random.Random(1)
address = lambda: "%d.%d.%d.%d" % (pick.randint(11, 99), pick.randint(0, 255), pick.randint(0, 255), pick.randint(1, 254))
JUNK = request("junk") # with the good key: were it taken without a handshake, it would be admitted
kinds = [lambda: packet(address(), pick.randint(1024, 65535), SYN, pick.getrandbits(32)),
         lambda: packet(address(), pick.randint(1024, 65535), ACK | PSH, pick.getrandbits(32), pick.getrandbits(32), JUNK),
         lambda: packet("10.77.0.9", pick.randint(1024, 65535), ACK | PSH, pick.getrandbits(32), pick.getrandbits(32), b"x" * 64)]

established = []
for number in range(100):
    c = Connection()
    c.send(request("est-%d" % number))
    c.expect_served("est-%d" % number)
    established.append(c)
half = Connection() # a head half sent must survive as well
half.send(request("half")[:60])

# Forged segments into the established connections themselves: wrong numbers, resets out of window.
for c in established:
    _, port = c.socket.getsockname()
    raw.sendto(packet("10.77.0.2", port, SYN, pick.getrandbits(32)), (SERVER, 0))
    raw.sendto(packet("10.77.0.2", port, ACK | PSH, pick.getrandbits(32), pick.getrandbits(32), b"junk"), (SERVER, 0))

sent = 0
def flood():
    global sent
    until = time.monotonic() + 4
    while sent < 60000 and time.monotonic() < until:
        raw.sendto(kinds[sent % 3](), (SERVER, 0))
        sent += 1
flooding = threading.Thread(target=flood)
flooding.start()
rounds = 0
while flooding.is_alive():
    rounds += 1
    for number, c in enumerate(established):
        marker = "est-%d-%d" % (rounds, number)
        c.send(request(marker))
        try:
            status, _ = c.answer(3)
        except OSError as error:
            fail("%s: an established connection broke in the flood: %s" % (marker, error))
        check(status == 200, "%s: %d" % (marker, status))
flooding.join()
check(sent > 5000, "only %d packets were sent" % sent)
ok("%d junk packets; 100 established connections served %d times in between" % (sent, rounds * 100))
half.send(request("half")[60:])
half.expect_served("half")
ok("a half-sent head survived")
check(not backend_saw("junk"), "a request without a handshake reached the backend")
ok("no request without a handshake reached the backend")
c = Connection()
c.send(request("new-after"))
c.expect_served("new-after")
c = Connection()
c.send(request("off-after", OTHER))
c.expect_nothing("off-after")
ok("afterwards: a new connection is served, the disabled key refused")

# Real connections beyond the table: the new ones wait, the old ones stay.
crowd = []
for number in range(700):
    try:
        c = Connection(timeout=0.3)
    except OSError:
        break
    c.send(request("crowd-%d" % number))
    crowd.append(c)
time.sleep(1)
for number, c in enumerate(established):
    marker = "full-%d" % number
    c.send(request(marker))
    c.expect_served(marker)
ok("with the table full (%d connections more): all established ones are served" % len(crowd))
for c in crowd:
    c.close(reset=True)
time.sleep(0.5)
c = Connection()
c.send(request("room-again"))
c.expect_served("room-again")
ok("when they are gone, new ones are served")
END
say "no_flow $(counter no_flow), unacked $(counter unacked), flows_full $(counter flows_full), control $(counter control)"
[ "$(counter flows_full)" -gt 0 ] || fail "700 connections went into a table of 512"
[ $(($(counter no_flow) + $(counter unacked))) -gt 1000 ] || fail "the junk was not counted"
refused "the disabled key" key_disabled -H "$(bearer "$OTHER")"
