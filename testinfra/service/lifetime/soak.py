"""Hours in short: interfaces come and go, messages come in, and neither memory nor descriptors grow."""

import contextlib
import json
import statistics
import time

from netkeel_lab.error import LabError
from realserver.host import GUEST

from .host import worker

# What the allocator may round, in KiB.
SLACK = 256
WORKER_AT_MOST = 8 * 1024


def run(report, host, seconds):
    """For so many seconds."""
    report.heading(f"a soak of {seconds} s")
    status = host.in_order()
    pids, before = (status["pid"], worker(status)), (status["worker"]["statistics"], status["counters"])
    logged = host.logged_by_rules()
    first = 1_000_000
    code, text = host.soak(seconds, *pids, first)
    samples = [json.loads(line) for line in text.splitlines() if line.startswith("[")]
    report.check("it runs to its end", code == 0 and len(samples) > 5, text if code else f"{len(samples)} samples")
    if code or len(samples) <= 5:
        return
    for place, name in ((1, "service"), (2, "worker")):
        resident, open_files = zip(*(sample[place] for sample in samples))
        quarter = max(2, len(samples) // 4)
        early, late = statistics.median(resident[quarter : 2 * quarter]), statistics.median(resident[-quarter:])
        evidence = f"RSS {resident[0]} KiB at first, {early:.0f} in the second quarter, {late:.0f} in the last, {max(resident)} at most"
        report.check(f"the {name}'s memory is flat", late <= early + SLACK, evidence)
        # A pass that is under way has one or two more.
        least = min(open_files[quarter : 2 * quarter]), min(open_files[-quarter:])
        evidence = f"{least[0]} in the second quarter, {least[1]} in the last, {max(open_files)} at most"
        report.check(f"the {name}'s descriptors are constant", least[0] == least[1] and max(open_files) <= least[0] + 4, evidence)
        if name == "worker":
            report.check("the worker needs 8 MiB at most", max(resident) <= WORKER_AT_MOST, f"{max(resident)} KiB")
    logged = host.logged_by_rules() - logged
    # The worker tells its statistics once a second.
    with contextlib.suppress(LabError):
        host.until("all is told", lambda now: now["worker"]["statistics"]["received"] - before[0]["received"] == logged)
    time.sleep(2)
    status = host.in_order()
    after = status["worker"]["statistics"], status["counters"]
    received, replicated, lost = (after[0][key] - before[0][key] for key in ("received", "replicated", "lost"))
    seen = f"{logged} of {100 * seconds} logged, {received} received, {replicated} replicated, {lost} lost"
    # What the emulated network itself loses under load is not the service's.
    report.check("messages came", logged >= 90 * seconds, seen)
    report.check("each that was logged was received and replicated", logged == received == replicated, seen)
    churned = json.loads(text.splitlines()[-1])
    writes = after[1]["writes"] - before[1]["writes"]
    all_set = churned["came"] > 0 and churned["missed"] == 0 and writes > churned["came"]
    report.check("every interface that came was set, and again after it was changed", all_set, f"{churned}, {writes} writes")
    report.check("it is the same service and worker", (status["pid"], worker(status)) == pids, pids)
