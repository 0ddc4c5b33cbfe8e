"""Probes of the topology. Reads requests as JSON lines from stdin, answers each with a JSON line of what was seen.

One process for all probes, since importing scapy is what takes time. Nothing here judges: the scenario does.
"""

import json
import select
import socket
import sys
import time

from netns import counters, difference, enter, flush_route_caches, send, sniffer
from scapy.layers.inet import ICMP, IP, TCP, UDP
from scapy.layers.inet6 import ICMPv6PacketTooBig, IPv6
from scapy.layers.l2 import Ether
from scapy.packet import Raw

ADDRESS = {
    4: {"client": "198.51.100.10", "lb": "10.0.1.1", "host": "10.0.1.2", "pod": "10.67.0.5"},
    6: {"client": "fd00:198::10", "lb": "fd00:1::1", "host": "fd00:1::2", "pod": "fd00:67::5"},
}
FAMILY = {4: socket.AF_INET, 6: socket.AF_INET6}
# Load balancers encapsulate with made-up sources: Katran's prefixes.
OUTER_SOURCE = {4: "172.16.1.1", 6: "0100::1"}
SERVICE_PORT, BIG_PORT = 80, 4433
next_port = iter(range(40000, 60000))


def listener(place, family, port, kind=socket.SOCK_STREAM):
    enter(place)
    listening = socket.socket(FAMILY[family], kind)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listening.bind((ADDRESS[family][place], port))
    if kind == socket.SOCK_STREAM:
        listening.listen(64)
    return listening


def see(sniffing, wanted, limit):
    """The first packet that `wanted` takes, or None after `limit` seconds."""
    deadline = time.monotonic() + limit
    while (rest := deadline - time.monotonic()) > 0:
        if not select.select([sniffing], [], [], rest)[0]:
            return None
        packet = Ether(sniffing.recv(65535))
        if (IP in packet or IPv6 in packet) and wanted(packet):
            return packet
    return None


def encapsulated(outer, inner, packet):
    """A packet as the load balancer sends it on to the host."""
    header = IP if outer == 4 else IPv6
    protocol = {4: 4, 6: 41}[inner]
    fields = {"proto": protocol} if outer == 4 else {"nh": protocol}
    return header(src=OUTER_SOURCE[outer], dst=ADDRESS[outer]["host"], **fields) / packet


def header(family, source, target):
    addresses = {"src": ADDRESS[family][source], "dst": ADDRESS[family][target]}
    return IP(flags="DF", **addresses) if family == 4 else IPv6(**addresses)


def syn(outer, inner, limit=5):
    """The load balancer hands on a client's SYN: what does the client see of the pod's answer?"""
    port = next(next_port)
    options = [("MSS", 1460 if inner == 4 else 1440)]
    segment = header(inner, "client", "pod") / TCP(sport=port, dport=SERVICE_PORT, flags="S", seq=1000, options=options)
    before = counters()
    with sniffer("client", "c0") as sniffing:
        send("lb", encapsulated(outer, inner, segment))
        packet = see(sniffing, lambda p: TCP in p and p[TCP].sport == SERVICE_PORT and p[TCP].dport == port, limit)
    seen = {"counters": difference(before, counters()), "flags": None, "mss": None}
    if packet:
        seen |= {"flags": str(packet[TCP].flags), "mss": dict(packet[TCP].options).get("MSS")}
    return seen


def big(family, size, outer=None, limit=5):
    """A datagram of `size` bytes that nobody may fragment, from the client to the pod: does it arrive, what ICMP comes back?"""
    flush_route_caches("client", "host")
    port = next(next_port)
    room = size - (28 if family == 4 else 48)
    datagram = header(family, "client", "pod") / UDP(sport=port, dport=BIG_PORT) / Raw(b"x" * room)
    with sniffer("client", "c0") as sniffing, listener("pod", family, BIG_PORT, socket.SOCK_DGRAM) as receiving:
        if outer:
            send("lb", encapsulated(outer, family, datagram))
        else:
            send("client", datagram)
        arrived, packet = arrival(receiving, sniffing, limit)
    seen = {"arrived": arrived, "icmp": None}
    if packet and family == 4:
        seen["icmp"] = {"from": packet[IP].src, "mtu": packet[ICMP].nexthopmtu}
    elif packet:
        seen["icmp"] = {"from": packet[IPv6].src, "mtu": packet[ICMPv6PacketTooBig].mtu}
    return seen


def arrival(receiving, sniffing, limit):
    """Whether the datagram arrives, or else the first "packet too big", or neither after `limit` seconds."""
    deadline = time.monotonic() + limit
    while (rest := deadline - time.monotonic()) > 0:
        ready = select.select([receiving, sniffing], [], [], rest)[0]
        if receiving in ready:
            return True, None
        if sniffing in ready and (packet := see(sniffing, too_big, 0.001)):
            return False, packet
    return False, None


def too_big(packet):
    return ICMPv6PacketTooBig in packet or (ICMP in packet and packet[ICMP].type == 3 and packet[ICMP].code == 4)


def plain(limit=5):
    """TCP and UDP without any tunnel, between client and host and client and pod, in both directions."""
    seen = {}
    for family in (4, 6):
        for near, far in (("client", "host"), ("host", "client"), ("client", "pod"), ("pod", "client")):
            for exchange in (tcp, udp):
                try:
                    outcome = exchange(family, near, far, limit)
                except OSError as error:
                    outcome = str(error)
                seen[f"{exchange.__name__}{family} {near}->{far}"] = outcome
    return seen


def tcp(family, near, far, limit):
    """More than one segment each way over a connection."""
    port = next(next_port)
    with listener(far, family, port) as listening:
        enter(near)
        with socket.create_connection((ADDRESS[family][far], port), timeout=limit) as here:
            listening.settimeout(limit)
            there, _ = listening.accept()
            with there:
                there.settimeout(limit)
                return "ok" if all(carried(a, b) for a, b in ((here, there), (there, here))) else "wrong bytes"


def carried(sender, receiver):
    sent, got = bytes(range(256)) * 32, b""
    sender.sendall(sent)
    while len(got) < len(sent):
        got += receiver.recv(65536)
    return got == sent


def udp(family, near, far, limit):
    """A datagram there and one back."""
    port = next(next_port)
    with listener(far, family, port, socket.SOCK_DGRAM) as there:
        enter(near)
        with socket.socket(FAMILY[family], socket.SOCK_DGRAM) as here:
            here.settimeout(limit)
            there.settimeout(limit)
            here.sendto(b"u" * 1200, (ADDRESS[family][far], port))
            data, sender = there.recvfrom(2000)
            there.sendto(data, sender)
            return "ok" if here.recv(2000) == b"u" * 1200 else "wrong bytes"


def main():
    services = [listener("pod", family, SERVICE_PORT) for family in (4, 6)]
    print(json.dumps("ready"), flush=True)
    for line in sys.stdin:
        request = json.loads(line)
        probe = {"syn": syn, "big": big, "plain": plain}[request.pop("probe")]
        print(json.dumps(probe(**request)), flush=True)
    for service in services:
        service.close()


if __name__ == "__main__":
    main()
