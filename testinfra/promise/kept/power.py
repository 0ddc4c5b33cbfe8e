"""Power cycles at the moments of a confirmed apply: after the boot the host is as before or as confirmed."""

import contextlib
import io
import os
import re
import subprocess
import tempfile
import threading
from collections import namedtuple
from pathlib import Path

from netkeel_lab import snapshot
from netkeel_lab.error import LabError
from realserver.host import GUEST, Host, binary
from realserver.report import Report

from . import FILES
from .host import DOCUMENTS, PromisingHost

# A verb is stopped after the `nth` call that matches; without a pattern it ends first. `states` may follow the boot.
Moment = namedtuple("Moment", "verb pattern nth states")
# A reset by the host itself, so many milliseconds after the deadline.
Deadline = namedtuple("Deadline", "offset states")

# What netkeel says of a document that nobody confirmed: by itself, or for the service that enforces an earlier one.
REFUSALS = ("--retry-rejected", "the service rejected its new document")

BEFORE, CONFIRMED = "as before", "as confirmed"
FIRST_LINE = r'^write\(\d+, "\{\\"format\\"'
MOMENTS = {
    "before-the-arm": Moment("apply", r'^unlink\("/var/lib/netkeel/journal-files"', 1, [BEFORE]),
    "armed-before-the-note": Moment("apply", FIRST_LINE, 1, [BEFORE]),
    "after-the-note": Moment("apply", r"^fsync\(", 1, [BEFORE]),
    "before-the-first-write": Moment("apply", FIRST_LINE, 2, [BEFORE]),
    "after-the-first-write": Moment("apply", r'"step\\":2\}', 1, [BEFORE]),
    "in-the-middle": Moment("apply", r'"step\\":4\}', 1, [BEFORE]),
    "after-the-last-write": Moment("apply", r"complete", 1, [BEFORE]),
    "while-it-waits": Moment("apply", None, 0, [BEFORE]),
    "before-the-deadline": Deadline(-300, [BEFORE]),
    "after-the-deadline": Deadline(30, [BEFORE]),
    "confirm-before-the-files": Moment("confirm", r'"step\\":1\}', 1, [BEFORE]),
    # The file has its name on the disk, and the boot reads it before netkeel can put it back.
    "confirm-after-the-files": Moment("confirm", r"^fsync\(", 2, [BEFORE, CONFIRMED]),
    "confirm-before-the-record": Moment("confirm", r'"\{\\"record', 1, [BEFORE, CONFIRMED]),
    "confirm-after-the-record": Moment("confirm", r"^ftruncate\(", 1, [CONFIRMED]),
    "after-the-confirm": Moment("confirm", None, 0, [CONFIRMED]),
}
# Of the document that the boot unit applies, nothing is known before something is noted.
UNKNOWN_TO_BOOT = ("before-the-arm", "armed-before-the-note")

CALLS = "write,fsync,fdatasync,ftruncate,rename,renameat,renameat2,unlink,unlinkat"
PLACES = (
    "/run/netkeel/journal",
    "/var/lib/netkeel",
    "/var/lib/netkeel/journal-files",
    "/var/lib/netkeel/ledger.json",
    "/etc/sysctl.d",
    *(f"/etc/sysctl.d/{name}" for owner in ("", "-trial") for name in (f"90-netkeel{owner}.conf", f".90-netkeel{owner}.conf.netkeel.tmp")),
)
STRACE = f"strace -qq -s 60 -o /dev/stderr -e trace={CALLS} {' '.join(f'-P {place}' for place in PLACES)}"
STOPPED = "--- stopped by SIGSTOP ---"
# The long one is never waited out.
LONG, SHORT = "3600s", "30s"
CALL_LIMIT = 300


class Kind(namedtuple("Kind", "words begin restore")):
    """A kind of apply: what begins it, and what brings the host back after it was confirmed."""


KINDS = {
    # The one that the boot unit and the service take too.
    "the host's document": Kind(
        "--retry-rejected",
        f"systemctl stop netkeel && cp {DOCUMENTS}/after.yaml /etc/netkeel/desired.d/10-host.yaml",
        f"systemctl stop netkeel && cp {DOCUMENTS}/before.yaml /etc/netkeel/desired.d/10-host.yaml && netkeel apply --lock-timeout 60s --prune",
    ),
    # Beside a service that runs and enforces another one.
    "another document": Kind(
        f"--retry-rejected -f {DOCUMENTS}/trial.yaml",
        "true",
        # After a rollback the owner holds nothing, and there is nothing to release.
        "if netkeel owners trial >/dev/null; then netkeel release --lock-timeout 60s --owner trial; fi",
    ),
}
OWN, OTHER = KINDS


def cycles(full, only):
    """The moments of each kind. By default each moment of one kind."""
    names = only or list(MOMENTS)
    chosen = {OWN: [], OTHER: []}
    for number, name in enumerate(names):
        for kind in KINDS if full or only else [OWN if number % 2 else OTHER]:
            if kind == OTHER or name not in UNKNOWN_TO_BOOT:
                chosen[kind].append(name)
            elif not full:
                chosen[OTHER].append(name)
    return {kind: list(dict.fromkeys(moments)) for kind, moments in chosen.items() if moments}


@contextlib.contextmanager
def beside(report, kernel, chosen):
    """Cycles the power of guests of their own while the body runs; what came of it is reported at the end."""
    stop = threading.Event()
    lanes = [Lane(number, kernel, kind, names, stop) for number, (kind, names) in enumerate(chosen.items())]
    for lane in lanes:
        lane.thread.start()
    try:
        yield
        for lane in lanes:
            lane.thread.join()
    finally:
        stop.set()
        for lane in lanes:
            lane.thread.join()
            report.absorb(lane.report, lane.text.getvalue())
    if lanes:
        wanted, done = sum(len(names) for names in chosen.values()), sum(lane.done for lane in lanes)
        wrong = sum(lane.wrong for lane in lanes)
        report.check("no power cycle loses a promise", done == wanted and not wrong, f"{done} of {wanted} cycles, {wrong} lost")


