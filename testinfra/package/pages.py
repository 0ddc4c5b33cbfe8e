#!/usr/bin/env python3
"""The commands of the documentation on fresh roots, as they are printed: each channel of the page of installation, and the tutorial's
first hour. `pages.py SECTION` prints the commands of a section of that page, for tests elsewhere."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

TOP = Path(__file__).resolve().parent.parent.parent
INSTALL = TOP / "docs" / "how-to" / "install.md"
FIRST_HOUR = TOP / "docs" / "tutorial" / "first-hour.md"
TALOS, EXTENSION = TOP / "docs" / "how-to" / "talos.md", "Install the system extension"
KUBERNETES, CHART = TOP / "docs" / "how-to" / "kubernetes.md", "Install the chart"

# The sections of the page whose commands run on a root here, in order, and those that another test of CI runs.
DEB, RPM, BINARY, SOURCE = "From a .deb", "From an .rpm", "From the released binary", "Build the binary"
ON_ROOTS = (DEB, RPM, BINARY, SOURCE)
COLLECTION = "With Puppet or Ansible"
ELSEWHERE = {COLLECTION: "testinfra/modules/ansible"}
# Those of the section on building that need a toolchain: by which files CI runs them.
BUILDS = {
    "rustup target add x86_64-unknown-linux-musl": ("testinfra/release.sh", 'rustup target add "$triple"'),
    "cargo build --release --target x86_64-unknown-linux-musl": ("testinfra/release.sh", 'cargo build --locked --release --target "$triple"'),
}
# The installation of the chart needs a control plane and a registry: the files of tests and of the release with the same steps.
STEPS_OF_CHART = {
    "kubectl create namespace ": ("testinfra/chart/main.rs", '"create", "namespace"'),
    "kubectl label namespace ": ("testinfra/chart/main.rs", "pod-security.kubernetes.io/enforce={level}"),
    "helm install ": ("testinfra/chart/main.rs", '["install", "a", now]'),
    "helm test ": ("testinfra/chart/main.rs", "fn helm_test(machine: &Machine)"),
    "kubectl get nodes ": ("testinfra/chart/main.rs", "&template_of_taints()"),
    "kubernetes/image ": ("release/build", "kubernetes/image "),
    "skopeo copy ": ("testinfra/release.sh", "skopeo copy --quiet"),
}

# The text that an administrator types into the editor.
EDITOR = """
printf '%s\\n' '#!/bin/sh' 'echo "{ \\"version\\": 1, \\"sysctl\\": { \\"net.ipv4.conf.default.log_martians\\": 1 } }" >"$1"' >"$ROOT/usr/bin/editor"
chmod 755 "$ROOT/usr/bin/editor"
"""


def blocks(page):
    """The blocks of code of a page: heading of the section, words after the fence, text."""
    heading, info, lines = "", None, []
    for line in page.read_text(encoding="utf-8").splitlines():
        if info is None and line.startswith("## "):
            heading = line[3:]
        elif info is None and line.startswith("```"):
            info, lines = line[3:], []
        elif info is not None and line == "```":
            yield heading, info, "".join(f"{text}\n" for text in lines)
            info = None
        elif info is not None:
            lines.append(line)


def commands(section, page=INSTALL):
    """The commands of a section of a page."""
    return "".join(text for heading, info, text in blocks(page) if heading == section and info == "sh")


def check_all(report):
    """Whether each command of the page is run by some test."""
    sections = {heading for heading, info, _ in blocks(INSTALL) if info == "sh"}
    unknown = sections - set(ON_ROOTS) - set(ELSEWHERE)
    unused = [f"{section} in {path}" for section, path in ELSEWHERE.items() if f"'{section}'" not in (TOP / path).read_text(encoding="utf-8")]
    unused += [words for words, (path, run) in BUILDS.items() if run not in (TOP / path).read_text(encoding="utf-8")]
    report.check("install.md: CI runs the commands of each section", not unknown and not unused, unknown or unused or f"{len(sections)} sections")
    untried = []
    for line in commands(CHART, KUBERNETES).splitlines():
        path, words = next((step for start, step in STEPS_OF_CHART.items() if line.startswith(start)), ("", ""))
        if not path or words not in (TOP / path).read_text(encoding="utf-8"):
            untried.append(line)
    report.check("kubernetes.md: a test or the release has each step of the installation", not untried, untried or f"{len(STEPS_OF_CHART)} steps")


def check_extension(report, program, directory):
    """Runs the commands that make the extension of Talos Linux, in a copy of their sources. One program stands for both architectures, and a
    directory for the registry."""
    directory.mkdir()
    for name in ("talos", "release"):
        shutil.copytree(TOP / name, directory / name)
    shutil.copy(TOP / "Cargo.toml", directory)
    (directory / "registry").mkdir()
    script = re.sub("NETKEEL-(X86_64|AARCH64)", str(program), commands(EXTENSION, TALOS)).replace("docker://REGISTRY/", "oci:registry/")
    done = subprocess.run(["sh", "-exc", script], cwd=directory, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    copied = list((directory / "registry").glob("netkeel-extension/index.json"))
    good = done.returncode == 0 and len(copied) == 1
    report.check("the commands of talos.md make the extension", good, done.stdout if not good else f"{len(script.splitlines())} lines")


def check_install(report, root, run, setup, name, section, files):
    """Runs the commands of a section on a root. `files` are those that it is about, by the names that the page has for them."""
    lines = [line for line in commands(section).splitlines() if line not in BUILDS]
    script = "".join(f"{line}\n" for line in lines)
    copies = "".join(f'mkdir -p "$(dirname "$ROOT/root/{word}")" && cp "{path}" "$ROOT/root/{word}"\n' for word, path in files.items())
    code, out = run(root, f"{setup}{EDITOR}{copies}(cd \"$ROOT/root\" && sha256sum netkeel-* >SHA256SUMS 2>/dev/null) || :\ncat >\"$ROOT/root/page\" <<'END'\nset -ex\ncd /root\n{script}END\ninside 'sh /root/page </dev/null' 2>&1; echo \"calls: $(calls)\"; inside 'netkeel --version'")
    good = code == 0 and bool(lines) and out.splitlines()[-1].startswith("netkeel ")
    started = "systemctl enable --now netkeel" not in script or "enable --now netkeel" in out.partition("calls: ")[2]
    report.check(f"{name}: the page's commands, {section}", good and started, f"{len(lines)} commands" if good and started else out)


def plain(text):
    """A text without what differs in each run: times, names of applies and documents, and processes."""
    for form, shown in (
        (r"\b\d{4}-\d\d-\d\d\b", "2026-01-01"),
        (r"\b\d\d:\d\d:\d\d\b", "12:00:00"),
        (r"\b[0-9a-f]{12}\b", "0123456789ab"),
        (r"\bpid \d+", "pid 42"),
    ):
        text = re.sub(form, shown, text)
    return "".join(f"{line.rstrip()}\n" for line in text.rstrip().splitlines())


def first_hour():
    """The commands of the tutorial as a script of shell, which prints them with their output, and what it should print."""
    script, wanted = "cd \"$(mktemp -d)\"\nunset LC_ALL LANG\nexport NO_COLOR=1\n", ""
    for _, info, text in blocks(FIRST_HOUR):
        if info in ("sh walk", "sh"):
            script += f"set -e\n{text}set +e\n"
        if info == "console walk":
            wanted += text
            for line in text.splitlines():
                if line.startswith("$ "):
                    shown = line.replace("'", "'\\''")
                    script += f"printf '%s\\n' '{shown}'\n{line[2:]}\n"
    return script, wanted


def check_printed(report, name, code, out, wanted):
    """Whether the tutorial's commands printed what it shows."""
    same = plain(out) == plain(wanted)
    evidence = out if code else difference(plain(wanted), plain(out))
    report.check(f"{name}: the first hour prints what the tutorial shows", code == 0 and len(wanted) > 1000 and same, evidence)


