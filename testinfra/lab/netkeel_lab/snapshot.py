"""The booted state: a guest is booted once, warmed up and saved; every `up` resumes that."""

from pathlib import Path

from . import cache, programs, qemu
from .error import LabError, wait_until
from .image import image, journalled
from .image import name as image_name
from .machine import Machine
from .qmp import Qmp

SAVE_LIMIT = 600
WARM_UP = cache.LAB / "image" / "warm-up"


def build(kernel, fresh=False):
    """Makes sure that image and booted state are in the cache; `fresh` builds them again."""
    programs.check()
    if fresh:
        cache.discard(image_name(kernel))
    _state(kernel, image(kernel))


def up(name, kernel, cold=False, disk=None):
    """Starts a guest, from the booted state or, if `cold`, by booting it.

    With `disk` it boots from that file, made when it is not there, which outlives the guest: see `Machine.cut_power`.
    """
    programs.check()
    machine = Machine(name)
    directory = image(kernel)
    if disk:
        disk = Path(disk).absolute()
        if not disk.exists():
            _overlay(disk, journalled(kernel))
        machine.start(directory, f"file={disk},format=qcow2")
        machine.wait_for_boot()
    elif cold:
        machine.start(directory, f"file={directory / 'root.ext4'},format=raw,snapshot=on")
        machine.wait_for_boot()
    else:
        state = _state(kernel, directory)
        machine.start(directory, f"file={state / 'disk.qcow2'},format=qcow2,snapshot=on", state / "memory.zst")
    return machine


def _state(kernel, directory):
    # The image's ssh key is made anew with every build, so a state never meets an image other than its own.
    shape = qemu.command(Path("image"), Path("run"), "drive")
    key = cache.digest(directory / "id_ed25519.pub", qemu.version(), *map(str, shape), WARM_UP)
    return cache.entry(f"state-{kernel}-{key}", lambda unfinished: _save(kernel, directory, unfinished))


def _save(kernel, directory, unfinished):
    print(f"lab: booting kernel {kernel} once to save its booted state", flush=True)
    disk = unfinished / "disk.qcow2"
    _overlay(disk, directory / "root.ext4")
    machine = Machine(f"saving-{kernel}")
    machine.down()  # of a build that was killed: the cache lets only one builder in
    machine.start(directory, f"file={disk},format=qcow2")
    try:
        machine.wait_for_boot()
        warmed = machine.call("sh -s", stdin=WARM_UP.read_text(encoding="utf-8"))
        if warmed.returncode != 0:
            raise LabError(f"warm-up failed in the guest: {warmed.stderr}")
        machine.forget_connection()
        _migrate(Qmp(machine.run / "qmp.sock"), unfinished / "memory.zst")
    finally:
        machine.down()


def _overlay(disk, base):
    create = ["qemu-img", "create", "-q", "-f", "qcow2", "-F", "raw", "-b", base, disk]
    programs.run_logged(create, disk.with_suffix(".log"), SAVE_LIMIT)


def _migrate(monitor, target):
    """Stops the guest and writes its memory and devices to a file: a migration to nowhere."""
    monitor.ask("stop")
    monitor.ask("migrate-set-parameters", **{"max-bandwidth": 1 << 34})
    monitor.ask("migrate", uri=f"exec:zstd -1 -q -f -o '{target}'")

    def status():
        word = monitor.ask("query-migrate").get("status")
        return word if word in ("completed", "failed", "cancelled") else None

    outcome = wait_until(status, SAVE_LIMIT, lambda: f"saving the state takes more than {SAVE_LIMIT} s")
    if outcome != "completed":
        raise LabError(f"saving the state: {outcome}")
    monitor.ask("quit")
