"""The blocks of docs/how-to/{puppet,ansible,review-a-change}.md are the real output of Puppet, Ansible and octocatalog-diff;
NETKEEL_BLESS=1 writes them."""

import json
import os
import re
import shutil
import subprocess

from conftest import REPOSITORY, netkeel_binary

# What differs from run to run, and lines that say nothing of netkeel.
OF_EVERY_RUN = re.compile(r"Notice: (Compiled|Applied) catalog|Notice: (Class|Stage)\[|.*: Would have triggered|Warning: Could not retrieve")
SYSCTL = {"net.ipv4.conf.all.rp_filter": 0, "net.ipv4.conf.default.rp_filter": 1}
PLAY = [
    {
        "hosts": "all",
        "connection": "local",
        "gather_subset": ["min"],
        "vars": {
            "ansible_python_interpreter": "{{ ansible_playbook_python }}",
            "netkeel_program_sources": {name: str(netkeel_binary()) for name in ("x86_64", "aarch64")},
            "netkeel_service": False,
            "netkeel_sysctl": SYSCTL,
            "netkeel_link": {"veth0": {"mtu": "{{ mtu | default(1460) }}", "rp_filter": "strict"}},
        },
        "roles": ["netkeel.netkeel.netkeel"],
    }
]
CONTROL = {
    "environment.conf": "modulepath = modules:$basemodulepath\n",
    "manifests/site.pp": "include netkeel\n",
    "hiera.yaml": "version: 5\ndefaults: { datadir: data, data_hash: yaml_data }\nhierarchy:\n"
    '  - { name: node, path: "node/%{facts.networking.hostname}.yaml" }\n  - { name: common, path: common.yaml }\n',
    "data/common.yaml": "netkeel::link:\n  pods: { match: { name: 'cali*', kind: veth }, mtu: 1480, rp_filter: strict }\n",
    "facts.yaml": "--- !ruby/object:Puppet::Node::Facts\nname: worker1.example.org\nvalues:\n"
    "  networking: { fqdn: worker1.example.org, hostname: worker1, primary: eth0 }\n  kernel: Linux\n",
}
CHANGE = {"data/node/worker1.yaml": "netkeel::link:\n  pods: { mtu: 1460 }\n"}


def hold(page, command, output):
    """Compares what a page shows below a command with what came of it."""
    path = REPOSITORY / "docs" / page
    text = path.read_text(encoding="utf-8")
    begin = text.index(f"```text\n{command}\n") + len(f"```text\n{command}\n")
    end = text.index("```\n", begin)
    output = "".join(f"{line.rstrip()}\n" for line in output.splitlines())
    if os.environ.get("NETKEEL_BLESS") == "1":
        path.write_text(text[:begin] + output + text[end:], encoding="utf-8")
    else:
        assert output == text[begin:end], f"{page} shows something else below {command}"


def of_the_task(output):
    """What the comparison of the role printed."""
    (task,) = re.findall(r"^(TASK \[netkeel\.netkeel\.netkeel : Make the host as declared\].*?)\n\n(?:TASK|PLAY)", output, re.M | re.S)
    return task


def test_puppet_shows(scratch):
    values = "".join(f"'{key}' => {value}, " for key, value in SYSCTL.items())
    site = (
        f"class {{ 'netkeel': install => 'none', binary => '{scratch.netkeel()}', manage_service => false, sysctl => {{ {values}}} }}\n"
        "netkeel::link { 'veth0': mtu => 1460, rp_filter => 'strict' }\n"
    )
    seen = scratch.run("$PUPPET --noop site.pp", site_pp=site)
    assert seen.code == 0, seen
    lines = [line for line in seen.output.splitlines() if not OF_EVERY_RUN.match(line)]
    hold("how-to/puppet.md", "# puppet apply --noop --show_diff site.pp", "\n".join(lines))


def test_ansible_shows(scratch):
    play = "ansible-playbook -i worker1, site.yml"
    script = f"{play} --check --diff; echo ==; {play} >/dev/null; {play} --check --diff -e mtu=1400"
    seen = scratch.run(script, site_yml=json.dumps(PLAY))
    assert seen.code == 0, seen
    fresh, later = seen.output.split("\n==\n")
    hold("how-to/review-a-change.md", "$ ansible-playbook site.yml --check --diff --limit worker1", of_the_task(fresh))
    hold("how-to/ansible.md", "# ansible-playbook site.yml --check --diff -e mtu=1400", of_the_task(later))


def test_a_plan_shows(tmp_path):
    """For a comment of a review; what is folded below the table is not shown."""
    write(tmp_path, {"data/common.yaml": CONTROL["data/common.yaml"], **CHANGE})
    (tmp_path / "snapshots").mkdir()
    shutil.copy(REPOSITORY / "examples" / "host.json", tmp_path / "snapshots" / "worker1.json")
    words = ["plan", "--from", "hiera", "-f", "data/common.yaml", "-f", "data/node/worker1.yaml"]
    words += ["--snapshot", "snapshots/worker1.json", "--output", "markdown"]
    run = subprocess.run([netkeel_binary(), *words], cwd=tmp_path, capture_output=True, text=True, timeout=60, check=True)
    hold("how-to/review-a-change.md", "$ netkeel " + " ".join(words), run.stdout.split("\n<details>")[0])


def write(directory, files):
    """Writes files below a directory."""
    for name, text in files.items():
        (directory / name).parent.mkdir(parents=True, exist_ok=True)
        (directory / name).write_text(text, encoding="utf-8")


def test_octocatalog_diff_shows(tmp_path):
    """A change of data for one node, in the catalogs of two branches."""

    def commit(branch, files):
        write(tmp_path, files)
        done("git", "checkout", "--quiet", "-B", branch)
        done("git", "add", "--all")
        done("git", "-c", "user.name=netkeel", "-c", "user.email=netkeel@example.org", "commit", "--quiet", "--message", branch)

    def done(*words, code=0):
        environment = {**os.environ, "HOME": str(tmp_path / "home"), "NO_COLOR": "1"}
        run = subprocess.run(words, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=300, check=False)
        assert run.returncode == code, f"{words}: {run.stdout}{run.stderr}"
        return run.stdout

    done("git", "init", "--quiet")
    shutil.copytree(REPOSITORY / "puppet", tmp_path / "modules" / "netkeel", ignore=shutil.ignore_patterns("spec", "examples"))
    commit("main", CONTROL)
    commit("staging", CHANGE)
    words = ["octocatalog-diff", "-n", "worker1.example.org", "-f", "main", "-t", "staging", "--fact-file", "facts.yaml"]
    words += ["--hiera-config", "hiera.yaml", "--no-hiera-path-strip", "--basedir", ".", "--puppet-binary", "/usr/bin/puppet"]
    # With 2 it says that the catalogs differ.
    hold("how-to/review-a-change.md", "$ " + " ".join(words), done(*words, "--no-color", code=2))
