"""What the probes must see on a host that is as the document says, shared by the cases."""

# Outer family, inner family, the tunnel that decapsulates, and the MSS of a pod behind an MTU of 1460.
ENCAPSULATIONS = [(4, 4, "ipip0", 1420), (6, 6, "ipip60", 1400), (6, 4, "ipip60", 1420)]
POD_MTU = 1460


def answered(seen, mss):
    """Whether the client got the pod's SYN-ACK with this MSS."""
    return seen["flags"] == "SA" and seen["mss"] == mss


def rp_filter_dropped(seen, tunnel):
    """Whether the SYN was decapsulated and then dropped by rp_filter, and by nothing else."""
    counted = seen["counters"]
    return seen["flags"] is None and counted["IPReversePathFilter"] >= 1 and counted.get(f"{tunnel} rx", 0) >= 1


def unseen(seen, tunnel):
    """Whether the SYN went unanswered without rp_filter's doing, and was not decapsulated either."""
    counted = seen["counters"]
    return seen["flags"] is None and counted["IPReversePathFilter"] == 0 and counted.get(f"{tunnel} rx", 0) == 0


def check_syn(report, host, when, only=None):
    """Encapsulated SYNs are answered with the MSS that fits the pod."""
    for outer, inner, tunnel, mss in ENCAPSULATIONS:
        if only and (outer, inner) not in only:
            continue
        seen = host.probe("syn", outer=outer, inner=inner)
        what = f"{when}, a SYN in IPv{inner}-in-IPv{outer} through {tunnel} is answered with MSS {mss}"
        report.check(what, answered(seen, mss), seen)


def check_path_mtu(report, host):
    """What does not fit the pod gets the host's ICMP with the pod's MTU; what fits arrives."""
    address = {4: "10.0.1.2", 6: "fd00:1::2"}
    for family in (4, 6):
        seen = host.probe("big", family=family, size=1500)
        wanted = {"arrived": False, "icmp": {"from": address[family], "mtu": POD_MTU}}
        report.check(f"1500 bytes of IPv{family} with DF get ICMP with MTU {POD_MTU} from the host", seen == wanted, seen)
        seen = host.probe("big", family=family, size=POD_MTU)
        report.check(f"{POD_MTU} bytes of IPv{family} with DF arrive at the pod", seen["arrived"], seen)
    seen = host.probe("big", family=4, size=1470, outer=4)
    good = bool(seen["icmp"]) and seen["icmp"]["mtu"] == POD_MTU
    report.check(f"1470 bytes with DF out of ipip0 get ICMP with MTU {POD_MTU}", good, seen)


def check_plain(report, host, when):
    """TCP and UDP without encapsulation pass, to host and pod, both ways; what was seen is returned."""
    seen = host.probe("plain")
    failed = {what: outcome for what, outcome in seen.items() if outcome != "ok"}
    what = f"{when}, plain TCP and UDP pass to host and pod in both directions"
    report.check(what, not failed, failed or f"{len(seen)} exchanges")
    return seen


def check_tunnels(report, host, when):
    """ipip0 and ipip60 are external, up and addressed."""
    links = host.links("ipip0", "ipip60")
    for name, kind in (("ipip0", "ipip"), ("ipip60", "ip6tnl")):
        link = links.get(name, {})
        info = link.get("linkinfo", {})
        addresses = [f"{entry.get('local')}/{entry.get('prefixlen')}" for entry in link.get("addr_info", [])]
        good = (
            info.get("info_kind") == kind
            and "external" in info.get("info_data", {})
            and "UP" in link.get("flags", [])
            and "127.0.0.42/32" in addresses
        )
        what = f"kind {info.get('info_kind')}, {info.get('info_data')}, {link.get('flags')}, {addresses}"
        report.check(f"{when}, {name} is an external {kind}, up, with 127.0.0.42/32", good, what)


def check_rp_filter(report, host, when, **wanted):
    """rp_filter of interfaces, `all` and `default` is what it should be."""
    seen = host.rp_filter(*wanted)
    report.check(f"{when}, rp_filter is {wanted}", seen == {name: str(value) for name, value in wanted.items()}, seen)
