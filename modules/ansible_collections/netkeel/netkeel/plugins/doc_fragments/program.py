# -*- coding: utf-8 -*-
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the modules have in common."""

from __future__ import annotations


class ModuleDocFragment:
    """Options and requirements of every module of this collection."""

    DOCUMENTATION = r"""
options:
  src:
    description:
      - A document, or a directory of documents, that is on the host already.
    type: path
  netns:
    description:
      - A network namespace, as C(ip netns) names it, in place of the host.
    type: str
  binary:
    description:
      - The program, as a path or as a name to look for, also in /usr/local/bin.
    type: str
    default: netkeel
  timeout:
    description:
      - Seconds that a run of netkeel may take. An apply that takes longer undoes what it did.
    type: int
    default: 60
requirements:
  - netkeel on the host; the role P(netkeel.netkeel.netkeel#role) installs it
author:
  - netkeel (@netkeel)
"""
