"""What the scenario found: a line per check, with its evidence, and the count at the end."""

import sys
import time


class Report:
    """Collects the outcomes of checks and prints them as they come."""

    def __init__(self, out=None):
        self._out = out or sys.stdout
        self.passed = 0
        self.failed = 0
        self._start = time.monotonic()

    def heading(self, text):
        """Announces a case."""
        print(f"== {text}", file=self._out, flush=True)

    def check(self, what, good, evidence):
        """Notes whether `what` holds. The evidence is printed either way, in full when it does not."""
        text = str(evidence).strip()
        if good:
            self.passed += 1
            first = text.splitlines()[0] if text else ""
            more = " ..." if "\n" in text else ""
            print(f"PASS {what}: {first[:160]}{more}", file=self._out, flush=True)
        else:
            self.failed += 1
            print(f"FAIL {what}:", *text.splitlines()[-60:], sep="\n     ", file=self._out, flush=True)
        return good

    def absorb(self, other, text):
        """Adds what another report counted, and prints what it wrote."""
        self.passed += other.passed
        self.failed += other.failed
        print(text, end="", file=self._out, flush=True)

    def close(self):
        """Prints the summary and returns the exit code: passing takes at least one check."""
        print(f"{self.passed} passed, {self.failed} failed ({time.monotonic() - self._start:.0f} s)", file=self._out, flush=True)
        return 0 if self.passed and not self.failed else 1
