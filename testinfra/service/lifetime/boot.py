"""From the boot on: the boot unit before the network, then the service, hardened, enforcing, replicating."""

# The exposure that systemd-analyze may report, in tenths. The drop-in for pods adds to that of the service.
EXPOSURE = {"netkeel.service": 29, "netkeel-boot.service": 25, "netkeel-recover.service": 25}
ENDED, BEGAN = "ExecMainExitTimestampMonotonic", "ExecMainStartTimestampMonotonic"


def run(report, host, _soak):
    """After the reboot that the host was made with."""
    report.heading("the host boots")
    ended, began = (int(host.property(*one)) for one in (("netkeel-boot", ENDED), ("lab-network", BEGAN)))
    report.check("the boot unit has ended before the network begins", 0 < ended < began, f"{ended} and {began} us after the start")
    result = host.property("netkeel-boot", "Result"), host.property("netkeel-boot", "ActiveState")
    report.check("it has succeeded", result == ("success", "active"), f"{result}\n{host.log()}")
    met = host.sh("cat /run/before-the-network")
    wanted = ("default.rp_filter = 1", "rmem_max = 8388608", "ipip0", "table inet netkeel")
    missing = [words for words in wanted if words not in met]
    report.check("the network meets sysctls, tunnel and rules", not missing, f"missing: {missing} in\n{met}" if missing else wanted)

    status = host.in_order()
    state = host.sh("systemctl is-active netkeel"), host.property("netkeel", "NRestarts"), host.property("netkeel", "StatusText")
    report.check("the service is active, was not started again, and says its state", state[:2] == ("active", "0") and state[2], state)
    report.check("it enforces", status["mode"] == "enforce", status["mode"])
    report.check("/healthz is well", host.metric("netkeel_healthy") == 1, "netkeel_healthy 1")
    for unit, exposure in EXPOSURE.items():
        code, text = host.call(f"systemd-analyze security --no-pager --threshold={exposure} {unit}")
        report.check(f"{unit}, live, is scored {exposure / 10} at most", code == 0, text.splitlines()[-1])

    host.sh("ip link set cali0 mtu 1500")
    mtu = host.until_mtu("cali0", 1460)
    report.check("an MTU that somebody changed is put back", mtu == "1460", mtu)
    host.sh("ip link add cali7 type veth peer name other7")
    mtu = host.until_mtu("cali7", 1460)
    report.check("an interface that is new gets its own", mtu == "1460", mtu)
    host.sh("ip link del cali7")

    pid = status["worker"]["pid"]
    process = host.sh(f"grep -E '^(Uid|CapEff|NoNewPrivs|Seccomp):' /proc/{pid}/status | tr '\\n' ' '")
    confined = {"65534", "0000000000002000", "1", "2"} <= set(process.split())
    report.check("the worker is nobody, with CAP_NET_RAW alone, and confined", confined, process)
    host.replicates(report, "after the boot")
