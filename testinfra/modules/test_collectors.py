"""The play, the fact and the loop of docs/how-to/review-a-change.md that collect snapshots: each runs as it stands on the page, and a
plan for what it collected is the plan for the host."""

import re

import pytest
from conftest import REPOSITORY

PAGE = REPOSITORY / "docs" / "how-to" / "review-a-change.md"
OLD = "version: 1\nlink: { veth0: { mtu: 1500 } }\n"
# A sysctl that only the new document names.
NEW = "version: 1\nlink: { veth0: { mtu: 1400 } }\nsysctl: { net.ipv4.conf.veth0.log_martians: 1, net.ipv4.tcp_mtu_probing: 1 }\n"

# The collectors find netkeel in the path.
BEFORE = """set -e
mkdir -p bin snapshots site && ln netkeel bin/netkeel && mount --bind bin /usr/local/bin
netkeel plan -f new.yaml --output json >live
"""
AFTER = """
netkeel plan -f new.yaml --snapshot snapshots/worker1.json --output json >saved
cmp live saved
netkeel review old.yaml new.yaml --snapshots snapshots
"""

# One node, whose pod is this host.
KUBECTL = """#!/bin/sh
case "$*" in
"-n netkeel get pods -l app.kubernetes.io/name=netkeel -o name") echo pod/netkeel-x7k2p ;;
"-n netkeel get pod/netkeel-x7k2p -o jsonpath={.spec.nodeName}") printf worker1 ;;
"-n netkeel exec -i pod/netkeel-x7k2p -- "*) shift 6 && exec "$@" ;;
*) echo "kubectl: what is $*" >&2; exit 1 ;;
esac
"""


def block(language, word):
    """The block of the section about snapshots that has this word."""
    text = PAGE.read_text(encoding="utf-8").split("### Collect snapshots\n")[1].split("\n## ")[0]
    (found,) = [block for block in re.findall(rf"^```{language}\n(.*?)^```$", text, re.M | re.S) if word in block]
    return found


def ansible():
    # The play becomes root by sudo, and is root here.
    variables = '{"ansible_become": false, "ansible_python_interpreter": "{{ ansible_playbook_python }}"}'
    play = f"ansible-playbook -i worker1, -c local -e '{variables}' collect.yml"
    return f"cp new.yaml site/new.yaml && {play} >said 2>&1 || {{ cat said; exit 1; }}", {"collect_yml": block("yaml fragment", "netkeel observe")}


def puppet():
    fact = (
        "mkdir -p /etc/netkeel facts.d && cp new.yaml /etc/netkeel/review.yaml\n"
        "install -m 755 fact.sh facts.d/netkeel_snapshot\n"
        "facter --external-dir facts.d --json netkeel_snapshot >facts.json\n"
        "python3 -c 'import json; print(json.dumps(json.load(open(\"facts.json\"))[\"netkeel_snapshot\"]))' >snapshots/worker1.json"
    )
    return fact, {"fact_sh": block("sh", "netkeel_snapshot")}


def kubernetes():
    return "install -m 755 kubectl.sh bin/kubectl && sh -e loop.sh", {"kubectl_sh": KUBECTL, "loop_sh": block("sh", "kubectl")}


@pytest.mark.parametrize("collector", [ansible, puppet, kubernetes])
def test_a_plan_for_what_is_collected_is_the_plan_for_the_host(scratch, collector):
    scratch.netkeel()
    script, files = collector()
    seen = scratch.run(BEFORE + script + AFTER, new_yaml=NEW, old_yaml=OLD, **files)
    assert seen.code == 0 and "1 of 1 host change" in seen.output, str(seen)
