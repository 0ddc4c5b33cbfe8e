"""A host is as its documents declare, and will be after the next boot. netkeel itself is asked last."""

import fnmatch
import json
import re
import time

from declared import rp_filter, switch

# Seconds.
LIMIT = 120


def interfaces(host, *only):
    """Interfaces as `ip` describes them, by name."""
    every = json.loads(host.check_output("ip -j -d address show"))
    return {link["ifname"]: link for link in every if not only or link["ifname"] in only}


def kind(link):
    """The kind of an interface: veth, vlan, ipip..."""
    return link.get("linkinfo", {}).get("info_kind")


def meant(host, name, settings):
    """The interfaces that an entry of `link` is for."""
    match = settings.get("match")
    if not match:
        return interfaces(host, name)
    fits = re.compile(fnmatch.translate(match.get("name", "*")))
    return {
        name: link
        for name, link in interfaces(host).items()
        if fits.match(name) and match.get("kind") in (None, kind(link)) and "driver" not in match
    }


def value(host, key):
    """The words of a sysctl."""
    return host.file(f"/proc/sys/{key}").content_string.split()


def effective_filter(host, interface):
    """The larger one of `all` and of the interface's own counts."""
    return max(int(value(host, f"net/ipv4/conf/{scope}/rp_filter")[0]) for scope in ("all", interface.replace(".", "/")))


def test_link(host, link):
    """MTU, state and queue, and the reverse path filter that counts."""
    name, settings = link
    found = meant(host, name, settings)
    if not settings.get("match"):
        assert found, f"there is no {name}"
    for interface, seen in found.items():
        if isinstance(settings.get("mtu"), (int, str)):
            assert seen["mtu"] == int(settings["mtu"]), interface
        if "up" in settings:
            assert ("UP" in seen["flags"]) == switch(settings["up"]), interface
        if "txqueuelen" in settings:
            assert seen["txqlen"] == int(settings["txqueuelen"]), interface
        if "rp_filter" in settings:
            assert effective_filter(host, interface) == rp_filter(settings["rp_filter"]), interface


def test_tunnel(host, tunnel):
    """It is of its mode, takes what anybody encapsulates, is up and bears its addresses."""
    name, settings = tunnel
    found = interfaces(host, name)
    assert found, f"there is no {name}"
    seen = found[name]
    assert (kind(seen), seen["linkinfo"]["info_data"].get("external")) == (settings["mode"], True)
    assert ("UP" in seen["flags"]) == switch(settings.get("up", True))
    addresses = {f"{address['local']}/{address['prefixlen']}" for address in seen["addr_info"]}
    assert set(settings.get("addresses", [])) <= addresses
    if "rp_filter" in settings:
        assert effective_filter(host, name) == rp_filter(settings["rp_filter"])


def test_sysctl_live(host, sysctl):
    """What the kernel has now."""
    key, wanted = sysctl
    assert value(host, key) == wanted


def test_sysctl_at_boot(host, sysctl, document):
    """What the last file that names it says: a later name wins, and of one name the directory that comes first."""
    if not switch(document.get("persist", True)):
        assert not drop_ins(host, "90-netkeel"), "a drop-in, although nothing is to persist"
        return
    key, wanted = sysctl
    said = None
    for path in drop_ins(host):
        for line in host.file(path).content_string.splitlines():
            name, separator, text = line.strip().lstrip("-").partition("=")
            if separator and name.strip() in (key, key.translate(str.maketrans("./", "/."))):
                said = (path, text.split())
    assert said and said[1] == wanted, said


def drop_ins(host, prefix=""):
    """The files of sysctl.d in the order in which they count."""
    by_name = {}
    for directory in ("/usr/lib/sysctl.d", "/usr/local/lib/sysctl.d", "/run/sysctl.d", "/etc/sysctl.d"):
        listed = host.run(f"ls {directory}").stdout.split()
        by_name.update({name: f"{directory}/{name}" for name in listed if name.endswith(".conf") and name.startswith(prefix)})
    return [by_name[name] for name in sorted(by_name)]


def test_nflog(host, nflog):
    """Each interface has its rule for either family, in netkeel's own table."""
    name, settings = nflog
    chain = host.check_output(f"nft list chain inet netkeel nflog-{name}")
    for interface in settings["interfaces"]:
        rules = [rule for rule in chain.splitlines() if f'"{interface}"' in rule and f"group {settings.get('group', 33)}" in rule]
        assert any("icmp type" in rule for rule in rules) and any("icmpv6 type" in rule for rule in rules), chain


def test_cni(host, cni):
    """The configuration that the container runtime loads gives new pods this MTU, as a number."""
    _, settings = cni
    path = settings.get("file")
    if not path:
        listed = host.check_output("ls /etc/cni/net.d").split()
        path = f"/etc/cni/net.d/{min(name for name in listed if name.endswith(('.conf', '.conflist', '.json')))}"
    found = [plugin for plugin in plugins(json.loads(host.file(path).content_string)) if plugin.get("type") == settings["plugin"]]
    assert found, f"no {settings['plugin']} in {path}"
    if isinstance(settings["mtu"], (int, str)):
        assert [plugin.get("mtu") for plugin in found] == [int(settings["mtu"])] * len(found)


def plugins(configuration):
    """Every object of a configuration: plugins stand in lists and below delegates."""
    if isinstance(configuration, dict):
        yield configuration
        configuration = list(configuration.values())
    if isinstance(configuration, list):
        for inner in configuration:
            yield from plugins(inner)


def test_unit(host, unit):
    """The service runs, the boot unit has not failed, and both will be started at the next boot."""
    service = host.service(unit)
    seen = host.run(f"systemctl status --no-pager {unit}").stdout
    assert service.is_enabled
    assert service.is_running if unit == "netkeel" else host.run(f"systemctl is-failed {unit}").rc != 0, seen


def test_metrics(host, metrics_address, document):
    """The service is well, nothing differs, and it sees the MTUs that are there."""
    fetch = f"import urllib.request as u; print(u.urlopen('http://{metrics_address}/metrics', timeout=20).read().decode())"
    # A service that was started just now has not looked at everything yet.
    end = time.monotonic() + LIMIT
    while True:
        lines = host.run(f'python3 -c "{fetch}"').stdout.splitlines()
        metrics = {line.rsplit(" ", 1)[0]: float(line.rsplit(" ", 1)[1]) for line in lines if line and not line.startswith("#")}
        drift = {name: drift for name, drift in metrics.items() if name.startswith("netkeel_drift_facts") and drift}
        if metrics.get("netkeel_healthy") == 1 and not drift or time.monotonic() > end:
            break
        time.sleep(1)
    assert metrics.get("netkeel_healthy") == 1, metrics
    assert not drift
    for name, settings in (document.get("link") or {}).items():
        # Interfaces that a match finds have no series of their own.
        if "mtu" in settings and "match" not in settings:
            for interface, seen in meant(host, name, settings).items():
                assert metrics[f'netkeel_interface_mtu_bytes{{device="{interface}"}}'] == seen["mtu"]


def test_netkeel_finds_no_difference(host):
    """What it has been told to keep is as it was told."""
    checked = host.run("netkeel check")
    assert checked.rc == 0, checked.stdout + checked.stderr
