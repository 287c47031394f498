# SPDX-License-Identifier: GPL-2.0-only
"""wire.py - what refusals_wire.sh demands of the packets of each kind of refusal.

`at_client` is what tcpdump saw on the client's interface, `at_backend` what came through the
server's netfilter input hook (nflog), that is behind TC: what its TCP really got.
"""

import json

import pcap
from pcap import ACK, FIN, PSH, RST, SYN, distance
from raw import check
from refusal import check_refusal


class Wire:
    def __init__(self, at_client, at_backend, kind, client):
        host, port = client
        at_client, at_backend = ([p for p in packets if host in (p.source, p.target)]
                                 for packets in (at_client, at_backend))
        self.kind = kind
        self.packets = [p for p in at_client if port in (p.source_port, p.target_port)]
        self.client, self.server = pcap.of_client(at_client, port)
        self.backend, _ = pcap.of_client(at_backend, port)
        self.check(self.client and self.server, "nothing was captured")
        self.first = next((p.end for p in self.client if p.flags & SYN), None)
        self.server_first = next((p.end for p in self.server if p.flags & SYN), None)
        self.check(self.first is not None and self.server_first is not None, "no handshake was captured")

    def check(self, condition, text):
        if not condition:
            packets = "\n".join("        " + str(p) for p in self.packets)
            backend = "\n".join("        " + str(p) for p in self.backend)
            check(False, "%s: %s\n      on the wire:\n%s\n      to the backend:\n%s" %
                  (self.kind, text, packets, backend))

    # ---- whatever the kind ----

    def sound(self):
        """Checksums and addresses are right; no time stamp is older than what the client compares it
        with, which is what it last echoed (RFC 7323 sections 4.3 and 5.3)."""
        macs = self.server[0].macs
        latest, echoed = None, set()
        stamps = all(p.tsval is not None for p in self.packets if p.flags & SYN)
        for p in self.packets:
            self.check(p.ip_ok and p.tcp_ok, "a wrong checksum: %s" % p)
            self.check(not p.flags & pcap.URG, "an urgent pointer: %s" % p)
            if p in self.client:
                echoed.add(p.tsval)
                latest = p.tsecr if p.flags & ACK else None
                continue
            self.check(p.macs == macs, "from or to another station: %s %s" % (p, p.macs))
            self.check(p.vlans == self.server[0].vlans, "other tags: %s" % p)
            if not stamps:
                self.check(p.tsval is None, "time stamps that nobody negotiated: %s" % p)
                continue
            if p.flags & RST and p.tsval is None:
                continue # RFC 7323 section 3.2 lets a RST go without
            self.check(p.tsval is not None, "no time stamps: %s" % p)
            self.check(latest is None or distance(latest, p.tsval) >= 0, "time goes back: %s" % p)
            self.check(p.tsecr in echoed or p.flags & RST, "echoes what the client never said: %s" % p)

    def stream(self):
        """The bytes that the server's side sent, which must be contiguous and say one thing."""
        data = b""
        for p in self.server:
            if not p.payload or p.flags & SYN:
                continue
            at = distance(self.server_first, p.seq)
            self.check(0 <= at <= len(data), "a hole before %s" % p)
            known = data[at:at + len(p.payload)]
            self.check(p.payload[:len(known)] == known, "sent again with other bytes: %s" % p)
            data += p.payload[len(known):]
        return data

    def backend_reset_once(self, admitted):
        """The backend got the admitted bytes and one RST that it must take, and nothing behind it."""
        resets = [p for p in self.backend if p.flags & RST]
        self.check(len(resets) == 1, "the backend got %d RST" % len(resets))
        last = self.backend[-1]
        self.check(last is resets[0], "the backend gets %s behind the RST" % last)
        self.check(not last.payload and not last.flags & (SYN | FIN), "a RST with more: %s" % last)
        self.check(last.ip_ok, "the RST has a wrong IP checksum: %s" % last)
        expected = (self.first + admitted) & 0xffffffff
        self.check(last.seq == expected, "the RST has the number %d, the backend expects %d" %
                   (last.seq, expected))
        got = max((distance(self.first, p.end) for p in self.backend if p.payload), default=0)
        self.check(got == admitted, "the backend got %d bytes, %d were admitted" % (got, admitted))

    def silent_behind(self, last):
        """No packet of the server behind this one."""
        behind = self.packets[self.packets.index(last) + 1:]
        behind = [p for p in behind if p in self.server]
        self.check(not behind, "a packet behind the end: %s" % (behind[0] if behind else ""))

    # ---- each kind ----

    def answered(self, reason, shape="openai", head=False, admitted=0, sent=None):
        """A reply: one segment with the end in it, then only what that end takes."""
        self.sound()
        fins = [p for p in self.server if p.flags & FIN]
        self.check(len(fins) == 1, "the server sent %d FIN" % len(fins))
        answer = fins[0]
        self.check(answer.flags == FIN | PSH | ACK and answer.payload, "the answer is %s" % answer)
        self.check(not any(p.flags & RST for p in self.packets), "somebody sent a RST")
        check_refusal(answer.payload, reason, shape, head, self.kind)
        data = self.stream()
        self.check(data.endswith(answer.payload) and
                   distance(self.server_first, answer.seq) == len(data) - len(answer.payload),
                   "the answer does not stand at the end of what was sent")
        before = self.packets[:self.packets.index(answer)]
        asked = [p for p in before if p in self.client][-1]
        self.check(answer.seq == asked.ack, "the client has acknowledged %d" % asked.ack)
        upto = max((p.end for p in before if p in self.client), key=lambda end: distance(self.first, end))
        self.check(answer.ack == upto, "the answer acknowledges %d, the client sent up to %d" %
                   (answer.ack, upto))
        self.check(answer.window > 0, "the answer closes the window")
        self.ends_behind(answer, sent)
        self.backend_reset_once(admitted)

    def ends_behind(self, answer, sent):
        """Behind the answer: empty ACKs up to the client's FIN; that one is acknowledged, and then
        there is nothing."""
        at = self.packets.index(answer)
        for p in self.packets[at + 1:]:
            if p in self.server:
                self.check(p.flags == ACK and not p.payload and p.seq == answer.end,
                           "behind the answer: %s" % p)
        finish = [p for p in self.client if p.flags & FIN]
        self.check(len(finish) == 1, "the client sent %d FIN" % len(finish))
        self.check(self.server[-1].ack == finish[0].end, "the client's FIN is not acknowledged")
        self.check(any(p.ack == answer.end for p in self.client), "the client did not take the answer's end")
        self.check(sent is None or distance(self.first, finish[0].end) == sent + 1,
                   "the client sent %d bytes, not %s" % (distance(self.first, finish[0].end) - 1, sent))
        self.silent_behind(self.server[-1])

    def client_reset(self):
        """A RST with exactly the number that the client expects, and no more."""
        self.sound()
        resets = [p for p in self.server if p.flags & RST]
        self.check(len(resets) == 1, "the server sent %d RST" % len(resets))
        self.check(not resets[0].payload and not resets[0].flags & (FIN | SYN), "a RST with more: %s" % resets[0])
        before = self.packets[:self.packets.index(resets[0])]
        expected = [p for p in before if p in self.server][-1].end
        self.check(resets[0].seq == expected, "the client expects %d: %s" % (expected, resets[0]))
        self.check(not any(p.flags & FIN for p in self.server), "a FIN beside the RST")
        self.silent_behind(resets[0])

    def reset(self, admitted=0):
        """Both ends, once each."""
        self.client_reset()
        self.backend_reset_once(admitted)

    def cut(self, admitted):
        """As reset, but the backend's socket may as well have been destroyed, which is no packet."""
        if any(p.flags & RST for p in self.backend):
            self.reset(admitted)
        else:
            self.client_reset()

    def dropped(self):
        """Nothing but the handshake came back, and the backend got no byte."""
        self.sound()
        self.check(all(not p.payload and not p.flags & (FIN | RST) for p in self.server), "something came back")
        self.check(all(not p.payload for p in self.backend), "the backend got a byte")


def load(directory):
    """[(Wire, kind's arguments)] of the connections that the client noted in conns.json."""
    at_client = pcap.read(directory + "/client.pcap")
    at_backend = pcap.read(directory + "/backend.pcap")
    with open(directory + "/conns.json", encoding="utf-8") as file:
        noted = json.load(file)
    return [(Wire(at_client, at_backend, note["kind"], note["client"]), note) for note in noted]
