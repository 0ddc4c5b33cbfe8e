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


def _resolved(triple, chosen):
    """The packages and their dependencies as cargo resolves them for one target."""
    command = ["cargo", "metadata", "--locked", "--format-version", "1", "--filter-platform", triple, *chosen]
    metadata = json.loads(subprocess.run(command, cwd=TOP, check=True, stdout=subprocess.PIPE).stdout)
    packages = {package["id"]: package for package in metadata["packages"]}
    return packages, {node["id"]: node for node in metadata["resolve"]["nodes"]}


def linked(triple, features=()):
    """The crates that `cargo build -p netkeel --target triple` links with these features, in order of name and version; the program itself is first."""
    chosen = [word for feature in features for word in ("--features", f"netkeel/{feature}")]
    version = subprocess.run(["rustc", "-vV"], cwd=TOP, check=True, stdout=subprocess.PIPE, text=True).stdout
    host = next(line.removeprefix("host: ") for line in version.splitlines() if line.startswith("host: "))
    packages, nodes = _resolved(triple, chosen)
    # Procedural macros are built for the host, with what they need there.
    packages_of_host, nodes_of_host = _resolved(host, chosen)
    packages = packages_of_host | packages
    macros = {key for key, package in packages.items() if any("proc-macro" in target["kind"] for target in package["targets"])}
    root = next(key for key, package in packages.items() if package["name"] == "netkeel")
    found, visited, queue = {}, set(), [(root, False)]
    while queue:
        key, by_macro = queue.pop()
        by_macro = by_macro or key in macros
        if (key, by_macro) in visited:
            continue
        visited.add((key, by_macro))
        dependencies = (nodes_of_host if by_macro else nodes)[key]["deps"]
        # Neither build scripts nor tests are in the binary; procedural macros ran when it was made, and are named.
        needed = {dependency["pkg"] for dependency in dependencies if any(kind["kind"] is None for kind in dependency["dep_kinds"])}
        found[key] = found.get(key, set()) | needed
        queue += [(other, by_macro) for other in needed]
    with open(TOP / "Cargo.lock", "rb") as lock:
        checksums = {(entry["name"], entry["version"]): entry.get("checksum") for entry in tomllib.load(lock)["package"]}
    crates = [Crate(packages[key], checksums[packages[key]["name"], packages[key]["version"]]) for key in found]
    crates.sort(key=lambda crate: (crate.name != "netkeel", crate.name, crate.version))
    edges = {key: sorted(others) for key, others in found.items()}
    names = {key: (packages[key]["name"], packages[key]["version"]) for key in found}
    return crates, {names[key]: [names[other] for other in others] for key, others in edges.items()}
