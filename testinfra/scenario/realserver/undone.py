"""`undo` after each kind of apply: the whole host is as it was, down to what `netkeel observe` reads. And `import`."""

import json

from .host import NETKEEL_LIMIT, Outcome, fresh_host
from .imported import check_import
from .verbs import check_apply

# Records of what netkeel did, which undo adds to.
OWN_FILES = ("file /var/lib/netkeel/", "file /run/netkeel/")


def run(report, kernel):
    """Applies on a host as it was found, and on one that somebody changed since; each is undone."""
    report.heading("undo restores what each apply changed")
    with fresh_host("undone", kernel) as host:
        host.install_systemd_defaults()
        # A module stays after its tunnel, and brings a device that cannot be deleted.
        host.sh("modprobe -a ipip ip6_tunnel")
        host.topology()
        host.sh("udevadm settle")
        check_import(report, host, "on an untouched host")
        check_undone(report, host, "on an untouched host", "host.yaml")
        check_undone(report, host, "of tunnels alone", "tunnels.yaml")
        check_apply(report, host, "to stay")
        check_import(report, host, "on a realserver")
        host.set_rp_filter(all=1)
        check_undone(report, host, "with all.rp_filter=1", "host.yaml")
        host.sh("ip link set ipip0 down")
        check_undone(report, host, "with ipip0 down", "host.yaml")
        nothing = netkeel(host, "undo")
        while nothing.code == 0:
            nothing = netkeel(host, "undo")
        good = nothing.code == 1 and "there is no apply to undo" in nothing.output
        report.check("when every apply is undone, undo says so", good, nothing)
        left = host.links("ipip0", "ipip60")
        report.check("when every apply is undone, there are no tunnels", not left, left)


def check_undone(report, host, when, document):
    """An apply, and its undo by the last entry of the history."""
    before = whole(host)
    check_apply(report, host, when, document)
    after = whole(host)
    report.check(f"{when}, the apply changes the host", after != before, "another state")
    shown = netkeel(host, "undo --dry-run")
    report.check(f"{when}, undo --dry-run exits 0", shown.code == 0, shown)
    report.check(f"{when}, undo --dry-run changes nothing", whole(host) == after, "the same state")
    # A device that goes down again loses its routes.
    undone = netkeel(host, "undo --allow-lossy")
    report.check(f"{when}, undo exits 0", undone.code == 0, undone)
    host.sh("udevadm settle")
    state, snapshot = whole(host)
    changed = [line for line in state + before[0] if (line in state) != (line in before[0])]
    report.check(f"{when}, undo restores the state", not changed, changed or "the same state")
    report.check(f"{when}, undo restores the snapshot", snapshot == before[1], "the same snapshot" if snapshot == before[1] else snapshot)


def whole(host):
    """The state without netkeel's records, and the snapshot."""
    lines = [line for line in host.state() if not line.startswith((*OWN_FILES, "/proc/modules:"))]
    return lines, json.loads(host.sh("netkeel observe"))


def netkeel(host, arguments):
    """Runs netkeel without a document."""
    return Outcome(host.machine.call(f"NO_COLOR=1 timeout {NETKEEL_LIMIT} netkeel {arguments}", limit=NETKEEL_LIMIT + 60))
