"""What guest/state prints, as lines that differ only when something was changed."""

import difflib


def comparable(text):
    """The lines without what the kernel changes by itself, in an order of their own where the guest's means nothing."""
    lines, files = [], []
    for line in text.splitlines():
        if line.startswith("/proc/modules:"):
            lines.append(line.split()[0])  # what follows counts users
        elif line.startswith("file "):
            if "lock" not in line.split()[1].rpartition("/")[2]:
                files.append(line)
        else:
            lines.append(line.replace(" tentative", ""))
    return lines + sorted(files)


def changes(before, after):
    """The lines that differ, removed and added; empty when nothing does."""
    return "\n".join(difflib.unified_diff(before, after, "before", "after", n=0, lineterm=""))
