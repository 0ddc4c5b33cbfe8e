#!/usr/bin/python
# -*- coding: utf-8 -*-
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Applies a netkeel document to a host."""

from __future__ import annotations

DOCUMENTATION = r"""
module: netkeel
short_description: Keep network path settings of a host in sync with a document
version_added: 0.1.0
description:
  - Compares MTUs, C(rp_filter), tunnels, sysctls, NFLOG rules and CNI configurations with a document, and applies the document.
  - An apply that fails is rolled back. A rejected document, a run that fails and one that takes too long fail the task with
    netkeel's own words.
extends_documentation_fragment:
  - netkeel.netkeel.program
options:
  document:
    description:
      - A document, without C(version). Its keys are those of U(https://github.com/netkeel/netkeel/blob/main/docs/reference/document.md).
      - Numbers may be strings, as after C(-e mtu=1460).
    type: dict
  dest:
    description:
      - The path at which O(document) is kept on the host, as JSON, for the service and for the next boot.
      - All documents of its directory count, in the order of their names. Check mode compares the host with the future contents of
        the directory.
      - It must be an absolute path that ends in C(.json), C(.yaml) or C(.yml) and is not hidden. netkeel reads no other files in a
        directory.
      - Without it O(document) is applied and not kept.
    type: path
  state:
    description:
      - V(absent) removes the document at O(dest), and applies the other documents of its directory.
      - With O(prune=true) the settings that the removed document declared get their old values back. Without it they stay, and
        netkeel reports them as a finding.
    type: str
    choices: [present, absent]
    default: present
  prune:
    description:
      - Whether settings that the documents no longer declare get their old values back.
    type: bool
    default: false
  force_ownership:
    description:
      - Whether to take over facts of another owner.
    type: bool
    default: false
  allow_lossy:
    description:
      - Whether writes that cannot be undone exactly are allowed.
    type: bool
    default: false
  allow_management:
    description:
      - Whether the interface that carries the default route, or this ssh connection, may be changed.
    type: bool
    default: false
  verify_reach:
    description:
      - Targets (HOST or HOST:PORT) that must answer before an apply, else nothing is written, and after it, else everything is
        rolled back.
    type: list
    elements: str
    default: []
  lock_timeout:
    description:
      - Seconds to wait for the lock of another netkeel.
    type: int
    default: 30
attributes:
  check_mode:
    description: Can run in check_mode and return changed status prediction without modifying target.
    support: full
  diff_mode:
    description: Will return details on what has changed (or possibly needs changing in check_mode), when in diff mode.
    support: full
    details: The difference is the output of C(netkeel plan) on the live host.
  platform:
    description: Target OS/families that can be operated against.
    platforms: linux
    support: full
seealso:
  - module: netkeel.netkeel.netkeel_info
"""

EXAMPLES = r"""
- name: Create tunnels for the packets of the load balancers
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

- name: Remove the document, and restore what it had changed
  netkeel.netkeel.netkeel:
    dest: /etc/netkeel/desired.d/50-ansible.json
    state: absent
    prune: true

- name: Apply the host's own documents; the gateway must answer afterwards
  netkeel.netkeel.netkeel:
    src: /etc/netkeel/desired.d
    verify_reach: ["192.0.2.1"]
"""

RETURN = r"""
findings:
  description:
    - What is wrong or surprising on the host, or would be with the documents, also if nothing changes.
    - Those that are no notes are warnings of the task too.
  returned: success
  type: list
  elements: dict
  contains:
    code:
      description: The code, which the reference of netkeel explains.
      type: str
      returned: success
      sample: NK013
    severity:
      description: V(error), V(warning) or V(note).
      type: str
      returned: success
      sample: warning
    subjects:
      description: The interfaces or facts that it is about; empty for the whole host.
      type: list
      elements: str
      returned: success
      sample: [veth0]
    message:
      description: The finding.
      type: str
      returned: success
    remedy:
      description: What to do.
      type: str
      returned: success
plan:
  description: The plan with its writes and their undo, as C(netkeel schema plan) describes it. It was made before the writes.
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
    steps:
      description: The writes in their order, each with its undo.
      type: list
      elements: dict
      returned: success
    findings:
      description: The same as RV(findings).
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
  sample: "Plan: 1 to create, 3 to change, 0 to destroy (3 objects); 2 warnings."
dest:
  description: The path of the document.
  returned: with O(dest)
  type: str
  sample: /etc/netkeel/desired.d/50-ansible.json
rc:
  description: The exit status of netkeel.
  returned: if netkeel failed
  type: int
  sample: 3
stdout:
  description: The output of netkeel.
  returned: if netkeel failed
  type: str
stderr:
  description: The errors of netkeel.
  returned: if netkeel failed
  type: str
"""

import json
import os
import tempfile

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.netkeel.netkeel.plugins.module_utils.program import (
    OPTIONS,
    Program,
    directory_with,
    documents_in,
    warnings,
)

# `plan --detailed-exitcode`: 0 in sync, 2 drift.
KNOWN = (0, 2)

# The file names that netkeel reads in a directory and whose format includes JSON.
ENDINGS = (".json", ".yaml", ".yml")


def main():
    """The entry point of the module."""
    module = AnsibleModule(
        argument_spec=dict(
            OPTIONS,
            document={"type": "dict"},
            dest={"type": "path"},
            state={"type": "str", "choices": ["present", "absent"], "default": "present"},
            prune={"type": "bool", "default": False},
            force_ownership={"type": "bool", "default": False},
            allow_lossy={"type": "bool", "default": False},
            allow_management={"type": "bool", "default": False},
            verify_reach={"type": "list", "elements": "str", "default": []},
            lock_timeout={"type": "int", "default": 30},
        ),
        mutually_exclusive=[("document", "src"), ("dest", "src")],
        required_if=[("state", "absent", ["dest"]), ("state", "present", ["document", "src"], True)],
        supports_check_mode=True,
    )
    absent = module.params["state"] == "absent"
    if absent and module.params["document"] is not None:
        module.fail_json(msg="document: a document that is to be absent has no content")
    if module.params["dest"]:
        refuse_unread(module, module.params["dest"])
    program = Program(module)
    if module.params["src"]:
        result = converge(module, program, module.params["src"])
    elif module.params["dest"]:
        result = converge_kept(module, program, None if absent else text_of(module))
    else:
        result = converge_document(module, program)
    for text in warnings(result["findings"]):
        module.warn(text)
    module.exit_json(**result)


def converge_document(module, program):
    """Applies the document without keeping it."""
    with directory_with("document.json", text_of(module)) as copy:
        planned = look(module, program, copy, (copy + "/", ""))
        if planned["changed"] and not module.check_mode:
            apply(module, program, copy, (copy + "/", ""))
    return planned


def converge_kept(module, program, text):
    """Writes the document to ``dest``, or removes it, and applies all documents of that directory."""
    dest = module.params["dest"]
    directory, name = os.path.split(dest)
    before = read(dest)
    # The plan is for the future contents of the directory; a rejected document is not written.
    with directory_with(name, text, directory) as copy:
        compared = documents_in(copy)
        if not compared:
            write_nothing(copy, before)
        result = look(module, program, copy, (copy, directory))
        if not module.check_mode:
            if before != text:
                replace(module, dest, text)
            if documents_in(directory) != compared:
                module.fail_json(msg="%s changed since netkeel compared it; run this again" % directory)
            if result["changed"]:
                apply_or_put_back(module, program, directory if compared else copy, (copy, directory), before if text is None else None)
    if before != text:
        result["changed"] = True
        result["diff"].insert(0, {"before_header": dest, "after_header": dest, "before": before or "", "after": text or ""})
    return dict(result, dest=dest)


def apply_or_put_back(module, program, path, renamed, removed):
    """Applies. A failure puts a removed document back: it says whose settings the next attempt has to restore."""
    try:
        apply(module, program, path, renamed)
    except SystemExit:
        if removed is not None:
            replace(module, module.params["dest"], removed)
        raise


def write_nothing(directory, removed):
    """A document that declares nothing, for the owner of the one that was removed: what it declared is his."""
    nothing = {"version": 1}
    try:
        nothing["owner"] = json.loads(removed or "{}").get("owner", "default")
    except (ValueError, AttributeError):
        pass
    with open(os.path.join(directory, "nothing.json"), "w", encoding="utf-8") as document:
        json.dump(nothing, document)


def refuse_unread(module, dest):
    """Fails for a path that netkeel, which gets the directory, would not read."""
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
    """Plans and applies documents that are on the host."""
    planned = look(module, program, path)
    if planned["changed"] and not module.check_mode:
        apply(module, program, path)
    return planned


def look(module, program, path, renamed=None):
    """The plan, as the result of a task that has not changed anything yet."""
    words = ["plan", "-f", path] + flags(module, "prune", "force_ownership")
    status, text = program.run(*words, "--detailed-exitcode", expected=KNOWN, renamed=renamed)
    plan = json.loads(program.run(*words, "--output", "json", renamed=renamed)[1])
    return {
        # No apply changes an interface that the document names and netkeel skips (NK045): it stays a warning.
        "changed": status != 0 and bool(plan["steps"]),
        "diff": [{"prepared": text}] if status != 0 else [],
        "findings": plan.get("findings", []),
        "plan": plan,
        "commands": [step["command"] for step in plan["steps"]],
        "summary": (text.strip().splitlines() or [""])[-1],
    }


def apply(module, program, path, renamed=None):
    """Applies, or fails with netkeel's own words."""
    words = ["apply", "-f", path, "--lock-timeout", "%ds" % module.params["lock_timeout"]]
    words += flags(module, "prune", "force_ownership", "allow_lossy", "allow_management")
    for target in module.params["verify_reach"]:
        words += ["--verify-reach", target]
    program.run(*words, renamed=renamed)


def flags(module, *names):
    """The options of netkeel that are switched on."""
    return ["--" + name.replace("_", "-") for name in names if module.params[name]]


def read(path):
    """The text of a file, or ``None`` if it does not exist."""
    if not os.path.exists(path):
        return None
    with open(path, encoding="utf-8") as document:
        return document.read()


def replace(module, path, text):
    """Replaces the document atomically, because the service may read it at any time. ``None`` removes it."""
    if text is None:
        os.remove(path)
        return
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
