"""`systemctl restart netkeel` while a confirmed apply waits."""

import time

from realserver.state import changes

from .host import DOCUMENTS

# Time enough for the apply, a restart and two looks on an emulated processor; it is waited out.
WITHIN = 75
AFTER = 240
# Of what is confirmed, or ended in another way: never waited out.
LONG = 1200
TRIAL = f"netkeel apply --lock-timeout 60s --retry-rejected -f {DOCUMENTS}/trial.yaml --confirm-within"


def run(report, host):
    """Of another owner's document, and of the host's own while the service is paused."""
    report.heading("a restart of the service while an apply waits")
    before = host.look()
    begun = time.monotonic()
    outcome = host.call(f"{TRIAL} {WITHIN}s")
    report.check("apply exits 0", outcome.code == 0, outcome)
    # A look takes seconds, and the promise runs.
    applied = host.look()
    report.check("it changes the host", changes(before, applied), changes(before, applied))
    restarted(report, host)
    difference = host.differs(applied)
    report.check("the restart changes nothing", not difference, difference or "the same state")
    undone(report, host, before, begun)

    outcome = host.call(f"{TRIAL} {LONG}s")
    report.check("apply exits 0 again", outcome.code == 0, outcome)
    restarted(report, host)
    confirmed(report, host, "trial.yaml")
    outcome = host.call("netkeel release --lock-timeout 60s --owner trial")
    report.check("release exits 0", outcome.code == 0, outcome)
    report.check("the host is as before", not host.differs(before), host.differs(before) or "the same state")

    report.heading("a restart of a paused service while its own document waits")
    host.sh("netkeel pause 1h")
    host.write_document("after.yaml")
    begun = time.monotonic()
    outcome = host.call(f"netkeel apply --lock-timeout 60s --retry-rejected --confirm-within {WITHIN}s")
    report.check("apply exits 0", outcome.code == 0, outcome)
    difference = host.differs(before)
    report.check("it changes the host", difference, difference)
    restarted(report, host)
    undone(report, host, before, begun)
    host.sh("netkeel pause --end")
    time.sleep(3)
    report.check("the service does not bring it back", not host.differs(before), host.differs(before) or "the same state")
    host.sh("systemctl restart netkeel && ip link set other0 mtu 1500")
    difference = host.becomes(before, 240)
    report.check("started again, it enforces the last document that held", not difference, difference or "an MTU is put back")
    host.write_document("before.yaml")
    host.in_order()


def restarted(report, host):
    """Restarts the service and looks whether it is another one."""
    old, watchdogs = host.service_pid(), host.watchdogs()
    host.sh("systemctl daemon-reload && systemctl restart netkeel")
    new = host.service_pid()
    report.check("another service runs", new not in ("0", old), f"{old}, then {new}")
    still = host.watchdogs()
    report.check("the apply is still watched", watchdogs and still == watchdogs, f"{watchdogs}, then {still}")


def undone(report, host, before, begun, within=WITHIN):
    """Nobody confirms."""
    difference = host.becomes(before, AFTER + within)
    seconds = time.monotonic() - begun
    report.check("nobody confirms: the host is as before", not difference, difference or f"{seconds:.1f} s after the apply began")
    host.unwatched()
    last = host.last_done()
    report.check("history says why", "rolled back: nobody confirmed it in time" in last, last)


def confirmed(report, host, document):
    """Somebody confirms; nobody is left who could undo it, and it stays. The case elsewhere waits until the time is over."""
    outcome = host.call("netkeel confirm --lock-timeout 60s")
    report.check("confirm exits 0", outcome.code == 0, outcome)
    host.unwatched()
    left = host.call("ls /run/netkeel").output
    report.check("no watchdog is left", "watchdog" not in left, left)
    wanted = host.look()
    time.sleep(3)
    report.check("all stays", not host.differs(wanted), host.differs(wanted) or "the same state")
    outcome = host.call(f"netkeel check -f {DOCUMENTS}/{document}")
    report.check("check agrees", outcome.code == 0, outcome)
