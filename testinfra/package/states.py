"""Installing, upgrading, downgrading, removing and purging the packages: what becomes of the settings and the files."""

from formats import FORMATS, FREEZE, READ_ONLY, RECORDER

DOCUMENT = """
mkdir -p "$ROOT/etc/netkeel/desired.d"
echo '{ "version": 1, "sysctl": { "net.ipv4.conf.default.log_martians": 1 } }' >"$ROOT/etc/netkeel/desired.d/10-host.json"
martians() { chroot "$ROOT" cat /proc/sys/net/ipv4/conf/default/log_martians; }
"""


def check(report, root, run, packages, name, form, with_systemd):
    """All checks of one format on one root; `packages` has the files of the old and of the new version."""
    old, new = packages
    setup = FORMATS[form]
    if with_systemd:
        setup = RECORDER + setup
    _files(report, root, run, setup, old, new, f"{name}, {form}")
    _settings(report, root, run, setup, old, new, f"{name}, {form}", form)
    if form in READ_ONLY:
        _read_only(report, root, run, old, new, f"{name}, {form}", form)
    if form == "deb":
        _layers(report, root, run, setup, new, name)


def _files(report, root, run, setup, old, new, name):
    script = f"""{setup}
        mkdir -p "$ROOT/etc/default"; echo '# Managed by Puppet.' >"$ROOT/etc/default/netkeel"
        install {old}; inside 'netkeel --version'
        install {new}; install {old}
        cat "$ROOT/etc/default/netkeel"; test ! -e "$ROOT/etc/netkeel"; test -x "$ROOT/usr/bin/netkeel"
        remove; purge
        cat "$ROOT/etc/default/netkeel"
        find "$ROOT/usr" "$ROOT/var/lib/netkeel" "$ROOT/run/netkeel" -path '*netkeel*' ! -path '*/dpkg/*' 2>/dev/null || :
        """
    code, out = run(root, script)
    good = code == 0 and out.splitlines()[0].startswith("netkeel ") and out.splitlines()[1:] == ["# Managed by Puppet."] * 2
    report.check(f"{name}: without a terminal over files of Puppet, exit 0, and no file is left", good, f"exit {code}\n{out}")


def _settings(report, root, run, setup, old, new, name, form):
    script = f"""{setup}{DOCUMENT}
        install {old}; inside 'netkeel apply' >/dev/null; echo "applied: $(martians)"
        install {new}; echo "upgraded: $(martians)"; inside 'netkeel check --quiet'
        echo "removing:"; remove; echo "removed: $(martians)"
        echo "purging:"; purge; echo "purged: $(martians)"; test -e "$ROOT/var/lib/netkeel/ledger.json"
        install {new}; inside 'netkeel release' >/dev/null; echo "released: $(martians)"
        echo "removing again:"; remove; purge; test ! -e "$ROOT/var/lib/netkeel/ledger.json" || echo "ledger"; echo end
        """
    code, out = run(root, script)
    lines = out.splitlines()
    wanted = ["applied: 1", "upgraded: 1", "removed: 1", "purged: 1", "released: 0"]
    after = {key: lines[lines.index(f"{key}:") + 1 :] if f"{key}:" in lines else [] for key in ("removing", "purging")}
    told = any("netkeel release" in line for line in after["removing"][:3])
    told = told and (form != "deb" or any("are kept" in line for line in after["purging"][:3]))
    # rpm has no purge, and keeps what a package does not own.
    again = lines[lines.index("removing again:") + 1 :] if "removing again:" in lines else []
    report.check(
        f"{name}: when everything was released a removal says nothing, and a purge keeps nothing",
        again == (["end"] if form == "deb" else ["ledger", "end"]),
        out,
    )
    report.check(
        f"{name}: settings hold through upgrade, removal and purge, which name `netkeel release`",
        code == 0 and all(line in lines for line in wanted) and told,
        f"exit {code}\n{out}",
    )


def _read_only(report, root, run, old, new, name, form):
    """Nothing of the package needs /var, but netkeel does, and says so."""
    script = f"""{READ_ONLY[form]}{DOCUMENT}{FREEZE}
        install {old}; install {new}; install {old}; echo installed
        inside 'netkeel plan --detailed-exitcode' >/dev/null 2>&1 || echo "plan: exit $?"
        inside 'netkeel apply' 2>&1 || echo "apply: exit $?"
        echo "value: $(martians)"
        remove; purge; test ! -e "$ROOT/usr/bin/netkeel"; echo end
        """
    code, out = run(root, script)
    lines = out.splitlines()
    wanted = ["installed", "plan: exit 2", "apply: exit 1", "value: 0", "end"]
    good = code == 0 and all(line in lines for line in wanted) and "/var/lib/netkeel" in out
    report.check(f"{name}: with a read-only /var it is installed and removed, and an apply is refused", good, f"exit {code}\n{out}")


def _layers(report, root, run, setup, new, name):
    script = f"""{setup}{DOCUMENT}
        install {new}; rm -r "$ROOT/etc/netkeel"
        document() {{
            mkdir -p "$ROOT$1"; echo '{{ "version": 1, "sysctl": {{ "net.ipv4.conf.default.log_martians": '$2' }} }}' >"$ROOT$1/10-host.json"
            inside 'netkeel apply' >/dev/null; echo "$1: $(martians)"
        }}
        document /usr/lib/netkeel/desired.d 1
        document /run/netkeel/desired.d 0
        document /etc/netkeel/desired.d 1
        ls -ld "$ROOT/run/netkeel" | cut -c1-10
        chroot "$ROOT" setpriv --reuid=65534 --regid=65534 --clear-groups netkeel check
        ln -sf /dev/null "$ROOT/etc/netkeel/desired.d/10-host.json"; inside 'netkeel plan' 2>&1 || echo "exit $?"
        """
    code, out = run(root, script)
    wanted = ["/usr/lib/netkeel/desired.d: 1", "/run/netkeel/desired.d: 0", "/etc/netkeel/desired.d: 1", "exit 1"]
    good = code == 0 and all(line in out.splitlines() for line in wanted) and "have no documents" in out and "n sync" in out.lower()
    report.check(f"{name}: /etc hides /run, which hides /usr/lib, and anybody reads all three", good, f"exit {code}\n{out}")
