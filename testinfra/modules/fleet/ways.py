"""Each way in which a host is brought to the document: what it is told, how it looks, how it changes the host, and its exit codes."""

import json
import os
import subprocess
import time
from pathlib import Path

from netkeel_lab.error import LabError
from packages import NEW, OLD
from realserver.host import GUEST, Outcome, fresh_host

MODULES = Path(__file__).resolve().parent.parent
TESTINFRA = MODULES.parent
REPOSITORY = TESTINFRA.parent
DOCUMENT = MODULES / "documents" / "host.yaml"
METRICS = "127.0.0.1:9440"
FULL = os.environ.get("NETKEEL_FULL") == "1"
# Puppet and Ansible take their time on an emulated processor.
LIMIT = 900
# What the difference of a fresh host has, of every kind.
DRIFT = ("rmem_max", "212992 -> 134217728", "cali0", "1500 -> 1460", "link ipip60", "nflog packet-too-big", "cni", "Drift:")


def tools():
    """The Python environment of the tests."""
    made = subprocess.run([MODULES / "tools"], stdout=subprocess.PIPE, text=True, check=False)
    if made.returncode != 0:
        raise LabError("the Python environment of the tests cannot be made")
    return Path(made.stdout.strip())


# The .deb that the tool installs, and a later one, in the guest.
PACKAGE = "/root/netkeel.deb"
LATER = "/root/netkeel-later.deb"


