"""A host with the units installed and enabled, rebooted; and what can be asked of its service."""

import contextlib
import json
import time
from pathlib import Path

from netkeel_lab.error import LabError, wait_until
from realserver.host import GUEST, fresh_host

FILES = Path(__file__).resolve().parent.parent
UNITS = ("netkeel.service", "netkeel-boot.service")
# netkeel-boot.service starts it.
RENDERED = (*UNITS, "netkeel-recover.service")
# The Puppet class and the Ansible role install it for a document with a match on veths.
PODS = "/etc/systemd/system/netkeel.service.d/pods.conf"
DOCUMENTS = "/etc/netkeel/desired.d"
# An emulated processor is slow, and a worker waits two seconds for its peers.
PATIENCE = 300


@contextlib.contextmanager
def serving_host(name, kernel):
    """A host as a package leaves it after a reboot."""
    with fresh_host(name, kernel, FILES) as plain:
        host = ServingHost(plain)
        host.install()
        plain.reboot()
        yield host


class ServingHost:
    """The guest and its service."""

    def __init__(self, host):
        self._host = host
        self.sh = host.sh
        self._messages = 0

    def install(self):
        """Puts in place what a configuration manager would, and the guest's network; nothing is started."""
        units = [f"netkeel render {unit} > /etc/systemd/system/{unit}" for unit in RENDERED]
        self.sh(
            f"mkdir -p {DOCUMENTS} && cp {GUEST}/documents/host.yaml {DOCUMENTS}/10-host.yaml"
            " && echo 'NETKEEL_OPTIONS=\"--listen 127.0.0.1:9440\"' > /etc/default/netkeel"
            f" && {' && '.join(units)} && mkdir -p {Path(PODS).parent} && netkeel render netkeel-pods.conf > {PODS}"
            f" && cp {GUEST}/guest/lab-network.service /etc/systemd/system/"
            f" && systemctl daemon-reload && systemctl enable -q {' '.join(UNITS)} lab-network.service"
        )

    def call(self, command):
        """Runs a command that may fail, and returns its exit code and all that it prints."""
        finished = self._host.machine.call(command)
        return finished.returncode, (finished.stdout + finished.stderr).strip()

    def status(self):
        """What the service says of itself; empty when it does not answer."""
        code, text = self.call("netkeel status --output json 2>/dev/null")
        return json.loads(text) if code == 0 else {}

    def until(self, what, wanted, limit=PATIENCE):
        """Waits until the status is as wanted, and returns it."""
        last = {}

        def asked():
            nonlocal last
            last = self.status()
            return last and wanted(last)

        wait_until(asked, limit, lambda: f"not so after {limit} s: {what}; status: {json.dumps(last)}", 0.2)
        return last

    def in_order(self, what="it replicates and nothing differs"):
        """Waits until all is as the document says."""
        return self.until(what, lambda status: health(status) == "ok" and status["looked"] and not status["drift"])

    def log(self):
        """The end of the service's log."""
        return self.call("journalctl -q --no-pager -o cat -u netkeel -u netkeel-boot -n 15")[1]

    def logged(self, words, since=None):
        """The lines of the service's log that have the words: since a cursor, or since the boot."""
        which = f"--after-cursor='{since}'" if since else "-b"
        lines = self.sh(f"journalctl -q --no-pager -o cat -u netkeel {which}").splitlines()
        return [line for line in lines if words in line]

    def cursor(self):
        """The present end of the log."""
        return self.sh("journalctl -q --no-pager -n 1 --show-cursor | sed -n 's/^-- cursor: //p'")

    def metric(self, name):
        """The value of a metric, of which the name may hold labels."""
        text = self.sh("python3 -c 'import urllib.request as u; print(u.urlopen(\"http://127.0.0.1:9440/metrics\").read().decode())'")
        values = [line.rsplit(" ", 1)[1] for line in text.splitlines() if line.rsplit(" ", 1)[0] == name]
        if not values:
            raise LabError(f"no metric {name}")
        return float(values[0])

    def rules(self):
        """The service's table, without handles and counters."""
        return self.call("nft -s list table inet netkeel")[1]

    def property(self, unit, name):
        """A property of a unit."""
        return self.sh(f"systemctl show -P {name} {unit}")

    def mtu(self, interface):
        """The MTU of an interface, as text."""
        return self.call(f"cat /sys/class/net/{interface}/mtu")[1]

    def until_mtu(self, interface, mtu):
        """Waits until an interface has an MTU; returns what it has."""
        try:
            wait_until(lambda: self.mtu(interface) == str(mtu), PATIENCE, lambda: "", 0.1)
        except LabError:
            pass
        return self.mtu(interface)

    def seen(self, peer):
        """How many messages came to a peer, by interface and family."""
        return dict(self._counters(f"ip netns exec {peer} nft -j list table inet seen"))

    def logged_by_rules(self):
        """How many messages the service's rules have logged since they were made."""
        return sum(packets for _, packets in self._counters("nft -j list table inet netkeel"))

    def _counters(self, listing):
        every = json.loads(self.sh(listing))["nftables"]
        rules = [entry["rule"] for entry in every if "rule" in entry]
        return [(rule["comment"], part["counter"]["packets"]) for rule in rules for part in rule["expr"] if "counter" in part]

    def send(self, family, count, rate=500):
        """Sends messages that were not sent before; returns once they are sent."""
        first, self._messages = self._messages, self._messages + count
        self.sh(f"ip netns exec router python3 {GUEST}/guest/send.py {family} {count} {rate} {first}")

    def soak(self, seconds, service, worker_, first):
        """Runs guest/soak.py and returns its exit code and what it prints."""
        finished = self._host.machine.call(
            f"python3 {GUEST}/guest/soak.py {seconds} {service} {worker_} {first}", limit=2 * seconds + 300
        )
        return finished.returncode, finished.stdout + finished.stderr

    def arrives(self, report, what, peer, expected, families=(4, 6), count=40):
        """Messages to this host come to a peer: `expected` says by which interface, for each family one or more."""
        before = self.seen(peer)
        for family in families:
            self.send(family, count)
        wanted = {name: count for name in expected}

        def came():
            after = self.seen(peer)
            return {name: after[name] - before[name] for name in after if after[name] != before[name]}

        try:
            wait_until(lambda: came() == wanted, 60, lambda: "", 0.2)
        except LabError:
            pass
        # One too many would come late.
        time.sleep(0.5)
        report.check(what, came() == wanted, f"{came()} of {count} each came to {peer}")

    def replicates(self, report, when):
        """Messages of both families come to the peer on the link, each once."""
        self.arrives(report, f"{when}, each message comes to the peer once", "near", ["eth0 4", "eth0 6"])


def health(status):
    """How the worker is."""
    return (status.get("worker") or {}).get("health")


def worker(status):
    """The worker's process id."""
    return (status.get("worker") or {}).get("pid")
