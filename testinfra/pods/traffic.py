"""Connections from pods to their host, all in one process: how long each was silent at most.

usage: traffic.py SECONDS PORT SERVER HOST POD...   (HOST and POD are network namespaces)

Each connection sends 4 KiB both ways every 50 ms. Prints `ready` when all of them flow. Goes on for SECONDS at least and
until its input has ended for two seconds, and prints a line of JSON then. The MSS is read at both moments.
"""

import ctypes
import json
import os
import select
import socket
import sys
import time

CHUNK = b"x" * 4096
PAUSE = 0.05
# After the end of the input.
AFTER = 2
# On failure.
LIMIT = 300


def enter(name):
    """Sockets stay in the namespace in which they were made."""
    descriptor = os.open(f"/run/netns/{name}", os.O_RDONLY)
    if ctypes.CDLL(None, use_errno=True).setns(descriptor, 0x40000000) != 0:
        raise OSError(ctypes.get_errno(), f"entering {name}")
    os.close(descriptor)


class Flow:
    """One end of a connection."""

    def __init__(self, sock):
        sock.setblocking(False)
        self.sock, self.heard, self.longest, self.next, self.broken = sock, None, 0.0, 0.0, None

    def read(self, now):
        try:
            while data := self.sock.recv(65536):
                if self.heard is not None:
                    self.longest = max(self.longest, now - self.heard)
                self.heard = now
            self.broken = "closed"
        except BlockingIOError:
            pass
        except OSError as error:
            self.broken = str(error)

    def write(self, now):
        if now >= self.next and not self.broken:
            self.next = now + PAUSE
            try:
                self.sock.send(CHUNK)
            except BlockingIOError:
                pass
            except OSError as error:
                self.broken = str(error)

    def mss(self):
        return self.sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG)


def main():
    seconds, port, server, host, *pods = sys.argv[1:]
    enter(host)
    listener = socket.create_server((server, int(port)), backlog=len(pods))
    flows = []
    for pod in pods:
        enter(pod)
        client = socket.create_connection((server, int(port)), timeout=LIMIT)
        flows.append(Flow(client))
        flows.append(Flow(listener.accept()[0]))
    poll = select.epoll()
    by_descriptor = {flow.sock.fileno(): flow for flow in flows}
    for descriptor in by_descriptor:
        poll.register(descriptor, select.EPOLLIN)
    poll.register(sys.stdin.fileno(), select.EPOLLIN)
    start, ready, before = time.monotonic(), False, []
    least, last = start + float(seconds), start + LIMIT
    while (now := time.monotonic()) < max(least, last):
        for descriptor, _ in poll.poll(PAUSE / 4):
            if descriptor == sys.stdin.fileno():
                poll.unregister(descriptor)
                last = time.monotonic() + AFTER
                continue
            flow = by_descriptor[descriptor]
            flow.read(time.monotonic())
            if flow.broken:
                poll.unregister(descriptor)
        for flow in flows:
            flow.write(now)
        if not ready and now > start + 1 and all(flow.heard for flow in flows):
            ready, before = True, [flow.mss() for flow in flows]
            print("ready", flush=True)
    now = time.monotonic()
    print(
        json.dumps(
            {
                "connections": len(pods),
                "ready": ready,
                "broken": [flow.broken for flow in flows if flow.broken],
                "longest_gap_ms": round(1000 * max(max(flow.longest, now - (flow.heard or start)) for flow in flows)),
                "mss_before": [min(before, default=0), max(before, default=0)],
                "mss_after": [min(flow.mss() for flow in flows), max(flow.mss() for flow in flows)],
            }
        )
    )


main()
