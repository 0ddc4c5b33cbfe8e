"""Removal and purge: what stays, what is said, and how the values from before come back."""

from packages import NEW

SETTINGS = "cat /proc/sys/net/core/rmem_max; ls /etc/sysctl.d/90-netkeel.conf /sys/class/net/ipip0/mtu"


def run(report, host):
    """On a host whose service runs."""
    report.heading("apt remove and apt purge")
    host.in_order()
    settings = host.sh(SETTINGS)
    code, text = host.apt("remove -y netkeel")
    report.check("apt remove exits 0, and names `netkeel release`", code == 0 and "netkeel release" in text, text)
    active = host.call("systemctl is-active netkeel")[1]
    report.check("the service is stopped", active == "inactive" and host.call("pgrep netkeel")[0] == 1, active)
    report.check("the settings stay", host.sh(SETTINGS) == settings, settings)
    code, text = host.apt("purge -y netkeel")
    report.check("apt purge exits 0, and says what it keeps", code == 0 and "/var/lib/netkeel" in text and "are kept" in text, text)
    report.check("the settings stay", host.sh(SETTINGS) == settings, settings)
    left = host.sh("find /etc/systemd /var/lib/systemd -name 'netkeel*'")
    report.check("no link of a unit is left", not left, left or "none")

    code, text = host.install(NEW)
    report.check("it is installed again", code == 0, text if code else "exit 0")
    states = host.call("systemctl is-enabled netkeel netkeel-boot")[1].split()
    report.check("after a purge nothing is enabled", states == ["disabled", "disabled"], states)
    code, text = host.call("netkeel release")
    back = host.sh("cat /proc/sys/net/core/rmem_max; ls -d /sys/class/net/ipip0 /etc/sysctl.d/90-netkeel.conf 2>&1 || :")
    report.check("netkeel release restores the values from before", code == 0 and "212992" in back, f"{text}\n{back}")
    report.check("the tunnel and the drop-in are gone", back.count("No such file") == 2, back)
    code, text = host.apt("purge -y netkeel")
    left = host.sh("find / -xdev -path '*netkeel*' ! -path '/root/*' ! -path '/proc/*' ! -path '/etc/netkeel*' ! -path '*/journal/*'")
    report.check("a purge leaves nothing but the document", code == 0 and not left, left or text)
    host.sh("rm -r /etc/netkeel")
