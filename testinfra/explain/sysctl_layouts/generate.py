"""Layouts by a seed: files with the names, links, lines and mistakes that hosts have."""

import random

from .keys import LATER, LINKS

DIRECTORIES = ["/etc/sysctl.d", "/run/sysctl.d", "/usr/local/lib/sysctl.d", "/usr/lib/sysctl.d"]
NAMES = [
    "10-ubuntu-defaults.conf",
    "50-default.conf",
    "50-pid.conf",
    "51-wmf.conf",
    "60-base.conf",
    "70-Base.conf",
    "90-netkeel.conf",
    "99-sysctl.conf",
    "99-zzz-override_cilium.conf",
    "9-nine.conf",
    "z.conf",
    ".hidden.conf",
    "README",
    "60-base.conf.dpkg-dist",
]
SLOTS = ["all", "default", *LINKS, LATER]
PATTERNS = ["*", "*", "*", "cali*", "wan*", "wan?", "[cw]*", "*0", "wan0/*", "l[!o]*", "{cali,wan}*", "[[:alpha:]]*", "all*", "n?thing*"]
SYSTEMD_DEFAULTS = "net.ipv4.conf.default.rp_filter = 2\nnet.ipv4.conf.*.rp_filter = 2\n-net.ipv4.conf.all.rp_filter\n"


def layouts(seed, count):
    """So many layouts: each a list of files, {"path", and "text" or "link" or "directory"}. Some are always the same."""
    fixed = [wikimedia(), cilium(), too_long()]
    return fixed + [Layout(random.Random(f"{seed}.{number}")).files() for number in range(count - len(fixed))]


def wikimedia():
    """An earlier file says all=1, systemd's own file takes it back for systemd, not for procps."""
    return [
        {"path": "/etc/sysctl.d/10-ubuntu-defaults.conf", "text": "net.ipv4.conf.default.rp_filter=1\nnet.ipv4.conf.all.rp_filter=1\n"},
        {"path": "/usr/lib/sysctl.d/50-default.conf", "text": SYSTEMD_DEFAULTS},
        {"path": "/etc/sysctl.d/90-netkeel.conf", "text": "net/ipv4/conf/default/rp_filter = 1\nnet/ipv4/conf/cali0/rp_filter = 0\n"},
    ]


def cilium():
    """Cilium's override, with patterns behind a `-`."""
    override = "-net.ipv4.conf.lxc*.rp_filter = 0\n-net.ipv4.conf.cali*.rp_filter = 0\nnet.ipv4.conf.all.rp_filter = 0\n"
    return [
        {"path": "/usr/lib/sysctl.d/50-default.conf", "text": SYSTEMD_DEFAULTS},
        {"path": "/etc/sysctl.d/99-zzz-override_cilium.conf", "text": override},
        {"path": "/etc/sysctl.conf", "text": "net.ipv4.ip_forward=1\nnet.ipv4.conf.all.rp_filter=1\n"},
        {"path": "/etc/sysctl.d/99-sysctl.conf", "link": "../sysctl.conf"},
    ]


def too_long():
    """A line of a MiB, which ends its file for systemd."""
    text = f"net.ipv4.conf.wan0.tag = 11\nx={'y' * 1024 * 1024}\nnet.ipv4.conf.wan0.tag = 12\nnet.ipv4.conf.cali0.tag = 13\n"
    return [{"path": "/etc/sysctl.d/50-pid.conf", "text": text}, {"path": "/run/sysctl.d/10-a.conf", "text": "net.ipv4.conf.cali0.tag = 14\n"}]


