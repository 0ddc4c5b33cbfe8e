"""Tunnels that are in the way, or that the kernel cannot make: netkeel explains and changes nothing, unless it is told to go on."""

from .host import fresh_host
from .traffic import check_tunnels
from .verbs import DROP_IN, check_apply, check_apply_and_undo, check_refused


def run(report, kernel):
    """The cases share a host; each clears away what it made."""
    report.heading("tunnels that are in the way, or cannot be made")
    with fresh_host("refusals", kernel) as host:
        no_module(report, host)
        not_external(report, host)
        another_external(report, host, "ipip", "lvs0")
        another_external(report, host, "ip6tnl", "lvs60")
        calico(report, host)


def no_module(report, host):
    """A kernel built without ipip: the module is named. Nothing has loaded it on a fresh host, so it can be taken away."""
    host.sh("modinfo -n ipip > /root/ipip && mv $(cat /root/ipip) /root/ && depmod")
    check_refused(report, host, "on a kernel without ipip", ["module ipip"])
    host.sh("mv /root/$(basename $(cat /root/ipip)) $(cat /root/ipip) && depmod")


def not_external(report, host):
    """An ipip0 of the other sort cannot be changed into an external one: it has to go, and whoever runs netkeel must say so."""
    host.sh("ip link add ipip0 type ipip local 192.0.2.1 remote 192.0.2.2 && ip link set ipip0 up && udevadm settle")
    check_refused(report, host, "with an ipip0 that is not external", ["ipip0", "--allow-lossy"])
    outcome = host.netkeel("plan", "tunnels.yaml")
    said = any(word in outcome.output.lower() for word in ("destructive", "destroy", "delete", "recreate"))
    report.check("plan shows that ipip0 would be deleted", said, outcome)
    check_apply(report, host, "with an ipip0 that is not external", "tunnels.yaml", "--allow-lossy")
    check_tunnels(report, host, "after --allow-lossy")
    clear(host, "ipip0", "ipip60")


def another_external(report, host, kind, name):
    """The kernel has room for one external tunnel of a kind; another name holds it."""
    host.sh(f"ip link add {name} type {kind} external && ip link set {name} up && udevadm settle")
    check_refused(report, host, f"with an external {kind} named {name}", [name])
    clear(host, name)


def calico(report, host):
    """Calico's IPIP mode runs on tunl0, whose packets an ipip0 would take away."""
    host.sh("modprobe ipip && ip link set tunl0 up && ip addr add 10.67.0.1/32 dev tunl0 && udevadm settle")
    check_refused(report, host, "beside Calico's IPIP on tunl0", ["tunl0", "force"])
    check_apply_and_undo(report, host, "beside Calico's IPIP, with force: true", "forced.yaml")
    kind = host.links("ipip0").get("ipip0", {}).get("linkinfo", {})
    report.check("with force: true ipip0 is there", "external" in kind.get("info_data", {}), kind)
    clear(host, "ipip0")


def clear(host, *links):
    """Removes tunnels and what netkeel wrote for them."""
    for link in links:
        host.sh(f"test ! -e /sys/class/net/{link} || ip link del {link}")
    host.sh(f"rm -f {DROP_IN} && udevadm settle")
