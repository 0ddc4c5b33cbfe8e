"""What Puppet and Ansible make of netkeel: noop and check show the live difference and change nothing, a run changes, the next
one does not; and whatever goes wrong is a failure in netkeel's own words, never "in sync"."""

import json

import pytest
from conftest import netkeel_binary

# What the host is to be, with something to change: a new veth has no reverse path filter and an MTU of 1500.
DOCUMENT = {
    "sysctl": {"net.ipv4.conf.all.rp_filter": 0, "net.ipv4.conf.default.rp_filter": 1},
    "link": {"veth0": {"mtu": 1460, "rp_filter": "strict"}},
}
DRIFT = ("~ link veth0", "1500 -> 1460", "Drift: 4 of 5 declared facts", "Plan: 1 to create, 3 to change")
# What is to be seen of the host after each run.
STATE = "; echo status $?; echo state $(ip -o link show veth0 | sed 's/.* mtu \\([0-9]*\\).*/\\1/') $(ls /etc/netkeel/desired.d /etc/sysctl.d 2>/dev/null | grep -c netkeel.conf); "
UNTOUCHED, DONE = "state 1500 0", "state 1460 1"
# A package manager that has nothing to install.
PACKAGE_MANAGER = """
from ansible.module_utils.basic import AnsibleModule

options = {"name": {"type": "str"}, "state": {"type": "str"}}
AnsibleModule(argument_spec=options, supports_check_mode=True).exit_json(changed=True)
"""
# The rest of a stand-in.
SEES_A_DIFFERENCE = (
    'case "$1 $*" in',
    "check*) exit 2 ;;",
    """plan*json*) echo '{"in_sync": false, "steps": [{"command": "ip link set dev veth0 mtu 1460"}], "drift": []}' ;;""",
    "plan*) echo 'Plan: 0 to create, 1 to change'; exit 2 ;;",
    "esac",
)


class Puppet:
    """puppet apply of the class, by the type or by the execs."""

    name = "puppet"
    dry, wet = " --noop", ""

    def __init__(self, converge):
        self.converge = converge
        # Of a run with a difference: that of the execs counts what it showed.
        self.statuses = {"dry": 2 if converge == "exec" else 0, "changed": 2, "clean": 0}
        self.failed = (4, 6)

    def files(self, binary, document, timeout):
        parameters = {"sysctl": {}, "link": {}, **document}
        values = "".join(f"{name} => {puppet_value(value)},\n" for name, value in parameters.items())
        return {
            "site_pp": f"class {{ 'netkeel':\n{values} install => 'none', binary => '{binary}', timeout => {timeout},\n"
            f"manage_service => false, converge => '{self.converge}', candidate_directory => '/run/candidate.d' }}\n"
        }

    def command(self, mode):
        return f"$PUPPET{mode} site.pp"


class Ansible:
    """ansible-playbook with the role."""

    name = "ansible"
    dry, wet = " --check", ""
    statuses = {"dry": 0, "changed": 0, "clean": 0}
    failed = (2,)

    def files(self, binary, document, timeout, **variables):
        play = {
            "hosts": "localhost",
            "connection": "local",
            "gather_facts": variables.get("netkeel_install") == "file",
            "gather_subset": ["min"],
            "vars": {
                "ansible_python_interpreter": "{{ ansible_playbook_python }}",
                "netkeel_install": "none",
                "netkeel_program": str(binary),
                "netkeel_service": False,
                "netkeel_timeout": timeout,
                "netkeel_document": document,
                **variables,
            },
            "roles": ["netkeel.netkeel.netkeel"],
        }
        return {"site_yml": json.dumps([play])}

    def command(self, mode):
        return f"ansible-playbook --diff{mode} site.yml"


def puppet_value(value):
    """A value as Puppet writes it."""
    if isinstance(value, dict):
        return "{ " + ", ".join(f"'{key}' => {puppet_value(inner)}" for key, inner in value.items()) + " }"
    return f"'{value}'" if isinstance(value, str) else str(value).lower()


@pytest.fixture(params=[Puppet("type"), Puppet("exec"), Ansible()], ids=["puppet-type", "puppet-exec", "ansible"])
def tool(request):
    """Each way in which a site may use netkeel."""
    return request.param


