"""The first installation: nothing is enabled, and a document and `systemctl enable --now` suffice."""

from packages import OLD
from pages import check_printed, first_hour


def run(report, host):
    """By apt, without a terminal."""
    report.heading("apt install ./netkeel_*.deb on a fresh host")
    code, text = host.install(OLD)
    report.check("apt install exits 0", code == 0, text if code else text.splitlines()[-1])
    states = host.call("systemctl is-enabled netkeel netkeel-boot; systemctl is-active netkeel")[1].split()
    report.check("the units are neither enabled nor started", states == ["disabled", "disabled", "inactive"], states)
    script, wanted = first_hour()
    host.sh(f"cat >/root/walk <<'END_OF_WALK'\n{script}END_OF_WALK")
    code, text = host.call("sh /root/walk 2>&1; rm /root/walk")
    check_printed(report, "with the package", code, text, wanted)
    host.start_network()
    code, text = host.call("netkeel plan")
    report.check("without a document netkeel says where one goes", code == 1 and "/etc/netkeel/desired.d" in text, text)
    code, text = host.call("systemctl start netkeel && sleep 1 && netkeel status")
    report.check("the service waits for a document", code == 0, text)
    host.sh("systemctl stop netkeel")

    host.write_document()
    code, text = host.call("netkeel plan --detailed-exitcode")
    report.check("a plan shows what would change", code == 2, text.splitlines()[-1])
    code, text = host.call("systemctl enable -q netkeel-boot && systemctl enable -q --now netkeel")
    report.check("systemctl enable --now exits 0", code == 0, text or "exit 0")
    host.in_order()
    value = host.sh("cat /proc/sys/net/core/rmem_max")
    report.check("a sysctl is set", value == "8388608", value)
    host.replicates(report, "after the installation")
