"""The apt sources of a guest or a root: the host's own entries for a Debian release at debian.org, in either of apt's two formats."""

import re
from pathlib import Path
from urllib.parse import urlsplit

SUITE = "bookworm"
KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg"


def standard(suite):
    """For hosts that name no archive of the release at debian.org, such as Debian's cloud images with their mirror+file: lists."""
    return [
        ("http://deb.debian.org/debian", suite, "main"),
        ("http://deb.debian.org/debian", f"{suite}-updates", "main"),
        ("http://deb.debian.org/debian-security", f"{suite}-security", "main"),
    ]


def debian_sources(etc_apt=Path("/etc/apt"), suite=SUITE):
    """The sources as lines of a sources.list."""
    entries = []
    parts = etc_apt / "sources.list.d"
    for path in [etc_apt / "sources.list", *sorted(parts.glob("*.list")), *sorted(parts.glob("*.sources"))]:
        if path.is_file():
            read = _deb822 if path.suffix == ".sources" else _one_line
            entries += read(path.read_text(encoding="utf-8"))
    usable = [entry for entry in dict.fromkeys(entries) if _usable(suite, *entry)]
    if suite not in [found for _, found, _ in usable]:
        usable = standard(suite)
    return "".join(f"deb [signed-by={KEYRING}] {uri} {found} {components}\n" for uri, found, components in usable)


def _usable(wanted, uri, suite, components):
    host = urlsplit(uri).hostname or ""
    ours = host == "debian.org" or host.endswith(".debian.org")
    return ours and (suite == wanted or suite.startswith(f"{wanted}-")) and "main" in components.split()


def _one_line(text):
    """Entries of `deb [options] URI SUITE COMPONENT...` lines."""
    for line in text.splitlines():
        found = re.match(r"\s*deb\s+(?:\[[^]]*\]\s*)?(\S+)\s+(\S+)\s+([^#]+)", line)
        if found:
            yield found[1], found[2], " ".join(found[3].split())


def _deb822(text):
    """Entries of the stanzas of a .sources file."""
    text = "\n".join(line for line in text.splitlines() if not line.startswith("#"))
    for stanza in re.split(r"\n\s*\n", text):
        fields = {}
        for name, value in re.findall(r"^([A-Za-z0-9-]+):((?:.*)(?:\n[ \t]+.*)*)", stanza, re.MULTILINE):
            fields[name.lower()] = value.split()
        if "deb" not in fields.get("types", []) or fields.get("enabled", ["yes"])[0].lower() in ("no", "false", "0"):
            continue
        for uri in fields.get("uris", []):
            for suite in fields.get("suites", []):
                yield uri, suite, " ".join(fields.get("components", []))