class Layout:
    """One layout in the making."""

    def __init__(self, chance):
        self._chance = chance
        self._value = 100

    def files(self):
        """All its files."""
        names = self._chance.sample(NAMES, self._chance.randint(2, 6))
        files = {}
        for _ in range(self._chance.randint(2, 8)):
            path = f"{self._chance.choice(DIRECTORIES)}/{self._chance.choice(names)}"
            files[path] = {"path": path, **self._content()}
        if self._chance.random() < 0.4:
            files["conf"] = {"path": "/etc/sysctl.conf", "text": self._text()}
            if self._chance.random() < 0.6:
                files["/etc/sysctl.d/99-sysctl.conf"] = {"path": "/etc/sysctl.d/99-sysctl.conf", "link": "../sysctl.conf"}
        return list(files.values())

    def _content(self):
        kind = self._chance.random()
        if kind < 0.06:
            return {"link": "/dev/null"}
        if kind < 0.09:
            return {"link": "/nowhere/at/all"}
        if kind < 0.11:
            return {"directory": True}
        if kind < 0.14:
            return {"text": ""}
        return {"text": self._text()}

    def _text(self):
        end = self._chance.choices(["\n", "\r\n", "\r"], [20, 2, 1])[0]
        lines = [self._line() for _ in range(self._chance.randint(1, 7))]
        return end.join(lines) + (end if self._chance.random() < 0.8 else "")

    def _line(self):
        kinds = [self._assign, self._pattern, self._exclude, self._other]
        return self._chance.choices(kinds, [9, 5, 3, 3])[0]()

    def _assign(self):
        key, value = self._key()
        before = self._chance.choices(["", "-", "--", "- "], [20, 2, 1, 1])[0]
        return self._blanks(before + key, value)

    def _pattern(self):
        if self._chance.random() < 0.15:
            key = self._chance.choice(["net.ipv{4,6}.conf.*.forwarding", "net.ipv4.conf.*.forwarding", "net/ipv6/conf/w*/forwarding"])
            return self._blanks(key, self._chance.choice("01"))
        key = self._chance.choice(["net.ipv4.conf.{}.rp_filter", "net.ipv4.conf.{}.rp_filter", "net.ipv4.conf.{}.tag", "net.ipv4.*.{}.t[a-b]g"])
        before = "-" if self._chance.random() < 0.1 else ""
        return self._blanks(before + key.format(self._chance.choice(PATTERNS)), self._number())

    def _exclude(self):
        key, _ = self._key()
        if self._chance.random() < 0.2:
            key = f"net.ipv4.conf.{self._chance.choice(PATTERNS)}.rp_filter"
        return self._chance.choices(["-", " -", "- ", "--"], [20, 2, 1, 1])[0] + key + self._chance.choice(["", "", " ", "\t"])

    def _other(self):
        key, value = self._key()
        return self._chance.choice(
            [
                "",
                "# a comment",
                f"; {key} = {value}",
                f"#{key}={value}",
                f"{key} {value}",
                f"{key} =",
                f"{key} = strict",
                f"{key} = {value} # said why",
                f"{key} = {value}; no",
                "=",
                "= 5",
                "-",
                "x",
                "net.ipv4.conf.wan0.7.rp_filter = 5",
                "net/ipv4/../ipv4/conf/wan0/tag = 3",
                "net/ipv4//conf/./cali0/tag = 4",
                "/net/ipv4/conf/cali0/rp_filter = 6",
                "net.ipv4.conf.wan0.tag. = 8",
                f"\x0b{key} = {value}",
                f"net.ipv4.conf.cali0.tag = 0x{self._chance.randint(16, 99)}",
                "kernel.no_such_key = 1",
            ]
        )

    def _key(self):
        """A key in one of its forms, and a value it takes."""
        what = self._chance.random()
        if what < 0.08:
            return self._chance.choice(["net.ipv4.ip_forward", "net/ipv4/ip_forward", "net.ipv6.conf.all.forwarding"]), self._chance.choice("01")
        if what < 0.12:
            return "net.ipv4.udp_rmem_min", self._number()
        if what < 0.16:
            return "net.ipv4.conf.all.accept_redirects", self._number()
        slot = self._chance.choice(SLOTS)
        if what < 0.3:
            return self._form(["net", self._chance.choice(["ipv4", "ipv6"]), "conf", slot, "forwarding"]), self._chance.choice("01")
        return self._form(["net", "ipv4", "conf", slot, self._chance.choice(["rp_filter", "rp_filter", "tag"])]), self._number()

    def _form(self, parts):
        if self._chance.random() < 0.35:
            return "/".join(parts)
        return ".".join(part.replace(".", "/") for part in parts)

    def _number(self):
        """A number of its own, or one that stands in the layout already."""
        if self._chance.random() < 0.85:
            self._value += 1
        return str(self._value)

    def _blanks(self, key, value):
        return self._chance.choice(["{}={}", "{} = {}", "{} = {} ", "\t{}\t=\t{}", "  {} ={}"]).format(key, value)
