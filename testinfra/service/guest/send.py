"""send.py FAMILY COUNT RATE FIRST: sends "packet too big" as a router does, to the address that all pods serve.

Each message quotes a connection of its own, by number from FIRST on. 16,000 numbers are of one client.
"""

import ipaddress
import socket
import struct
import sys
import time

VIP = {4: "192.0.2.10", 6: "2001:db8:1::10"}
CLIENTS = {4: "203.0.113.0", 6: "2001:db8:2::"}
ROUTER = {4: "203.0.113.254", 6: "2001:db8:2::fe"}
MTU = 1400


def checksum(data):
    if len(data) % 2:
        data += b"\0"
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def packed(family, address):
    return socket.inet_pton(socket.AF_INET if family == 4 else socket.AF_INET6, address)


def header(family, source, destination, protocol, length):
    """An IP header before `length` bytes."""
    if family == 6:
        return struct.pack("!IHBB", 6 << 28, length, protocol, 64) + packed(6, source) + packed(6, destination)
    fields = struct.pack("!BBHHHBB", 0x45, 0, 20 + length, 1, 0x4000, 64, protocol)
    addresses = packed(4, source) + packed(4, destination)
    return fields + struct.pack("!H", checksum(fields + b"\0\0" + addresses)) + addresses


def message(family, number):
    """A whole packet."""
    client = str(ipaddress.ip_address(CLIENTS[family]) + 1 + number // 16000 % 250)
    datagram = struct.pack("!HHHH", 443, 10000 + number % 16000, 1440, 0) + bytes(64)
    quote = header(family, VIP[family], client, socket.IPPROTO_UDP, 1440) + datagram
    if family == 4:
        body = struct.pack("!HH", 0, MTU) + quote
        said, protocol, pseudo = b"\3\4", socket.IPPROTO_ICMP, b""
    else:
        body = struct.pack("!I", MTU) + quote
        said, protocol = b"\2\0", socket.IPPROTO_ICMPV6
        pseudo = packed(6, ROUTER[6]) + packed(6, VIP[6]) + struct.pack("!II", 4 + len(body), protocol)
    icmp = said + struct.pack("!H", checksum(pseudo + said + b"\0\0" + body)) + body
    return header(family, ROUTER[family], VIP[family], protocol, len(icmp)) + icmp


def main():
    family, count, rate, first = map(int, sys.argv[1:])
    raw = socket.socket(socket.AF_INET if family == 4 else socket.AF_INET6, socket.SOCK_RAW, socket.IPPROTO_RAW)
    begin = time.monotonic()
    for number in range(count):
        raw.sendto(message(family, first + number), (VIP[family], 0))
        rest = begin + (number + 1) / rate - time.monotonic()
        if rest > 0:
            time.sleep(rest)


if __name__ == "__main__":
    main()
