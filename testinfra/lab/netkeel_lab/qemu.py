"""QEMU's command line. A state can only be resumed by the very devices that it was saved with, so there is one shape."""

import subprocess

PROGRAM = "qemu-system-x86_64"
# On a busy host the kernel takes late timer interrupts for missing ones, and panics.
KERNEL_ARGUMENTS = "console=ttyS0 quiet loglevel=3 mitigations=off net.ifnames=0 no_timer_check"


def command(image, run, drive, state=None):
    """The command that boots `image` with the disk that `drive` describes, or resumes it from the file `state`.

    TCG because KVM is often missing, or worse, there and hanging; restrict=on because a guest sends nothing outwards.    """
    network = "user,id=net,ipv6=off,restrict=on,hostfwd=tcp:127.0.0.1:0-:22"
    options = {
        "-machine": "pc",
        "-accel": "tcg,thread=multi",
        "-cpu": "Nehalem,+rdrand",
        "-smp": "2",
        "-m": "768",
        "-kernel": image / "vmlinuz",
        "-initrd": image / "initrd.gz",
        "-append": KERNEL_ARGUMENTS,
        "-drive": f"{drive},if=virtio",
        "-netdev": network,
        "-display": "none",
        "-serial": f"file:{run / 'console.log'}",
        "-qmp": f"unix:{run / 'qmp.sock'},server=on,wait=off",
        "-pidfile": run / "qemu.pid",
    }
    words = [PROGRAM, "-nodefaults"]
    for option, value in options.items():
        words += [option, str(value)]
    words += ["-device", "virtio-net-pci,netdev=net,romfile=,mac=52:54:00:00:00:01", "-device", "virtio-rng-pci"]
    if state:
        words += ["-incoming", f"exec:zstd -dc '{state}'"]
    return words


def version():
    """QEMU's own words on its version; a state does not survive a change of it."""
    return subprocess.run([PROGRAM, "--version"], capture_output=True, text=True, timeout=60, check=True).stdout
