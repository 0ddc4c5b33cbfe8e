"""What the packages contain, and what lintian and rpmlint say of them."""

import re
import subprocess
from pathlib import Path

HERE = Path(__file__).resolve().parent
TOP = HERE.parent.parent
# The files that each format names otherwise. The last one of each has the order of sysctl.d.
OF_FORM = {
    "deb": [
        "/usr/share/zsh/vendor-completions/_netkeel",
        *(f"/usr/share/doc/netkeel/{name}" for name in ("copyright", "changelog.Debian.gz", "README.Debian")),
    ],
    "rpm": [
        "/usr/share/zsh/site-functions/_netkeel",
        *(f"/usr/share/licenses/netkeel/{name}" for name in ("LICENSE-MIT", "LICENSE-APACHE")),
        "/usr/share/doc/netkeel/README",
    ],
}
UNITS = ("netkeel.service", "netkeel-boot.service", "netkeel-recover.service")


def output(*command):
    """The exit status and all output of a command."""
    done = subprocess.run(list(map(str, command)), cwd=TOP, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    return done.returncode, done.stdout


def tree(triple, features=()):
    """Name and version of each crate that is linked in with these features, by `cargo tree`."""
    options = ["--features", ",".join(features), "--package", "netkeel", "--target", triple, "--edges", "normal", "--prefix", "none", "--format", "{p}"]
    done = subprocess.run(["cargo", "tree", "--locked", *options], cwd=TOP, check=True, stdout=subprocess.PIPE, text=True)
    return {tuple(re.match(r"(\S+) v(\S+)", line).groups()) for line in done.stdout.splitlines() if line}


def check(report, deb, rpm, program):
    """All checks of a .deb and a .rpm."""
    listed = {
        "deb": [line.split()[5].lstrip(".") for line in output("dpkg-deb", "--contents", deb)[1].splitlines() if line[0] != "d"],
        "rpm": output("rpm", "--query", "--package", "--list", rpm)[1].splitlines(),
    }
    verbs = re.findall(r"^  ([a-z-]+)  ", output(program, "--help")[1], re.MULTILINE)
    wanted = ["/usr/bin/netkeel", *(f"/usr/lib/systemd/system/{unit}" for unit in UNITS)]
    wanted += ["/usr/share/man/man8/netkeel.8.gz", "/usr/share/man/man5/netkeel.yaml.5.gz"]
    wanted += [f"/usr/share/man/man8/netkeel-{verb}.8.gz" for verb in verbs if verb != "help"]
    wanted += ["/usr/share/bash-completion/completions/netkeel", "/usr/share/fish/vendor_completions.d/netkeel.fish"]
    wanted += ["/usr/lib/systemd/system-preset/80-netkeel.preset"]
    wanted += [f"/usr/share/doc/netkeel/{name}" for name in ("changelog.gz", "THIRD-PARTY-LICENSES.gz")]
    for form, files in listed.items():
        missing = sorted({*wanted, *OF_FORM[form]} - set(files))
        what = "program, units, preset, a page for each verb, completions, changelog and licences"
        report.check(f"{form}: {what}", not missing, missing or f"{len(files)} files")
        outside = [path for path in files if not path.startswith("/usr/")]
        report.check(f"{form}: each file is below /usr", not outside, outside or "none in /etc")
    code, said = output("lintian", "--fail-on", "error,warning", "--allow-root", deb)
    report.check("deb: lintian has no error and no warning", code == 0, said)
    code, said = output("rpmlint", "--config", HERE / "rpmlint.toml", rpm)
    report.check("rpm: rpmlint has no error and no warning", code == 0 and " 0 errors, 0 warnings" in said, said)
    _, scripts = output("rpm", "--query", "--package", "--scripts", rpm)
    parts = [(TOP / "release" / "rpm" / name).read_text(encoding="utf-8").strip() for name in ("post", "preun", "postun")]
    report.check("rpm: the scripts are those of release/rpm", all(part in scripts for part in parts), scripts)
