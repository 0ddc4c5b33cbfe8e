"""steady.py FAMILY RATE FIRST: sends "packet too big" at a steady rate until SIGTERM, and prints how many it sent."""

import signal
import socket
import sys
import time

from send import VIP, message


class Ended(Exception):
    """SIGTERM came."""


def end(*_):
    raise Ended


def main():
    family, rate, first = map(int, sys.argv[1:])
    raw = socket.socket(socket.AF_INET if family == 4 else socket.AF_INET6, socket.SOCK_RAW, socket.IPPROTO_RAW)
    sent = 0
    begin = time.monotonic()
    try:
        signal.signal(signal.SIGTERM, end)
        while True:
            # A signal between these two would count one too few.
            signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])
            raw.sendto(message(family, first + sent), (VIP[family], 0))
            sent += 1
            signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGTERM])
            rest = begin + sent / rate - time.monotonic()
            if rest > 0:
                time.sleep(rest)
            else:
                # No burst after a pause of the machine: it would not fit into the socket.
                begin -= rest
    except Ended:
        print(sent)


main()
