"""How a package of each format is installed, removed and purged on a root: verbs of shell with the same names."""

# The same verbs for all. dpkg, rpm and dnf take a file on the path that they are given.
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
# dnf in the root, as on an RPM distribution. No package of a Debian root has /bin/sh for it, which each package with a script needs.
DNF = """
SYSTEM=$ROOT/root/system.spec
printf '%s\\n' 'Name: system' 'Version: 1' 'Release: 1' 'Summary: What the root has' 'License: MIT' 'BuildArch: noarch' 'Provides: /bin/sh' '%description' 'It.' '%files' >"$SYSTEM"
inside 'rpmbuild --quiet -bb /root/system.spec && rpm -i /root/rpmbuild/RPMS/noarch/system-1-1.noarch.rpm' >"$ROOT/log" 2>&1 || { cat "$ROOT/log"; exit 1; }
mkdir -p "$ROOT/etc/dnf"
printf '%s\\n' '[main]' 'assumeyes=True' 'gpgcheck=0' 'reposdir=/nowhere' >"$ROOT/etc/dnf/dnf.conf"
manage() { inside "dnf $*" >"$ROOT/log" 2>&1 || { cat "$ROOT/log"; exit 1; }; }
install() {
    cp "$1" "$ROOT/root/netkeel.rpm"
    manage install /root/netkeel.rpm
    if [ "$(chroot "$ROOT" rpm -q netkeel)" != "$(rpm -qp "$1" 2>/dev/null)" ]; then manage downgrade /root/netkeel.rpm; fi
}
remove() { manage remove netkeel; grep '^netkeel: ' "$ROOT/log" || :; }
purge() { :; }
"""
FORMATS = {"deb": DEB, "rpm": RPM, "dnf": DNF}

# Where /var is read-only the database of packages is elsewhere, as on systems whose /usr is an image.
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
FREEZE = """
mount --bind "$ROOT/var" "$ROOT/var"; mount -o remount,bind,ro "$ROOT/var"
! touch "$ROOT/var/probe" 2>/dev/null
"""

# Records the calls that need a running systemd, and hands on those that work on files.
RECORDER = """
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
"""
CALLS = """
calls() { cat "$ROOT/systemctl.log" 2>/dev/null || :; rm -f "$ROOT/systemctl.log"; }
"""
