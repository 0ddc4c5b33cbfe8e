"""Installing, upgrading, downgrading, removing and purging the packages: what becomes of the units, the settings and the files."""

# Records the calls that need a running systemd, and hands on those that work on files.
RECORDER = """
if [ -x "$ROOT/usr/bin/systemctl" ]; then
    mkdir -p "$ROOT/run/systemd/system"
    mv "$ROOT/usr/bin/systemctl" "$ROOT/usr/bin/systemctl.real"
    cat >"$ROOT/usr/bin/systemctl" <<'END'
#!/bin/sh
case " $* " in
*daemon-reload*) ;;
*restart* | *stop* | *' start '* | *--now*) echo "$*" >>/systemctl.log ;;
*) SYSTEMD_OFFLINE=1 exec systemctl.real "$@" ;;
esac
END
    chmod 755 "$ROOT/usr/bin/systemctl"
fi
calls() { cat "$ROOT/systemctl.log" 2>/dev/null || :; rm -f "$ROOT/systemctl.log"; }
state() { chroot "$ROOT" systemctl is-enabled netkeel.service netkeel-boot.service 2>&1 | paste -sd' '; }
"""

# The same verbs for both formats. dpkg and rpm take a file on the path that they are given.
DEB = """
install() { cp "$1" "$ROOT/root/netkeel.deb"; inside 'apt-get install -y --allow-downgrades /root/netkeel.deb' >"$ROOT/log" 2>&1 || { cat "$ROOT/log"; exit 1; }; }
remove() { inside 'apt-get remove -y netkeel' 2>&1 | grep '^netkeel: ' || :; }
purge() { inside 'apt-get purge -y netkeel' 2>&1 | grep '^netkeel: ' || :; }
"""
# Debian's rpm warns on each call that it is for foreign systems.
RPM = """
foreign() { rpm --root "$ROOT" "$@" </dev/null >"$ROOT/log" 2>&1 || { cat "$ROOT/log"; exit 1; }; sed -e '/^rpm: /d' "$ROOT/log"; }
install() { foreign --nodeps -U --oldpackage --replacepkgs "$1"; }
remove() { foreign -e netkeel; }
purge() { :; }
"""
FORMATS = {"deb": DEB, "rpm": RPM}

# What an administrator did before an upgrade, and what is-enabled says then.
STATES = {
    "disabled": ("", "disabled disabled"),
    "enabled": ("inside 'systemctl enable netkeel.service netkeel-boot.service' 2>/dev/null", "enabled enabled"),
    "masked": ("inside 'systemctl mask netkeel.service' 2>/dev/null", "masked disabled"),
}

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
        _units(report, root, run, setup, old, new, f"{name}, {form}", form)
    _files(report, root, run, setup, old, new, f"{name}, {form}")
    _settings(report, root, run, setup, old, new, f"{name}, {form}", form)
    _read_only(report, root, run, old, new, f"{name}, {form}", form)
    if with_systemd:
        _image(report, root, run, FORMATS[form], new, f"{name}, {form}")
    if form == "deb":
        _layers(report, root, run, setup, new, name)


def _units(report, root, run, setup, old, new, name, form):
    for state, (make, shown) in STATES.items():
        script = f"""{setup}
            install {old}; echo "fresh: $(state)"; echo "calls: $(calls)"
            {make}
            install {new}; echo "upgraded: $(state)"; echo "calls: $(calls)"
            install {old}; echo "downgraded: $(state)"; echo "calls: $(calls)"
            remove; install {new}; echo "reinstalled: $(state)"
            remove >/dev/null; purge >/dev/null; find "$ROOT/etc/systemd" -name 'netkeel*'; echo end
            """
        code, out = run(root, script)
        # dpkg remembers what was enabled until a purge; rpm does not.
        again = "disabled disabled" if form == "rpm" and state == "enabled" else shown
        wanted = [
            "fresh: disabled disabled",
            "calls: ",
            "end",
            f"upgraded: {shown}",
            f"downgraded: {shown}",
            f"reinstalled: {again}",
        ]
        lines = out.splitlines()
        # `try-restart` restarts a service that runs. The units of the boot are not touched.
        called = out.split("calls: ")[2:]
        restarts = len(called) == 2 and all("try-restart" in text and "boot" not in text for text in called)
        restarts = restarts or (form, state) == ("deb", "masked")
        # After a purge nothing is left of the units but what the administrator made by `mask`.
        left = out.partition("reinstalled: ")[2].splitlines()[1:-1]
        kept = ["/mnt/root/etc/systemd/system/netkeel.service"] if state == "masked" else []
        good = code == 0 and all(line in lines for line in wanted) and restarts and left == kept
        report.check(f"{name}: {state} units stay {state}, and only a running service is restarted", good, out)


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
    told = told and (form == "rpm" or any("are kept" in line for line in after["purging"][:3]))
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


# The database of packages is elsewhere, as on systems whose /usr is an image.
READ_ONLY = {
    "deb": """
    mv "$ROOT/var/lib/dpkg" "$ROOT/usr/lib/dpkg-database"
    install() { cp "$1" "$ROOT/root/netkeel.deb"; database -i /root/netkeel.deb; }
    remove() { database -r netkeel; }
    purge() { database -P netkeel; }
    database() { inside "dpkg --admindir=/usr/lib/dpkg-database $*" >"$ROOT/root/log" 2>&1 || { cat "$ROOT/root/log"; exit 1; }; }
    """,
    "rpm": """
    install() { foreign --nodeps -U --oldpackage --replacepkgs "$1"; }
    remove() { foreign -e netkeel; }
    purge() { :; }
    foreign() { rpm --root "$ROOT" --dbpath /usr/lib/sysimage/rpm --define '_tmppath /tmp' "$@" </dev/null >"$ROOT/root/log" 2>&1 || { cat "$ROOT/root/log"; exit 1; }; }
    """,
}


def _read_only(report, root, run, old, new, name, form):
    """Nothing of the package needs /var, but netkeel does, and says so."""
    script = f"""{READ_ONLY[form]}{DOCUMENT}
        mount --bind "$ROOT/var" "$ROOT/var"; mount -o remount,bind,ro "$ROOT/var"
        ! touch "$ROOT/var/probe" 2>/dev/null
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


def _image(report, root, run, setup, new, name):
    """In the build of an image systemd's programs are there, and no systemd runs."""
    script = f"""{setup}
        test ! -e "$ROOT/run/systemd/system"
        install {new}
        inside 'systemctl preset netkeel.service netkeel-boot.service' 2>&1
        inside 'systemctl is-enabled netkeel.service netkeel-boot.service' || :
        inside 'systemctl enable netkeel.service netkeel-boot.service' 2>/dev/null
        inside 'systemctl is-enabled netkeel.service netkeel-boot.service'
        remove >/dev/null; purge >/dev/null; find "$ROOT/etc/systemd" -name 'netkeel*'; echo end
        """
    code, out = run(root, script)
    wanted = ["disabled", "disabled", "enabled", "enabled", "end"]
    report.check(f"{name}: in the build of an image the preset disables, and `enable` enables", code == 0 and out.split() == wanted, out)


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
