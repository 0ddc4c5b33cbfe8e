"""Encapsulated SYNs to a realserver whose settings are broken one at a time."""

import itertools
import json

from realserver.host import GUEST

REAL, REAL6 = "192.0.2.2", "2001:db8:1::2"
VIP, VIP6 = "203.0.113.9", "2001:db8:9::9"
ANSWERED, OTHERWISE, NO_VERDICT = 0, 2, 1


class Realserver:
    """The realserver, as the asker sees it."""

    def __init__(self, host):
        self.host = host

    def sh(self, command):
        """Runs a command at the realserver that must succeed."""
        return self.host.sh(f"ip netns exec real {command}")

    def ask(self, outer=REAL, inner=VIP, port=80, options=""):
        """One probe, with a snapshot of now: the exit code and the result."""
        self.host.sh("netkeel observe --netns real >/root/real.json")
        line = f"--outer-dst {outer} --inner-dst {inner} --port {port} --snapshot /root/real.json {options}"
        finished = self.host.machine.call(f"netkeel probe ipip {line} --netns asker --output json", limit=120)
        try:
            return finished.returncode, json.loads(finished.stdout)["results"][0]
        except (ValueError, LookupError):
            return finished.returncode, {"answer": finished.stdout + finished.stderr}

    def filtered(self):
        """Packets that rp_filter has dropped (TcpExt IPReversePathFilter)."""
        names, values = self.sh("grep ^TcpExt: /proc/net/netstat").splitlines()
        return int(dict(zip(names.split(), values.split()))["IPReversePathFilter"])

    def set_rp_filter(self, **values):
        """Sets rp_filter of interfaces and of `all`."""
        for name, value in values.items():
            self.sh(f"sysctl -qw net.ipv4.conf.{name}.rp_filter={value}")


def reasons(result):
    """The reasons that the snapshot gives; `None` where it was not asked."""
    explanation = result.get("explanation")
    return explanation and explanation["reasons"]


def judged(report, what, got, code, answer, expected=None):
    """Checks the exit code, the answer, and the names of the reasons."""
    names = reasons(got[1])
    names = names and [reason["reason"] for reason in names]
    seen = (got[0], got[1].get("answer"), names or None)
    report.check(what, seen == (code, answer, expected), got)


def table(report, real, tunnel, outer):
    """rp_filter of all and of the tunnel, with and without an IPv4 address on the tunnel."""
    for address in (False, True):
        real.sh(f"ip address {'replace' if address else 'flush'} {'127.0.0.42/32 ' if address else ''}dev {tunnel}")
        for of_all, own in itertools.product((0, 1, 2), repeat=2):
            real.set_rp_filter(**{"all": of_all, tunnel: own})
            value = max(of_all, own)
            passes = value == 0 or (value == 2 and address)
            before = real.filtered()
            code, result = real.ask(outer=outer)
            dropped = real.filtered() - before
            wanted = [{"reason": "rp-filter", "link": tunnel, "value": value, "by_all": of_all > own, "no_address": value == 2}]
            seen = (code, result.get("answer"), reasons(result), dropped > 0)
            right = (ANSWERED, "syn-ack", None, False) if passes else (NO_VERDICT, "silent", wanted, True)
            label = f"all={of_all} {tunnel}={own} {'with' if address else 'without'} an address"
            report.check(f"{label}: {'passes' if passes else 'is dropped, and the reason is rp_filter'}", seen == right, (seen, result))
    real.set_rp_filter(**{"all": 0, tunnel: 0})


