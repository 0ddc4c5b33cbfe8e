"""SIGKILL of the worker and of the service, under systemd."""

from netkeel_lab.error import wait_until

from .host import health, worker

# Until the next boot at most.
LATER = "/run/systemd/system/netkeel.service.d/later.conf"


def run(report, host, _soak):
    """Both."""
    status = host.in_order()
    rules = host.rules()
    the_worker(report, host, status)
    report.check("the rules have not changed", host.rules() == rules, rules)
    the_service(report, host, rules)


def the_worker(report, host, status):
    """It comes back, later each time, and the service stays."""
    report.heading("SIGKILL of the worker")
    service, restarts = status["pid"], status["worker"]["restarts"]
    again = "restarts in"
    already = len(host.logged(again))
    # More would be more lines of the log than it has in one go.
    for _ in range(3):
        before = worker(status)
        host.sh(f"kill -KILL {before}")
        status = host.until(
            "the worker was started again",
            lambda status, before=before: health(status) == "ok" and worker(status) not in (None, before),
        )
    count = status["worker"]["restarts"] - restarts
    report.check("it was started again each time", count == 3, f"{count} restarts")
    report.check("by the same service", status["pid"] == service, status["pid"])

    def starts():
        return host.logged(again)[already:]

    # The journal may be a moment behind.
    wait_until(lambda: len(starts()) >= 3, 120, lambda: f"the log does not have each start: {starts()}")
    lines = starts()
    pauses = [float(line.split("restarts in ")[1].split()[0]) for line in lines]
    report.check("after a longer pause each time", len(pauses) == 3 and pauses == sorted(set(pauses)), pauses)
    said = host.logged("the replication worker was ended by SIGKILL")
    report.check("the log says what ended it", said, said[:1])
    host.replicates(report, "after it was killed")


def the_service(report, host, rules):
    """systemd starts it again; what it holds stays meanwhile, and what changed meanwhile is mended."""
    report.heading("SIGKILL of the service")
    status = host.in_order()
    before, old, restarts = status["pid"], worker(status), int(host.property("netkeel", "NRestarts"))
    # All before systemd starts it again, which an emulated processor does not do within the unit's one second.
    host.sh(f"mkdir -p {LATER.rpartition('/')[0]} && printf '[Service]\\nRestartSec=10\\n' > {LATER} && systemctl daemon-reload")
    seen = host.sh(
        f"kill -KILL {before}; for n in $(seq 600); do [ $(systemctl is-active netkeel) = active ] || break; sleep 0.1; done"
        "; ip link set cali0 mtu 1500; nft -s list table inet netkeel; systemctl is-active netkeel || true"
    )
    host.sh(f"rm {LATER} && systemctl daemon-reload")
    report.check("the rules stay while it is gone", rules in seen and "activating" in seen, seen)
    status = host.until("another service is in order", lambda now: now["pid"] != before and health(now) == "ok" and now["looked"])
    count = int(host.property("netkeel", "NRestarts")) - restarts
    report.check("systemd has started it again, once", count == 1, f"{count} restarts")
    mtu = host.until_mtu("cali0", 1460)
    report.check("what was changed meanwhile is mended", mtu == "1460", mtu)
    wait_until(lambda: host.call(f"test -e /proc/{old}")[0], 120, lambda: f"the old worker {old} lives on")
    # The worker and its helper.
    processes = host.sh("pgrep -c -u nobody netkeel || true")
    report.check("there is one worker, not the old one", (processes, worker(status) != old) == ("2", True), f"{processes} processes")
    tables = host.sh("nft list tables | grep -c netkeel")
    report.check("the rules are there once, as before", (tables, host.rules()) == ("1", rules), f"{tables} tables\n{host.rules()}")
    code, text = host.call("netkeel plan --detailed-exitcode")
    report.check("nothing is left to recover or to plan", code == 0, text)
    host.replicates(report, "after the service was killed")