def runs(scratch, tool, binary, *modes, document=None, timeout=60, before="", **variables):
    """Runs the tool once for each mode on one host; what each run printed with its exit status and the state after it."""
    script = before + "; ".join(f"({tool.command(mode)}) 2>&1{STATE}echo ==" for mode in modes)
    whole = scratch.run(script, **tool.files(binary, document or DOCUMENT, timeout, **variables))
    parts = whole.output.split("\n==\n")[:-1]
    assert len(parts) == len(modes), whole
    return parts


def status(part):
    """The exit status of a run."""
    return int(part.rsplit("status ", 1)[1].split()[0])


def test_shows_then_changes_then_is_clean(scratch, tool):
    dry, changed, clean = runs(scratch, tool, scratch.netkeel(), tool.dry, tool.wet, tool.wet)
    assert status(dry) == tool.statuses["dry"] and UNTOUCHED in dry, dry
    assert all(words in dry for words in DRIFT), dry
    assert status(changed) == tool.statuses["changed"] and DONE in changed, changed
    assert status(clean) == tool.statuses["clean"] and DONE in clean and "Drift" not in clean, clean
    assert changed.count("1500 -> 1460") == 1, changed
    if tool.name == "ansible":
        assert "changed=1 " in dry and "changed=1 " in changed and "changed=0 " in clean


@pytest.mark.parametrize("tool", [Puppet("type"), Ansible()], ids=["puppet-type", "ansible"])
def test_findings_are_warnings_also_when_nothing_changes(scratch, tool):
    document = dict(DOCUMENT, link={**DOCUMENT["link"], "etho": {"mtu": 1400}})
    for part in runs(scratch, tool, scratch.netkeel(), tool.dry, tool.wet, tool.wet, document=document):
        said = [line for line in part.splitlines() if "Warning: /Stage" in line or "[WARNING]: netkeel" in line]
        assert [code for line in said for code in ("NK005 etho: ", "NK013 veth0: ") if code in line] == ["NK005 etho: ", "NK013 veth0: "], part


class TestPuppetAppliesWhatItCompared:
    """A document file that this run simulates or skips counts as it is on the disk; under noop, one that it would write counts as new."""

    LATER = dict(DOCUMENT, link={"veth0": {"mtu": 1400, "rp_filter": "strict"}})
    SIMULATED = "File <| title == '/etc/netkeel/desired.d/50-hiera.yaml' |> { noop => true }\n"

    def second(self, scratch, options, more=""):
        """A second run with another document: its output and the state after it."""
        tool, binary = Puppet("type"), scratch.netkeel()
        later = tool.files(binary, self.LATER, 60)["site_pp"] + more
        files = {**tool.files(binary, DOCUMENT, 60), "later_pp": later}
        first, second = tool.command(tool.wet), tool.command(options).replace("site.", "later.")
        seen = scratch.run(f"{first} >/dev/null 2>&1; ({second}) 2>&1{STATE}", **files)
        return seen.output

    def test_a_simulated_file(self, scratch):
        for options in ("", " --noop"):
            seen = self.second(scratch, options, self.SIMULATED)
            assert "should be '{sha256}" in seen and "(noop)" in seen and "Netkeel_host[default]/settings" not in seen, seen
            assert DONE in seen, seen

    def test_a_skipped_file(self, scratch):
        for options in (" --tags netkeel::converge", " --noop --tags netkeel::converge"):
            seen = self.second(scratch, options)
            assert "Netkeel_host[default]/settings" not in seen and "1400" not in seen and DONE in seen, seen

    def test_a_file_that_a_simulation_would_write(self, scratch):
        seen = self.second(scratch, " --noop")
        assert seen.count("1460 -> 1400") == 1 and DONE in seen, seen

    def test_a_file_that_a_run_writes(self, scratch):
        seen = self.second(scratch, "")
        assert seen.count("1460 -> 1400") == 1 and "state 1400 1" in seen, seen


