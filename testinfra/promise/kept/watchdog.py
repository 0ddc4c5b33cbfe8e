"""A watchdog that is killed while it undoes: systemd starts it again, and it undoes the rest."""

import contextlib
import time

from netkeel_lab.error import LabError, wait_until
from realserver.host import GUEST
from realserver.state import changes

from .host import DOCUMENTS

WITHIN = 40
LINKS = 299
FIRST = 100
# The undo takes milliseconds: on a busy host the signal may come after it.
ATTEMPTS = 4
LOGGED = 60


def run(report, host):
    """Of an apply with hundreds of writes, which nobody confirms."""
    report.heading("a watchdog that is killed while it undoes")
    # udev gives them other addresses once they are there.
    host.sh(
        f"for n in $(seq {FIRST} {LINKS}); do echo link add many$n txqueuelen 1000 type dummy; done > /tmp/many"
        " && ip -batch /tmp/many && udevadm settle"
    )
    before = links(host)
    count = LINKS - FIRST + 1
    for attempt in range(1, ATTEMPTS + 1):
        begun = time.monotonic()
        outcome = host.call(f"netkeel apply --lock-timeout 60s --retry-rejected -f {DOCUMENTS}/many.yaml --confirm-within {WITHIN}s")
        report.check("apply exits 0", outcome.code == 0, outcome.output[-300:])
        report.check("it changes the host", links(host) != before, f"{time.monotonic() - begun:.1f} s")
        units = host.watchdogs()
        report.check("one watchdog watches it", len(units) == 1, units)
        undone = int(host.sh(f"{GUEST}/guest/kill-undoing {units[0]} {LINKS}"))
        if 0 < undone < count or attempt == ATTEMPTS:
            break
        host.unwatched()
    report.check("it is killed after some of its writes", 0 < undone < count, f"{undone} of {count} undone, attempt {attempt}")
    host.unwatched()
    difference = changes(before, links(host))
    report.check("the host is as before", not difference, difference or "the same state")
    last = host.last_done()
    report.check("history says why", "rolled back: nobody confirmed it in time" in last, last)
    killed, started, log = counted(host, units[0])
    report.check("systemd started the watchdog again", killed == 1 and started == 2, f"killed {killed}, started {started}: {log}")
    host.sh(f"for n in $(seq {FIRST} {LINKS}); do echo link del many$n; done > /tmp/many && ip -batch /tmp/many")
    host.in_order()


def counted(host, unit):
    """How often the watchdog was killed and started, and the log that says so. The log comes a moment after the events."""
    found = []

    def twice():
        log = host.sh(f"journalctl -q --no-pager -o cat -u {unit}")
        found[:] = [log.count("status=9/KILL"), log.count("Started netkeel-undo-"), log]
        return found[0] >= 1 and found[1] >= 2

    with contextlib.suppress(LabError):
        wait_until(twice, LOGGED, lambda: "", 0.5)
    return found


def links(host):
    """The interfaces, line by line."""
    return host.sh("ip -d link").splitlines()
