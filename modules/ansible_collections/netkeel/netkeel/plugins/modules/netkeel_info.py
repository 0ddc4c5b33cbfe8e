#!/usr/bin/python
# -*- coding: utf-8 -*-
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Returns the network path settings of a host."""

from __future__ import annotations

DOCUMENTATION = r"""
module: netkeel_info
short_description: Return the network path settings of a host
version_added: 0.1.0
description:
  - Returns the snapshot that C(netkeel observe) takes of interfaces, tunnels, sysctls and everything that documents name.
  - Saved as a file, C(netkeel plan --snapshot) plans against it without the host.
extends_documentation_fragment:
  - netkeel.netkeel.program
attributes:
  check_mode:
    description: Can run in check_mode and return changed status prediction without modifying target.
    support: full
  diff_mode:
    description: Will return details on what has changed (or possibly needs changing in check_mode), when in diff mode.
    support: none
  platform:
    description: Target OS/families that can be operated against.
    platforms: linux
    support: full
seealso:
  - module: netkeel.netkeel.netkeel
"""

EXAMPLES = r"""
- name: Take a snapshot
  netkeel.netkeel.netkeel_info:
  register: host

- name: Save the snapshot, to plan changes against it
  ansible.builtin.copy:
    content: "{{ host.snapshot | to_nice_json }}"
    dest: "snapshots/{{ inventory_hostname }}.json"
    mode: "0644"
  delegate_to: localhost
"""

RETURN = r"""
snapshot:
  description: The snapshot, as C(netkeel schema snapshot) describes it.
  returned: success
  type: dict
version:
  description: The version of netkeel.
  returned: success
  type: str
  sample: 0.1.0
"""

import json

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.netkeel.netkeel.plugins.module_utils.program import OPTIONS, Program


def main():
    """The entry point of the module."""
    module = AnsibleModule(argument_spec=dict(OPTIONS), supports_check_mode=True)
    program = Program(module)
    words = ["-f", module.params["src"]] if module.params["src"] else []
    snapshot = json.loads(program.run("observe", *words)[1])
    module.exit_json(changed=False, snapshot=snapshot, version=program.version())


if __name__ == "__main__":
    main()
