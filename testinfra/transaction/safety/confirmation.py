"""--confirm-within, over the very ssh session that the apply cuts off."""

import contextlib

from netkeel_lab.error import LabError, wait_until
from realserver.host import GUEST
from realserver.state import changes, comparable

from .host import WITHIN

# How each repetition goes wrong besides; see guest/cut-off.
RESTORED = ["killed session", "process killed session", "", "process", "process session"]
CONFIRMED = ["", "process session", "session", "process", ""]
BY_DEFAULT = 2
BACK_LIMIT = 300
RESULTS = "/root/operator"
UNDONE = "rolled back: nobody confirmed it in time"


def run(report, host, full):
    """Repetitions that nobody confirms, and as many that somebody does."""
    report.heading("--confirm-within: the connection dies, and the host comes back by itself")
    count = len(RESTORED) if full else BY_DEFAULT
    for number, way in enumerate(RESTORED[:count], 1):
        restored(report, host, f"restored {number} ({way or 'service'})", way)
    report.heading("--confirm-within: the connection dies, somebody confirms, and it stays")
    for number, way in enumerate(CONFIRMED[:count], 1):
        confirmed(report, host, f"confirmed {number} ({way or 'service'})", way)


def restored(report, host, name, way):
    """Nobody confirms."""
    document = host.document()
    before = host.state()
    dropped, started = host.dropped_by_rp_filter(), host.services_started()
    report.check(f"{name}: the connection dies", *dies(host, document, way))
    seconds = host.comes_back(BACK_LIMIT)
    if not report.check(f"{name}: ssh works again by itself", seconds is not None, f"{spent(seconds)}, {WITHIN} s to confirm"):
        return
    # ssh may get through while the rest is still being undone, or when a slow answer alone had ended the session.
    with contextlib.suppress(LabError):
        wait_until(lambda: UNDONE in host.last_done(), BACK_LIMIT, lambda: "", 0.5)
    differences = host.changes_since(before)
    report.check(f"{name}: the host is as before", not differences, differences or f"{len(before)} lines of state are the same")
    lost = host.dropped_by_rp_filter() - dropped
    report.check(f"{name}: it was rp_filter that cut it off", lost > 0, f"{lost} packets dropped")
    started = host.services_started() - started
    who = "process" not in way
    report.check(f"{name}: a {'service of systemd' if who else 'process'} undid it", (started > 0) == who, f"{started} units started")
    last = host.last_done()
    report.check(f"{name}: history says why", UNDONE in last, last)
    outcome = host.netkeel(f"apply --allow-management -f {document}")
    good = outcome.code == 1 and "--retry-rejected" in outcome.output
    report.check(f"{name}: the document is refused without --retry-rejected", good, outcome)
    differences = host.changes_since(before)
    report.check(f"{name}: the refusal changes nothing", not differences, differences or "the same state")


def confirmed(report, host, name, way):
    """Somebody at the console confirms, and puts ssh right by hand when all has been seen to stay."""
    document = host.document()
    before = host.state()
    words = f"{GUEST}/guest/operator {document} {WITHIN + 3} {RESULTS}"
    host.sh(
        f"systemctl reset-failed 'operator*'; rm -rf {RESULTS}; systemd-run --quiet --collect --unit=operator {words}"
        f" && timeout 120 sh -c 'until [ -e {RESULTS}/ready ]; do sleep 0.1; done'"
    )
    report.check(f"{name}: the connection dies", *dies(host, document, way))
    seconds = host.comes_back(BACK_LIMIT)
    if not report.check(f"{name}: the operator gives ssh its way back", seconds is not None, spent(seconds)):
        return
    said = host.sh(f"cat {RESULTS}/confirm")
    report.check(f"{name}: confirm exits 0", said.endswith("exit 0"), said)
    now, later = (comparable(host.sh(f"cat {RESULTS}/{when}")) for when in ("confirmed", "later"))
    report.check(f"{name}: it had changed the host", changes(before, now), changes(before, now))
    differences = changes(now, later)
    report.check(f"{name}: all stays when the time is over", not differences, differences or f"{len(now)} lines are the same")
    said = host.sh(f"cat {RESULTS}/check")
    report.check(f"{name}: check agrees", said.endswith("exit 0"), said)
    last = host.last_done()
    report.check(f"{name}: history says so", "confirmed" in last and "to be" not in last, last)


def spent(seconds):
    """How long it took since the session was dead."""
    return "never" if seconds is None else f"{seconds:.1f} s after the session died"


def dies(host, document, way):
    """Whether the apply cut its own session off, and what the session saw."""
    outcome = host.session(f"NO_COLOR=1 {GUEST}/guest/cut-off {document} {WITHIN}s {way}")
    return outcome.code == 255, outcome.line_with("Applied:")
