"""The lab: Debian systems with systemd in QEMU, resumed from a booted state."""
