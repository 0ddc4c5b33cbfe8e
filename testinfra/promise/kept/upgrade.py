"""A package of netkeel is upgraded while a confirmed apply waits: dpkg replaces the program, and its script restarts the service."""

import time

from realserver.host import GUEST

from .host import DOCUMENTS
from .restart import LONG, TRIAL, confirmed, undone

# dpkg takes long on an emulated processor of a busy machine. It is waited out.
WITHIN = 100


def run(report, host):
    """Nobody confirms, and the old watchdog is killed; somebody confirms with the new program."""
    report.heading("an upgrade of the package while an apply waits")
    host.sh(f"systemctl stop netkeel && for v in 1.0 1.1 1.2; do {GUEST}/guest/package $v; done")
    # The package has the units.
    host.sh("rm -f /etc/systemd/system/netkeel*.service && dpkg -i /root/netkeel_1.0.deb")
    host.in_order()
    before = host.look()

    begun = time.monotonic()
    outcome = host.call(f"{TRIAL} {WITHIN}s")
    report.check("apply exits 0", outcome.code == 0, outcome)
    old = watcher(host)
    upgraded(report, host, "1.1")
    # It may have ended by itself; then the check that it is still watched has failed.
    host.sh(f"kill -KILL {old} || :")
    undone(report, host, before, begun, WITHIN)

    outcome = host.call(f"{TRIAL} {LONG}s")
    report.check("apply exits 0 again", outcome.code == 0, outcome)
    upgraded(report, host, "1.2")
    confirmed(report, host, "trial.yaml")
    host.sh("netkeel release --lock-timeout 60s --owner trial")
    report.check("the host is as before", not host.differs(before), host.differs(before) or "the same state")


def watcher(host):
    """The process that watches the apply."""
    return host.sh(f"systemctl show -P MainPID {' '.join(host.watchdogs())}")


def upgraded(report, host, version):
    """Installs another version; the watchdog runs on from the old file."""
    old, service, unit = host.sh("stat -c %i /usr/bin/netkeel"), host.service_pid(), host.watchdogs()
    host.sh(f"dpkg -i /root/netkeel_{version}.deb")
    new = host.sh("stat -c %i /usr/bin/netkeel")
    report.check(f"{version}: the program is another file", old != new, f"inode {old}, then {new}")
    report.check(f"{version}: the service runs it", host.service_pid() not in ("0", service), f"{service}, then {host.service_pid()}")
    report.check(f"{version}: the apply is still watched", unit and host.watchdogs() == unit, host.watchdogs())
    told = host.call(f"netkeel plan -f {DOCUMENTS}/trial.yaml")
    report.check(f"{version}: the new program knows that it waits", "waits to be confirmed" in told.output, told)