class Lane:
    """One guest whose power is cycled again and again."""

    def __init__(self, number, kernel, kind, names, stop):
        self.text = io.StringIO()
        self.report = Report(self.text)
        self.thread = threading.Thread(target=self._run, name=f"cycles{number}")
        self.done = self.wrong = 0
        self._name, self._kernel = f"cycles{number}-{os.getpid()}", kernel
        self._what, self._kind, self._names, self._stop = kind, KINDS[kind], names, stop

    def _run(self):
        self.report.heading(f"power cycles while an apply is to be confirmed: {self._what}")
        try:
            with tempfile.TemporaryDirectory(prefix="netkeel-promise-") as scratch:
                machine = snapshot.up(self._name, self._kernel, disk=Path(scratch) / "disk.qcow2")
                try:
                    self._cycle_again_and_again(machine)
                finally:
                    machine.down()
        except LabError as error:
            self.report.check("the power cycles run to their end", False, error)

    def _cycle_again_and_again(self, machine):
        plain = Host(machine)
        plain.furnish(binary(), FILES)
        host = PromisingHost(plain)
        host.install()
        host.sh("sync")
        machine.reboot()
        host.in_order()
        before = host.look()
        # One apply that is confirmed shows the calls, and what the host is after an orderly boot.
        host.sh(self._kind.begin)
        calls = {verb: self._observe(machine, self._verb(verb)) for verb in ("apply", "confirm")}
        machine.reboot()
        host.in_order()
        states = {BEFORE: before, CONFIRMED: host.look()}
        difference = host.differs(before)
        self.report.check("a confirmed apply outlives a boot", difference, difference)
        self._restore(host)
        self.report.check("it can be taken back", not host.differs(before), host.differs(before) or "the same state")
        for name in self._names:
            if self._stop.is_set():
                return
            self._cycle(name, machine, host, calls, states)

    def _verb(self, verb, within=LONG):
        # The service may be at work.
        options = f"{self._kind.words} --confirm-within {within}" if verb == "apply" else ""
        return f"netkeel {verb} --lock-timeout 60s {options}"

    def _restore(self, host):
        host.sh(f"{self._kind.restore} && systemctl restart netkeel")
        host.in_order()

    def _cycle(self, name, machine, host, calls, states):
        """One power cycle, and the host after it."""
        moment = MOMENTS[name]
        host.sh(f"{self._kind.begin} && sync")
        how = None
        if isinstance(moment, Deadline):
            host.sh(self._verb("apply", SHORT))
            how = lambda: machine.call(f"setsid {GUEST}/guest/cut-at {moment.offset} < /dev/null > /dev/null 2>&1 &")  # noqa: E731
        else:
            if moment.verb == "confirm":
                host.sh(self._verb("apply"))
            if moment.pattern is None:
                host.sh(self._verb(moment.verb))
            else:
                self._stop_after(machine, moment, calls[moment.verb])
        machine.reset(how, failing=("netkeel-boot.service",))
        host.in_order()
        host.unwatched()
        found = next((state for state in moment.states if not host.differs(states[state])), None)
        self.done += 1
        self.wrong += found is None
        evidence = found or "\n".join(f"not {state}:\n{host.differs(states[state])}" for state in moment.states) + f"\n{host.log()}"
        self.report.check(name, found, evidence)
        if found == BEFORE and name not in UNKNOWN_TO_BOOT:
            self._refused(name, host)
        self._restore(host)
        if host.differs(states[BEFORE]):
            raise LabError(f"no more cycles on a host that is not as before:\n{host.differs(states[BEFORE])}")

    def _refused(self, name, host):
        """The document that nobody confirmed is not applied again without being told to."""
        outcome = host.call(f"netkeel apply --lock-timeout 60s {self._kind.words.replace('--retry-rejected', '')}")
        self.report.check(f"{name}: the document is rejected", outcome.code == 1 and any(words in outcome.output for words in REFUSALS), outcome)

    def _observe(self, machine, words):
        """The calls of a verb that runs to its end."""
        finished = machine.call(f"{STRACE} {words}")
        if finished.returncode != 0:
            raise LabError(f"{words} exits {finished.returncode}: {finished.stdout}{finished.stderr}")
        return [line for line in finished.stderr.splitlines() if re.match(r"\w+\(", line)]

    def _stop_after(self, machine, moment, calls):
        """Runs a verb until it has done the call, and leaves it stopped there."""
        places = [place for place, line in enumerate(calls) if re.search(moment.pattern, line)]
        if len(places) < moment.nth:
            raise LabError(f"no call {moment.nth} like {moment.pattern} in:\n" + "\n".join(calls))
        place = places[moment.nth - 1]
        # strace counts each system call by itself.
        name = calls[place].partition("(")[0]
        number = sum(line.startswith(f"{name}(") for line in calls[: place + 1])
        words = f"exec {STRACE} -e inject={name}:signal=STOP:when={number} {self._verb(moment.verb)}"
        with subprocess.Popen(
            machine.ssh_command(words), stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
        ) as ssh:
            timer = threading.Timer(CALL_LIMIT, ssh.kill)
            timer.start()
            seen = []
            for line in ssh.stderr:
                seen.append(line)
                if STOPPED in line:
                    break
            timer.cancel()
            stopped = seen and STOPPED in seen[-1]
            ssh.kill()
            ssh.stderr.close()
        if not stopped:
            raise LabError(f"{words} does not stop:\n{''.join(seen)}")
