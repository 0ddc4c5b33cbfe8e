"""A table: each state that an administrator leaves the units in, through upgrade, downgrade, removal and another installation."""

from packages import NEW, OLD
from realserver.host import GUEST

# By state: enabled, enabled at boot, active, and whether an upgrade or a downgrade starts another process.
BEFORE = {
    "disabled": ("disabled disabled inactive", "same"),
    "enabled": ("enabled enabled active", "another"),
    "stopped": ("enabled enabled inactive", "same"),
    "started": ("disabled disabled active", "another"),
    "masked": ("masked disabled inactive", "same"),
}


def run(report, host):
    """On a host without the package."""
    report.heading("the states of the units")
    host.write_document()
    for state, (shown, process) in BEFORE.items():
        code, text = host.call(f"{GUEST}/guest/states {host.package(OLD)} {host.package(NEW)} {state}")
        report.check(f"{state}: all installations exit 0", code == 0, text)
        # The first installation does not start the units either: what ran before the removal does not run.
        again = shown.replace(" active", " inactive")
        wanted = {
            f"{state} before: {shown} same",
            f"{state} upgraded: {shown} {process}",
            f"{state} downgraded: {shown} {process}",
            f"{state} removed: inactive",
            f"{state} installed-again: {again} same",
        }
        found = set(text.splitlines())
        report.check(f"{state} units stay so", found == wanted, "\n".join(sorted(found ^ wanted)) or "; ".join(sorted(found)))
    host.call("netkeel release")
