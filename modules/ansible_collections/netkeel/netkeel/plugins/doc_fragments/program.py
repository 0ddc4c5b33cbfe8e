# -*- coding: utf-8 -*-
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Documentation that the modules share."""

from __future__ import annotations


class ModuleDocFragment:
    """Options and requirements of every module of this collection."""

    DOCUMENTATION = r"""
options:
  src:
    description:
      - A document, or a directory of documents, on the host.
    type: path
  netns:
    description:
      - A network namespace, as C(ip netns) names it, instead of the host.
    type: str
  binary:
    description:
      - The program, as a path or as a name. A name is searched in C(PATH) and in /usr/local/bin.
    type: str
    default: netkeel
  timeout:
    description:
      - Time limit of a netkeel run in seconds. An apply that exceeds it is rolled back.
    type: int
    default: 60
requirements:
  - netkeel on the host; the role P(netkeel.netkeel.netkeel#role) installs it
author:
  - netkeel (@netkeel)
"""
