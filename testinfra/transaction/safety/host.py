"""A host with two uplinks that a strict rp_filter cuts off, and an ssh session that feels it."""

import contextlib
import subprocess
import time
from pathlib import Path

from netkeel_lab.error import LabError
from realserver.host import GUEST, Outcome, fresh_host

FILES = Path(__file__).resolve().parent.parent
# It is waited out. The session must die before, after 4 to 6 s of silence, and the operator must see the apply.
WITHIN = 15
SESSION_LIMIT = 240
# A session of its own, which notices soon that nobody answers.
ALONE = ["-o", "ControlPath=none", "-o", "ConnectTimeout=5", "-o", "ServerAliveInterval=2", "-o", "ServerAliveCountMax=2"]

# Persistent sysctls, a link beside, and in the middle the rp_filter that cuts ssh off. The number makes it another document.
DOCUMENT = """\
version: 1
sysctl:
  net.core.netdev_max_backlog: {backlog}
  net.ipv4.conf.default.rp_filter: 2
  net.ipv4.tcp_syn_retries: 5
  net.ipv6.conf.other0.hop_limit: 63
link:
  eth0: {{ rp_filter: strict }}
  other0: {{ mtu: 1400, alias: "document {number}" }}
"""


@contextlib.contextmanager
def cut_off_host(name, kernel):
    """A host that a document can cut off from its ssh client."""
    with fresh_host(name, kernel, FILES) as host:
        host.sh(f"{GUEST}/guest/topology")
        yield CutOffHost(host)


class CutOffHost:
    """The guest, and sessions into it that may die."""

    def __init__(self, host):
        self._host = host
        self.sh = host.sh
        self.state = host.state
        self.changes_since = host.changes_since
        self._documents = 0

    def document(self):
        """Puts a document in place that is no other's, and returns its path in the guest."""
        self._documents += 1
        text = DOCUMENT.format(number=self._documents, backlog=2000 + self._documents)
        return self.put(f"document-{self._documents}.yaml", text)

    def put(self, name, text):
        """Puts a document in place."""
        path = f"{GUEST}/{name}"
        done = self._host.machine.call(f"cat > {path}", stdin=text)
        if done.returncode != 0:
            raise LabError(f"cannot write {path}: {done.stderr}")
        return path

    def netkeel(self, arguments, before=""):
        """Runs netkeel in the shared session; `before` are words to run it by."""
        return Outcome(self._host.machine.call(f"NO_COLOR=1 {before} timeout 120 netkeel {arguments}", limit=180))

    def session(self, command, typed=None, after=None, then=None):
        """Runs a command in a session of its own; with `typed` on a terminal, where that is typed between `after()` and `then()`."""
        machine = self._host.machine
        words = ["ssh", "-F", str(machine.ssh_config), *ALONE, *(["-tt"] if typed else []), machine.name, command]
        with subprocess.Popen(
            words, stdin=subprocess.PIPE if typed else subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        ) as ssh:
            try:
                if typed:
                    after()
                    ssh.stdin.write(typed)
                    ssh.stdin.flush()
                    then()
                output, _ = ssh.communicate(timeout=SESSION_LIMIT)
            except subprocess.TimeoutExpired as error:
                raise LabError(f"{command!r} neither ends nor dies in {SESSION_LIMIT} s") from error
            finally:
                ssh.kill()
        return Outcome(subprocess.CompletedProcess(words, ssh.returncode, output, ""))

    def answers(self, patience):
        """Whether a new ssh connection gets through. It may take as many seconds to be made, and three times that in all."""
        machine = self._host.machine
        # ssh takes the first of two options.
        words = ["ssh", "-F", str(machine.ssh_config), "-o", f"ConnectTimeout={patience}", *ALONE, machine.name, "true"]
        try:
            done = subprocess.run(words, stdin=subprocess.DEVNULL, capture_output=True, timeout=3 * patience, check=False)
        except subprocess.TimeoutExpired:
            return False
        return done.returncode == 0

    def comes_back(self, limit):
        """Seconds until ssh gets through again, or None after `limit`."""
        self._host.machine.forget_connection()
        begin = time.monotonic()
        while time.monotonic() - begin < limit:
            # Short tries see soon that the network is back. A starved sshd needs long ones.
            if self.answers(2 if time.monotonic() - begin < 2 * WITHIN else 15):
                return time.monotonic() - begin
            time.sleep(0.3)
        return None

    def last_done(self):
        """The newest entry of the history."""
        return " ".join(self.sh("netkeel history").splitlines()[:2])

    def dropped_by_rp_filter(self):
        """Packets that rp_filter has dropped."""
        return int(self.sh("nstat -asz TcpExtIPReversePathFilter | awk '/Reverse/ { print $2 }'"))

    def services_started(self):
        """Lines that netkeel's transient units have left in the journal."""
        return int(self.sh("journalctl -q --no-pager -u 'netkeel-undo-*.service' | grep -c Started || true"))
