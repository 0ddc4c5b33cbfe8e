#!/usr/bin/python
# -*- coding: utf-8 -*-
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Makes the network path settings of a host as a document declares them."""

from __future__ import annotations

DOCUMENTATION = r"""
module: netkeel
short_description: Make the network path settings of a host as declared
version_added: 0.1.0
description:
  - Compares MTUs, C(rp_filter), tunnels, sysctls, NFLOG rules and CNI configurations with a document, and makes the host so.
  - What fails on the way is undone. What netkeel refuses, a run that fails and one that takes too long fail the task with
    netkeel's own words.
extends_documentation_fragment:
  - netkeel.netkeel.program
options:
  document:
    description:
      - A document, without C(version). Its keys are those of U(https://github.com/netkeel/netkeel/blob/main/docs/document.md).
      - Numbers may be strings, as they are after C(-e mtu=1460).
    type: dict
  dest:
    description:
      - Where O(document) is kept on the host, as JSON, for the service and for the next boot.
      - All documents of its directory count, layered by their names, and the comparison in check mode is with what the directory
        is about to hold.
      - Its name must be one of those that netkeel reads in a directory, else nothing would ever be done by it; an absolute path
        that ends in C(.json), C(.yaml) or C(.yml), JSON being YAML, and is not hidden.
      - Without it O(document) is applied and not kept.
    type: path
  prune:
    description:
      - Whether what netkeel wrote and the documents no longer declare is put back.
    type: bool
    default: false
  force_ownership:
    description:
      - Whether facts that another owner holds are taken.
    type: bool
    default: false
  allow_lossy:
    description:
      - Whether what cannot be undone exactly may be written.
    type: bool
    default: false
  allow_management:
    description:
      - Whether the interface that carries the default route, or this ssh connection, may be changed.
    type: bool
    default: false
  verify_reach:
    description:
      - Targets, as HOST or HOST:PORT, that must answer afterwards if they did before; else everything is undone.
    type: list
    elements: str
    default: []
  lock_timeout:
    description:
      - Seconds to wait while another netkeel writes.
    type: int
    default: 30
attributes:
  check_mode:
    description: Can run in check_mode and return changed status prediction without modifying target.
    support: full
  diff_mode:
    description: Will return details on what has changed (or possibly needs changing in check_mode), when in diff mode.
    support: full
    details: The difference is what C(netkeel plan) prints of the live host.
  platform:
    description: Target OS/families that can be operated against.
    platforms: linux
    support: full
seealso:
  - module: netkeel.netkeel.netkeel_info
"""

EXAMPLES = r"""
- name: Tunnels that take what the load balancers encapsulate
  netkeel.netkeel.netkeel:
    dest: /etc/netkeel/desired.d/50-ansible.json
    document:
      sysctl:
        net.ipv4.conf.all.rp_filter: 0
        net.ipv4.conf.default.rp_filter: 1
      link:
        pods:
          match: {name: "cali*", kind: veth}
          mtu: 1460
      tunnel:
        ipip0: {mode: ipip, addresses: [127.0.0.42/32], rp_filter: "off"}

- name: What is in the host's own documents, and the gateway must answer afterwards
  netkeel.netkeel.netkeel:
    src: /etc/netkeel/desired.d
    verify_reach: ["192.0.2.1"]
"""

RETURN = r"""
plan:
  description: What differed, with the writes and their undo, as C(netkeel schema plan) describes it.
  returned: success
  type: dict
  contains:
    in_sync:
      description: Whether everything could be read and nothing differed.
      type: bool
      returned: success
    drift:
      description: The facts that differed, observed and desired.
      type: list
      elements: dict
      returned: success
commands:
  description: The writes, as the commands that an operator would type.
  returned: success
  type: list
  elements: str
  sample: ["ip link set dev veth0 mtu 1460"]
summary:
  description: The last line of the plan.
  returned: success
  type: str
  sample: "Drift: 4 of 5 declared facts, on 3 objects (this host); 4 writes, all with exact undo."
dest:
  description: Where the document is kept.
  returned: with O(dest)
  type: str
  sample: /etc/netkeel/desired.d/50-ansible.json
"""

import json
import os
import tempfile

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.netkeel.netkeel.plugins.module_utils.program import OPTIONS, Program, directory_with

# `plan --detailed-exitcode`: 0 in sync, 2 drift.
KNOWN = (0, 2)

# Of the names that netkeel reads in a directory those under which JSON is what they promise.
ENDINGS = (".json", ".yaml", ".yml")


def main():
    """The entry point of the module."""
    module = AnsibleModule(
        argument_spec=dict(
            OPTIONS,
            document={"type": "dict"},
            dest={"type": "path"},
            prune={"type": "bool", "default": False},
            force_ownership={"type": "bool", "default": False},
            allow_lossy={"type": "bool", "default": False},
            allow_management={"type": "bool", "default": False},
            verify_reach={"type": "list", "elements": "str", "default": []},
            lock_timeout={"type": "int", "default": 30},
        ),
        mutually_exclusive=[("document", "src"), ("dest", "src")],
        required_one_of=[("document", "src")],
        required_by={"dest": "document"},
        supports_check_mode=True,
    )
    if module.params["dest"]:
        refuse_unread(module, module.params["dest"])
    program = Program(module)
    if module.params["src"]:
        result = converge(module, program, module.params["src"])
    elif module.params["dest"]:
        result = converge_kept(module, program)
    else:
        result = converge_document(module, program)
    module.exit_json(**result)


def converge_document(module, program):
    """Makes the host as the document says, which is not kept."""
    with directory_with("document.json", text_of(module)) as copy:
        planned = look(module, program, copy, (copy + "/", ""))
        if planned["changed"] and not module.check_mode:
            apply(module, program, copy, (copy + "/", ""))
    return planned


def converge_kept(module, program):
    """Keeps the document at ``dest``, and makes the host as all documents of that directory say."""
    dest, text = module.params["dest"], text_of(module)
    directory, name = os.path.split(dest)
    before = read(dest)
    # The plan is of what the directory is about to hold; what is refused then is not written.
    with directory_with(name, text, directory) as copy:
        result = look(module, program, copy, (copy, directory))
    if before != text and not module.check_mode:
        write(module, dest, text)
    if result["changed"] and not module.check_mode:
        apply(module, program, directory)
    if before != text:
        result["changed"] = True
        result["diff"].insert(0, {"before_header": dest, "after_header": dest, "before": before or "", "after": text})
    return dict(result, dest=dest)


def refuse_unread(module, dest):
    """Fails for a place where netkeel, which is given the directory, would not look."""
    name = os.path.basename(dest)
    if not os.path.isabs(dest):
        module.fail_json(msg="dest: %s is no absolute path" % dest)
    if name.startswith(".") or os.path.splitext(name)[1].lower() not in ENDINGS:
        module.fail_json(
            msg="dest: netkeel would not read %s as a document in JSON: a name is needed that ends in %s and does not begin with a dot"
            % (dest, ", ".join(ENDINGS))
        )


def text_of(module):
    """The document as JSON, the same for the same values."""
    return json.dumps(dict({"version": 1}, **module.params["document"]), indent=2, sort_keys=True) + "\n"


def converge(module, program, path):
    """Compares with documents that are on the host, and makes the host so."""
    planned = look(module, program, path)
    if planned["changed"] and not module.check_mode:
        apply(module, program, path)
    return planned


def look(module, program, path, renamed=None):
    """What netkeel plans, as the result of a task that has not changed anything yet."""
    words = ["plan", "-f", path] + flags(module, "prune", "force_ownership")
    status, text = program.run(*words, "--detailed-exitcode", expected=KNOWN, renamed=renamed)
    plan = json.loads(program.run(*words, "--output", "json", renamed=renamed)[1])
    return {
        "changed": status != 0,
        "diff": [{"prepared": text}] if status != 0 else [],
        "plan": plan,
        "commands": [step["command"] for step in plan["steps"]],
        "summary": (text.strip().splitlines() or [""])[-1],
    }


def apply(module, program, path, renamed=None):
    """Makes the host so, or fails in netkeel's words."""
    words = ["apply", "-f", path, "--lock-timeout", "%ds" % module.params["lock_timeout"]]
    words += flags(module, "prune", "force_ownership", "allow_lossy", "allow_management")
    for target in module.params["verify_reach"]:
        words += ["--verify-reach", target]
    program.run(*words, renamed=renamed)


def flags(module, *names):
    """The options of netkeel that are switched on."""
    return ["--" + name.replace("_", "-") for name in names if module.params[name]]


def read(path):
    """The text of a file, or ``None`` when there is none."""
    if not os.path.exists(path):
        return None
    with open(path, encoding="utf-8") as document:
        return document.read()


def write(module, path, text):
    """Puts a document in its place at once: the service reads whatever it finds."""
    directory = os.path.dirname(path)
    if not os.path.isdir(directory):
        os.makedirs(directory, 0o755)
    handle, new = tempfile.mkstemp(prefix=".", suffix=".new", dir=module.tmpdir)
    with os.fdopen(handle, "w", encoding="utf-8") as document:
        document.write(text)
    os.chmod(new, 0o644)
    module.atomic_move(new, path)


if __name__ == "__main__":
    main()
