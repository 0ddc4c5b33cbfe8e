"""A service of a pod: a socket of each family that answers nobody, so that ICMP errors belong to something."""

import signal
import socket

ADDRESSES = {socket.AF_INET: "192.0.2.10", socket.AF_INET6: "2001:db8:1::10"}

sockets = []
for family, address in ADDRESSES.items():
    listening = socket.socket(family, socket.SOCK_DGRAM)
    listening.setsockopt(socket.IPPROTO_IP, 15, 1)  # IP_FREEBIND
    listening.bind((address, 443))
    sockets.append(listening)
signal.pause()
