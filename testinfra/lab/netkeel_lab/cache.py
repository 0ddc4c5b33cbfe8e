"""Where the lab keeps what it builds, and how an entry of the cache comes to be: whole or not at all.

An entry is a directory named KIND-KERNEL-KEY. It is filled under a temporary name and renamed when complete.
"""

import contextlib
import fcntl
import hashlib
import os
import shutil
import time
from pathlib import Path

from .error import LabError, wait_until

LAB = Path(__file__).resolve().parent.parent
LOCK_LIMIT = 3600
UNUSED_DAYS = 7


def cache_dir():
    """The cache directory, made if need be."""
    home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    path = Path(os.environ.get("NETKEEL_LAB_CACHE") or Path(home) / "netkeel" / "lab").absolute()
    path.mkdir(parents=True, exist_ok=True)
    return path


def digest(*parts):
    """A short hash of texts and of files; of a directory, all files below it count."""
    sha = hashlib.sha256()
    for part in parts:
        if not isinstance(part, Path):
            sha.update(b"text\0" + str(part).encode() + b"\0")
            continue
        for path in sorted(part.rglob("*")) if part.is_dir() else [part]:
            if path.is_file() and "__pycache__" not in path.parts:
                sha.update(f"file\0{path.name}\0{path.stat().st_mode & 0o111}\0".encode() + path.read_bytes())
    return sha.hexdigest()[:16]


def entry(name, fill):
    """The directory of the entry `name`; `fill(directory)` makes it when it is not there."""
    final = cache_dir() / name
    if not final.is_dir():
        with _lock():
            if not final.is_dir():
                _make(final, fill)
    os.utime(final)
    return final


def discard(name):
    """Forgets the entry `name`."""
    with _lock():
        shutil.rmtree(cache_dir() / name, ignore_errors=True)


def _make(final, fill):
    _drop_leftovers()
    unfinished = final.with_name(f"unfinished-{final.name}")
    unfinished.mkdir()
    try:
        fill(unfinished)
        unfinished.rename(final)
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)


def _drop_leftovers():
    """Removes what an interrupted build left, and entries that no `up` has used for a week. The lock is held."""
    for path in cache_dir().iterdir():
        old = time.time() - path.stat().st_mtime > UNUSED_DAYS * 86400
        if path.name.startswith("unfinished-") or (path.name.startswith(("image-", "root-", "state-")) and old):
            shutil.rmtree(path, ignore_errors=True)


@contextlib.contextmanager
def _lock():
    """One builder at a time; the lock goes with the one that holds it."""
    with open(cache_dir() / "lock", "w", encoding="ascii") as lock:

        def taken():
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return True
            except OSError:
                return False

        wait_until(taken, LOCK_LIMIT, lambda: f"{lock.name} has been held by another build for {LOCK_LIMIT} s", pause=0.5)
        yield


def run_dir():
    """The directory of running machines. It holds unix sockets, whose path names are short by law."""
    path = Path(os.environ.get("NETKEEL_LAB_RUN") or cache_dir() / "run").absolute()
    if len(str(path)) > 60:
        raise LabError(f"{path} is too long for the unix sockets below it: set NETKEEL_LAB_RUN to a shorter directory")
    path.mkdir(parents=True, exist_ok=True, mode=0o700)
    return path
