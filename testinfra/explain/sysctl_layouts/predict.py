"""What `netkeel explain` says of a layout, as values that can be compared with what was measured."""

import json
import subprocess
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from .keys import before_boot, default_of, of_later
from .measure import place


class Failed(Exception):
    """netkeel did not answer."""


def predict(netkeel, layouts):
    """For each layout the same as measure.py gives."""
    with ThreadPoolExecutor(2) as pool:
        return list(pool.map(lambda layout: _predict(netkeel, layout), layouts))


def _predict(netkeel, layout):
    before = before_boot()
    result = {program: {"boot": dict(before), "later": {}} for program in ("systemd", "procps")}
    with tempfile.TemporaryDirectory(prefix="netkeel-explain-") as root:
        place(Path(root), layout)
        for key in before:
            for program, answer in explain(netkeel, key, root).items():
                result[program]["boot"][key] = number(answer["boot"].get("value", before[key]))
        for key in of_later():
            for program, answer in explain(netkeel, key, root).items():
                result[program]["later"][key] = number(answer["later"].get("value", before[default_of(key)]))
    return result


def explain(netkeel, key, root="/"):
    """What netkeel says decides a key, by program."""
    command = [str(netkeel), "explain", key, "--root", root, "--output", "json"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    if done.returncode != 0:
        raise Failed(f"{' '.join(command)} exits {done.returncode}: {done.stderr}")
    said = json.loads(done.stdout)["sysctl_d"]
    return {"systemd": said["systemd"], "procps": said["procps"]}


def number(text):
    """A value as the kernel shows it again: the first number, in decimal."""
    word = text.split()[0]
    digits = word.lstrip("-")
    base = 16 if digits.lower().startswith("0x") else 8 if digits.startswith("0") and len(digits) > 1 else 10
    return str(int(word, base))