def test_puppet_resource_shows_the_host(scratch):
    """With the program that is in the path, and the documents in their usual place."""
    scratch.netkeel()
    script = f"""
        mkdir -p /etc/netkeel/desired.d bin && ln netkeel bin/netkeel && mount --bind bin /usr/local/bin && cp host.json /etc/netkeel/desired.d/
        show() {{ puppet resource --modulepath modules --confdir puppet --vardir var --ssldir ssl netkeel_host 2>&1; }}
        show; netkeel apply >/dev/null; echo ==; show
        """
    seen = scratch.run(script, host_json=json.dumps({"version": 1, **DOCUMENT}))
    before, after = seen.output.split("==\n")
    assert "netkeel_host { 'default':" in before and "settings => 'differs'" in before, seen
    assert "settings => 'as_declared'" in after, seen


def test_a_define_that_is_absent_is_given_back(scratch):
    """With `prune`, of what the define wrote."""
    tool, binary = Puppet("type"), scratch.netkeel()
    site = tool.files(binary, {"prune": True}, 60)["site_pp"]
    define = "netkeel::link {{ 'the uplink': ensure => {}, interface => 'veth0', mtu => 1400 }}\n"
    command = tool.command(tool.wet)
    script = f"({command}{STATE}{command.replace('site.', 'later.')}{STATE}) 2>&1"
    seen = scratch.run(script, site_pp=site + define.format("present"), later_pp=site + define.format("absent"))
    assert "state 1400 " in seen.output and seen.output.rstrip().endswith("state 1500 0"), seen


def test_two_spellings_of_one_sysctl_are_refused(scratch):
    tool = Puppet("type")
    files = tool.files(scratch.netkeel(), DOCUMENT, 60)
    files["site_pp"] += "netkeel::sysctl { 'net.ipv4.ip_forward': value => 0; 'net/ipv4/ip_forward': value => 1 }\n"
    seen = scratch.run(f"({tool.command(tool.wet)}) 2>&1{STATE}", **files)
    assert "Duplicate declaration: Netkeel::Document[sysctl-net.ipv4.ip_forward]" in seen.output and UNTOUCHED in seen.output, seen


class TestAnsibleTakesBack:
    """`state: absent`, of the module by way of the role."""

    def played(self, scratch, **variables):
        """A run that writes, one that looks at what absence would do, two that do it, and what is left then."""
        binary, tool = scratch.netkeel(), Ansible()
        absent = tool.files(binary, {}, 60, netkeel_state="absent", **variables)["site_yml"]
        command = tool.command("")
        later = command.replace("site.", "later.")
        script = f"({command}{STATE}echo ==; {later} --check{STATE}echo ==; {later}{STATE}echo ==; {later}{STATE}) 2>&1; ls /etc/netkeel/desired.d"
        seen = scratch.run(script, **tool.files(binary, DOCUMENT, 60), later_yml=absent)
        parts = seen.output.split("\n==\n")
        assert len(parts) == 4, seen
        return parts

    def test_with_the_old_values(self, scratch):
        first, look, second, third = self.played(scratch, netkeel_prune=True)
        assert DONE in first and DONE in look and "1460 -> 1500" in look and "changed=1 " in look, look
        assert UNTOUCHED in second and "changed=1 " in second, second
        assert UNTOUCHED in third and "changed=0 " in third and "50-ansible.json" not in third, third

    def test_and_keeps_the_values(self, scratch):
        _, _, second, third = self.played(scratch)
        assert DONE in second and "changed=1 " in second and "NK010" in second, second
        assert DONE in third and "changed=0 " in third and "50-ansible.json" not in third, third

    def test_a_failure_puts_the_document_back(self, scratch):
        binary = scratch.program('[ "$1" != apply ] || { echo refused >&2; exit 3; }', *SEES_A_DIFFERENCE)
        play = Ansible().files(binary, {}, 60, netkeel_state="absent")["site_yml"]
        kept = "/etc/netkeel/desired.d/50-ansible.json"
        script = f"mkdir -p /etc/netkeel/desired.d; echo old >{kept}; ({Ansible().command('')}) 2>&1{STATE}cat {kept}"
        seen = scratch.run(script, site_yml=play)
        assert "refused" in seen.output and status(seen.output) == 2 and seen.output.endswith("old\n"), seen


