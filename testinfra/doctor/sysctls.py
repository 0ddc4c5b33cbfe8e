"""Sysctls, each as the kernel takes it: a switch of an interface or of `default` gets its other value, and its old one again."""

import json

# They change other settings, need permission, or are kept in ticks, which 1 is less than: cases of their own try them.
ELSEWHERE = {"forwarding", "mc_forwarding", "disable_ipv6", "mtu", "rp_filter", "locktime"}

# Every switch of a namespace that has a veth, as `net/ipv4/conf/v0/log_martians 0`.
LIST = """ip netns exec sysctls sh -c 'cd /proc/sys && for family in ipv4 ipv6; do for name in v0 default; do
    for file in net/$family/conf/$name/* net/$family/neigh/$name/*; do
        value=$(cat "$file" 2>/dev/null) && case $value in 0|1) echo "$file $value";; esac
    done; done; done; true'"""


def values(host):
    """The switches and their values."""
    lines = host.sh(LIST).splitlines()
    return {key.replace("/", "."): int(value) for key, value in map(str.split, lines) if key.rsplit("/", 1)[1] not in ELSEWHERE}


def run(report, host):
    """One document for all of them."""
    host.sh("ip netns add sysctls; ip -n sysctls link add v0 type veth peer name v1; ip -n sysctls link set v0 up")
    before = values(host)
    report.check("there are many switches", len(before) > 80, len(before))
    wanted = {key: 1 - value for key, value in before.items()}
    host.machine.call("cat >/root/sysctls.json", stdin=json.dumps({"version": 1, "sysctl": wanted}))
    applied = host.machine.call("netkeel apply --netns sysctls -f /root/sysctls.json --yes --allow-lossy")
    report.check("an apply of every switch succeeds", applied.returncode in (0, 2), applied.stdout[-2000:] + applied.stderr)
    now = values(host)
    wrong = {key: value for key, value in now.items() if wanted.get(key, value) != value}
    report.check("each has its other value", not wrong, wrong)
    checked = host.machine.call("netkeel check --netns sysctls -f /root/sysctls.json")
    report.check("the check says so", checked.returncode == 0, checked.stdout + checked.stderr)
    undone = host.machine.call("netkeel undo --netns sysctls --yes --allow-lossy")
    report.check("an undo gives each its old value again", values(host) == before, undone.stdout[-2000:] + undone.stderr)
    host.sh("ip netns del sysctls")
