"""What the tests of the modules have in common: the program under test, its stand-ins, and Puppet and Ansible on a scratch host."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).resolve().parent
REPOSITORY = HERE.parent.parent
COLLECTIONS = REPOSITORY / "modules"
LIMIT = 1200

# What Facter says where it may not look at other processes has nothing to do with a run.
NOISE = "Facter: "


def netkeel_binary():
    """The netkeel under test: $NETKEEL_BIN, else the last debug build."""
    path = Path(os.environ.get("NETKEEL_BIN") or REPOSITORY / "target" / "debug" / "netkeel").absolute()
    assert path.is_file(), f"no netkeel at {path}: build it, or name it in NETKEEL_BIN"
    return path


def pytest_terminal_summary(terminalreporter):
    """Says at the end what testinfra/test counts."""
    passed, failed, broken = (len(terminalreporter.stats.get(key, [])) for key in ("passed", "failed", "error"))
    terminalreporter.write_line("")
    for key in ("skipped", "xfailed", "deselected"):
        for report in terminalreporter.stats.get(key, []):
            terminalreporter.write_line(f"SKIPPED {report.nodeid}: {reason(report)}")
    terminalreporter.write_line(f"{passed} passed, {failed + broken} failed")


def reason(report):
    """Why a test was left out, on one line."""
    text = getattr(report, "wasxfail", "") or getattr(report, "longrepr", "") or "left out"
    text = text[-1] if isinstance(text, tuple) else str(text)
    return " ".join(text.split())


class Run:
    """What a run came to."""

    def __init__(self, finished):
        self.code = finished.returncode
        text = finished.stdout + finished.stderr
        self.output = "".join(line for line in text.splitlines(keepends=True) if NOISE not in line)

    def __str__(self):
        return f"exit {self.code}\n{self.output}"


class ScratchHost:
    """A host of its own for each command line: whatever is to be seen after one must be printed by it."""

    def __init__(self, directory):
        self.directory = directory
        modules = directory / "modules"
        modules.mkdir()
        (modules / "netkeel").symlink_to(REPOSITORY / "puppet")
        self.environment = {
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            "HOME": str(directory),
            "LC_ALL": "C.UTF-8",
            "NO_COLOR": "1",
            "PUPPET": f"puppet apply --modulepath {modules} --confdir {directory}/puppet --vardir {directory}/var "
            f"--ssldir {directory}/ssl --color=false --show_diff --detailed-exitcodes "
            # What Puppet 8 does without being told.
            "--strict=error --strict_variables --no-include_legacy_facts",
            # Of another Puppet than the one that is installed: see README.md.
            "RUBYLIB": os.environ.get("RUBYLIB", ""),
            "ANSIBLE_HOME": f"{directory}/ansible",
            "ANSIBLE_COLLECTIONS_PATH": str(COLLECTIONS),
            "ANSIBLE_LOCALHOST_WARNING": "0",
            "ANSIBLE_INVENTORY_UNPARSED_WARNING": "0",
            "ANSIBLE_NOCOLOR": "1",
        }

    def run(self, script, **files):
        """Runs a shell script; `files` are written beside it, their names with dots for underscores."""
        for name, text in files.items():
            (self.directory / name.replace("_", ".")).write_text(text, encoding="utf-8")
        words = [str(HERE / "scratch-host"), "bash", "-c", script]
        return Run(
            subprocess.run(
                words, env=self.environment, cwd=self.directory, capture_output=True, text=True, timeout=LIMIT, check=False
            )
        )

    def program(self, *lines):
        """A program in the place of netkeel that does as the lines of shell say."""
        path = self.directory / "netkeel"
        path.write_text("\n".join(["#!/bin/sh", *lines, ""]), encoding="utf-8")
        path.chmod(0o755)
        return path

    def netkeel(self):
        """netkeel itself, where the stand-ins would be."""
        path = self.directory / "netkeel"
        shutil.copy(netkeel_binary(), path)
        return path


@pytest.fixture
def scratch(tmp_path):
    """A scratch host, made anew for each test."""
    return ScratchHost(tmp_path)
