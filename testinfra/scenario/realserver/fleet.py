"""Two kinds of hosts as the real fleets have them, both brought to the one document."""

from .converge import POD_LINK
from .host import fresh_host
from .traffic import check_path_mtu, check_plain, check_rp_filter, check_syn, check_tunnels
from .verbs import check_apply_and_undo, check_converged, check_plan_finds_drift, check_saved

FOUND = "/etc/sysctl.d/10-ubuntu-defaults.conf"
# ipip60's rp_filter is not in the document and systemd's defaults are not on these hosts, so IPv4-in-IPv6 is not asked of them.
SAME_FAMILY = [(4, 4), (6, 6)]


def run(report, kernel):
    """Each kind on a host of its own."""
    kubernetes_worker(report, kernel)
    tunnel_host(report, kernel)


def kubernetes_worker(report, kernel):
    """All, default and the pods' links strict, from a file and from Felix; no tunnels yet."""
    report.heading("a Kubernetes worker with all=1, default=1, cali*=1")
    with fresh_host("worker", kernel) as host:
        found_with(host, value=1)
        host.topology()
        host.set_rp_filter(**{POD_LINK: 1})
        check_rp_filter(report, host, "as found", all=1, default=1, **{POD_LINK: 1})
        converges(report, host)


def tunnel_host(report, kernel):
    """No rp_filter at all, and tunnels made by ifupdown as puppet's interface::ipip has it."""
    report.heading("another IPIP host with all=0, default=0 and its tunnels up")
    with fresh_host("tunnels", kernel) as host:
        found_with(host, value=0)
        host.topology()
        for name, kind in (("ipip0", "ipip"), ("ipip60", "ip6tnl")):
            host.sh(f"ip link add {name} type {kind} external && ip link set up dev {name}")
            host.sh(f"ip addr add 127.0.0.42/32 dev {name}")
        host.sh("udevadm settle")
        check_rp_filter(report, host, "as found", all=0, default=0, ipip0=0, **{POD_LINK: 0})
        indices = {name: link["ifindex"] for name, link in host.links("ipip0", "ipip60").items()}
        converges(report, host)
        now = {name: link["ifindex"] for name, link in host.links("ipip0", "ipip60").items()}
        report.check("the tunnels that were there are kept", now == indices, f"interface indices {indices}, then {now}")


def found_with(host, value):
    """Sets all and default as a file of puppet does, for this boot and the next."""
    lines = "".join(f"net.ipv4.conf.{scope}.rp_filter = {value}\\n" for scope in ("all", "default"))
    host.sh(f"printf '{lines}' > {FOUND} && systemctl restart systemd-sysctl")


def converges(report, host):
    """The host ends as the document says, and stays so when puppet restarts systemd-sysctl."""
    check_plan_finds_drift(report, host, "as found")
    check_saved(report, host, "as found")
    # The modules of tunnels stay after an undo, with devices that cannot be deleted.
    host.sh("modprobe -a ipip ip6_tunnel && udevadm settle")
    check_apply_and_undo(report, host, "as found")
    check_rp_filter(report, host, "after apply", all=0, default=1, ipip0=0, **{POD_LINK: 1})
    check_tunnels(report, host, "after apply")
    check_converged(report, host, "after apply")
    check_syn(report, host, "after apply", only=SAME_FAMILY)
    check_path_mtu(report, host)
    check_plain(report, host, "after apply")
    host.sh("systemctl restart systemd-sysctl")
    check_rp_filter(report, host, "after systemd-sysctl ran again", all=0, default=1, ipip0=0)
