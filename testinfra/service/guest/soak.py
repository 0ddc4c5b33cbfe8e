"""soak.py SECONDS SERVICE WORKER FIRST: interfaces come and go, messages come in, and memory and descriptors are sampled.

Prints a line of JSON for each sample: seconds since the start, then RSS in KiB and descriptors of both processes; and one
of how many interfaces came, and how many of them were not set.
"""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

EVERY = 5
BURST = 5
MTU = 1460
PATIENCE = 60
HERE = Path(__file__).resolve().parent


def sample(pid):
    status = Path(f"/proc/{pid}/status").read_text(encoding="ascii")
    resident = next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmRSS:"))
    return [resident, len(os.listdir(f"/proc/{pid}/fd"))]


def churn(number):
    """Makes pods' interfaces, breaks one once they are set, and takes them away again. Returns how many were not set."""
    names = [f"cali{number}x{index}" for index in range(BURST)]
    ip("".join(f"link add {name} type veth peer name p{name}\nlink set {name} up\n" for name in names))
    missed = not_set(names)
    ip(f"link set {names[0]} mtu 1500\n")
    missed += not_set(names[:1])
    ip("".join(f"link del {name}\n" for name in names))
    return missed


def not_set(names):
    """How many interfaces have another MTU than is wanted, when those that have it were waited for."""
    end = time.monotonic() + PATIENCE
    while True:
        time.sleep(0.2)
        wrong = sum(Path(f"/sys/class/net/{name}/mtu").read_text(encoding="ascii") != f"{MTU}\n" for name in names)
        if not wrong or time.monotonic() > end:
            return wrong


def ip(commands):
    subprocess.run(["ip", "-batch", "-"], input=commands, text=True, check=True)


def main():
    seconds, service, worker, first = map(int, sys.argv[1:])
    begin = time.monotonic()
    # At 100 a second, in numbers of their own: sixteen thousand each.
    sending = ["ip", "netns", "exec", "router", sys.executable, str(HERE / "send.py")]
    senders = [subprocess.Popen([*sending, family, str(50 * seconds), "50", str(first)]) for family in "46"]
    due, number, missed = 0, 0, 0
    while (now := time.monotonic() - begin) < seconds:
        if now >= due:
            print(json.dumps([round(now), sample(service), sample(worker)]), flush=True)
            due += EVERY
        missed += churn(number)
        number += 1
    for sender in senders:
        sender.wait()
    print(json.dumps([round(time.monotonic() - begin), sample(service), sample(worker)]), flush=True)
    print(json.dumps({"came": number * BURST, "missed": missed}), flush=True)


if __name__ == "__main__":
    main()
