"""`undo` after each kind of apply: the whole host is as it was, down to what `netkeel observe` reads. And `import`."""

from .host import fresh_host
from .imported import check_import
from .verbs import check_apply, check_undone, netkeel


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
