"""netkeel itself as a module of Ansible: the program in a playbook's library, without the collection and without Python."""

import json
import shutil

import pytest
from conftest import netkeel_binary

LINK = {"veth0": {"mtu": 1460, "rp_filter": "strict"}}
STATE = "; echo status $?; echo mtu $(ip -o link show veth0 | grep -o 'mtu [0-9]*' | cut -d' ' -f2); "


def play(scratch, arguments, *modes):
    """Runs a playbook of one task once for each mode, and returns what each run printed."""
    library = scratch.directory / "library"
    library.mkdir()
    shutil.copy(netkeel_binary(), library / "netkeel_host")
    plays = [{"hosts": "localhost", "connection": "local", "gather_facts": False, "tasks": [{"netkeel_host": arguments}]}]
    script = "".join(f"ansible-playbook --diff{mode} site.yml{STATE}" for mode in modes)
    seen = scratch.run(f"({script}) 2>&1", site_yml=json.dumps(plays))
    runs = seen.output.split("PLAY [localhost]")[1:]
    assert len(runs) == len(modes), seen
    return runs


def test_check_looks_a_run_changes_and_the_next_does_not(scratch):
    check, first, second = play(scratch, {"document": {"link": LINK}}, " --check", "", "")
    for drift in (check, first):
        assert "1500 -> 1460" in drift and "Drift: 3 of 3 declared facts" in drift and "changed=1" in drift, drift
    assert "status 0\nmtu 1500" in check, check
    assert "status 0\nmtu 1460" in first, first
    assert "changed=0" in second and "1500 -> 1460" not in second and "status 0\nmtu 1460" in second, second
    # Findings are warnings, also when nothing changes.
    assert all("[WARNING]: netkeel NK013 veth0: " in run for run in (check, first, second)), second


def test_documents_of_the_host_and_words_for_booleans(scratch):
    (scratch.directory / "host.json").write_text(json.dumps({"version": 1, "link": LINK}), encoding="utf-8")
    (run,) = play(scratch, f"src={scratch.directory}/host.json allow_lossy=yes prune=no lock_timeout=5", "")
    assert "changed=1" in run and "status 0\nmtu 1460" in run, run


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"document": {"link": {"veth0": {"mtu": 1}}}}, "veth0"),
        ({"document": {"link": LINK}, "purge": True}, "unknown argument: purge"),
        ({"document": {"link": LINK}, "src": "/etc/netkeel/desired.d"}, "either document or src, not both"),
        ({"document": {"link": LINK}, "prune": "perhaps"}, "neither true nor false"),
        ({}, "set document or src"),
    ],
)
def test_what_is_wrong_fails_in_netkeels_words(scratch, arguments, said):
    for run in play(scratch, arguments, " --check", ""):
        assert "failed=1" in run and said in run and "status 2\nmtu 1500" in run, run
