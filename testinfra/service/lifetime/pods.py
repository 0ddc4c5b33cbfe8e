"""The other ends of veths, in pods: the unit may not enter them until a drop-in says so."""

import contextlib

from netkeel_lab.error import LabError, wait_until

from .host import PATIENCE, PODS


def run(report, host, _soak):
    """Without the drop-in that is told, with it they are kept."""
    report.heading("pods' ends of veths")
    host.sh(f"rm {PODS} && systemctl daemon-reload && ip -n pod link set eth0 mtu 1500 && systemctl restart netkeel")
    status = host.until("the pods are looked at", lambda now: now["looked"] and now["problems"], PATIENCE)
    said = [problem for problem in status["problems"] if "entering the pod's network namespace" in problem]
    report.check("as packaged, status says that pods could not be entered", said, status["problems"])
    report.check("and nothing was written there", mtu(host) == "1500", mtu(host))
    report.check("status counts the pod", status["unreachable_pods"] == 1, status["unreachable_pods"])
    counted = host.metric("netkeel_unreachable_pods")
    report.check("and so do the metrics", counted == 1, counted)
    host.sh("ip link add calinew type veth peer name ethnew netns pod")
    host.until("the new one is looked at", lambda now: now["unreachable_pods"] == 2)
    ends = host.sh("cat /sys/class/net/calinew/mtu; ip netns exec pod cat /sys/class/net/ethnew/mtu").split()
    report.check("neither end of a new pod's veth is set alone", ends == ["1500", "1500"], ends)
    host.sh("ip link delete calinew")
    host.sh(
        f"netkeel render netkeel-pods.conf > {PODS} && systemctl daemon-reload && systemctl restart netkeel"
    )
    status = host.in_order("with the drop-in all is in order")
    report.check("with the drop-in the pod's end gets its MTU", mtu(host) == "1460", mtu(host))
    report.check("and nothing is left unread", not status["problems"], status["problems"] or "no problems")
    host.sh("ip -n pod link set eth0 mtu 1500 && systemctl reload netkeel")
    # The status from before says that all is in order.
    with contextlib.suppress(LabError):
        wait_until(lambda: mtu(host) == "1460", PATIENCE, lambda: "", 0.2)
    report.check("and is kept", mtu(host) == "1460", mtu(host))
    host.in_order("it is in order again")


def mtu(host):
    """The MTU of the pod's own end."""
    return host.sh("ip -n pod -o link show eth0 | grep -o 'mtu [0-9]*' | cut -d' ' -f2")
