"""netkeel plans the same from Hiera data, from Ansible variables and from a document; Hiera data merge as in Puppet."""

import json
import subprocess

import pytest
from conftest import HERE, REPOSITORY, netkeel_binary


def planned(dialect, name):
    """The plan for a saved host, without the places that the values came from."""
    return plan_of(dialect, "-f", HERE / "documents" / name)


def plan_of(dialect, *files):
    """The same from any files."""
    words = [netkeel_binary(), "plan", "--from", dialect, *files]
    words += ["--snapshot", REPOSITORY / "examples" / "host.json", "--output", "json"]
    done = subprocess.run(words, capture_output=True, text=True, timeout=60, check=False)
    # That snapshot knows nothing of rules of nftables, which each plan must say.
    assert done.stdout, done.stderr
    plan = json.loads(done.stdout)
    for drift in plan["drift"]:
        del drift["source"], drift["path"]
    return plan


def test_three_dialects_say_the_same():
    native = planned("native", "host.yaml")
    assert len(native["drift"]) > 10
    assert planned("hiera", "data.yaml") == native
    assert planned("ansible", "vars.yaml") == native


# Data of a fleet and of a host: vectors, lists and entries that only one of them wants.
LEVELS = {
    "common": {
        "netkeel::sysctl": {"net.ipv4.tcp_rmem": [4096, 131072, 6291456], "net.ipv4.ping_group_range": [1, 0], "net.ipv4.ip_forward": 1},
        "netkeel::nflog": {"ptb": {"interfaces": ["eth0", "eth1"], "group": 33}, "other": {"interfaces": ["eth2"], "group": 34}},
        "netkeel::link": {"eth0": {"mtu": 1400, "txqueuelen": 500}, "eth1": {"mtu": 1400}},
        "netkeel::tunnel": {"ipip0": {"mode": "ipip", "addresses": ["127.0.0.42/32"]}},
        "netkeel::allow": {"NK013": "known"},
    },
    "host": {
        "netkeel::sysctl": {"net.ipv4.tcp_rmem": [4096, 6291456, 6291456], "net.ipv4.ping_group_range": [0, 0], "net.ipv4.ip_forward": None},
        "netkeel::nflog": {"ptb": {"interfaces": ["--eth1", "eth2"]}, "other": "--"},
        "netkeel::link": {"eth0": {"txqueuelen": "--"}, "eth1": "--"},
        "netkeel::tunnel": {"ipip0": {"addresses": ["--", "127.0.0.43/32"]}},
        "netkeel::allow": {"NK013": None},
        "netkeel::wireguard": "--",
    },
}
# Requests of a site.
OPTIONS = [
    {},
    {"netkeel::sysctl": {"merge": "deep"}, "netkeel::nflog": {"merge": "first"}},
    {"netkeel::sysctl": {"merge": "first"}, "netkeel::link": {"merge": "hash"}},
    {"netkeel::nflog": {"merge": {"strategy": "deep", "sort_merged_arrays": True}}, "netkeel::tunnel": {"merge": "deep"}},
    {"^netkeel::": {"merge": "first"}},
]


@pytest.mark.parametrize("options", OPTIONS, ids=lambda options: "-".join(options).replace("netkeel::", "") or "none")
def test_the_planner_merges_as_the_class_does(scratch, options):
    """The document that Puppet writes from two levels, and the plan from the same levels without Puppet."""
    levels = {**LEVELS, "common": {**LEVELS["common"], "lookup_options": options}}
    for name, data in levels.items():
        (scratch.directory / f"{name}.yaml").write_text(json.dumps(data), encoding="utf-8")
    hierarchy = [{"name": name, "path": f"{scratch.directory}/{name}.yaml"} for name in ("host", "common")]
    site = f"class {{ 'netkeel': install => 'none', manage_service => false, converge => 'exec', binary => '/bin/true', candidate_directory => '{scratch.directory}/d' }}"
    run = scratch.run(
        "$PUPPET --hiera_config hiera.json site.pp", hiera_json=json.dumps({"version": 5, "hierarchy": hierarchy}), site_pp=site
    )
    assert run.code in (0, 2), run
    by_class = plan_of("native", "-f", scratch.directory / "d" / "50-hiera.yaml")
    assert plan_of("hiera", "-f", scratch.directory / "common.yaml", "-f", scratch.directory / "host.yaml") == by_class
