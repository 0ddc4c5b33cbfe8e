"""Sends UDP packets with don't-fragment between two network namespaces and says what became of each size.

Usage: probe.py FROM-NETNS TO-NETNS ADDRESS SIZE...

A size is that of the whole IP packet. Prints one word for each:
passed   it arrived
refused  the sender's kernel refused it at once (EMSGSIZE)
told     it did not arrive, and the next one was refused: a packet-too-big came
lost     it did not arrive, and nor did the next one
"""

import ctypes
import errno
import os
import socket
import sys
import time

CLONE_NEWNET = 0x40000000
PORT = 5005
LIBC = ctypes.CDLL(None, use_errno=True)


def enter(name):
    with open(f"/run/netns/{name}") as file:
        if LIBC.setns(file.fileno(), CLONE_NEWNET) != 0:
            raise OSError(ctypes.get_errno(), f"setns {name}")


def main():
    sender, receiver, address, *sizes = sys.argv[1:]
    six = ":" in address
    family = socket.AF_INET6 if six else socket.AF_INET
    headers = 48 if six else 28
    enter(receiver)
    inbox = socket.socket(family, socket.SOCK_DGRAM)
    inbox.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
    inbox.bind(("::" if six else "0.0.0.0", PORT))
    inbox.settimeout(0.4)
    enter(sender)
    outbox = socket.socket(family, socket.SOCK_DGRAM)
    # IPV6_MTU_DISCOVER and IP_MTU_DISCOVER, both with the value DO.
    level, option = (socket.IPPROTO_IPV6, 23) if six else (socket.IPPROTO_IP, 10)
    outbox.setsockopt(level, option, 2)

    def send(size):
        outbox.sendto(bytes(size - headers), (address, PORT))

    def arrived(size):
        until = time.monotonic() + 0.4
        while True:
            try:
                if len(inbox.recv(1 << 16)) == size - headers:
                    return True
            except TimeoutError:
                # It has looked once at least, however long the machine stood still.
                if time.monotonic() >= until:
                    return False

    def refused(size):
        try:
            send(size)
        except OSError as error:
            if error.errno in (errno.EMSGSIZE, errno.ENETUNREACH):
                return True
            # An ICMP error about an earlier packet; this one was not sent.
            return refused(size)
        return False

    def verdict(size):
        if refused(size):
            return "refused"
        if arrived(size):
            return "passed"
        if refused(size):
            return "told"
        return "passed" if arrived(size) else "lost"

    # Neighbours are resolved first. Where nothing passes, nothing ever arrives.
    for _ in range(5):
        if refused(headers + 1) or arrived(headers + 1):
            break
    for size in sizes:
        print(verdict(int(size)), flush=True)


main()
