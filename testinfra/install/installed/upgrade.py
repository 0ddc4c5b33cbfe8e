"""Upgrade and downgrade while a router sends "packet too big" steadily, while the service is paused and an apply waits."""

import time

from realserver.host import GUEST

from .host import RATE, VERSIONS

# The longest time whose messages an upgrade may lose, milliseconds.
WINDOW = 50
# dpkg takes minutes on an emulated processor of a busy machine.
WITHIN = 900
TRIAL = f"netkeel apply --lock-timeout 60s --retry-rejected -f {GUEST}/documents/trial.yaml --confirm-within {WITHIN}s"


def run(report, host):
    """Controls first: without them, a way of counting that misses losses would pass."""
    report.heading("the counting of lost messages")
    host.in_order()
    counted = {}
    with host.traffic(counted):
        time.sleep(3)
    report.check("while nothing happens each message comes to the peer once", counted["came"] == counted["sent"], counted)
    counted = {}
    with host.traffic(counted):
        host.sh("systemctl stop netkeel; sleep 1; systemctl start netkeel")
        host.in_order()
    lost = counted["sent"] - counted["came"]
    report.check("those of a second without the service are counted as lost", lost >= RATE * 0.9, counted)

    for name, version in VERSIONS.items():
        report.heading(f"a {name} under traffic, paused, while an apply waits")
        host.sh("netkeel pause 1h --reason maintenance")
        code, text = host.call(TRIAL)
        report.check("an apply waits to be confirmed", code == 0, text)
        before, pid = host.kept(), host.property("netkeel", "MainPID")
        report.check("it is watched", before["watchdogs"] and before["probing"] == "1", before)
        counted = {}
        with host.traffic(counted):
            begun = time.monotonic()
            code, text = host.install(version)
            took = time.monotonic() - begun
            report.check(f"apt exits 0, and {version} is installed", code == 0 and host.version() == version, text if code else f"{took:.1f} s")
            host.until("the service runs", lambda now: now["pid"] != int(pid) and now["looked"])
        report.check("another service runs", host.property("netkeel", "MainPID") not in ("0", pid), f"{pid}, then {host.property('netkeel', 'MainPID')}")
        lost = counted["sent"] - counted["came"]
        window = lost * 1000 / RATE
        report.check(f"the {name} loses at most what arrives in {WINDOW} ms", 0 <= window <= WINDOW, f"{counted}: {window:.0f} ms")
        after = host.kept()
        for what in before:
            report.check(f"{name}: kept: {what}", after[what] == before[what], f"{before[what]}\n{after[what]}")
        code, text = host.call("netkeel confirm --lock-timeout 60s")
        report.check("the other version confirms the apply", code == 0, text)
        report.check("the change stays", host.sh("cat /proc/sys/net/ipv4/tcp_mtu_probing") == "1", "tcp_mtu_probing 1")
        host.sh("netkeel release --lock-timeout 60s --owner trial && netkeel pause --end")
        host.in_order()
        host.replicates(report, f"after the {name}")
