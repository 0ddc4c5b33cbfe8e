"""Namespaces, raw sockets and counters, for the probes. A socket stays in the namespace that it was opened in."""

import ctypes
import os
import socket

ETH_P_ALL = 3
CLONE_NEWNET = 0x40000000
_libc = ctypes.CDLL(None, use_errno=True)


def enter(name):
    """Moves the calling thread into a named namespace; "host" is the root one."""
    path = "/proc/1/ns/net" if name == "host" else f"/run/netns/{name}"
    handle = os.open(path, os.O_RDONLY)
    try:
        if _libc.setns(handle, CLONE_NEWNET):
            raise OSError(ctypes.get_errno(), f"cannot enter namespace {name}")
    finally:
        os.close(handle)


def sniffer(name, device):
    """A socket that sees every frame of a device."""
    enter(name)
    sniffing = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_ALL))
    sniffing.bind((device, 0))
    return sniffing


def send(name, packet):
    """Sends a scapy packet, its IP header included, as it is."""
    enter(name)
    if packet.version == 4:
        with socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW) as raw:
            raw.sendto(bytes(packet), (packet.dst, 0))
    else:
        with socket.socket(socket.AF_INET6, socket.SOCK_RAW, socket.IPPROTO_RAW) as raw:
            raw.sendto(bytes(packet), (packet.dst, 0))


def flush_route_caches(*names):
    """Forgets path MTUs that earlier probes taught."""
    for name in names:
        enter(name)
        for family in ("ipv4", "ipv6"):
            with open(f"/proc/sys/net/{family}/route/flush", "w", encoding="ascii") as flush:
                flush.write("1")


def counters():
    """What tells of a packet's fate on the host: rp_filter's drops, and packets that the tunnels decapsulated."""
    enter("host")
    with open("/proc/thread-self/net/netstat", encoding="ascii") as table:
        names, values = [line.split() for line in table if line.startswith("TcpExt:")]
    found = {"IPReversePathFilter": int(values[names.index("IPReversePathFilter")])}
    with open("/proc/thread-self/net/dev", encoding="ascii") as table:
        for line in table:
            device, _, numbers = line.partition(":")
            if device.strip() in ("ipip0", "ipip60"):
                found[f"{device.strip()} rx"] = int(numbers.split()[1])
    return found


def difference(before, after):
    """How far each counter went."""
    return {name: value - before.get(name, 0) for name, value in after.items()}
