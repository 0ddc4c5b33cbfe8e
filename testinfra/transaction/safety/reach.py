"""--verify-reach: a target that does not answer any more is enough, and the session lives."""

import time

CLIENT = "10.0.2.2"
ATTEMPTS = 10


def run(report, host, _full):
    """The target is the ssh client itself: without it neither answers nor questions come through."""
    report.heading("--verify-reach: a target that does not answer any more")
    document = host.document()
    before = host.state()
    outcome = reaching(host, f"{document} --verify-reach {CLIENT} --verify-reach 10.9.9.77")
    silent = "10.9.9.77 does not answer before the apply; nothing was written"
    report.check("a target that does not answer before is an error", outcome.code == 1 and silent in outcome.output, outcome)
    begin = time.monotonic()
    outcome = reaching(host, f"{document} --verify-reach {CLIENT}")
    seconds = f"{time.monotonic() - begin:.1f} s"
    report.check("an apply that cuts the target off exits 3", outcome.code == 3, outcome)
    report.check("it names the target", f"{CLIENT} no longer answers" in outcome.output, outcome.line_with(CLIENT))
    differences = host.changes_since(before)
    report.check("the host is as before", not differences, differences or f"after {seconds}")
    outcome = host.netkeel(f"apply --allow-management -f {document}")
    good = outcome.code == 1 and "--retry-rejected" in outcome.output
    report.check("the document is refused without --retry-rejected", good, outcome)
    last = host.last_done()
    report.check("history says why", "rolled back: " in last and CLIENT in last, last)


def reaching(host, arguments):
    """An apply before which the client answers. On a busy machine it does not do so in time at once."""
    for _ in range(ATTEMPTS):
        outcome = host.netkeel(f"apply --allow-management -f {arguments}")
        if f"{CLIENT} does not answer before" not in outcome.output:
            break
    return outcome
