"""An apply that does not come to its end: Ctrl-C, SIGKILL, and a terminal that takes no more output."""

from netkeel_lab.error import wait_until
from realserver.host import GUEST

LIMIT = 120
# SIGINT among the signals that a process has not taken yet.
INTERRUPT = 1 << 1
# strace sees only the first path of rename(2).
UNFINISHED = "/etc/sysctl.d/.90-netkeel.conf.netkeel.tmp"
MANY = "version: 1\nsysctl:\n" + "".join(
    f"  net.ipv4.conf.{scope}.{key}: 1\n"
    for scope in ("default", "other0", "lo")
    for key in ("log_martians", "arp_filter", "arp_notify", "drop_gratuitous_arp")
)
# Stopped in its middle. The journal has one line more for each of the twelve writes.
TRACE = "/run/interrupted"
STOPPED = f"strace -f -qq -o {TRACE} -P /run/netkeel/journal -e trace=write -e inject=write:signal=STOP:when=7"
# In the middle of the live writes, and where the drop-in is written under its first name only.
# An apply that waits to be confirmed writes the drop-in when it is confirmed.
KILLED = {
    "at a live write": ("--confirm-within 600s", "-P /proc/sys/net/ipv4/conf/lo/log_martians -e trace=write -e inject=write:signal=KILL"),
    "before the drop-in has its name": (
        "",
        f"-P {UNFINISHED} -e trace=rename,renameat,renameat2 -e inject=rename,renameat,renameat2:signal=KILL",
    ),
}


def run(report, host, _full):
    """All of them."""
    document = host.put("many.yaml", MANY)
    interrupted(report, host, document)
    for when, (options, filters) in KILLED.items():
        killed(report, host, f"{options} -f {document}", when, f"strace -f -qq -o /dev/null {filters}")
    stuck(report, host, document)


def interrupted(report, host, document):
    """Ctrl-C is typed on the terminal of the session, in the middle."""
    report.heading("Ctrl-C in mid-apply")
    before = host.state()

    def midway():
        stopped = f"grep -qs 'stopped by SIGSTOP' {TRACE} && grep -cs '^{{\"begun\"' /run/netkeel/journal || true"
        wait_until(lambda: int(host.sh(stopped) or 0) >= 2, LIMIT, lambda: "the apply never stops in its middle", 0.1)

    def going_on():
        pending = "grep -s ^ShdPnd: /proc/$(pidof netkeel)/status | cut -f2"
        wait_until(lambda: int(host.sh(pending) or "0", 16) & INTERRUPT, LIMIT, lambda: "Ctrl-C does not arrive", 0.1)
        host.sh("kill -CONT $(pidof netkeel)")

    outcome = host.session(f"NO_COLOR=1 {STOPPED} netkeel apply --yes -f {document}", typed="\x03", after=midway, then=going_on)
    report.check("it exits 3", outcome.code == 3, outcome)
    middle = any(f"rolled back: {count} writes undone" in outcome.output for count in range(2, 13))
    report.check("it was in the middle", middle, outcome.line_with("rolled back"))
    same(report, host, before, "the host is as before")
    last = host.last_done()
    report.check("history says why", "rolled back: interrupted by a signal" in last, last)
    outcome = host.netkeel(f"plan -f {document}")
    report.check("nothing is left to recover", outcome.code == 0, outcome)


def killed(report, host, arguments, when, strace):
    """Half of an apply can be undone, not confirmed."""
    report.heading(f"SIGKILL {when}")
    before = host.state()
    outcome = host.netkeel(f"apply {arguments}", strace)
    report.check("it was killed", outcome.code not in (0, 1, 3, 4), outcome)
    report.check("it leaves something", host.changes_since(before), "the state differs")
    outcome = host.netkeel(f"plan {arguments[arguments.index('-f'):]}")
    report.check("plan exits 1 and says so", outcome.code == 1 and "was interrupted after" in outcome.output, outcome)
    outcome = host.netkeel("confirm")
    report.check("it cannot be confirmed", outcome.code == 1 and "was interrupted after" in outcome.output, outcome)
    outcome = host.netkeel("recover")
    report.check("recover exits 0", outcome.code == 0, outcome)
    same(report, host, before, "the host is as before")
    last = host.last_done()
    report.check("history says so", "rolled back: it was interrupted" in last, last)


def stuck(report, host, document):
    """Its output goes nowhere, as to a dead terminal. It is undone all the same."""
    report.heading("an apply that cannot get its output out")
    before = host.state()
    host.sh(f"{GUEST}/guest/stuck netkeel apply --confirm-within 15s -f {document}")
    same(report, host, before, "it is undone when its time is over")
    last = host.last_done()
    report.check("history says why", "nobody confirmed it in time" in last, last)


def same(report, host, before, what):
    """The whole state is what it was."""
    differences = host.changes_since(before)
    report.check(what, not differences, differences or f"{len(before)} lines of state are the same")
