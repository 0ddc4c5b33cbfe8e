"""The other ends of veths, in pods: the unit may not enter them until a drop-in says so."""

from .host import PATIENCE

DROP_IN = "/etc/systemd/system/netkeel.service.d/pods.conf"


def run(report, host, _soak):
    """Without the drop-in that is told, with it they are kept."""
    report.heading("pods' ends of veths")
    host.sh("ip -n pod link set eth0 mtu 1500 && systemctl restart netkeel")
    status = host.until("the pods are looked at", lambda now: now["looked"] and now["problems"], PATIENCE)
    said = [problem for problem in status["problems"] if "entering the pod's network namespace" in problem]
    report.check("as packaged, status says that pods could not be entered", said, status["problems"])
    report.check("and nothing was written there", mtu(host) == "1500", mtu(host))
    host.sh(
        f"mkdir -p {DROP_IN.rpartition('/')[0]} && netkeel render netkeel-pods.conf > {DROP_IN}"
        " && systemctl daemon-reload && systemctl restart netkeel"
    )
    status = host.in_order("with the drop-in all is in order")
    report.check("with the drop-in the pod's end gets its MTU", mtu(host) == "1460", mtu(host))
    report.check("and nothing is left unread", not status["problems"], status["problems"] or "no problems")
    host.sh("ip -n pod link set eth0 mtu 1500 && systemctl reload netkeel")
    host.in_order("it is in order again")
    report.check("and is kept", mtu(host) == "1460", mtu(host))
    host.sh(f"rm {DROP_IN} && systemctl daemon-reload && systemctl restart netkeel")
    host.in_order()


def mtu(host):
    """The MTU of the pod's own end."""
    return host.sh("ip -n pod -o link show eth0 | grep -o 'mtu [0-9]*' | cut -d' ' -f2")
