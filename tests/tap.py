# SPDX-License-Identifier: MIT
"""TAP for the contract tests: each case is a name and the list of what is wrong."""
import sys


class Tap:
    def __init__(self):
        self.count = 0
        self.failures = 0

    def case(self, name, wrong):
        """Pass if @wrong is empty; otherwise say each entry of it."""
        self.count += 1
        print(f"{'not ok' if wrong else 'ok'} {self.count} - {name}")
        for line in wrong:
            print(f"# {line}")
        self.failures += bool(wrong)

    def skip(self, name, reason):
        self.count += 1
        print(f"ok {self.count} - {name} # SKIP {reason}")

    def done(self):
        print(f"1..{self.count}")
        sys.exit(1 if self.failures else 0)
