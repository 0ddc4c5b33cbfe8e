"""A table: each state that an administrator leaves the units in, through upgrade, downgrade, removal and another installation."""

import os

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
NOTHING = "disabled disabled inactive"
FORMS = ("deb", "rpm") if os.environ.get("NETKEEL_FULL") == "1" else ("deb",)


def run(report, host):
    """On a host without the package."""
    host.write_document()
    for form in FORMS:
        report.heading(f"the states of the units, .{form}")
        for state, (shown, process) in BEFORE.items():
            code, text = host.call(f"{GUEST}/guest/states {host.package(OLD, form)} {host.package(NEW, form)} {state}")
            report.check(f"{form}, {state}: all installations exit 0", code == 0, text)
            # The first installation does not start the units either: what ran before the removal does not run.
            again = shown.replace(" active", " inactive")
            if form == "rpm" and state != "masked":
                # dpkg remembers what was enabled until a purge; rpm does not.
                again = NOTHING
            wanted = {
                f"{state} installed: {NOTHING} same",
                f"{state} before: {shown} same",
                f"{state} upgraded: {shown} {process}",
                f"{state} downgraded: {shown} {process}",
                f"{state} removed: inactive 0",
                f"{state} installed-again: {again} same",
            }
            found = set(text.splitlines())
            report.check(f"{form}, {state}: units stay so", found == wanted, "\n".join(sorted(found ^ wanted)) or "; ".join(sorted(found)))
        host.call("netkeel release")
