"""The table of states: what becomes of the units that an administrator left disabled, enabled or masked, through installation, upgrade,
downgrade, removal, another installation and purge; where systemd runs, in the build of an image, and with a read-only /var. The lab has the rest of
the table, with processes: ../install."""

from formats import CALLS, FORMATS, FREEZE, READ_ONLY, RECORDER

# The act of an administrator before an upgrade, and the answer of is-enabled then.
STATES = {
    "disabled": ("", "disabled disabled"),
    "enabled": ("inside 'systemctl enable netkeel.service netkeel-boot.service' 2>/dev/null", "enabled enabled"),
    "masked": ("inside 'systemctl mask netkeel.service' 2>/dev/null", "masked disabled"),
}
SHOW = """
state() { chroot "$ROOT" systemctl is-enabled netkeel.service netkeel-boot.service 2>&1 | paste -sd' '; }
"""
# The script before the verbs of a format. There is no systemd where /run/systemd/system is missing: its programs work on files.
PLACES = {
    "where systemd runs": RECORDER,
    "in the build of an image": 'test ! -e "$ROOT/run/systemd/system"\n',
    "with a read-only /var": RECORDER,
}
READ_ONLY_PLACE = "with a read-only /var"


def check(report, root, run, packages, name, form):
    """The table of one format on one root with systemd; `packages` has the files of the old and of the new version."""
    old, new = packages
    for place, before in PLACES.items():
        read_only = place == READ_ONLY_PLACE
        if read_only and form not in READ_ONLY:
            continue
        setup = before + (READ_ONLY[form] + FREEZE if read_only else FORMATS[form]) + CALLS + SHOW
        for state, (make, shown) in STATES.items():
            script = f"""{setup}
                install {old}; echo "fresh: $(state)"; echo "calls: $(calls)"
                inside 'systemctl preset netkeel.service netkeel-boot.service' 2>/dev/null; echo "preset: $(state)"
                {make}
                install {new}; echo "upgraded: $(state)"; echo "calls: $(calls)"
                install {old}; echo "downgraded: $(state)"; echo "calls: $(calls)"
                remove; install {new}; echo "reinstalled: $(state)"; calls >/dev/null
                remove >/dev/null; purge >/dev/null; find "$ROOT/etc/systemd" -name 'netkeel*'; echo end
                """
            code, out = run(root, script)
            good = code == 0 and _as_wanted(out, state, shown, _again(form, state, shown), place, form)
            report.check(f"{name}, {form}, {place}: {state} units stay {state}, and only a running service is restarted", good, f"exit {code}\n{out}")


def _again(form, state, shown):
    """The state that another installation finds. An enabled unit stays so until a purge of the .deb; an .rpm is disabled when it is removed."""
    if state == "enabled" and form != "deb":
        return "disabled disabled"
    return shown


def _as_wanted(out, state, shown, again, place, form):
    lines = out.splitlines()
    wanted = [
        "fresh: disabled disabled",
        "calls: ",
        "preset: disabled disabled",
        "end",
        f"upgraded: {shown}",
        f"downgraded: {shown}",
        f"reinstalled: {again}",
    ]
    # `try-restart` restarts a service that runs. The units of the boot are not touched.
    called = [text.partition("\n")[0] for text in out.split("calls: ")[2:]]
    if place == "in the build of an image":
        restarts = called == ["", ""]
    else:
        restarts = len(called) == 2 and all("try-restart" in text and "boot" not in text for text in called)
        # Only with /var does dpkg's helper know a masked unit, which needs no restart.
        restarts = restarts or (form, state) == ("deb", "masked")
    # After a purge nothing is left of the units but what the administrator made by `mask`.
    left = out.partition("reinstalled: ")[2].splitlines()[1:-1]
    kept = ["/mnt/root/etc/systemd/system/netkeel.service"] if state == "masked" else []
    return all(line in lines for line in wanted) and restarts and left == kept
