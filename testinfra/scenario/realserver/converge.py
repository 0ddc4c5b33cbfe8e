"""The main case: netkeel makes an untouched host a realserver, against systemd's rp_filter defaults and a live udev."""

from .host import fresh_host
from .traffic import (
    ENCAPSULATIONS,
    POD_MTU,
    answered,
    check_path_mtu,
    check_plain,
    check_rp_filter,
    check_syn,
    check_tunnels,
    rp_filter_dropped,
    unseen,
)
from .verbs import (
    DROP_IN,
    check_apply,
    check_apply_and_undo,
    check_converged,
    check_plan_finds_drift,
    check_plan_says,
    check_refused,
    check_saved,
)

POD_LINK = "cali0a1b2c3d4e5"


def run(report, kernel):
    """All steps, on one host."""
    report.heading("an untouched host becomes a realserver")
    with fresh_host("converge", kernel) as host:
        host.install_systemd_defaults()
        host.topology()
        plain_before = before_netkeel(report, host)
        converges(report, host)
        plain_after = check_plain(report, host, "after apply")
        report.check("plain traffic passes as before netkeel", plain_after == plain_before, "the same exchanges pass")
        check_syn(report, host, "after apply")
        check_path_mtu(report, host)
        rp_filter_decides(report, host)
        controls_fail(report, host)
        survives_reboot(report, host)


def before_netkeel(report, host):
    """The host as found. What must not work yet does not, so that the later checks mean something."""
    seen = host.sh("systemctl is-active systemd-udevd"), host.rp_filter(POD_LINK)
    good = seen == ("active", {POD_LINK: "2"})
    report.check("udevd runs, and gives a new interface 50-default.conf's rp_filter", good, seen)
    links = host.links("ipip0", "ipip60", POD_LINK)
    found = {name: link["mtu"] for name, link in links.items()}
    report.check("before, the host's end of the veth has 1500 and there are no tunnels", found == {POD_LINK: 1500}, found)
    for outer, inner, tunnel, _ in ENCAPSULATIONS:
        seen = host.probe("syn", outer=outer, inner=inner, limit=1)
        report.check(f"before, nothing takes a SYN in IPv{inner}-in-IPv{outer}", unseen(seen, tunnel), seen)
    seen = host.probe("big", family=4, size=1500, limit=1)
    report.check("before, 1500 bytes with DF vanish", seen == {"arrived": False, "icmp": None}, seen)
    check_plan_finds_drift(report, host, "before")
    check_saved(report, host, "before")
    return check_plain(report, host, "before")


def converges(report, host):
    """One apply does it all, and holds when udev has had its say. Its undo is in undone.py: here it loads modules, which stay."""
    check_apply(report, host, "at first")
    host.sh("sleep 2")
    around = host.sh("systemctl is-active systemd-udevd && udevadm settle && ls /usr/lib/sysctl.d/50-default.conf")
    seen = host.rp_filter("ipip0"), around
    report.check("2 s after apply udev has not taken back ipip0's rp_filter 0", seen[0] == {"ipip0": "0"}, seen)
    check_tunnels(report, host, "after apply")
    check_rp_filter(report, host, "after apply", all=0, default=1, ipip0=0, **{POD_LINK: 1})
    mtu = host.links(POD_LINK)[POD_LINK]["mtu"]
    report.check(f"the host's end of the veth has {POD_MTU}", mtu == POD_MTU, mtu)
    check_converged(report, host, "after apply")


def rp_filter_decides(report, host):
    """`all` decides by maximum; drops are told by their counter, and plan says whose doing it is."""
    host.set_rp_filter(all=1)
    seen = host.probe("syn", outer=4, inner=4, limit=1)
    report.check("with all.rp_filter=1 the SYN out of ipip0 is dropped by rp_filter", rp_filter_dropped(seen, "ipip0"), seen)
    deciding = "net.ipv4.conf.all.rp_filter"
    check_plan_says(report, host, "with all.rp_filter=1", "host.yaml", deciding)
    check_plan_says(report, host, "with all.rp_filter=1", "tunnels.yaml", "ipip0", deciding)
    check_syn(report, host, "with all=1 and ipip60=2, where the maximum is loose", only=[(6, 4), (6, 6)])
    host.set_rp_filter(ipip60=1)
    seen = host.probe("syn", outer=6, inner=4, limit=1)
    report.check("with ipip60 strict too, IPv4-in-IPv6 is dropped by rp_filter", rp_filter_dropped(seen, "ipip60"), seen)
    check_syn(report, host, "with ipip60 strict too", only=[(6, 6)])
    host.set_rp_filter(ipip60=2)
    check_apply_and_undo(report, host, "with all.rp_filter=1")
    check_syn(report, host, "after all.rp_filter was put back")


def controls_fail(report, host):
    """Negative controls: on a broken host the probes must fail, each for its own reason; then netkeel mends it."""
    host.sh("ip -n pod link set eth0 mtu 1500")
    seen = host.probe("syn", outer=4, inner=4)
    report.check("control: a pod with MTU 1500 answers with MSS 1460", answered(seen, 1460) and not answered(seen, 1420), seen)
    host.sh(f"ip -n pod link set eth0 mtu {POD_MTU}")

    host.sh("ip link set ipip0 down")
    seen = host.probe("syn", outer=4, inner=4, limit=1)
    report.check("control: with ipip0 down nothing takes the SYN", unseen(seen, "ipip0"), seen)
    check_plan_finds_drift(report, host, "with ipip0 down")
    check_apply_and_undo(report, host, "with ipip0 down")

    host.sh("ip link del ipip0 && ip link add ipip0 type dummy && ip link set ipip0 up && udevadm settle")
    seen = host.probe("syn", outer=4, inner=4, limit=1)
    report.check("control: a dummy named ipip0 takes no SYN", unseen(seen, "ipip0"), seen)
    check_refused(report, host, "with a dummy named ipip0", ["--allow-lossy"], "host.yaml")
    check_apply(report, host, "with a dummy named ipip0", options="--allow-lossy")
    check_syn(report, host, "mended", only=[(4, 4)])


def survives_reboot(report, host):
    """What is persistent is right at boot, before netkeel runs; the rest takes one apply."""
    host.reboot()
    drop_in = host.sh(f"cat {DROP_IN} || echo missing")
    report.check(f"after a reboot {DROP_IN} is there", "rp_filter" in drop_in, drop_in)
    check_rp_filter(report, host, "at boot", all=0, default=1)
    host.topology()
    check_apply(report, host, "after a reboot")
    check_tunnels(report, host, "after a reboot")
    check_syn(report, host, "after a reboot")
    check_converged(report, host, "after a reboot")
