"""Programs of the host that the lab runs: whether they are there, and running one without leaving half of it behind."""

import shutil
import signal
import subprocess
import sys

from .error import LabError

NEEDED = ["mmdebstrap", "qemu-img", "qemu-system-x86_64", "scp", "ssh", "ssh-keygen", "zstd"]
END_LIMIT = 120


def check():
    """Raises if a program is missing."""
    missing = [program for program in NEEDED if not shutil.which(program)]
    if missing:
        raise LabError(f"not installed: {', '.join(missing)}; run testinfra/lab/install-host-packages")


def end_cleanly_on_sigterm():
    """Makes SIGTERM unwind like Ctrl-C, so that guests and unfinished builds go too."""
    signal.signal(signal.SIGTERM, lambda number, _frame: sys.exit(128 + number))


def run_logged(command, log, limit):
    """Runs a program; what it says goes to the file `log`, whose end is shown only if it fails."""
    with open(log, "ab") as output:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=output, stderr=output)
        try:
            outcome = process.wait(limit)
        except subprocess.TimeoutExpired:
            outcome = f"no end after {limit} s"
        finally:
            if process.poll() is None:
                # Not killed: mmdebstrap has mounts and a directory to clear away.
                process.terminate()
                process.wait(END_LIMIT)
    if outcome != 0:
        tail = "\n".join(log.read_text(errors="replace").splitlines()[-30:])
        raise LabError(f"{command[0]} failed ({outcome}); the end of what it said:\n{tail}")
