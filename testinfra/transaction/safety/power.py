"""Power cuts in the middle of an apply: QEMU is killed, and what is on the disk is booted."""

import contextlib
import io
import json
import os
import random
import subprocess
import tempfile
import threading
import time
from collections import Counter
from pathlib import Path

from netkeel_lab import snapshot
from netkeel_lab.error import LabError
from realserver.host import GUEST, Host, binary
from realserver.report import Report

from .host import FILES

DROP_IN = "/etc/sysctl.d/90-netkeel.conf"
UNFINISHED = "/etc/sysctl.d/.90-netkeel.conf.netkeel.tmp"
DOCUMENTS = {
    "a": {"net.ipv4.conf.default.rp_filter": "1", "net.core.netdev_max_backlog": "2001", "net.ipv4.tcp_rmem": "4096 131072 6291457"},
    "b": {"net.ipv4.conf.default.rp_filter": "2", "net.core.netdev_max_backlog": "2002", "net.ipv4.tcp_rmem": "4096 131072 6291458"},
}
KEYS = list(DOCUMENTS["a"])
VERBS = {"a": f"apply -f {GUEST}/a.yaml", "b": f"apply -f {GUEST}/b.yaml", "none": "release"}
# Each call that matters to what is on the disk takes this long before and after: a cut may come between any two.
DELAY = 0.03
CALLS = "openat,write,fsync,fdatasync,ftruncate,rename,renameat,renameat2,unlink,unlinkat,mkdir,mkdirat"
SLOWLY = (
    f"strace -f -qq -o /dev/stderr -e trace={CALLS} -e signal=none -P /etc/sysctl.d -P {DROP_IN} -P {UNFINISHED} -P /var/lib/netkeel"
    " -P /var/lib/netkeel/journal-files -P /var/lib/netkeel/ledger.json -P /var/lib/netkeel/history -P /run/netkeel/journal"
    f" -e inject={CALLS}:delay_enter={DELAY * 1e6:.0f}:delay_exit={DELAY * 1e6:.0f}"
)
LANES = 2
CUTS_A_LANE = 10
APPLY_LIMIT = 600


