"""`ip netns exec blue netkeel apply --confirm-within`: systemd starts the timer in process 1's namespaces."""

import time

from .host import DOCUMENTS

# Both are waited out. What must be seen before the end are an apply and two looks over ssh on an emulated processor.
WITHIN = 20
BLUE = "ip netns exec blue"


def run(report, host):
    """Undone there, confirmed there; the host's namespace does not change."""
    report.heading("an apply in another network namespace")
    host.sh(
        "ip netns add blue && ip -n blue link add other0 address 02:00:00:00:00:20 type dummy"
        f" && {BLUE} sysctl -qw net.ipv4.conf.other0.rp_filter=0"
    )
    outside, inside = host.look(), looked(host)
    begun = time.monotonic()
    outcome = apply(host)
    report.check("apply exits 0", outcome.code == 0, outcome)
    changed = looked(host)
    report.check("it changes the namespace", changed != inside and "mtu 1330" in changed, changed)
    started = host.watchdogs()
    report.check("a unit of systemd watches it", len(started) == 1, started)
    # From here on it does not matter whether the time is over.
    report.check("the host does not change", not host.differs(outside), host.differs(outside) or "the same state")
    outcome = host.call("netkeel confirm --lock-timeout 60s")
    # 3: the last apply there was rolled back, as by the case before.
    report.check("confirm in the host's namespace confirms nothing", outcome.code in (1, 3), outcome)
    host.unwatched()
    now = looked(host)
    report.check("it is undone there", now == inside, now if now != inside else f"{time.monotonic() - begun:.1f} s after it began")
    report.check("the host does not change", not host.differs(outside), host.differs(outside) or "the same state")

    outcome = apply(host)
    report.check("apply exits 0 again", outcome.code == 0, outcome)
    outcome = host.call(f"{BLUE} netkeel confirm --lock-timeout 60s")
    report.check("confirm in the namespace exits 0", outcome.code == 0, outcome)
    time.sleep(WITHIN + 1)
    report.check("it stays when the time is over", looked(host) == changed, looked(host))
    report.check("the host does not change", not host.differs(outside), host.differs(outside) or "the same state")
    host.sh("ip netns del blue")


def apply(host):
    """The confirmed apply in the namespace."""
    return host.call(f"{BLUE} netkeel apply --lock-timeout 60s --retry-rejected -f {DOCUMENTS}/blue.yaml --confirm-within {WITHIN}s")


def looked(host):
    """All that the apply could have changed in the namespace."""
    return host.sh(f"{BLUE} sh -c 'ip -d link show other0; grep -r . /proc/sys/net/ipv4/conf/other0'")
