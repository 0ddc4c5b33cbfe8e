"""What is linked into netkeel: reads `cargo metadata` and Cargo.lock."""

import json
import subprocess
import tomllib
from pathlib import Path

TOP = Path(__file__).resolve().parent.parent


class Crate:
    """A crate that is linked in, with its checksum unless it is of this workspace."""

    def __init__(self, package, checksum):
        self.name = package["name"]
        self.version = package["version"]
        self.license = package["license"]
        self.description = " ".join((package["description"] or "").split())
        self.directory = Path(package["manifest_path"]).parent
        self.checksum = checksum
        self.ours = package["source"] is None


def linked(triple, features=()):
    """The crates that `cargo build -p netkeel --target triple` links with these features, in order of name and version; the program itself is first."""
    chosen = [word for feature in features for word in ("--features", f"netkeel/{feature}")]
    metadata = json.loads(
        subprocess.run(
            ["cargo", "metadata", "--locked", "--format-version", "1", "--filter-platform", triple, *chosen],
            cwd=TOP,
            check=True,
            stdout=subprocess.PIPE,
        ).stdout
    )
    packages = {package["id"]: package for package in metadata["packages"]}
    nodes = {node["id"]: node for node in metadata["resolve"]["nodes"]}
    root = next(key for key, package in packages.items() if package["name"] == "netkeel")
    found, queue = set(), [root]
    while queue:
        key = queue.pop()
        if key in found:
            continue
        found.add(key)
        for dependency in nodes[key]["deps"]:
            # Neither build scripts nor tests are in the binary; procedural macros ran when it was made, and are named.
            if any(kind["kind"] is None for kind in dependency["dep_kinds"]):
                queue.append(dependency["pkg"])
    with open(TOP / "Cargo.lock", "rb") as lock:
        checksums = {(entry["name"], entry["version"]): entry.get("checksum") for entry in tomllib.load(lock)["package"]}
    crates = [Crate(packages[key], checksums[packages[key]["name"], packages[key]["version"]]) for key in found]
    crates.sort(key=lambda crate: (crate.name != "netkeel", crate.name, crate.version))
    edges = {
        key: sorted(dependency["pkg"] for dependency in nodes[key]["deps"] if dependency["pkg"] in found and any(kind["kind"] is None for kind in dependency["dep_kinds"]))
        for key in found
    }
    names = {key: (packages[key]["name"], packages[key]["version"]) for key in found}
    return crates, {names[key]: [names[other] for other in others] for key, others in edges.items()}