# A systemd that knows the units that are written, and the process that runs the service's program.
SYSTEMCTL = """
echo "$@" >>{log}
case "$*" in
*MainPID*) cat {pid} ;;
"show netkeel"*) printf '%s\\n' LoadState=loaded ActiveState=active SubState=running UnitFileState=enabled FragmentPath=/etc/systemd/system/netkeel.service ;;
"show netkeel-boot"*) printf '%s\\n' LoadState=loaded ActiveState=inactive UnitFileState=enabled ;;
is-enabled*) echo enabled ;;
esac
"""


def with_systemctl(scratch):
    """Puts that systemd in place; its log."""
    log, systemctl = scratch.directory / "log", scratch.directory / "bin" / "systemctl"
    systemctl.parent.mkdir()
    systemctl.write_text("#!/bin/sh" + SYSTEMCTL.format(log=log, pid=scratch.directory / "pid"), encoding="utf-8")
    systemctl.chmod(0o755)
    return log


class TestDropInsOfTheService:
    """Those that let the service enter pods and let other hosts scrape it, as Puppet has them in puppet/spec/classes."""

    DIRECTORY = "/etc/systemd/system/netkeel.service.d"
    PODS = {"link": {"pods": {"match": {"name": "veth*"}, "mtu": 1400}}}

    def played(self, scratch, *plays, modes=None):
        """The output of each run, the drop-ins after it, and its calls of systemd. A play is a document and variables."""
        binary, log = scratch.netkeel(), with_systemctl(scratch)
        files, script = {}, "export PATH=$PWD/bin:$PATH; mkdir -p /run/systemd/system; echo 0 >pid; "
        for at, (document, variables) in enumerate(plays):
            files[f"play{at}_yml"] = Ansible().files(binary, document, 60, netkeel_service=True, **variables)["site_yml"]
            mode = (modes or [""] * len(plays))[at]
            script += f"""
                >{log}; (ansible-playbook --diff{mode} play{at}.yml) 2>&1; echo status $?
                echo @files; for file in $(ls {self.DIRECTORY} 2>/dev/null); do echo "file $file"; cat {self.DIRECTORY}/$file; done
                echo @asked; cat {log}; echo ==
                """
        seen = scratch.run(script + "./netkeel render netkeel-pods.conf", **files)
        *parts, pods = seen.output.split("\n==\n")
        assert len(parts) == len(plays) and pods.startswith("#"), seen
        self.pods = pods
        seen_of = []
        for part in parts:
            output, rest = part.split("@files\n")
            assert status(output) == 0, output
            files, asked = rest.split("@asked")
            seen_of.append((output, files, asked))
        return seen_of

    def test_both_come_with_a_restart_and_stay(self, scratch):
        variables = {"netkeel_metrics_from": ["192.0.2.0/24", "2001:db8::7"]}
        first, second = self.played(scratch, (self.PODS, variables), (self.PODS, variables))
        output, files, asked = first
        assert f"file pods.conf\n{self.pods.strip()}\n" in files, files
        assert "[Service]\nIPAddressAllow=192.0.2.0/24 2001:db8::7" in files, files
        # systemd reads drop-ins at `daemon-reload`, and a service gets them when it starts.
        assert "daemon-reload" in asked and "restart netkeel" in asked, asked
        output, again, asked = second
        assert again == files and "changed=0 " in output and "restart netkeel" not in asked, output

    def test_they_go_with_what_they_are_for(self, scratch):
        scraped = {"netkeel_metrics_from": ["192.0.2.7"]}
        for later, variables in [(DOCUMENT, {}), (self.PODS, {"netkeel_enter_pods": False})]:
            directory = scratch.directory / ("b" if variables else "a")
            directory.mkdir()
            one = type(scratch)(directory)
            first, second = self.played(one, (self.PODS, scraped), (later, variables))
            assert "file metrics.conf" in first[1] and "file pods.conf" in first[1], first
            assert "file" not in second[1] and "restart netkeel" in second[2], second

    def test_a_service_that_sets_no_pods_enters_none(self, scratch):
        others = [
            {"link": {"pods": {"match": {"name": "veth*"}, "mtu": 1400, "pod_mtu": "leave"}}},
            {"link": {"vlans": {"match": {"kind": "vlan"}, "mtu": 1400}}},
            {"link": {"veth0": {"mtu": 1400}}},
            DOCUMENT,
        ]
        *none, asked = self.played(scratch, *[(document, {}) for document in others], (DOCUMENT, {"netkeel_enter_pods": True}))
        for output, files, _ in none:
            assert files == "", (output, files)
        assert "file pods.conf" in asked[1], asked

    def test_a_check_shows_them_and_writes_none(self, scratch):
        (look,) = self.played(scratch, (self.PODS, {"netkeel_metrics_from": ["192.0.2.7"]}), modes=[" --check"])
        output, files, asked = look
        assert files == "" and "restart netkeel" not in asked, look
        assert "+IPAddressAllow=192.0.2.7" in output and "netkeel.service.d" in output, output


