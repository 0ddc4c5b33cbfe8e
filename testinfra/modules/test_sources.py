"""What the lab's hosts are told in Hiera, in Ansible's variables and in a document of netkeel is the same to netkeel."""

import json
import subprocess

from conftest import HERE, REPOSITORY, netkeel_binary


def planned(dialect, name):
    """The plan for a saved host, without the places that the values came from."""
    words = [netkeel_binary(), "plan", "--from", dialect, "-f", HERE / "documents" / name]
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
