# -*- coding: utf-8 -*-
# SPDX-License-Identifier: MIT OR Apache-2.0
# As netkeel itself. LICENSES has both texts.
"""Runs netkeel for a limited time, and fails the task with netkeel's own words."""

from __future__ import annotations

import os
import shutil
import tempfile
from contextlib import contextmanager

# Seconds that an apply has to roll back after it was asked to end.
GRACE = 15

# The file names that netkeel reads in a directory.
ENDINGS = (".json", ".toml", ".yaml", ".yml")

OPTIONS = {
    "binary": {"type": "str", "default": "netkeel"},
    "netns": {"type": "str"},
    "src": {"type": "path"},
    "timeout": {"type": "int", "default": 60},
}


class Program:
    """netkeel on this host, as the options of a module name it."""

    def __init__(self, module):
        self._module = module
        self._limit = module.params["timeout"]
        if self._limit < 1:
            module.fail_json(msg="timeout: %d is not a valid number of seconds" % self._limit)
        directories = ["/usr/local/bin", "/usr/local/sbin"]
        self._timeout = module.get_bin_path("timeout", required=True)
        self._binary = module.get_bin_path(module.params["binary"], opt_dirs=directories)
        if self._binary is None:
            module.fail_json(
                msg="netkeel is not installed: no program %s on this host. The role netkeel.netkeel.netkeel installs it."
                % module.params["binary"]
            )

    def version(self):
        """The version of the program."""
        return self._module.run_command([self._binary, "--version"], check_rc=True)[1].split()[-1]

    def run(self, *words, expected=(0,), renamed=None):
        """What a verb prints, as its exit status and its output.

        ``renamed`` is a directory and the name that it has for the user. An exit status that is not expected fails the module.
        """
        command = [self._timeout, "--verbose", "--kill-after=%d" % GRACE, str(self._limit), self._binary]
        command += words
        if self._module.params["netns"]:
            command += ["--netns", self._module.params["netns"]]
        status, out, err = self._module.run_command(command, environ_update={"NO_COLOR": "1"})
        if renamed:
            out, err = (text.replace(*renamed) for text in (out, err))
        if status in expected:
            return status, out
        if "timeout: sending signal" in err:
            came_to = "took longer than %d s" % self._limit
        elif status < 0:
            came_to = "was ended by signal %d" % -status
        else:
            came_to = "exited with %d" % status
        said = "\n".join(text.strip() for text in (err, out) if text.strip())
        return self._module.fail_json(
            msg="netkeel %s %s: %s" % (words[0], came_to, said or "without a word"), rc=status, stdout=out, stderr=err
        )


def warnings(findings):
    """The findings that are worth a warning, each on a line."""
    return [warning(finding) for finding in findings if finding.get("severity") != "note"]


def warning(finding):
    """A finding on a line."""
    about = " ".join([finding["code"], ", ".join(finding.get("subjects", []))]).strip()
    remedy = " (%s)" % finding["remedy"] if finding.get("remedy") else ""
    return "netkeel %s: %s%s" % (about, finding["message"], remedy)


def documents_in(directory):
    """The texts of the documents of a directory, by their names: those that netkeel reads."""
    texts = {}
    for name in sorted(os.listdir(directory)) if os.path.isdir(directory) else []:
        path = os.path.join(directory, name)
        if not name.startswith(".") and os.path.splitext(name)[1].lower() in ENDINGS and os.path.isfile(path):
            with open(path, "rb") as document:
                texts[name] = document.read()
    return texts


@contextmanager
def directory_with(name, text, beside=None):
    """A copy of a directory of documents in which ``name`` has this text: what netkeel would see after it was written. With
    ``None`` it has no such document.
    """
    copy = tempfile.mkdtemp(prefix="netkeel-")
    try:
        for other in sorted(os.listdir(beside)) if beside and os.path.isdir(beside) else []:
            if other != name and os.path.isfile(os.path.join(beside, other)):
                shutil.copyfile(os.path.join(beside, other), os.path.join(copy, other))
        if text is not None:
            with open(os.path.join(copy, name), "w", encoding="utf-8") as document:
                document.write(text)
        yield copy
    finally:
        shutil.rmtree(copy)