class Way:
    """A guest that is brought to the document: looked at, changed, changed again, tested, rebooted and tested."""

    name = title = ""
    # Whether it installs the package, before it has a document.
    installs = True
    # The exit codes of a look that finds a difference, of a change, and of a change with nothing to do.
    codes = (0, 0, 0)

    def __init__(self, report, kernel, environment, packages):
        self.report, self.kernel, self.tools, self.packages = report, kernel, environment, packages
        self.host = None

    def run(self):
        """All of it."""
        with fresh_host(f"modules-{self.name}", self.kernel, MODULES) as host:
            self.host = host
            self.furnish()
            if self.installs:
                self.installed()
            self.prepare()
            before = host.state()
            dry = self.timed(self.look)
            changed = host.changes_since(before)
            wet, again = self.timed(self.change), self.timed(self.change)
            missing = [words for words in DRIFT if words not in dry.output]
            self.check("a look ends as it should", dry.code == self.codes[0], dry, dry.line_with("Plan:"))
            self.check("it shows the difference, of every kind", not missing, f"missing {missing} in {dry}", DRIFT)
            self.check("it changes nothing", not changed, changed, "interfaces, sysctls, modules and files are as they were")
            self.check("a run changes the host", wet.code == self.codes[1] and self.has_changed(wet), wet, f"exit {wet.code}")
            clean = again.code == self.codes[2] and "Drift:" not in again.output and not self.has_changed(again)
            self.check("the next run finds nothing to do", clean, again, f"exit {again.code}")
            self.tested("after it")
            host.reboot()
            self.tested("after a reboot")

    def installed(self):
        """The package by the tool, on a host without netkeel. In full also by apt, before the tool and after it."""
        self.host.sh("rm /usr/bin/netkeel")
        for path, place in zip(self.packages, (PACKAGE, LATER)):
            self.host.machine.put(path, place)
        outcome = self.timed(self.install)
        self.holds("it installs the package", outcome, self.codes[1], OLD)
        if FULL:
            self.in_either_order()

    def in_either_order(self):
        """After the tool apt upgrades, purges and installs the package; after each the tool finds what it wants."""
        outcome = self.timed(self.apt_upgrade)
        self.holds("apt upgrades the package without a terminal", outcome, 0, NEW)
        outcome = self.timed(self.install)
        self.holds("after an upgrade by apt there is nothing to do", outcome, self.codes[2], NEW)
        self.check("it changes nothing", not self.has_changed(outcome), outcome, f"exit {outcome.code}")

        outcome = self.guest("apt-get -q purge -y netkeel </dev/null")
        self.check("apt purges the package without a terminal", outcome.code == 0, outcome, f"exit {outcome.code}")
        outcome = self.timed(self.apt_upgrade)
        self.holds("apt installs the package over files of the tool", outcome, 0, NEW)
        outcome = self.timed(self.install)
        self.holds("it takes over a package that apt installed", outcome, self.codes[1], NEW)

    def apt_upgrade(self):
        """The later package by apt, without a terminal."""
        return self.guest(f"apt-get -q install -y {LATER} </dev/null")

    def holds(self, what, outcome, code, version):
        """Whether a run ended so, with this version of the package, and with its units."""
        state = self.guest("dpkg-query -W -f '${Status} ${Version}' netkeel && netkeel --version && ls /usr/lib/systemd/system/netkeel.service")
        good = outcome.code == code and state.code == 0 and f"install ok installed {version}-1" in state.output
        self.check(what, good, f"{outcome}\n{state}", state.line_with("install"))
        shadows = self.guest("find /etc/systemd/system -name 'netkeel*.service' ! -type l").output.strip()
        self.check(f"{what}: no unit shadows one of the package", not shadows, shadows, "none in /etc/systemd/system")

    def check(self, what, good, bad_evidence, evidence):
        """A check whose evidence is short when it holds."""
        self.report.check(what, good, evidence if good else bad_evidence)

    def timed(self, how):
        """What a run came to; how long it took is printed at once."""
        begin = time.monotonic()
        outcome = how()
        print(f"     {self.name}, {how.__name__}: {time.monotonic() - begin:.0f} s", flush=True)
        return outcome

    def guest(self, command):
        """What a command in the guest came to."""
        return Outcome(self.host.machine.call(command, limit=LIMIT))

    def furnish(self):
        """What is on every worker: its network, and the CNI configuration of its cluster."""
        conflist = (TESTINFRA / "conflists" / "calico.conflist").read_text(encoding="utf-8")
        self.host.machine.call("mkdir -p /etc/cni/net.d && cat > /etc/cni/net.d/10-calico.conflist", stdin=conflist)
        self.host.sh(
            f"cp {GUEST}/guest/lab-network.service /etc/systemd/system/ && systemctl daemon-reload"
            " && systemctl enable -q --now lab-network.service"
        )
        self.host.machine.put(TESTINFRA / "scenario" / "guest" / "state", f"{GUEST}/guest/state")

    def tested(self, when):
        """The tests that users have, over ssh."""
        machine = self.host.machine
        words = [self.tools / "bin" / "pytest", "-q", "-p", "no:cacheprovider", TESTINFRA / "host"]
        words += [f"--hosts=ssh://{machine.name}", f"--ssh-config={machine.ssh_config}", f"--netkeel-document={DOCUMENT}"]
        words += [f"--netkeel-metrics={METRICS}"]
        environment = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1", "NO_COLOR": "1"}
        begin = time.monotonic()
        done = subprocess.run(words, capture_output=True, text=True, timeout=LIMIT, check=False, env=environment)
        summary = done.stdout.strip().splitlines()[-1:] or [done.stderr]
        # Every test has run: sysctls live and at boot, a link, tunnels, nflog, cni, units, metrics, and netkeel itself.
        whole = done.returncode == 0 and "15 passed" in summary[0]
        evidence = f"{summary[0]} ({time.monotonic() - begin:.0f} s)" if whole else done.stdout + done.stderr
        self.report.check(f"{when}, the host is as the document says", whole, evidence)


class Puppet(Way):
    """puppet apply without a server, with Hiera."""

    name, title = "puppet", "puppet apply --noop, puppet apply, puppet apply"
    codes = (0, 2, 0)

    def install(self):
        """The module without data."""
        machine = self.host.machine
        self.host.sh("mkdir -p /root/modules")
        machine.put(REPOSITORY / "puppet", "/root/modules/netkeel")
        machine.call("cat > /root/hiera.yaml", stdin=json.dumps({"version": 5, "hierarchy": []}))
        site = "class { 'netkeel': package_source => '%s', service_options => ['--listen', '%s'] }"
        machine.call("cat > /root/site.pp", stdin=site % (PACKAGE, METRICS))
        return self.apply()

    def prepare(self):
        """The hierarchy of the host's data."""
        hierarchy = {"version": 5, "hierarchy": [{"name": "host", "path": f"{GUEST}/documents/data.yaml"}]}
        self.host.machine.call("cat > /root/hiera.yaml", stdin=json.dumps(hierarchy))

    def apply(self, options=""):
        """A run of Puppet; its own files are not those that are looked at."""
        return self.guest(
            "puppet apply --confdir /root/puppet --vardir /root/var --ssldir /root/ssl --modulepath /root/modules"
            f" --hiera_config /root/hiera.yaml --detailed-exitcodes --show_diff --color=false {options} /root/site.pp"
        )

    def look(self):
        return self.apply("--noop")

    def change(self):
        return self.apply()

    def has_changed(self, outcome):
        """Whether Puppet tells of a change of the host."""
        return "Netkeel_host[default]/settings:" in outcome.output


