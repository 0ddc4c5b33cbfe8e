"""Copies cross a router inside of IP, and come out of the peer's ipip0 and ipip60: its pod learns the MTU."""

from realserver.host import GUEST

from .host import DOCUMENTS, health

LAYER = f"{DOCUMENTS}/30-across.yaml"
DROP_IN = "/etc/systemd/system/netkeel.service.d/peers.conf"
CLIENT = {4: "203.0.113.1", 6: "2001:db8:2::1"}


def run(report, host, _soak):
    """To one peer that is given by both of its addresses."""
    report.heading("mode: ipip, across a router")
    code, text = host.call(f"netkeel apply --netns far -f {GUEST}/documents/far.yaml")
    report.check("the peer has its tunnels", code == 0, text)
    for family, client in CLIENT.items():
        report.check(f"its pod does not know the path's MTU of IPv{family} yet", "mtu 1400" not in route(host, client), route(host, client))
    host.sh(f"cp {GUEST}/documents/across.yaml {LAYER} && systemctl reload netkeel")
    host.until("both peers are served", lambda now: good(now) == ["10.9.1.2", "fd00:9:1::2"])
    refused(report, host)
    # IPv4 goes to both addresses, IPv6 to the one of its own family.
    expected = ["ipip0 4", "ipip60 4", "ipip60 6"]
    host.arrives(report, "each message comes out of each tunnel once", "far", expected)
    for family, client in CLIENT.items():
        seen = route(host, client)
        report.check(f"its pod knows the path's MTU of IPv{family}", "mtu 1400" in seen, seen)
    failed = [peer["failed"] for peer in host.status()["worker"]["statistics"]["peers"]]
    report.check("no copy failed", not any(failed), failed)
    host.sh(f"rm {LAYER} {DROP_IN} && systemctl daemon-reload && systemctl restart netkeel")
    host.until("the peer on the link is served again", lambda now: good(now) == ["10.9.0.2"])
    host.replicates(report, "back on the link")


def refused(report, host):
    """The unit lets nothing out to other hosts until it is told to: that is said, and mended."""
    host.send(4, 1)
    status = host.until("it is told that nothing gets out", lambda now: health(now) == "failed")
    states = {peer["state"] for peer in status["worker"]["statistics"]["peers"]} - {"itself"}
    report.check("without IPAddressAllow= the peers are refused", "refused" in states, states)
    text = host.sh("netkeel status")
    report.check("people are told what it needs", "IPAddressAllow=" in text, text)
    host.sh(
        f"mkdir -p {DROP_IN.rpartition('/')[0]} && printf '[Service]\\nIPAddressAllow=10.9.1.2 fd00:9:1::2\\n' > {DROP_IN}"
        " && systemctl daemon-reload && systemctl restart netkeel"
    )
    host.until("both peers are served", lambda now: health(now) == "ok" and len(good(now)) == 2)


def good(status):
    """The peers that are served."""
    statistics = (status["worker"] or {}).get("statistics") or {"peers": []}
    return sorted(peer["address"] for peer in statistics["peers"] if peer["state"] in ("ready", "ipv4-only"))


def route(host, client):
    """How the peer's pod reaches a client."""
    return host.sh(f"ip -n far-pod route get {client}")
