"""Fresh Debian roots for the packages to be installed in, cached beside the images of the lab."""

import os
import subprocess

from netkeel_lab import cache
from netkeel_lab.error import LabError
from netkeel_lab.image import BUILD_LIMIT, apt_settings
from netkeel_lab.programs import run_logged
from netkeel_lab.sources import debian_sources

SUITES = {"12": "bookworm", "13": "trixie"}
# man-db: systemd-analyze looks for the pages that units name. iproute2: the tutorial needs it.
PACKAGES = {
    "with systemd": ["systemd", "man-db", "iproute2"],
    "without systemd": [],
    "with dnf": ["systemd", "dnf", "rpm"],
}
# The archive has no root of an RPM distribution: one with dnf stands in for it.
ROOTS = [(release, kind) for release in SUITES for kind in ("with systemd", "without systemd")] + [("13", "with dnf")]

# The script gets the root of the host that it may change as $ROOT; the tree in the cache stays as it is. Process 1 and the network
# are its own, so that netkeel takes the root for a host.
FRAME = """
mount -t tmpfs tmpfs /mnt
mkdir /mnt/upper /mnt/work /mnt/root
mount -t overlay -o "lowerdir=$1,upperdir=/mnt/upper,workdir=/mnt/work" overlay /mnt/root
mount -t proc proc /proc
mount -t proc proc /mnt/root/proc
mount --rbind /dev /mnt/root/dev
ROOT=/mnt/root
inside() { chroot "$ROOT" sh -euc "$1" </dev/null; }
"""


def tree(release, kind):
    """The directory of a fresh root, made if it is not in the cache."""
    suite, packages = SUITES[release], PACKAGES[kind]
    sources = debian_sources(suite=suite)
    name = f"root-{suite}-{cache.digest(sources, suite, *packages)}"
    return cache.entry(name, lambda directory: _build(directory, suite, packages, sources)) / "root"


def _build(directory, suite, packages, sources):
    if os.geteuid() != 0:
        raise LabError("building a root needs root (mmdebstrap --mode=root)")
    print(f"package: building a root of {suite}, a minute", flush=True)
    (directory / "sources.list").write_text(sources, encoding="utf-8")
    (directory / "apt.conf").write_text(apt_settings(), encoding="utf-8")
    options = ["--mode=root", "--variant=minbase", "--format=directory", "--dpkgopt=force-unsafe-io"]
    options += [f"--aptopt={directory / 'apt.conf'}"]
    if packages:
        options += [f"--include={','.join(packages)}"]
    target = ["mmdebstrap", *options, suite, directory / "root", directory / "sources.list"]
    run_logged(target, directory / "build.log", BUILD_LIMIT)


def run(root, script):
    """Runs a shell script over a root of its own; returns its exit status and all that it prints."""
    command = ["unshare", "--mount", "--net", "--pid", "--fork", "--propagation", "private"]
    environment = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C.UTF-8", "HOME": "/root"}
    done = subprocess.run(
        [*command, "sh", "-euc", FRAME + script, "sh", str(root)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env=environment,
        text=True,
        timeout=600,
        check=False,
    )
    return done.returncode, done.stdout
