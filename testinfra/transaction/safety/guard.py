"""The interface that a host is managed through is not changed in passing."""

ETH0 = "version: 1\nlink:\n  eth0: { txqueuelen: 900 }\n"
OTHER0 = "version: 1\nlink:\n  other0: { txqueuelen: 900 }\n"
ALL = "version: 1\nsysctl:\n  net.ipv4.conf.all.rp_filter: 1\n"
# Like sudo, a program above that still has the variable, and netkeel below without it.
SUDO = """sh -c 'env -i PATH="$PATH" "$@"; exit $?' sudo"""


def run(report, host, _full):
    """By the default route, by the session, by another session; and what is none of these goes through."""
    report.heading("the guard of the management interface")
    eth0, other0 = host.put("eth0.yaml", ETH0), host.put("other0.yaml", OTHER0)
    by_session = "it carries this SSH session"
    refused(report, host, "over ssh by eth0", eth0, "", "eth0", by_session)
    host.sh("ip route add default via 10.0.2.2 dev eth0")
    refused(report, host, "without ssh, the default route on eth0", eth0, "env -u SSH_CONNECTION", "eth0", "the default route")
    host.sh("ip route del default via 10.0.2.2 dev eth0")
    by_other0 = "env SSH_CONNECTION='192.0.2.1 50000 10.9.9.1 22'"
    refused(report, host, "over ssh by other0", other0, by_other0, "other0", by_session)
    refused(report, host, "by sudo, which keeps no SSH_CONNECTION", eth0, SUDO, "eth0", by_session)
    host.sh("sysctl -qw net.ipv4.conf.all.rp_filter=0 net.ipv4.conf.eth0.rp_filter=0")
    everywhere = host.put("all.yaml", ALL)
    refused(report, host, "by the key of all interfaces", everywhere, "", "eth0", by_session)
    goes_through(report, host, "another interface", other0, "", "")
    goes_through(report, host, "with --allow-management", eth0, "", "--allow-management")


def refused(report, host, when, document, before, name, why):
    """`apply` exits 1, says why, and nothing has changed."""
    state = host.state()
    outcome = host.netkeel(f"apply -f {document}", before)
    report.check(f"{when}: apply exits 1", outcome.code == 1, outcome)
    good = f"{name} is the management interface" in outcome.output and why in outcome.output
    report.check(f"{when}: it says why", good, outcome.line_with("management interface"))
    differences = host.changes_since(state)
    report.check(f"{when}: nothing has changed", not differences, differences or "the same state")


def goes_through(report, host, when, document, before, options):
    """The guard stops only what it should."""
    outcome = host.netkeel(f"apply -f {document} {options}", before)
    report.check(f"{when}: apply exits 0", outcome.code == 0, outcome)