@contextlib.contextmanager
def beside(report, kernel, cuts, seed):
    """Cuts the power of guests of their own while the body runs; what came of it is reported at the end."""
    stop = threading.Event()
    lanes = []
    count = min(LANES, -(-cuts // CUTS_A_LANE))
    for lane in range(count):
        share = cuts // count + (lane < cuts % count)
        lanes.append(Lane(f"power{lane}", kernel, share, random.Random(f"{seed}/{lane}"), stop))
        lanes[-1].thread.start()
    try:
        yield
        for lane in lanes:
            lane.thread.join()
    finally:
        stop.set()
        for lane in lanes:
            lane.thread.join()
            report.absorb(lane.report, lane.text.getvalue())
    if cuts:
        done, wrong = sum(lane.done for lane in lanes), sum(lane.wrong for lane in lanes)
        met = sum((lane.met for lane in lanes), Counter())
        evidence = f"{done} cuts, {wrong} mismatches; found {', '.join(f'{n} {what}' for what, n in sorted(met.items()))}"
        report.check("after every power cut the host is as before or as wanted", done == cuts and not wrong, evidence)
        report.check("some cuts came in the middle", met["interrupted"] > 0, evidence)


class Lane:
    """One guest whose power is cut again and again, on one disk."""

    def __init__(self, name, kernel, cuts, chance, stop):
        self.text = io.StringIO()
        self.report = Report(self.text)
        self.thread = threading.Thread(target=self._run, name=name)
        self.done = self.wrong = 0
        self.met = Counter()
        self._name, self._kernel, self._cuts, self._chance, self._stop = f"{name}-{os.getpid()}", kernel, cuts, chance, stop
        # What the drop-in is, and how many calls an apply makes.
        self._texts, self._calls = {"none": None}, {}
        self._at = "none"

    def _run(self):
        self.report.heading(f"power cuts, {self._name.partition('-')[0]}")
        try:
            with tempfile.TemporaryDirectory(prefix="netkeel-power-") as scratch:
                self._cut_again_and_again(Path(scratch) / "disk.qcow2")
        except LabError as error:
            self.report.check("the power cuts run to their end", False, error)

    def _cut_again_and_again(self, disk):
        machine = snapshot.up(self._name, self._kernel, disk=disk)
        try:
            host = Host(machine)
            self._prepare(host)
            for number in range(1, self._cuts + 1):
                if self._stop.is_set():
                    return
                self._cut(number, machine, host, disk)
        finally:
            machine.down()

    def _prepare(self, host):
        """One whole round shows what is wanted, and how long each takes."""
        host.furnish(binary(), FILES)
        for name, settings in DOCUMENTS.items():
            lines = "".join(f"  {key}: [{value.replace(' ', ', ')}]\n" for key, value in settings.items())
            text = f"version: 1\nsysctl:\n{lines}"
            host.sh(f"printf '%s' '{text}' > {GUEST}/{name}.yaml")
        self._defaults = {key: host.sh(f"cat /proc/sys/{key.replace('.', '/')}").split() for key in KEYS}
        for name in ("a", "b", "none"):
            code, self._calls[name] = _slowly(host.machine, VERBS[name])
            if code != 0:
                raise LabError(f"{VERBS[name]} exits {code}")
            self._texts[name] = host.sh(f"cat {DROP_IN}") + "\n" if name != "none" else None
        self.report.check("release removes the drop-in", host.sh(f"ls {DROP_IN} 2> /dev/null; true") == "", DROP_IN)
        host.sh("sync")

    def _cut(self, number, machine, host, disk):
        """One cut, and all that must hold after it."""
        start = self._chance.choice(list(VERBS))
        if start != self._at:
            host.sh(f"netkeel {VERBS[start]}")
            self._at = start
        wanted = self._chance.choice([name for name in VERBS if name != self._at])
        before = self._facts(host, "b" if wanted == "none" else wanted, recover=False)
        host.sh("sync")
        after, rest = self._chance.randint(1, self._calls[wanted]), self._chance.uniform(0, 2 * DELAY)
        what = f"cut {number}: {self._at} to {wanted}, after call {after} of {self._calls[wanted]}"

        def cut(seen):
            if seen == after:
                time.sleep(rest)
                machine.cut_power()

        _slowly(machine, VERBS[wanted], cut)
        if machine.run.exists():
            machine.cut_power()
        snapshot.up(self._name, self._kernel, disk=disk)
        seen = self._facts(host, "b" if wanted == "none" else wanted)
        problem = self._judge(before, wanted, seen)
        self.done += 1
        self.wrong += bool(problem)
        interrupted = "was interrupted" in seen["plan"]["output"]
        at = next((name for name, text in self._texts.items() if text == seen["recovered"]["drop_in"]), None)
        state = "interrupted" if interrupted else "not begun" if at == self._at else "done"
        self.met[state] += 1
        found = next((name for name, text in self._texts.items() if text == seen["found"]["drop_in"]), "neither")
        self.report.check(what, not problem, problem or f"{state}; found {found}, then {at}")
        if problem:
            raise LabError("no more cuts on a host that is neither as before nor as wanted")
        self._at = at

    def _facts(self, host, document, recover=True):
        words = f"{GUEST}/guest/after-cut {'' if recover else '--look '}{GUEST}/{document}.yaml {' '.join(KEYS)}"
        return json.loads(host.sh(words))

    def _judge(self, before, wanted, seen):
        """What is wrong, or an empty text."""
        wrong = []
        if seen["boot"] == before["boot"]:
            wrong.append("it was not booted")
        found, recovered = seen["found"], seen["recovered"]
        for when, facts in (("found", found), ("after recover", recovered)):
            if facts["drop_in"] not in (self._texts[self._at], self._texts[wanted]):
                wrong.append(f"{when}: the drop-in is neither as before nor as wanted: {facts['drop_in']!r}")
        other = [name for name in {**before["found"]["files"], **recovered["files"]} if name != DROP_IN]
        for name in other:
            was, now = before["found"]["files"].get(name), recovered["files"].get(name)
            if was != now:
                wrong.append(f"{name} was {was and was[:3]} and is {now and now[:3]}")
        modes = {facts["files"][DROP_IN][0] for facts in (found, recovered) if DROP_IN in facts["files"]}
        if modes - {"0o100644"}:
            wrong.append(f"modes of the drop-in: {modes}")
        text = found["drop_in"]
        at_boot = next((name for name, own in self._texts.items() if own == text), "none")
        for key in KEYS:
            right = DOCUMENTS[at_boot][key].split() if at_boot != "none" else self._defaults[key]
            for when, facts in (("found", found), ("after recover", recovered)):
                if facts["live"][key] != right:
                    wrong.append(f"{when}: {key} is {facts['live'][key]}, not {right} as at boot")
        plan, recover, again = seen["plan"], seen["recover"], seen["plan_again"]
        interrupted = "was interrupted" in plan["output"]
        if plan["code"] != (1 if interrupted else 0):
            wrong.append(f"plan: {plan}")
        if recover["code"] != 0 or ("Nothing to recover" in recover["output"]) == interrupted:
            wrong.append(f"recover: {recover}, after plan: {plan}")
        if interrupted and recovered["drop_in"] != self._texts[self._at]:
            wrong.append("recover did not bring back what was before")
        if again["code"] != 0:
            wrong.append(f"plan after recover: {again}")
        # After a commit it may stay until the next apply: the ledger tells that it is over.
        if interrupted and "journal-files" in recovered["state"]:
            wrong.append("recover leaves the journal")
        return "\n".join(wrong)


def _slowly(machine, words, call=lambda seen: None):
    """Runs netkeel with each call that matters delayed; `call` is told of each. Returns exit code and number of calls."""
    command = machine.ssh_command(f"exec {SLOWLY} netkeel {words}")
    seen = 0
    with subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as ssh:
        timer = threading.Timer(APPLY_LIMIT, ssh.kill)
        timer.start()
        try:
            for line in ssh.stderr:
                if "(" in line and "=" in line:
                    seen += 1
                    call(seen)
        finally:
            timer.cancel()
            ssh.stderr.close()
    return ssh.returncode, seen
