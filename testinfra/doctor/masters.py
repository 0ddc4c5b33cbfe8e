"""Masters and their ports: where packets arrive, and who sets the MTU. The facts of the kernel, and what netkeel says of them."""

import json

MASTERS = ("bond", "team", "vrf", "bridge")
PORT, MASTER = "m0", "master0"


def build(host, kind):
    """A master with one port; the other end of the port is in the namespace `far`. Both sides have addresses."""
    options = {"vrf": "table 10", "bond": "mode active-backup"}.get(kind, "")
    host.sh(
        f"""ip netns add far
        ip link add {PORT} type veth peer name f0 netns far
        ip link add {MASTER} type {kind} {options}
        ip link set {PORT} master {MASTER}
        ip link set {PORT} up; ip link set {MASTER} up
        ip addr add 198.51.100.1/24 dev {PORT if kind == "vrf" else MASTER}
        ip -n far addr add 198.51.100.2/24 dev f0; ip -n far link set f0 up; ip -n far link set lo up
        nft 'add table ip seen; add chain ip seen in {{ type filter hook prerouting priority 0; }}
             add rule ip seen in iifname {PORT} icmp type echo-request counter
             add rule ip seen in iifname {MASTER} icmp type echo-request counter'"""
    )


def tear_down(host):
    """Removes all of it."""
    host.sh(f"nft delete table ip seen; ip link del {MASTER}; ip netns del far; until ! ip link show {PORT} >/dev/null 2>&1; do sleep 0.1; done")


def arrived(host):
    """Packets that the firewall saw from the port, and from the master."""
    host.sh("for turn in 1 2 3 4 5; do ip netns exec far ping -c 1 -W 2 198.51.100.1 >/dev/null && exit 0; done; exit 1")
    rules = json.loads(host.sh("nft -j list chain ip seen in"))["nftables"]
    return [part["counter"]["packets"] for rule in rules if "rule" in rule for part in rule["rule"]["expr"] if "counter" in part]


def findings(host, document, code):
    """The findings of a code that a plan of this document has."""
    host.machine.call("cat >/root/masters.yaml", stdin=document)
    plan = json.loads(host.machine.call("netkeel plan -f /root/masters.yaml --output json").stdout)
    return [finding for finding in plan["findings"] if finding["code"] == code]


def mtus(host, *names):
    """The MTUs of interfaces."""
    return [int(host.sh(f"cat /sys/class/net/{name}/mtu")) for name in names]


def set_mtu(host, report, kind):
    """An apply of the master's MTU reaches the port where the model says so, and its undo restores both."""
    document = f"version: 1\nlink: {{ {MASTER}: {{ mtu: 1400 }} }}\n"
    if kind != "team":
        host.sh(f"ip link set {PORT} mtu 1450")
    before = mtus(host, MASTER, PORT)
    dragged = {finding["subjects"][0] for finding in findings(host, document, "NK071")}
    applied = host.machine.call("netkeel apply -f /root/masters.yaml --yes")
    after = mtus(host, MASTER, PORT)
    follows = kind in ("bond", "team")
    report.check(f"{kind}: its MTU {'reaches' if follows else 'does not reach'} the port", after == [1400, 1400 if follows else before[1]], (before, after, applied.stdout, applied.stderr))
    report.check(f"{kind}: the plan says so", dragged == ({PORT} if follows else set()), dragged)
    host.machine.call("netkeel undo --yes")
    report.check(f"{kind}: undo restores both", mtus(host, MASTER, PORT) == before, mtus(host, MASTER, PORT))


def set_port(host, report, kind):
    """Where the kernel refuses an MTU for the port, the plan does."""
    refused = host.machine.call(f"ip link set {PORT} mtu 1300").returncode != 0
    host.machine.call(f"ip link set {PORT} mtu 1350")
    host.machine.call("cat >/root/port.yaml", stdin=f"version: 1\nlink: {{ {PORT}: {{ mtu: 1310 }} }}\n")
    plan = host.machine.call("netkeel plan -f /root/port.yaml")
    agrees = (plan.returncode == 1) == refused and refused == (kind == "team")
    report.check(f"{kind}: {'refuses' if refused else 'permits'} an MTU for its port, and so does the plan", agrees, (refused, plan.stdout, plan.stderr))


def arrivals(host, report, kind):
    """By which interface packets arrive, and whether the finding agrees. A VRF has them pass as the port's, and as its own."""
    by_port, by_master = arrived(host)
    expected = (True, True) if kind == "vrf" else (False, True)
    ways = "both" if kind == "vrf" else "the master"
    report.check(f"{kind}: packets arrive by {ways}", (by_port > 0, by_master > 0) == expected, (by_port, by_master))
    rule = f"version: 1\nnflog: {{ icmp: {{ group: 33, interfaces: [{PORT}] }} }}\n"
    hidden = findings(host, rule, "NK062")
    report.check(f"{kind}: NK062 names the master where the port sees nothing", bool(hidden) == (by_port == 0), hidden)


def run(report, host):
    """Each kind of master."""
    for kind in MASTERS:
        build(host, kind)
        # A team passes packets only with the help of teamd.
        if kind != "team":
            arrivals(host, report, kind)
        set_mtu(host, report, kind)
        set_port(host, report, kind)
        tear_down(host)