class Ansible(Way):
    """ansible-playbook over ssh with the role."""

    name, title = "ansible", "ansible-playbook --check, ansible-playbook, ansible-playbook"

    def install(self):
        """A play without variables of the document."""
        self.write_play([])
        return self.play()

    def prepare(self):
        """A play for the guest."""
        self.write_play([str(MODULES / "documents" / "vars.yaml")])

    def write_play(self, files):
        """The play, with files of variables."""
        play = {
            "hosts": "all",
            # Facts are slow on an emulated processor, and the role needs but few.
            "gather_subset": ["!all", "!min", "platform", "distribution"],
            "vars_files": files,
            "vars": {
                "netkeel_install": "package",
                "netkeel_package": PACKAGE,
                "netkeel_service_options": ["--listen", METRICS],
            },
            "roles": ["netkeel.netkeel.netkeel"],
        }
        (self.host.machine.run / "site.yml").write_text(json.dumps([play]), encoding="utf-8")

    def play(self, *options):
        """A run of Ansible."""
        machine = self.host.machine
        words = [self.tools / "bin" / "ansible-playbook", "--diff", *options, "-i", f"{machine.name},", machine.run / "site.yml"]
        environment = {
            **os.environ,
            "ANSIBLE_HOME": str(machine.run / "ansible"),
            "ANSIBLE_COLLECTIONS_PATH": str(REPOSITORY / "modules"),
            "ANSIBLE_SSH_ARGS": f"-F {machine.ssh_config}",
            "ANSIBLE_PIPELINING": "1",
            "ANSIBLE_NOCOLOR": "1",
            "ANSIBLE_PYTHON_INTERPRETER": "/usr/bin/python3",
            "LC_ALL": "C.UTF-8",
        }
        return Outcome(
            subprocess.run(words, capture_output=True, text=True, timeout=LIMIT, check=False, env=environment, stdin=subprocess.DEVNULL)
        )

    def look(self):
        return self.play("--check")

    def change(self):
        return self.play()

    def has_changed(self, outcome):
        """Whether Ansible counts a change."""
        return "changed=0 " not in outcome.output


class Plain(Way):
    """netkeel by hand, with the units that it prints."""

    installs = False

    name, title = "plain", "netkeel plan, netkeel apply, netkeel apply"
    codes = (2, 2, 0)

    def prepare(self):
        """The document in its place."""
        self.host.sh(f"mkdir -p /etc/netkeel/desired.d && cp {GUEST}/documents/host.yaml /etc/netkeel/desired.d/")

    def look(self):
        return self.guest("netkeel plan --detailed-exitcode")

    def change(self):
        return self.guest("netkeel apply --detailed-exitcode")

    def has_changed(self, outcome):
        """Whether netkeel tells of writes."""
        return "Applied: " in outcome.output

    def tested(self, when):
        """With the service, which by hand is started by hand."""
        if when == "after it":
            units = ("netkeel.service", "netkeel-boot.service", "netkeel-recover.service")
            render = " && ".join(f"netkeel render {unit} > /etc/systemd/system/{unit}" for unit in units)
            drop_in = "/etc/systemd/system/netkeel.service.d"
            pods = f"mkdir -p {drop_in} && netkeel render netkeel-pods.conf > {drop_in}/pods.conf"
            self.host.sh(
                f"{render} && {pods} && echo 'NETKEEL_OPTIONS=\"--listen {METRICS}\"' > /etc/default/netkeel"
                f" && systemctl daemon-reload && systemctl enable -q {' '.join(units[:2])} && systemctl start netkeel"
            )
        super().tested(when)
