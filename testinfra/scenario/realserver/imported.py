"""`import` on hosts that netkeel never saw: its document has nothing to plan, and is short."""

from .host import GUEST, NETKEEL_LIMIT, Outcome, fresh_host
from .verbs import check_saved

PODS = 40
# A person reads the whole document before they take it over.
LONGEST = 60


def run(report, kernel):
    """A plain Debian, and a node of Calico."""
    report.heading("import writes what the host is")
    with fresh_host("imported", kernel) as host:
        check_saved(report, host, "on a plain Debian", "tunnels.yaml")
        check_import(report, host, "on a plain Debian", [])
        host.sh(f"{GUEST}/guest/calico-node {PODS}")
        host.sh("udevadm settle")
        check_saved(report, host, "on a node of Calico", "forced.yaml")
        check_import(report, host, "on a node of Calico", ["cali", "mtu: 1450", "1400", "net.core.rmem_max", "plugin"])


def check_import(report, host, when, words=()):
    """The document has the words, can be read, and has nothing to plan."""
    imported = Outcome(host.machine.call("netkeel import", limit=NETKEEL_LIMIT))
    missing = [word for word in words if word not in imported.output]
    report.check(f"{when}, import exits 0 and says what differs", imported.code == 0 and not missing, missing or imported)
    lines = len(imported.output.splitlines())
    report.check(f"{when}, the document has at most {LONGEST} lines", lines <= LONGEST, f"{lines} lines")
    command = "netkeel import | netkeel plan --detailed-exitcode -f -"
    planned = Outcome(host.machine.call(f"NO_COLOR=1 {command}", limit=NETKEEL_LIMIT))
    report.check(f"{when}, plan finds nothing to do with it", planned.code == 0, planned)
