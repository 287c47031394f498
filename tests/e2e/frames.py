# SPDX-License-Identifier: GPL-2.0-only
"""frames.py - a client that writes its frames itself, header by header.

It has addresses that no stack of the test has (10.77.0.50, fd77::50: learn() tells the server who
they are), so nobody answers in its stead. A Peer is one TCP connection of it: it shakes hands like
anybody, and then sends what a socket would not.
"""

import ipaddress
import os
import socket
import struct
import subprocess
import time

from pcap import ACK, FIN, PSH, RST, SYN, Packet, LINK_ETHERNET, checksum
from raw import PATIENCE, PORT, SERVER, SERVER6, fail

HOST, HOST6 = "10.77.0.50", "fd77::50"
HOPOPTS, TCP, UDP, ROUTING, FRAGMENT, ESP, AH, ICMP6, NONE, DSTOPTS = 0, 6, 17, 43, 44, 50, 51, 58, 59, 60
NS = os.environ["SERVER_NS"]
PADDING = b"\x01\x04\0\0\0\0"  # PadN: what an options header of 8 bytes holds


def _link(*where):
    text = subprocess.run(["ip", *where], capture_output=True, text=True, check=True).stdout
    return bytes.fromhex(text.split("link/ether ")[1][:17].replace(":", ""))


MAC, SERVER_MAC = _link("link", "show", "c0"), _link("-n", NS, "link", "show", "s0")
wire = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
wire.bind(("c0", 0))


def learn():
    for host in HOST, HOST6:
        subprocess.run(["ip", "-n", NS, "neigh", "replace", host, "lladdr", MAC.hex(":"), "dev", "s0",
                        "nud", "permanent"], check=True)


def extension(following, data=PADDING):
    """An extension header; data fills it up to a multiple of 8, less two."""
    return bytes([following, (len(data) + 2) // 8 - 1]) + data


def padding(size):
    """What makes an options header size bytes longer than one of 8, in PadN options."""
    return PADDING + b"".join(b"\x01" + bytes([n - 2]) + b"\0" * (n - 2) for n in [8] * (size // 8))


def fragment(following, offset, more, number=1):
    return struct.pack("!BBHI", following, 0, offset | bool(more), number)


def segments(final, kind=4, left=1):
    """Segment routing (4) or the deprecated type 0: by way of where it is sent, to final."""
    final = ipaddress.ip_address(final).packed
    if kind == 4:
        return struct.pack("!BBBBH", 4, left, 1, 0, 0) + final * 2
    return struct.pack("!BBI", kind, left, 0) + final


def source_route(*hops, kind=131):
    packed = b"".join(ipaddress.ip_address(hop).packed for hop in hops)
    return bytes([kind, 3 + len(packed), 4]) + packed + b"\0"


class Peer:
    next_port = 10000 + os.getpid() % 50000 # another one in each run: the server keeps what was not closed

    def __init__(self, ipv6=False, target=None, final=None, dress=None):
        """A connection to target, which ends at final; dress(peer, tcp) is the packet (next, payload)
        or (options, payload) that carries a segment of it."""
        Peer.next_port += 1
        self.port, self.ipv6, self.dress = Peer.next_port, ipv6, dress
        self.target = target or (SERVER6 if ipv6 else SERVER)
        self.final = final or self.target
        self.first, self.ack, self.number = 1000 * self.port, 0, self.port
        self.seq = self.first

    def tcp(self, payload=b"", flags=ACK, seq=None, port=None, options=b""):
        options += b"\x01" * (-len(options) % 4)
        head = struct.pack("!HHIIBBHHH", self.port, port or PORT, (self.seq if seq is None else seq) & 0xffffffff,
                           self.ack, (20 + len(options)) // 4 << 4, flags, 64240, 0, 0) + options
        pseudo = b"".join(ipaddress.ip_address(host).packed
                          for host in (HOST6 if self.ipv6 else HOST, self.final))
        pseudo += struct.pack("!II" if self.ipv6 else "!HH", *((len(head + payload), TCP) if self.ipv6
                                                               else (TCP, len(head + payload))))
        return head[:16] + struct.pack("!H", checksum(pseudo + head + payload)) + head[18:] + payload

    def packet(self, following, payload, flags=0, options=b"", target=None, length=None):
        """An IP packet, whole."""
        target = ipaddress.ip_address(target or self.target).packed
        if self.ipv6:
            head = struct.pack("!IHBB", 6 << 28, len(payload) if length is None else length, following, 64)
            head += ipaddress.ip_address(HOST6).packed + target
        else:
            options += b"\0" * (-len(options) % 4)
            head = struct.pack("!BBHHHBBH", 0x45 + len(options) // 4, 0, 20 + len(options) + len(payload),
                               self.number & 0xffff, flags, 64, following, 0)
            head += ipaddress.ip_address(HOST).packed + target + options
            head = head[:10] + struct.pack("!H", checksum(head)) + head[12:]
        return head + payload

    def ip(self, following, payload, behind=b"", **more):
        """Sends an IP packet, and the bytes that stand behind it in its frame."""
        packet = self.packet(following, payload, **more)
        wire.send(SERVER_MAC + MAC + (b"\x86\xdd" if self.ipv6 else b"\x08\0") + packet + behind)

    def send(self, payload=b"", flags=ACK, seq=None, options=b""):
        segment = self.tcp(payload, flags, seq, options=options)
        if self.dress:
            self.dress(self, segment)
        else:
            self.ip(TCP, segment)

    def packets(self, timeout=PATIENCE):
        """The server's segments, as they come."""
        until = time.monotonic() + timeout
        while (left := until - time.monotonic()) > 0:
            wire.settimeout(left)
            try:
                frame, where = wire.recvfrom(65535)
            except TimeoutError:
                return
            if where[2] == socket.PACKET_OUTGOING:
                continue
            packet = Packet(0, frame, LINK_ETHERNET)
            if packet.tcp and packet.target_port == self.port:
                yield packet

    def connect(self, options=b"", payload=b"", timeout=PATIENCE):
        """True if the server shakes hands."""
        self.send(payload, SYN, options=options)
        for packet in self.packets(timeout):
            if packet.flags & (SYN | ACK) == SYN | ACK:
                self.answered = packet
                self.seq, self.ack = packet.ack, (packet.seq + 1) & 0xffffffff
                self.send()
                return True
        return False

    def connected(self, **more):
        if not self.connect(**more):
            fail("the server does not shake hands with %s" % self.port)
        return self

    def answer(self, timeout=1.0):
        """The bytes of the server's answer, up to a moment of silence."""
        data = b""
        for packet in self.packets(timeout * PATIENCE):
            if packet.payload:
                data += packet.payload
                self.ack = (packet.seq + len(packet.payload)) & 0xffffffff
                self.send()
                break
        return data

    def push(self, payload):
        self.send(payload, ACK | PSH)
        self.seq += len(payload)
