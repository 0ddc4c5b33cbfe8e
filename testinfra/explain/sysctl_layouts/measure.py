#!/usr/bin/env python3
"""measure.py ROOT [udev]: for each layout on standard input, what the programs below ROOT make of it, on standard output.

Runs as root in a network namespace, or a guest, that nobody needs: it writes sysctls, interfaces and the files below ROOT.
With `udev` the udev of this machine sees to new interfaces; without, its rule is run by hand.
"""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

DIRECTORIES = ["etc/sysctl.d", "run/sysctl.d", "usr/local/lib/sysctl.d", "usr/lib/sysctl.d"]
PREFIXES = ["/net/ipv4/conf/", "/net/ipv4/neigh/", "/net/ipv6/conf/", "/net/ipv6/neigh/"]


def main():
    root, udev = Path(sys.argv[1]), "udev" in sys.argv[2:]
    work = json.load(sys.stdin)
    for link in work["links"]:
        ip("link", "add", link, "type", "bridge")
    settle(udev)
    json.dump([Measurement(root, udev, work).of(layout) for layout in work["layouts"]], sys.stdout)


class Measurement:
    """Layout after layout, with nothing left of the one before."""

    def __init__(self, root, udev, work):
        self._root = root
        self._udev = udev
        self._before = work["before"]
        self._later = work["later"]
        self._later_keys = work["later_keys"]

    def of(self, layout):
        """What one layout comes to."""
        place(self._root, layout)
        result = {}
        systemd = [self._program("systemd-sysctl")]
        self._reset()
        self._run(systemd)
        result["systemd"] = {"boot": read(self._before)}
        ip("link", "add", self._later, "type", "bridge")
        settle(self._udev)
        if not self._udev:
            self._run(systemd + [f"--prefix={prefix}{self._later}" for prefix in PREFIXES])
        result["systemd"]["later"] = read(self._later_keys)
        ip("link", "del", self._later)
        self._reset()
        self._run(["/sbin/sysctl", "--system"])
        result["procps"] = {"boot": read(self._before)}
        # udev would run systemd-sysctl for it.
        if not self._udev:
            ip("link", "add", self._later, "type", "bridge")
            result["procps"]["later"] = read(self._later_keys)
            ip("link", "del", self._later)
        return result

    def _program(self, name):
        there = [path for path in (f"/usr/lib/systemd/{name}", f"/lib/systemd/{name}") if (self._root / path[1:]).exists()]
        if not there:
            sys.exit(f"there is no {name} below {self._root}")
        return there[0]

    def _reset(self):
        for key, value in self._before.items():
            Path("/proc/sys", key).write_text(f"{value}\n", encoding="ascii")
        if read(self._before) != self._before:
            sys.exit("the settings do not take the values that they should have beforehand")

    def _run(self, command):
        """Runs a program. It may complain, and exit with what it likes; what counts is what it wrote."""
        enter = ["chroot", self._root] if self._root != Path("/") else []
        subprocess.run(enter + command, env={**os.environ, "LC_ALL": "C"}, capture_output=True, timeout=60, check=False)


def place(root, layout):
    """Leaves the files of the layout and no others."""
    for directory in DIRECTORIES:
        (root / directory).mkdir(parents=True, exist_ok=True)
        for old in (root / directory).iterdir():
            shutil.rmtree(old) if old.is_dir() and not old.is_symlink() else old.unlink()
    (root / "etc/sysctl.conf").write_text("", encoding="ascii")
    for file in layout:
        path = root / file["path"][1:]
        path.parent.mkdir(parents=True, exist_ok=True)
        if "link" in file:
            path.symlink_to(file["link"])
        elif "directory" in file:
            path.mkdir()
        else:
            path.write_bytes(file["text"].encode())


def read(keys):
    """The values of keys."""
    return {key: Path("/proc/sys", key).read_text(encoding="ascii").strip() for key in keys}


def ip(*words):
    subprocess.run(["ip", *words], check=True, timeout=60)


def settle(udev):
    if udev:
        subprocess.run(["udevadm", "settle", "--timeout=60"], check=True, timeout=90)


if __name__ == "__main__":
    main()
