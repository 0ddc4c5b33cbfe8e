"""The interface that messages come in by and copies go out by: down, gone, made again, renamed."""

from realserver.host import GUEST

from .host import health, worker

NETWORK = f"{GUEST}/guest/network"
RETURN = {
    "was down": ("ip link set up0 down", f"{NETWORK} configure"),
    "was deleted and made again": ("ip link del up0", f"{NETWORK} uplink"),
    "had another name for a while": (
        "ip link set up0 down && ip link set up0 name away0 && ip link set away0 up",
        f"ip link set away0 down && ip link set away0 name up0 && {NETWORK} configure",
    ),
}


def run(report, host, _soak):
    """Neither service nor worker ends, and nothing need be told."""
    status = host.in_order()
    same, rules = (status["pid"], worker(status), status["worker"]["restarts"]), host.rules()
    for what, (away, back) in RETURN.items():
        report.heading(f"the interface {what}")
        host.sh(away)
        status = host.until("it does not replicate", lambda now: health(now) != "ok")
        report.check("status says that it does not replicate", True, f"{health(status)}, {peers(status)}")
        host.sh(back)
        host.in_order("it replicates again")
        status = host.status()
        now = (status["pid"], worker(status), status["worker"]["restarts"])
        report.check("service and worker are those from before", now == same, now)
        report.check("the rules too", host.rules() == rules, host.rules())
        host.replicates(report, f"after it {what}")


def peers(status):
    """How the peers are."""
    return {peer["address"]: peer["state"] for peer in (status["worker"]["statistics"] or {}).get("peers", [])}
