"""A guest as the scenario's host: its topology, its probes, netkeel in it, and what can be read and broken there by hand."""

import contextlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

from netkeel_lab import snapshot
from netkeel_lab.error import LabError

from .state import changes, comparable

SCENARIO = Path(__file__).resolve().parent.parent
REPOSITORY = SCENARIO.parent.parent
DEFAULT_BINARY = REPOSITORY / "target" / "x86_64-unknown-linux-musl" / "release" / "netkeel"
GUEST = "/root/scenario"
PROBE_LIMIT = 180
NETKEEL_LIMIT = 180


def binary():
    """The static netkeel to test."""
    path = Path(os.environ.get("NETKEEL_BIN") or DEFAULT_BINARY).absolute()
    if not path.is_file():
        raise LabError(f"no netkeel at {path}: build it for x86_64-unknown-linux-musl, or name it in NETKEEL_BIN")
    return path


@contextlib.contextmanager
def fresh_host(name, kernel, files=SCENARIO):
    """A host that nobody has touched, with netkeel and what of `files` is for the guest in it."""
    netkeel = binary()
    machine = snapshot.up(f"{name}-{os.getpid()}", kernel)
    host = Host(machine)
    try:
        host.furnish(netkeel, files)
        yield host
    finally:
        host.close_probe()
        machine.down()


class Outcome:
    """What a netkeel run came to."""

    def __init__(self, finished):
        self.code = finished.returncode
        self.output = finished.stdout + finished.stderr

    def line_with(self, word):
        """The first line of the output that has the word, or the whole outcome."""
        return next((line.strip() for line in self.output.splitlines() if word in line), self)

    def __str__(self):
        return f"exit {self.code}, {self.output.strip() or 'without a word'}"


class Host:
    """The guest, once its scenario files are in place."""

    def __init__(self, machine):
        self._machine = machine
        self._probe = None

    def furnish(self, netkeel, files=SCENARIO):
        """Puts netkeel and what of `files` is for the guest in place."""
        with tempfile.TemporaryDirectory(prefix="netkeel-scenario-") as parcel:
            for part in ("guest", "documents"):
                if (files / part).is_dir():
                    shutil.copytree(files / part, Path(parcel) / part, ignore=shutil.ignore_patterns("__pycache__"))
            for part in files.glob("*.conf"):
                shutil.copy(part, parcel)
            shutil.copy(netkeel, Path(parcel) / "netkeel")
            self._machine.put(parcel, GUEST)
        self.sh(f"install -m 755 {GUEST}/netkeel /usr/bin/netkeel")

    @property
    def machine(self):
        """The guest itself."""
        return self._machine

    def sh(self, command):
        """Runs a command that must succeed and returns what it prints."""
        finished = self._machine.call(command)
        if finished.returncode != 0:
            raise LabError(f"in the guest, {command!r} exits {finished.returncode}: {finished.stdout}{finished.stderr}")
        return finished.stdout.strip()

    def netkeel(self, arguments, document="host.yaml"):
        """Runs netkeel with one of the scenario's documents."""
        verb, _, options = arguments.partition(" ")
        command = f"netkeel {verb} -f {GUEST}/documents/{document} {options}"
        return Outcome(self._machine.call(f"NO_COLOR=1 timeout {NETKEEL_LIMIT} {command}", limit=NETKEEL_LIMIT + 60))

    def install_systemd_defaults(self):
        """Lets udev and systemd-sysctl set rp_filter on every interface, as systemd does upstream."""
        self.sh(f"cp {GUEST}/50-default.conf /usr/lib/sysctl.d/50-default.conf && systemctl restart systemd-sysctl")

    def topology(self):
        """Builds the namespaces around the host, and the pod."""
        self.sh(f"{GUEST}/guest/topology up")

    def rp_filter(self, *interfaces):
        """The values of interfaces, and of `all` and `default`, as text."""
        read = "; ".join(f"cat /proc/sys/net/ipv4/conf/{interface}/rp_filter || echo absent" for interface in interfaces)
        return dict(zip(interfaces, self.sh(read).split()))

    def set_rp_filter(self, **values):
        """Breaks or prepares rp_filter by hand, behind netkeel's back."""
        for interface, value in values.items():
            key = f"/proc/sys/net/ipv4/conf/{interface}/rp_filter"
            self.sh(f"echo {value} > {key} && test $(cat {key}) = {value}")

    def links(self, *names):
        """The named interfaces as `ip` describes them; one that is missing is left out."""
        every = json.loads(self.sh("ip -d -j addr"))
        return {link["ifname"]: link for link in every if link["ifname"] in names}

    def state(self):
        """All that netkeel could have changed, as comparable lines."""
        return comparable(self.sh(f"{GUEST}/guest/state"))

    def changes_since(self, before):
        """The lines of the state that are not what they were; empty when nothing changed."""
        return changes(before, self.state())

    def probe(self, probe, **arguments):
        """Asks guest/probe.py for one probe and returns what it saw."""
        if not self._probe:
            self._probe = _Probe(self._machine.ssh_command(f"python3 {GUEST}/guest/probe.py"))
        return self._probe.ask({"probe": probe, **arguments})

    def reboot(self):
        """Reboots the guest. Namespaces, tunnels and what is only in the kernel are gone after it."""
        self.close_probe()
        self._machine.reboot()

    def close_probe(self):
        """Ends the probes; the next one starts them again."""
        if self._probe:
            self._probe.close()
            self._probe = None


class _Probe:
    """The process in the guest that sends and sees packets."""

    def __init__(self, command):
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=sys.stderr, text=True)
        self._answer()

    def ask(self, request):
        self._process.stdin.write(json.dumps(request) + "\n")
        self._process.stdin.flush()
        return self._answer()

    def _answer(self):
        timer = threading.Timer(PROBE_LIMIT, self._process.kill)
        timer.start()
        line = self._process.stdout.readline()
        timer.cancel()
        if not line:
            raise LabError(f"the probes ended, or did not answer in {PROBE_LIMIT} s")
        return json.loads(line)

    def close(self):
        self._process.stdin.close()
        try:
            self._process.wait(timeout=30)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