def settings(report, real):
    """Everything else that ends the way of a packet."""
    judged(report, "IPv4 in IPv4 is answered", real.ask(), ANSWERED, "syn-ack")
    judged(report, "IPv6 in IPv6 is answered", real.ask(REAL6, VIP6), ANSWERED, "syn-ack")
    judged(report, "IPv4 in IPv6 is answered", real.ask(REAL6, VIP), ANSWERED, "syn-ack")
    judged(report, "another outer source is answered", real.ask(options="--outer-src 172.16.1.1"), ANSWERED, "syn-ack")
    judged(report, "a closed port resets", real.ask(port=81), OTHERWISE, "reset")
    judged(report, "a closed port resets in IPv6", real.ask(REAL6, VIP6, 81), OTHERWISE, "reset")

    real.sh("ip route replace 192.0.2.0/24 dev eth0 src 192.0.2.2 advmss 1000")
    got = real.ask(options="--expect-mss 1000")
    report.check("the MSS of the answer is read", got[0] == ANSWERED and got[1].get("mss") == 1000, got)
    judged(report, "a smaller MSS is not as expected", real.ask(options="--expect-mss 1001"), OTHERWISE, "syn-ack")
    real.sh("ip route replace 192.0.2.0/24 dev eth0 src 192.0.2.2")

    real.sh("ip link set ipip0 down")
    judged(report, "a tunnel that is down", real.ask(), OTHERWISE, "outer-rejected", ["tunnel-down"])
    real.sh("ip link set ipip0 up")
    real.sh("ip link del ipip60")
    judged(report, "no tunnel for IPv6", real.ask(REAL6, VIP6), OTHERWISE, "outer-rejected", ["no-tunnel"])
    real.sh("ip link add ipip60 type ip6tnl external")
    real.sh("ip link set ipip60 up")

    real.sh("ip address del 203.0.113.9/32 dev lo")
    judged(report, "the service is not local and nothing is forwarded", real.ask(), NO_VERDICT, "silent", ["forwarding-off"])
    real.sh("sysctl -qw net.ipv4.ip_forward=1")
    real.sh("ip route add unreachable 203.0.113.9/32")
    judged(report, "no route leads to the service", real.ask(), OTHERWISE, "inner-rejected", ["no-route"])
    real.sh("ip route del unreachable 203.0.113.9/32")
    real.sh("sysctl -qw net.ipv4.ip_forward=0")
    drop = "nft 'add table inet t; add chain inet t c { type filter hook %s priority 0; }; add rule inet t c tcp dport 80 drop'"
    real.sh("ip route add local 203.0.113.0/24 dev lo")
    real.sh(drop % "forward")
    judged(report, "a local route takes the place of an address", real.ask(), ANSWERED, "syn-ack")
    real.sh("nft delete table inet t")
    real.sh(drop % "input")
    judged(report, "a rule drops the SYN for a local route", real.ask(), NO_VERDICT, "silent", ["firewall"])
    real.sh("nft delete table inet t")
    real.sh("ip route del local 203.0.113.0/24 dev lo")
    real.sh("ip address add 203.0.113.9/32 dev lo")

    real.sh(drop % "input")
    judged(report, "a rule of the firewall drops the SYN", real.ask(), NO_VERDICT, "silent", ["firewall"])
    real.sh("nft delete table inet t")
    judged(report, "all is in order again", real.ask(), ANSWERED, "syn-ack")


def targets(report, host):
    """All realservers and services in one run."""
    host.sh(f"printf 'realserver {REAL}\\nrealserver {REAL6}\\nservice {VIP} 80\\nservice {VIP} 81\\n' >/root/targets")
    finished = host.machine.call("netkeel probe ipip --targets /root/targets --netns asker", limit=120)
    rows = [line.split() for line in finished.stdout.splitlines()]
    seen = [(row[0], row[1], row[2].rstrip(",")) for row in rows[1:-1]]
    right = [(real, f"{VIP}:{port}", result) for real in (REAL, REAL6) for port, result in ((80, "answered"), (81, "refused"))]
    summary = " ".join(rows[-1]) if rows else ""
    good = finished.returncode == OTHERWISE and seen == right and summary == "2 of 4 answer as expected."
    report.check("a table of two realservers and two services", good, finished.stdout + finished.stderr)


def run(report, host):
    """All cases, on one realserver."""
    host.sh(f"{GUEST}/guest/realserver")
    host.sh(f"systemd-run --quiet --unit=netkeel-listen ip netns exec real {GUEST}/guest/listen")
    real = Realserver(host)
    host.sh("for turn in $(seq 50); do ip netns exec real ss -Hltn sport = :80 | grep -q . && exit 0; sleep 0.2; done; exit 1")
    settings(report, real)
    table(report, real, "ipip0", REAL)
    table(report, real, "ipip60", REAL6)
    targets(report, host)