@pytest.mark.parametrize("current", [True, False], ids=["current", "replaced"])
def test_the_service_restarts_if_its_program_was_replaced(scratch, current):
    """By whomever: here the role does not install it."""
    binary, _ = scratch.netkeel(), with_systemctl(scratch)
    play = Ansible().files(binary, DOCUMENT, 60, netkeel_service=True)["site_yml"]
    run = f"({Ansible().command('')}) 2>&1"
    replace = "true" if current else "cp netkeel new; mv new netkeel"
    script = f"""
        export PATH=$PWD/bin:$PATH; mkdir -p /run/systemd/system /etc/netkeel/desired.d
        ./netkeel run -f /etc/netkeel/desired.d >/dev/null 2>&1 & echo $! >pid
        trap 'kill $(cat pid)' EXIT; sleep 1
        {run} >/dev/null; >log; {replace}; {run}; echo ==; cat log
        """
    seen = scratch.run(script, site_yml=play)
    output, words = seen.output.split("\n==\n")
    assert ("restart netkeel" in words) is not current, seen
    assert ("changed=0 " in output) is current, seen


def test_a_changed_document_shows_its_own_difference(scratch, tool):
    binary = scratch.netkeel()
    script = scratch.run
    tool_files = tool.files(binary, dict(DOCUMENT, link={"veth0": {"mtu": 1400, "rp_filter": "strict"}}), 60)
    later = {name.replace("site", "later"): text for name, text in tool_files.items()}
    first, second = tool.command(tool.wet), tool.command(tool.dry).replace("site.", "later.")
    seen = script(f"{first} >/dev/null 2>&1; {second}; true", **tool.files(binary, DOCUMENT, 60), **later)
    assert "1460 -> 1400" in seen.output and "Drift: 1 of 5 declared facts" in seen.output, seen


def test_what_is_declared_no_longer_is_put_back(scratch, tool):
    """With `prune`, of what netkeel wrote."""
    binary = scratch.netkeel()
    without = {"sysctl": DOCUMENT["sysctl"], "prune": True}
    later = {name.replace("site", "later"): text for name, text in tool.files(binary, without, 60).items()}
    first, second = tool.command(tool.wet), tool.command(tool.wet).replace("site.", "later.")
    files = tool.files(binary, dict(DOCUMENT, prune=True), 60)
    seen = scratch.run(f"({first}{STATE}{second}{STATE}) 2>&1", **files, **later)
    assert DONE in seen.output and seen.output.rstrip().endswith("state 1500 1"), seen


@pytest.mark.parametrize("converge", ["type", "exec"])
def test_the_drop_in_survives_a_purge(scratch, converge):
    """Of a Puppet that removes from /etc/sysctl.d what it does not know, in the first run and later."""
    tool = Puppet(converge)
    files = tool.files(scratch.netkeel(), DOCUMENT, 60)
    files["site_pp"] += "file { '/etc/sysctl.d': ensure => directory, recurse => true, purge => true }\n"
    script = f"touch /etc/sysctl.d/10-unknown.conf; ({tool.command(tool.wet)}{STATE}{tool.command(tool.wet)}{STATE}) 2>&1; ls /etc/sysctl.d"
    seen = scratch.run(script, **files)
    assert "10-unknown.conf]/ensure: removed" in seen.output and seen.output.count(DONE) == 2, seen
    assert status(seen.output) == tool.statuses["clean"] and seen.output.endswith("90-netkeel.conf\n"), seen


