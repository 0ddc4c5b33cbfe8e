"""One running guest: its QEMU, and ssh into it. All there is to know of it stands in its directory below the run directory."""

import os
import re
import shutil
import signal
import subprocess
import sys
import time

from . import cache, qemu
from .error import LabError, wait_until
from .qmp import Qmp

BOOT_LIMIT = 600
RESUME_LIMIT = 300
REBOOT_LIMIT = 180
# The flag of a processor that takes interrupts.
INTERRUPTS = 0x200
COMMAND_LIMIT = 600
# How often a command of a test tries to connect, 20 s each.
CONNECTION_ATTEMPTS = 4
STOP_LIMIT = 20

SSH_CONFIG = """\
Host {name}
  HostName 127.0.0.1
  Port {port}
  User root
  IdentityFile {key}
  IdentitiesOnly yes
  StrictHostKeyChecking no
  UserKnownHostsFile /dev/null
  LogLevel ERROR
  ConnectTimeout 20
  ServerAliveInterval 20
  ServerAliveCountMax 6
  ControlMaster auto
  ControlPath {run}/ssh.sock
  ControlPersist 600
  Ciphers aes128-ctr
  MACs umac-64@openssh.com
  KexAlgorithms curve25519-sha256
"""


def names():
    """The names of the guests that were started and not taken down."""
    return sorted(path.name for path in cache.run_dir().iterdir())


