"""Makes the packages of two versions: what upgrades are tried with."""

import json
import os
import shutil
import subprocess
from pathlib import Path

from netkeel_lab.error import LabError

TOP = Path(__file__).resolve().parent.parent.parent
TRIPLE = "x86_64-unknown-linux-musl"
# Any time will do, as long as it is the same for both.
EPOCH = "1767225600"
OLD, NEW = "0.0.1", "0.0.2"


def binary():
    """The static netkeel that is packed: $NETKEEL_BIN, else the release build. It runs on this host too."""
    named = os.environ.get("NETKEEL_BIN")
    if named:
        program = Path(named).resolve()
    else:
        built = subprocess.run(
            ["cargo", "metadata", "--no-deps", "--locked", "--format-version", "1"], cwd=TOP, check=True, stdout=subprocess.PIPE, text=True
        )
        program = Path(json.loads(built.stdout)["target_directory"]) / TRIPLE / "release" / "netkeel"
    if not program.is_file():
        raise LabError(f"no netkeel at {program}: build it, or name it in NETKEEL_BIN")
    return program


def tools():
    """Puts the tools that make releases before the others."""
    made = subprocess.run([TOP / "release" / "tools"], stdout=subprocess.PIPE, text=True, check=False)
    if made.returncode != 0:
        raise LabError("release/tools cannot make the tools of releases")
    os.environ["PATH"] = f"{made.stdout.strip()}:{os.environ['PATH']}"


def make(program, directory, version):
    """The .deb and the .rpm of this version, made in a directory that does not exist yet."""
    built = directory / "target" / TRIPLE / "release"
    built.mkdir(parents=True)
    shutil.copy(program, built / "netkeel")
    environment = dict(os.environ, SOURCE_DATE_EPOCH=EPOCH, CARGO_TARGET_DIR=str(directory / "target"))
    command = [TOP / "release" / "packages", program, TRIPLE, directory, version]
    done = subprocess.run(list(map(str, command)), env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    if done.returncode != 0:
        raise LabError(f"release/packages exits {done.returncode}: {done.stdout}")
    return [next(directory.glob(pattern)) for pattern in (f"*_{version}-1_*.deb", f"*-{version}-1.*.rpm")]
