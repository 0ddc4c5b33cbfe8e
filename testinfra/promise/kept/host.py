"""A host with netkeel's units enabled, whose service enforces a document, and confirmed applies on it."""

import contextlib
import json

from netkeel_lab.error import LabError, wait_until
from realserver.host import GUEST, Outcome, fresh_host
from realserver.state import changes

from . import FILES

UNITS = ("netkeel.service", "netkeel-boot.service")
# netkeel-boot.service starts it.
RENDERED = (*UNITS, "netkeel-recover.service")
DESIRED = "/etc/netkeel/desired.d/10-host.yaml"
DOCUMENTS = f"{GUEST}/documents"
# An emulated processor is slow.
PATIENCE = 300


@contextlib.contextmanager
def promising_host(name, kernel):
    """A host that enforces documents/before.yaml."""
    with fresh_host(name, kernel, FILES) as plain:
        host = PromisingHost(plain)
        host.install()
        host.sh(f"{GUEST}/guest/network && systemctl start netkeel")
        host.in_order()
        yield host


class PromisingHost:
    """The guest, its service and its applies."""

    def __init__(self, host):
        self._host = host
        self.sh = host.sh

    def install(self):
        """Puts in place what a package and a configuration manager would; nothing is started."""
        units = [f"netkeel render {unit} > /etc/systemd/system/{unit}" for unit in RENDERED]
        self.sh(
            f"mkdir -p {DESIRED.rpartition('/')[0]} && {' && '.join(units)}"
            f" && cp {DOCUMENTS}/before.yaml {DESIRED} && cp {GUEST}/guest/lab-network.service /etc/systemd/system/"
            f" && systemctl daemon-reload && systemctl enable -q {' '.join(UNITS)} lab-network.service"
        )

    def call(self, command):
        """Runs a command that may fail."""
        return Outcome(self._host.machine.call(f"NO_COLOR=1 {command}"))

    def look(self):
        """All that a confirmed apply could have changed, line by line."""
        return self.sh(f"{GUEST}/guest/look").splitlines()

    def differs(self, before):
        """How the host is not what it was; empty when it is."""
        return changes(before, self.look())

    def becomes(self, wanted, limit):
        """Waits until the host is as wanted; returns how it is not."""
        found = []

        def is_so():
            found[:] = [self.differs(wanted)]
            return not found[0]

        try:
            wait_until(is_so, limit, lambda: "", 0.3)
        except LabError:
            pass
        return found[0]

    def status(self):
        """The status of the service; empty when it does not answer."""
        outcome = self.call("netkeel status --output json 2> /dev/null")
        return json.loads(outcome.output) if outcome.code == 0 else {}

    def in_order(self):
        """Waits until the service has looked at all and nothing differs."""
        last = {}

        def asked():
            last.clear()
            last.update(self.status())
            return last.get("looked") and not last["drift"]

        wait_until(asked, PATIENCE, lambda: f"the service is not in order: {json.dumps(last)}\n{self.log()}", 0.2)

    def log(self):
        """The end of what netkeel logged."""
        return self.call("journalctl -q --no-pager -o cat -u 'netkeel*' -n 20").output

    def service_pid(self):
        """The process of the service."""
        return self.sh("systemctl show -P MainPID netkeel")

    def watchdogs(self):
        """The units that watch applies."""
        return self.sh("systemctl list-units --plain --no-legend 'netkeel-undo-*' | cut -d' ' -f1").split()

    def unwatched(self):
        """Waits until no apply is watched."""
        wait_until(lambda: not self.watchdogs(), PATIENCE, lambda: f"still watched: {self.watchdogs()}\n{self.log()}", 0.3)

    def last_done(self):
        """The newest entry of the history."""
        return " ".join(self.sh("netkeel history").splitlines()[:2])

    def write_document(self, name):
        """Makes one of documents/ the host's document. The service sees it."""
        self.sh(f"cp {DOCUMENTS}/{name} {DESIRED}")
