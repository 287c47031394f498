# SPDX-License-Identifier: GPL-2.0-only
"""pcap.py - reads what tcpdump -w wrote: TCP over IPv4 and IPv6, on Ethernet or from nflog.

read(path) gives the packets in order. Checksums are computed over what was captured, so both ends
must have checksum offload off (ethtool -K DEV tx off), and tcpdump has to capture all of them.
"""

import ipaddress
import struct

FIN, SYN, RST, PSH, ACK, URG = 1, 2, 4, 8, 16, 32

LINK_ETHERNET = 1
LINK_NFLOG = 239
NFLOG_PAYLOAD = 9


def checksum(data):
    """RFC 1071 over data; 0 where the data holds its own right checksum."""
    if len(data) % 2:
        data += b"\0"
    total = sum(struct.unpack("!%dH" % (len(data) // 2), data))
    while total >> 16:
        total = (total >> 16) + (total & 0xffff)
    return ~total & 0xffff


class Packet:
    """A TCP segment and the IP packet around it. Sequence numbers as they stand there."""

    def __init__(self, when, frame, link):
        self.time = when
        self.vlans = []
        self.macs = None
        if link == LINK_ETHERNET:
            frame = self._ethernet(frame)
        self.tcp = b""
        version = frame[0] >> 4 if frame else 0
        if version == 4:
            self._ipv4(frame)
        elif version == 6:
            self._ipv6(frame)
        if self.tcp:
            self._tcp()

    def _ethernet(self, frame):
        self.macs = frame[6:12].hex(), frame[:6].hex()
        at = 12
        while frame[at:at + 2] in (b"\x81\x00", b"\x88\xa8"):
            self.vlans.append(struct.unpack("!H", frame[at + 2:at + 4])[0] & 0xfff)
            at += 4
        return frame[at + 2:] if frame[at:at + 2] in (b"\x08\x00", b"\x86\xdd") else b""

    def _ipv4(self, data):
        header = (data[0] & 15) * 4
        total, = struct.unpack("!H", data[2:4])
        self.ttl, protocol = data[8:10]
        self.source, self.target = (str(ipaddress.ip_address(data[at:at + 4])) for at in (12, 16))
        self.ip_ok = checksum(data[:header]) == 0 and len(data) >= total
        if protocol == 6:
            self.tcp = data[header:total]
            self.pseudo = data[12:20] + struct.pack("!HH", 6, len(self.tcp))

    def _ipv6(self, data):
        length, following, self.ttl = struct.unpack("!HBB", data[4:8])
        self.source, self.target = (str(ipaddress.ip_address(data[at:at + 16])) for at in (8, 24))
        self.ip_ok = len(data) >= 40 + length
        at = 40
        while following in (0, 43, 60):
            following, at = data[at], at + (data[at + 1] + 1) * 8
        if following == 6:
            self.tcp = data[at:40 + length]
            self.pseudo = data[8:40] + struct.pack("!II", len(self.tcp), 6)

    def _tcp(self):
        tcp = self.tcp
        (self.source_port, self.target_port, self.seq, self.ack, offset, self.flags, self.window,
         _, _) = struct.unpack("!HHIIBBHHH", tcp[:20])
        offset = (offset >> 4) * 4
        self.payload = tcp[offset:]
        self.tcp_ok = checksum(self.pseudo + tcp) == 0
        self.options = {}
        at = 20
        while at < offset and tcp[at] != 0:
            if tcp[at] == 1:
                at += 1
                continue
            self.options[tcp[at]] = tcp[at + 2:at + tcp[at + 1]]
            at += tcp[at + 1]
        stamps = self.options.get(8)
        self.tsval, self.tsecr = struct.unpack("!II", stamps) if stamps else (None, None)

    @property
    def end(self):
        """The sequence number behind this segment."""
        return (self.seq + len(self.payload) + bool(self.flags & SYN) + bool(self.flags & FIN)) & 0xffffffff

    def __str__(self):
        names = "".join(n for bit, n in zip((1, 2, 4, 8, 16, 32), "FSRPAU") if self.flags & bit)
        return "%.6f %s.%d > %s.%d %s seq %u ack %u len %d win %d ts %s %s%s" % (
            self.time, self.source, self.source_port, self.target, self.target_port, names, self.seq,
            self.ack, len(self.payload), self.window, self.tsval,
            "" if self.ip_ok else " BAD IP CHECKSUM", "" if self.tcp_ok else " BAD TCP CHECKSUM")


def _nflog_payload(data):
    at = 4
    while at + 4 <= len(data):
        size, kind = struct.unpack("=HH", data[at:at + 4])
        if kind == NFLOG_PAYLOAD:
            return data[at + 4:at + size]
        at += max(4, (size + 3) & ~3)
    return b""


def read(path):
    """All TCP packets of the file."""
    with open(path, "rb") as file:
        data = file.read()
    order = "<" if data[:4] in (b"\xd4\xc3\xb2\xa1", b"\x4d\x3c\xb2\xa1") else ">"
    fine = 1e-9 if b"\x4d\x3c" in (data[:2], data[2:4]) or data[:4] == b"\xa1\xb2\x3c\x4d" else 1e-6
    link = struct.unpack(order + "I", data[20:24])[0] & 0xffff
    packets, at = [], 24
    while at + 16 <= len(data):
        seconds, fraction, size, _ = struct.unpack(order + "IIII", data[at:at + 16])
        frame = data[at + 16:at + 16 + size]
        if link == LINK_NFLOG:
            frame = _nflog_payload(frame)
        packet = Packet(seconds + fraction * fine, frame, link)
        if packet.tcp:
            packets.append(packet)
        at += 16 + size
    return packets


def of_client(packets, port):
    """(from the client, from the server) of the connection with this client port."""
    return ([p for p in packets if p.source_port == port], [p for p in packets if p.target_port == port])


def distance(a, b):
    """From number a to number b, in order modulo 2^32: negative where b stands before a."""
    return (b - a + 2**31) % 2**32 - 2**31
