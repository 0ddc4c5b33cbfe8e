"""Counters whose limits belong to the whole machine: each is provoked, and `netkeel doctor` names the cause and no other."""

import contextlib
import json

from netkeel_lab.error import LabError
from realserver.host import GUEST

# Seconds. A machine that is too slow to send in the first gets the next.
WINDOWS = (6, 15, 60, 240)
LATE = "late"


def doctor(host, traffic):
    """The diagnosis of a window in which the guest sends from its beginning to its end."""
    sent = "/run/sent"
    for window in WINDOWS:
        text = host.sh(
            f"rm -f {sent}; {{ {GUEST}/guest/send {traffic} && touch {sent}; }} & netkeel doctor --window {window}s --output json"
            f"; [ -e {sent} ] || echo {LATE}; wait; [ -e {sent} ]"
        )
        if not text.endswith(LATE):
            return json.loads(text)
    raise LabError(f"the guest does not send within {WINDOWS[-1]} s")


def causes(diagnosis):
    """The kinds of the causes, each with its grounds."""
    return [(cause["kind"], cause["grounds"]) for cause in diagnosis["causes"]]


@contextlib.contextmanager
def sysctls(host, **values):
    """Sets sysctls, by the last part of their names, and restores them."""
    paths = {path.rsplit("/", 1)[1]: path for path in SYSCTLS}
    before = {name: host.sh(f"cat {paths[name]}") for name in values}
    try:
        for name, value in values.items():
            host.sh(f"echo {value} >{paths[name]}")
        yield
    finally:
        for name in reversed(list(before)):
            host.sh(f"echo {before[name]} >{paths[name]}")


SYSCTLS = [
    "/proc/sys/net/netfilter/nf_conntrack_max",
    "/proc/sys/net/core/netdev_max_backlog",
    "/proc/sys/net/core/netdev_budget",
    "/proc/sys/net/ipv4/neigh/default/gc_thresh1",
    "/proc/sys/net/ipv4/neigh/default/gc_thresh2",
    "/proc/sys/net/ipv4/neigh/default/gc_thresh3",
]


def run(report, host):
    """Each limit: with its usual value nothing is found, with a small one its cause."""
    host.sh(f"{GUEST}/guest/topology")
    for traffic in ("one-flow", "many-flows", "many-neighbours", "broadcasts"):
        found = causes(doctor(host, traffic))
        report.check(f"{traffic}: nothing is found with the usual limits", found == [], found)

    # Connections of the windows before end meanwhile: room for a number more than there are now may grow.
    with sysctls(host, nf_conntrack_max=20):
        expect(report, "a full connection table", doctor(host, "many-flows"), "conntrack-full")
    early_drop(report, host)
    with sysctls(host, netdev_max_backlog=1):
        expect(report, "a full queue of received packets", doctor(host, "broadcasts"), "backlog-full")
    # One of the neighbours that this session needs is there already.
    with sysctls(host, gc_thresh1=1, gc_thresh2=4, gc_thresh3=8):
        expect(report, "a full neighbour table", doctor(host, "many-neighbours"), "neighbours-full")
    with sysctls(host, netdev_budget=1):
        diagnosis = doctor(host, "one-flow")
        squeezed = [growth for growth in diagnosis["also"] if growth["counter"].startswith("softnet time_squeeze ")]
        report.check("a CPU that is out of budget loses nothing: it is no cause", causes(diagnosis) == [], diagnosis)
        report.check("a CPU that is out of budget is shown", bool(squeezed), diagnosis)


# The module rounds it up to what a page holds: 512.
BUCKETS = "/sys/module/nf_conntrack/parameters/hashsize"


def early_drop(report, host):
    """A full table whose connections nobody answered: near each of 512 buckets is one that makes room."""
    before = host.sh(f"cat {BUCKETS}")
    host.sh(f"echo 512 >{BUCKETS}")
    try:
        with sysctls(host, nf_conntrack_max=200):
            diagnosis = doctor(host, "many-flows")
    finally:
        host.sh(f"echo {before} >{BUCKETS}")
    of_signs = [growth for sign in diagnosis["signs"] if sign["kind"] == "conntrack-early-drop" for growth in sign["counters"]]
    of_causes = [part["grew"] for cause in diagnosis["causes"] if cause["kind"] == "conntrack-full" for part in cause["evidence"] if "grew" in part]
    dropped = [growth["by"] for growth in of_signs + of_causes if growth["counter"] == "nf_conntrack early_drop"]
    report.check("connections that were dropped early are counted", sum(dropped) > 20, diagnosis)
    others = [cause for cause in causes(diagnosis) if cause[0] != "conntrack-full"]
    report.check("no other cause is named for them", others == [], others)


def expect(report, what, diagnosis, kind):
    """The cause, by its counters, and no other."""
    report.check(what, causes(diagnosis) == [(kind, "counted")], diagnosis)
