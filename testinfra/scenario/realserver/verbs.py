"""netkeel's verbs with their exit codes, as checks shared by the cases."""

import json
import re

from .host import GUEST, NETKEEL_LIMIT, Outcome

DROP_IN = "/etc/sysctl.d/90-netkeel.conf"
# Records of what netkeel did, which undo adds to.
OWN_FILES = ("file /var/lib/netkeel/", "file /run/netkeel/")


def check_plan_finds_drift(report, host, when):
    """`plan` and `check` exit 2, and neither changes anything."""
    before = host.state()
    outcome = host.netkeel("plan --detailed-exitcode")
    report.check(f"{when}, plan --detailed-exitcode exits 2", outcome.code == 2, outcome)
    outcome = host.netkeel("check")
    report.check(f"{when}, check exits 2", outcome.code == 2, outcome)
    changes = host.changes_since(before)
    report.check(f"{when}, plan and check change nothing", not changes, changes or "the same state")


def check_saved(report, host, when, document="host.yaml"):
    """A plan for what `observe` prints is the plan for the host, byte for byte, where netkeel has nothing to say of the past."""
    path = f"{GUEST}/documents/{document}"
    for output in ("json", "diff"):
        command = f"netkeel plan -f {path} --output {output} --full"
        live = host.machine.call(command, limit=NETKEEL_LIMIT)
        saved = host.machine.call(f"netkeel observe -f {path} | {command} --snapshot /dev/stdin", limit=NETKEEL_LIMIT)
        same = live.returncode == 0 and live.stdout == saved.stdout and live.returncode == saved.returncode
        seen = f"{len(live.stdout)} bytes" if same else f"{Outcome(live)}\n{Outcome(saved)}"
        report.check(f"{when}, observe | plan --snapshot --output {output} equals the live plan with {document}", same, seen)


def check_apply(report, host, when, document="host.yaml", options=""):
    """`apply` exits 0."""
    outcome = host.netkeel(f"apply {options}", document)
    report.check(f"{when}, apply {options}".strip() + " exits 0", outcome.code == 0, outcome)


def check_apply_and_undo(report, host, when, document="host.yaml"):
    """`apply` exits 0; its undo restores the whole host; and it can be applied again."""
    check_undone(report, host, when, document)
    check_apply(report, host, f"{when}, after the undo", document)


def check_undone(report, host, when, document):
    """An apply, and its undo by the last entry of the history."""
    before = whole(host)
    check_apply(report, host, when, document)
    after = whole(host)
    report.check(f"{when}, the apply changes the host", after != before, "another state")
    shown = netkeel(host, "undo --dry-run")
    report.check(f"{when}, undo --dry-run exits 0", shown.code == 0, shown)
    report.check(f"{when}, undo --dry-run changes nothing", whole(host) == after, "the same state")
    # A device that goes down again loses its routes, and `all` is of the interface of this session too.
    undone = netkeel(host, "undo --allow-lossy --allow-management")
    report.check(f"{when}, undo exits 0", undone.code == 0, undone)
    host.sh("udevadm settle")
    state, snapshot = whole(host)
    changed = [line for line in state + before[0] if (line in state) != (line in before[0])]
    report.check(f"{when}, undo restores the state", not changed, changed or "the same state")
    report.check(f"{when}, undo restores the snapshot", snapshot == before[1], "the same snapshot" if snapshot == before[1] else snapshot)


def whole(host):
    """The state without netkeel's records, and the snapshot."""
    lines = [line for line in host.state() if not line.startswith((*OWN_FILES, "/proc/modules:"))]
    return lines, json.loads(host.sh("netkeel observe"))


def netkeel(host, arguments):
    """Runs netkeel without a document."""
    return Outcome(host.machine.call(f"NO_COLOR=1 timeout {NETKEEL_LIMIT} netkeel {arguments}", limit=NETKEEL_LIMIT + 60))


def check_converged(report, host, when, document="host.yaml"):
    """`plan` and `check` find nothing to do, also offline, and a second `apply` does nothing."""
    check_saved(report, host, when, document)
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
