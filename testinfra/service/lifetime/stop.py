"""systemctl stop: rules that nobody reads go, unless the document keeps them; the rest stays."""

from .host import DOCUMENTS

KEPT = f"{DOCUMENTS}/40-kept.yaml"


def run(report, host, _soak):
    """Both, and the service comes back."""
    report.heading("systemctl stop")
    host.in_order()
    seen = stopped(host)
    report.check("the rules are gone, and their table", "inet netkeel" not in seen["tables"], seen["tables"] or "no tables")
    report.check("worker and service are gone", seen["processes"] == "0", seen["processes"])
    report.check("the rest of the host stays", (seen["mtu"], seen["rmem_max"]) == ("1460", "8388608"), seen)
    code, text = host.call("netkeel status")
    report.check("status says that none runs", code == 1, text)
    host.sh("systemctl start netkeel")
    host.in_order()
    host.replicates(report, "started again")

    before = host.in_order()["document"]["hash"]
    host.sh(f"printf 'version: 1\\nnflog:\\n  packet-too-big: {{ remove_on_stop: no }}\\n' > {KEPT}")
    host.sh("systemctl reload netkeel")
    host.until("the layer is in force", lambda now: now["document"]["hash"] != before)
    host.in_order()
    rules = host.rules()
    seen = stopped(host)
    report.check("with remove_on_stop: no they stay", host.rules() == rules, host.rules())
    host.sh(f"rm {KEPT} && systemctl start netkeel")
    host.in_order()


def stopped(host):
    """What is there after a stop."""
    host.sh("systemctl stop netkeel")
    return {
        "tables": host.sh("nft list tables"),
        "processes": host.sh("pgrep -c netkeel || true"),
        "mtu": host.mtu("cali0"),
        "rmem_max": host.sh("cat /proc/sys/net/core/rmem_max"),
    }