def test_a_look_waits_for_an_apply_that_is_at_work(scratch):
    """The service may be at work when a run looks: that is no interrupted apply. It has begun when its steps are journalled."""
    document = {"version": 1, "link": {"all": {"match": {"name": "[vw]*[0-9]"}, "mtu": 1400}}}
    script = f"""
        for i in $(seq 150); do echo "link add v$i type veth peer name w$i"; done | ip -batch -
        slowly="strace -f -qq -o /dev/null -e trace=sendto -e inject=sendto:delay_exit=3000"
        $slowly {scratch.netkeel()} apply -f host.json >/dev/null & at_work=$!
        until cat /run/netkeel/journal /run/netkeel/netns/*/journal 2>/dev/null | grep -q '^{{"begun"'; do kill -0 $at_work || exit; done
        kill -STOP $at_work
        ./netkeel check -f host.json & looks=$!
        sleep 1
        kill -CONT $at_work
        wait $looks; echo status $?
        wait $at_work; echo applied $?
        """
    seen = scratch.run(script, host_json=json.dumps(document))
    assert status(seen.output) == 0 and "In sync: 302 facts" in seen.output and "applied 0" in seen.output, seen


def test_a_missing_netkeel_is_a_failure(scratch, tool):
    for part in runs(scratch, tool, scratch.directory / "nowhere", tool.dry, tool.wet):
        assert status(part) in tool.failed and UNTOUCHED in part, part
        assert "not installed" in part or "nowhere" in part, part


def test_an_invalid_document_is_a_failure_with_all_its_errors(scratch, tool):
    wrong = {"sysctl": {"net.ipv4.conf.*.rp_filter": 1, "kernel.panic": 1}}
    for part in runs(scratch, tool, scratch.netkeel(), tool.dry, tool.wet, document=wrong):
        assert status(part) in tool.failed and UNTOUCHED in part, part
        assert "net.ipv4.conf.*.rp_filter" in part and "kernel.panic" in part and "2 errors" in part, part


@pytest.mark.parametrize("code", [3, 4])
def test_an_apply_that_fails_half_way_is_a_failure(scratch, tool, code):
    words = "error: ip link set dev veth0 mtu 1460: refused; all that was done was undone"
    fails = f'[ "$1" != apply ] || {{ echo "{words}" >&2; exit {code}; }}'
    binary = scratch.program(fails, *SEES_A_DIFFERENCE)
    (part,) = runs(scratch, tool, binary, tool.wet)
    assert status(part) in tool.failed, part
    assert "refused; all that was done was undone" in part, part


def test_a_write_that_the_kernel_refuses_is_undone_and_a_failure(scratch, tool):
    """With the real program: everything before that write is done and undone. No plan can tell the greatest number, which follows from the memory of a packet."""
    refused = "2147483647"
    document = dict(DOCUMENT, sysctl={**DOCUMENT["sysctl"], "net.ipv4.neigh.veth0.unres_qlen": refused})
    (part,) = runs(scratch, tool, scratch.netkeel(), tool.wet, document=document)
    assert status(part) in tool.failed and UNTOUCHED in part, part
    assert refused in part and "undone" in part, part


@pytest.mark.parametrize("name", ["50-ansible.conf", "50-ansible.toml", ".50-ansible.json"])
def test_a_dest_that_netkeel_would_not_read_is_a_failure(scratch, name):
    """It would be written, and nothing be done by it, ever; the second run would say that all is well."""
    dest = f"/etc/netkeel/desired.d/{name}"
    for part in runs(scratch, Ansible(), scratch.netkeel(), Ansible.dry, Ansible.wet, netkeel_dest=dest):
        assert status(part) == 2 and UNTOUCHED in part and f"netkeel would not read {dest}" in part, part


