"""netkeel's verbs with their exit codes, as checks shared by the cases."""

import re

DROP_IN = "/etc/sysctl.d/90-netkeel.conf"


def check_plan_finds_drift(report, host, when):
    """`plan` and `check` exit 2, and neither changes anything."""
    before = host.state()
    outcome = host.netkeel("plan --detailed-exitcode")
    report.check(f"{when}, plan --detailed-exitcode exits 2", outcome.code == 2, outcome)
    outcome = host.netkeel("check")
    report.check(f"{when}, check exits 2", outcome.code == 2, outcome)
    changes = host.changes_since(before)
    report.check(f"{when}, plan and check change nothing", not changes, changes or "the same state")


def check_apply(report, host, when, document="host.yaml", options=""):
    """`apply` exits 0."""
    outcome = host.netkeel(f"apply {options}", document)
    report.check(f"{when}, apply {options}".strip() + " exits 0", outcome.code == 0, outcome)


def check_converged(report, host, when, document="host.yaml"):
    """`plan` and `check` find nothing to do, and a second `apply` does nothing."""
    outcome = host.netkeel("plan --detailed-exitcode", document)
    report.check(f"{when}, plan --detailed-exitcode exits 0", outcome.code == 0, outcome)
    outcome = host.netkeel("check", document)
    report.check(f"{when}, check exits 0", outcome.code == 0, outcome)
    before = host.state()
    outcome = host.netkeel("apply", document)
    report.check(f"{when}, a second apply exits 0", outcome.code == 0, outcome)
    changes = host.changes_since(before)
    report.check(f"{when}, a second apply changes nothing", not changes, changes or "the same state")


def check_refused(report, host, when, mentions, document="tunnels.yaml"):
    """`apply` exits 1, says why, and nothing has changed."""
    before = host.state()
    outcome = host.netkeel("apply", document)
    report.check(f"{when}, apply exits 1", outcome.code == 1, outcome)
    for word in mentions:
        report.check(f"{when}, apply names {word}", word in outcome.output, outcome.line_with(word))
    changes = host.changes_since(before)
    report.check(f"{when}, nothing has changed", not changes, changes or "the same state")


def check_plan_says(report, host, when, document, *words):
    """A line of `plan` has all the words; of a sysctl key, either spelling. A finding counts as one line."""
    outcome = host.netkeel("plan", document)
    unwrapped = re.sub(r"\n  (?=\w)", " ", outcome.output)
    lines = [line for line in unwrapped.splitlines() if all(word in line.replace("/", ".") for word in words)]
    report.check(f"{when}, plan with {document} says {' and '.join(words)}", lines, lines[0] if lines else outcome)
