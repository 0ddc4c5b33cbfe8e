"""The image of a guest: root.ext4, vmlinuz, initrd.gz and the ssh key, built by mmdebstrap from Debian packages."""

import os
import shutil
import subprocess

from . import cache
from .error import LabError
from .programs import run_logged
from .sources import SUITE, debian_sources

BUILD_LIMIT = 3600
INPUTS = cache.LAB / "image"
KERNELS = {"6.1": "linux-image-cloud-amd64", "6.12": "linux-image-6.12-cloud-amd64"}
DEFAULT_KERNEL = "6.1"
# What apt on the host has been told about reaching the archive holds for the guest's packages too.
APT_SETTINGS = ("Acquire::http", "Acquire::https", "Acquire::Check-", "Acquire::Force")
LEFT_OUT = ["/usr/share/doc/*", "/usr/share/man/*", "/usr/share/locale/*", "/usr/share/info/*"]


def image(kernel):
    """The directory of the image with this kernel, built if it is not in the cache."""
    return cache.entry(name(kernel), lambda directory: _build(kernel, directory))


def journalled(kernel):
    """The image's root file system with a journal, for guests whose disk must survive a power cut."""
    return cache.entry(f"{name(kernel)}-journalled", lambda directory: _add_journal(kernel, directory)) / "root.ext4"


def name(kernel):
    """The name of the image's entry in the cache."""
    return f"image-{kernel}-{cache.digest(INPUTS, _packages(), KERNELS[kernel], debian_sources(), SUITE)}"


def _packages():
    lines = (INPUTS / "packages.txt").read_text(encoding="utf-8").splitlines()
    return [line for line in lines if line and not line.startswith("#")]


def _build(kernel, directory):
    if os.geteuid() != 0:
        raise LabError("building the image needs root (mmdebstrap --mode=root)")
    print(f"lab: building the image with kernel {kernel}, a minute or two", flush=True)
    sources = directory / "sources.list"
    sources.write_text(debian_sources(), encoding="utf-8")
    (directory / "apt.conf").write_text(apt_settings(), encoding="utf-8")
    log = directory / "build.log"
    key = directory / "id_ed25519"
    run_logged(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "netkeel-lab", "-f", key], log, BUILD_LIMIT)
    options = ["--mode=root", "--variant=minbase", "--format=null", "--dpkgopt=force-unsafe-io"]
    options += [f"--include={','.join(_packages())}"]
    options += [f"--aptopt={directory / 'apt.conf'}", '--aptopt=Acquire::Languages "none"']
    options += [f"--dpkgopt=path-exclude={path}" for path in LEFT_OUT]
    options += [f"--customize-hook='{INPUTS / 'customize'}' \"$1\" '{directory}' {KERNELS[kernel]}"]
    run_logged(["mmdebstrap", *options, SUITE, "/dev/null", sources], log, BUILD_LIMIT)


def _add_journal(kernel, directory):
    log = directory / "build.log"
    root = directory / "root.ext4"
    run_logged(["cp", "--sparse=always", cache.cache_dir() / name(kernel) / "root.ext4", root], log, BUILD_LIMIT)
    tune2fs = shutil.which("tune2fs", path=f"{os.environ['PATH']}:/usr/sbin:/sbin")
    if not tune2fs:
        raise LabError("not installed: tune2fs; run testinfra/lab/install-host-packages")
    run_logged([tune2fs, "-O", "has_journal", root], log, BUILD_LIMIT)


def apt_settings():
    """What apt on this host was told about reaching the archive."""
    dump = subprocess.run(["apt-config", "dump", "Acquire"], capture_output=True, text=True, timeout=60, check=True).stdout
    return "".join(line + "\n" for line in dump.splitlines() if line.startswith(APT_SETTINGS))