def test_a_dest_of_yaml_is_read(scratch):
    (part,) = runs(scratch, Ansible(), scratch.netkeel(), Ansible.wet, netkeel_dest="/etc/netkeel/desired.d/50-ansible.yaml")
    assert status(part) == 0 and DONE in part, part


@pytest.mark.parametrize(("document", "code"), [(DOCUMENT, 0), ({"link": {"veth0": {"mtu": 1}}}, 2)], ids=["good", "refused"])
def test_a_look_leaves_no_copy_of_the_program(scratch, document, code):
    """A check on a host without netkeel copies it, looks, and removes it, also where the look fails."""
    sources = {architecture: str(netkeel_binary()) for architecture in ("x86_64", "aarch64")}
    variables = {"netkeel_install": "file", "netkeel_program_sources": sources}
    binary = scratch.directory / "installed"
    before = f"mkdir {scratch.directory}/tmp; export TMPDIR={scratch.directory}/tmp; "
    (part,) = runs(scratch, Ansible(), binary, Ansible.dry, document=document, before=before, **variables)
    assert status(part) == code and "veth0" in part and UNTOUCHED in part, part
    assert not list((scratch.directory / "tmp").glob("netkeel-*")) and not binary.exists(), part


def test_a_look_is_with_the_program_that_would_be_installed(scratch):
    """Not with the one that it would replace."""
    sources = {architecture: str(netkeel_binary()) for architecture in ("x86_64", "aarch64")}
    variables = {"netkeel_install": "file", "netkeel_program_sources": sources}
    old = scratch.program("echo an old one >&2; exit 1")
    (part,) = runs(scratch, Ansible(), old, Ansible.dry, **variables)
    assert status(part) == 0 and all(words in part for words in DRIFT) and UNTOUCHED in part, part
    assert "an old one" in old.read_text(encoding="utf-8")


def test_a_look_before_a_package_says_that_nothing_is_known(scratch):
    """A package cannot be looked with before it is installed, and what cannot be known is no failure."""
    library = scratch.directory / "library"
    library.mkdir()
    (library / "stand_in.py").write_text(PACKAGE_MANAGER, encoding="utf-8")
    binary = scratch.directory / "nowhere"
    variables = {"netkeel_install": "package", "ansible_package_use": "ansible.legacy.stand_in", "netkeel_service": True}
    dry, wet = runs(scratch, Ansible(), binary, Ansible.dry, Ansible.wet, **variables)
    assert status(dry) == 0 and UNTOUCHED in dry and "changed=1 " in dry, dry
    assert "netkeel is not installed yet: the state of the host is not known" in dry, dry
    # What the package should have brought is missed in earnest.
    assert status(wet) == 2 and "not installed" in wet and UNTOUCHED in wet, wet


# Seconds. On a busy machine a program may not come to its first line within the first.
LIMITS = (1, 5, 25)
READS = "reading the host"


@pytest.mark.parametrize("verb", ["plan", "apply"])
def test_taking_too_long_is_a_failure(scratch, tool, verb):
    # A look under noop and check is one as well; nothing is applied then.
    modes = (tool.dry, tool.wet) if verb == "plan" else (tool.wet,)
    for limit in LIMITS:
        parts = runs(scratch, tool, slow(scratch, verb), *modes, timeout=limit)
        if all(READS in part for part in parts):
            break
    for part in parts:
        assert status(part) in tool.failed, part
        assert "sending signal TERM" in part and READS in part, part


def test_an_unless_that_takes_too_long_is_a_difference(scratch):
    """Puppet takes one that it had to end for success: that is why timeout(1) ends it."""
    tool = Puppet("exec")
    for limit in LIMITS:
        (part,) = runs(scratch, tool, slow(scratch, "check"), tool.wet, timeout=limit)
        if "executed successfully" in part:
            break
    assert status(part) == tool.statuses["changed"] and "Exec[netkeel apply]/returns: executed successfully" in part, part


def slow(scratch, verb):
    """A program that takes a minute for one verb, and sees a difference in the others."""
    return scratch.program(f'[ "$1" != {verb} ] || {{ echo {READS} >&2; exec sleep 60; }}', *SEES_A_DIFFERENCE)
