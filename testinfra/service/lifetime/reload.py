"""systemctl reload: another document, a bad one, and the good one again."""

from .host import DOCUMENTS, worker

CHANGED = f"{DOCUMENTS}/20-changed.yaml"


def run(report, host, _soak):
    """All of it, without the service or its worker being started again."""
    report.heading("systemctl reload")
    status = host.in_order()
    first, same = status["document"]["hash"], (status["pid"], worker(status))

    loads = host.metric("netkeel_document_loads_total")
    code, text = host.call("systemctl reload netkeel")
    report.check("systemctl reload succeeds", code == 0, text or "exit 0")
    host.until("the document was read again", lambda _: host.metric("netkeel_document_loads_total") > loads)

    write(host, "version: 1\nlink:\n  pods: { mtu: 1420 }\n")
    status = host.until("the changed document is in force", lambda now: now["document"]["hash"] != first)
    second, mtu = status["document"]["hash"], host.until_mtu("cali0", 1420)
    report.check("a changed document is in force", mtu == "1420", f"cali0 has {mtu}")

    since = host.cursor()
    write(host, "version: 1\nlink:\n  pods: { mtu: 12 }\n")
    status = host.until("the bad document is told", lambda now: now["document"]["rejected"])
    why = status["document"]["rejected"]
    report.check("status says why a bad one is not taken", "20-changed.yaml" in why and "mtu" in why, why)
    report.check("the one before stays in force", status["document"]["hash"] == second, status["document"]["hash"])
    report.check("the metric says so", host.metric("netkeel_document_rejected") == 1, "netkeel_document_rejected 1")
    said = host.logged("event=document-rejected", since)
    report.check("the log says so", said, said[:1])
    text = host.sh("netkeel status")
    report.check("status reports the rejection", "REJECTED" in text, text)
    host.sh("ip link set cali0 mtu 1500")
    mtu = host.until_mtu("cali0", 1420)
    report.check("it is kept", mtu == "1420", f"cali0 has {mtu}")
    state = host.sh("systemctl is-active netkeel"), (host.status()["pid"], worker(host.status())) == same
    report.check("service and worker are those from before", state == ("active", True), state)

    host.sh("systemctl restart netkeel")
    status = host.until("it has the last good document", lambda now: now["document"]["hash"] == second)
    report.check("started anew it keeps the last good one, and says so", status["document"]["rejected"], status["document"])
    host.sh(f"rm {CHANGED} && systemctl reload netkeel")
    status = host.until("the first document is in force", lambda now: now["document"]["hash"] == first)
    mtu = host.until_mtu("cali0", 1460)
    report.check("a good one is taken again", (mtu, status["document"]["rejected"]) == ("1460", None), f"cali0 has {mtu}")
    host.in_order()
    host.replicates(report, "after the reloads")


def write(host, text):
    """Writes a layer above the document, and has it read."""
    host.sh(f"cat > {CHANGED}.new <<'END'\n{text}END\nmv {CHANGED}.new {CHANGED} && systemctl reload netkeel")