class Machine:
    """A guest by its name."""

    def __init__(self, name):
        if not re.fullmatch(r"[a-z0-9][a-z0-9.-]{0,29}", name):
            raise LabError(f"{name!r} is no name for a guest: up to 30 of a-z, 0-9, '-' and '.'")
        self.name = name
        self.run = cache.run_dir() / name
        self.ssh_config = self.run / "ssh_config"

    def start(self, image, drive, state=None):
        """Starts QEMU and returns when the guest answers over ssh."""
        if self.run.exists():
            if self._pid():
                raise LabError(f"{self.name} is up already: take it down first")
            self.down()
        self.run.mkdir(mode=0o700)
        try:
            self._launch(qemu.command(image, self.run, drive, state))
            monitor = Qmp(self.run / "qmp.sock")
            if state:
                self._resume(monitor)
            self._configure_ssh(image, monitor)
            monitor.close()
            self._wait_for_ssh(RESUME_LIMIT if state else BOOT_LIMIT)
            if state:
                self.call(f"date -s @{time.time():.3f}")
        except BaseException:
            self.down()
            raise

    def _launch(self, command):
        log = self.run / "qemu.log"
        with open(log, "wb") as output:
            process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True, cwd="/"
            )

        def listening():
            if process.poll() is not None:
                raise LabError(f"QEMU ended ({process.returncode}):\n{log.read_text(errors='replace')[-2000:]}")
            return (self.run / "qmp.sock").exists() and self._pid()

        wait_until(listening, 60, lambda: f"QEMU opens no monitor:\n{log.read_text(errors='replace')[-2000:]}")

    def _resume(self, monitor):
        def running():
            status = monitor.ask("query-status")["status"]
            if status in ("paused", "postmigrate"):
                monitor.ask("cont")
            return status == "running"

        wait_until(running, RESUME_LIMIT, lambda: f"{self.name} does not resume{self.last_words()}", pause=0.02)

    def _configure_ssh(self, image, monitor):
        forwards = monitor.ask("human-monitor-command", **{"command-line": "info usernet"})
        found = re.search(r"HOST_FORWARD\]\s+\d+\s+127\.0\.0\.1\s+(\d+)", forwards)
        if not found:
            raise LabError(f"QEMU forwards no port to the guest's ssh:\n{forwards}")
        settings = SSH_CONFIG.format(name=self.name, port=found[1], key=image / "id_ed25519", run=self.run)
        self.ssh_config.write_text(settings, encoding="utf-8")

    def _wait_for_ssh(self, limit, ready="true"):
        """Waits until the command `ready` succeeds in the guest."""

        def answers():
            if not self._pid():
                raise LabError(f"QEMU of {self.name} ended{self.last_words()}")
            try:
                return self.call(ready, limit=60, attempts=1).returncode == 0
            except LabError:
                return False

        wait_until(answers, limit, lambda: f"{self.name} does not answer over ssh after {limit} s{self.last_words()}")

    def last_words(self):
        """The tail of the console, for complaints."""
        try:
            lines = (self.run / "console.log").read_text(errors="replace").splitlines()[-25:]
        except OSError:
            lines = []
        return "; the end of its console:\n" + "\n".join(lines or ["(empty)"])

    def ssh_command(self, *command):
        """The words of an ssh command into the guest."""
        if not self.ssh_config.exists():
            raise LabError(f"{self.name} is not up")
        return ["ssh", "-F", str(self.ssh_config), self.name, *command]

    def call(self, command, limit=COMMAND_LIMIT, stdin=None, attempts=CONNECTION_ATTEMPTS):
        """Runs a shell command in the guest and returns what subprocess.run returns, its outputs as text."""
        source = {"input": stdin} if stdin is not None else {"stdin": subprocess.DEVNULL}
        try:
            for left in reversed(range(attempts)):
                done = subprocess.run(
                    self.ssh_command(command), capture_output=True, text=True, errors="replace", timeout=limit, check=False, **source
                )
                # A busy machine starves the guest's sshd. The command did not begin.
                if not left or done.returncode != 255 or "banner exchange" not in done.stderr:
                    return done
        except subprocess.TimeoutExpired as error:
            raise LabError(f"{self.name}: no end of {command!r} after {limit} s{self.last_words()}") from error

    def put(self, source, destination):
        """Copies a file or a directory into the guest."""
        if not self.ssh_config.exists():
            raise LabError(f"{self.name} is not up")
        words = ["scp", "-q", "-r", "-F", str(self.ssh_config), str(source), f"{self.name}:{destination}"]
        try:
            copied = subprocess.run(words, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=COMMAND_LIMIT)
        except subprocess.TimeoutExpired as error:
            raise LabError(f"{self.name}: copying {source} takes more than {COMMAND_LIMIT} s") from error
        if copied.returncode != 0:
            raise LabError(f"{self.name}: cannot copy {source} to {destination}: {copied.stderr.strip()}")

    def reboot(self, failing=()):
        """Reboots the guest from inside; what was written to its disk stays. For `failing`, see `wait_for_boot`."""
        self._boot_again(lambda: self.call("systemctl reboot --no-block"), failing)

    def reset(self, how=None, failing=()):
        """Resets the guest as a power cycle does, by QEMU or by `how`, which does it at once. Its memory is lost."""
        self._boot_again(how or self._reset_by_qemu, failing)

    def _reset_by_qemu(self):
        monitor = Qmp(self.run / "qmp.sock")
        monitor.ask("system_reset")
        monitor.close()

    def _boot_again(self, how, failing):
        before = self.call("cat /proc/sys/kernel/random/boot_id").stdout.strip()
        if not before:
            raise LabError(f"{self.name} does not answer over ssh{self.last_words()}")
        how()
        self.forget_connection()
        is_new = f"test $(cat /proc/sys/kernel/random/boot_id) != {before}"
        try:
            self._wait_for_ssh(REBOOT_LIMIT, is_new)
        except LabError:
            self._reset_if_stuck()
            self._wait_for_ssh(BOOT_LIMIT, is_new)
        self.wait_for_boot(failing)

    def _reset_if_stuck(self):
        """Resets a guest that restarts no further: its last word is that it restarts, or its first processor stands still with
        interrupts off. Emulated ones, seldom, do so as the kernel starts."""
        monitor = Qmp(self.run / "qmp.sock")
        seen = set()
        # One that gets no processor of the host stands still too, but not for long.
        for _ in range(40):
            registers = monitor.ask("human-monitor-command", **{"command-line": "info registers"})
            seen.update(re.findall(r"CPU#0\s.*?RIP=(\w+) RFL=(\w+)", registers, re.DOTALL))
            if len(seen) > 1:
                break
            time.sleep(0.5)
        is_stuck = len(seen) == 1 and not any(int(flags, 16) & INTERRUPTS for _, flags in seen)
        if is_stuck or self.last_words().rstrip().endswith("reboot: Restarting system"):
            print(f"lab: the kernel of {self.name} did not start, and is reset", file=sys.stderr, flush=True)
            monitor.ask("system_reset")
        monitor.close()

    def wait_for_boot(self, failing=()):
        """Waits until systemd has started everything, but for the units `failing`, which may have failed."""
        state = self.call("systemctl is-system-running --wait", limit=BOOT_LIMIT).stdout.strip()
        failed = self.call("systemctl --failed --no-legend --plain").stdout
        expected = {line.split()[0] for line in failed.splitlines()} <= set(failing)
        if state != "running" and not (state == "degraded" and expected):
            raise LabError(f"{self.name} booted, but is {state or 'silent'}: {failed}{self.last_words()}")

    def forget_connection(self):
        """Closes the shared ssh connection, which does not survive the guest's other life."""
        if self.ssh_config.exists():
            words = ["ssh", "-F", str(self.ssh_config), "-O", "exit", self.name]
            subprocess.run(words, stdin=subprocess.DEVNULL, capture_output=True, timeout=60, check=False)

    def cut_power(self):
        """Kills QEMU without a warning. What the guest had only in its memory is lost; a disk of its own (`up --disk`) stays."""
        pid = self._pid()
        if not pid:
            raise LabError(f"{self.name} is not up")
        self._kill(pid)
        self.down()

    def down(self):
        """Ends the guest's QEMU and removes its directory."""
        self.forget_connection()
        pid = self._pid()
        if pid:
            os.kill(pid, signal.SIGTERM)
            try:
                wait_until(lambda: is_gone(pid), STOP_LIMIT, lambda: "")
            except LabError:
                self._kill(pid)
        shutil.rmtree(self.run, ignore_errors=True)

    def _kill(self, pid):
        os.kill(pid, signal.SIGKILL)
        wait_until(lambda: is_gone(pid), STOP_LIMIT, lambda: f"QEMU {pid} of {self.name} cannot be ended")

    def _pid(self):
        """The process id of this guest's QEMU, and of nothing else: its command line names our pid file."""
        pid_file = self.run / "qemu.pid"
        try:
            pid = int(pid_file.read_text())
            with open(f"/proc/{pid}/cmdline", "rb") as words:
                ours = str(pid_file).encode() in words.read().split(b"\0")
            with open(f"/proc/{pid}/stat", "rb") as stat:
                ended = stat.read().rsplit(b")", 1)[1].split()[0] == b"Z"
        except (OSError, ValueError):
            return None
        return pid if ours and not ended else None


def is_gone(pid):
    """Whether a process has let go of its files: it gives up its memory, and with it its command line, before them, and
    its threads may outlive the first one."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as stat:
            ended = stat.read().rsplit(b")", 1)[1].split()[0] in (b"Z", b"X")
        return ended and len(os.listdir(f"/proc/{pid}/task")) <= 1
    except OSError:
        return True