def check_first_hour(report, root, run, setup, package, name):
    """The tutorial with the program of the package, from the installation to the purge."""
    script, wanted = first_hour()
    code, out = run(
        root,
        f"{setup}install {package}\nmount -t sysfs sys \"$ROOT/sys\"\nip link set lo up\n"
        f"cat >\"$ROOT/root/walk\" <<'END_OF_WALK'\n{script}END_OF_WALK\n"
        "inside 'sh /root/walk >/root/log 2>&1' || :\ncat \"$ROOT/root/log\"\necho 'purge:'\npurge\n"
        "find \"$ROOT/usr\" \"$ROOT/var/lib/netkeel\" \"$ROOT/etc\" -path '*netkeel*' 2>/dev/null || :\n",
    )
    printed, _, left = out.partition("purge:\n")
    check_printed(report, name, code, printed, wanted)
    report.check(f"{name}: after the first hour a purge exits 0 and leaves nothing", code == 0 and not left.strip(), left or "nothing")


def difference(wanted, found):
    """The first line that differs."""
    lines = list(zip(wanted.splitlines() + ["the end"], found.splitlines() + ["the end"]))
    return next((f"{one!r} is {other!r}" for one, other in lines if one != other), f"{len(lines)} lines")


if __name__ == "__main__":
    sys.stdout.write(commands(sys.argv[1]))
