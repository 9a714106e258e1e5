#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Run the tests and say what ran, what failed, and what was skipped and why.

    check.py BUILD [ARGUMENT OF MESON TEST...]

The last line is always "N passed, N failed, N skipped", counted in test cases.
"""
import json
import os
import re
import subprocess
import sys


MAX_SAID = 20  # lines of what a failed case says


class Program:
    """What one test program said, in TAP or by its exit code alone."""

    def __init__(self, entry):
        self.name = entry["name"]
        self.seconds = entry["duration"]
        self.passed, self.failed, self.skipped = 0, [], []
        self.said = []  # by the case that runs
        self.heard = None  # where to put what is said of a failure
        for line in entry.get("stdout", "").splitlines():
            self.read_tap(line)
        result = entry["result"]
        if not (self.passed or self.failed or self.skipped):
            if result == "OK":
                self.passed = 1
            elif result == "SKIP":
                self.skipped.append(("all", self.find_reason(entry)))
        if result not in ("OK", "SKIP", "EXPECTEDFAIL") and not self.failed:
            # It ended before it could report: a crash, a time-out, a wrong plan.
            ending = f"{result.lower()}, exit code {entry.get('returncode')}"
            self.failed.append((ending, entry.get("stderr", "").splitlines()))

    def read_tap(self, line):
        if re.match(r"1\.\.0\b.*#\s*skip", line, re.I):
            self.skipped.append(("all", line.split("#", 1)[1].strip()[4:].strip()))
            return
        case = re.match(r"(not )?ok\b\s*\d*\s*-?\s*([^#]*)(?:#\s*(\w+)\s*(.*))?", line)
        if not case:
            # Before its result a case says what it does, and after it what was wrong.
            (self.said if self.heard is None else self.heard).append(line)
            return
        said, self.said, self.heard = self.said, [], None
        name, directive = case[2].strip(), (case[3] or "").lower()
        if directive == "skip":
            self.skipped.append((name, case[4].strip() or "no reason given"))
        elif case[1] and directive != "todo":
            self.heard = said
            self.failed.append((name, said))
        else:
            self.passed += 1

    @staticmethod
    def find_reason(entry):
        text = entry.get("stdout", "") + entry.get("stderr", "")
        reason = re.search(r"^# skip:\s*(.*)", text, re.M)
        return reason[1] if reason else "no reason given"

    def print(self):
        counts = [f"{self.passed} passed"]
        if self.failed:
            counts.append(f"{len(self.failed)} FAILED")
        if self.skipped:
            counts.append(f"{len(self.skipped)} skipped")
        print(f"  {self.name:<24} {', '.join(counts)}  ({self.seconds:.1f} s)")
        for name, said in self.failed:
            print(f"    FAILED  {name}")
            for line in said[-MAX_SAID:]:
                print(f"            {line}")
        for name, reason in self.skipped:
            print(f"    skipped {name}: {reason}")


def main():
    build = sys.argv[1]
    log = os.path.join(build, "meson-logs", "testlog.json")
    if os.path.exists(log):
        os.unlink(log)
    print("check: running the tests", flush=True)
    status = subprocess.call(
        ["meson", "test", "-C", build, "--no-rebuild", "--print-errorlogs", *sys.argv[2:]]
    )

    programs = []
    if os.path.exists(log):
        with open(log, encoding="utf-8", errors="replace") as lines:
            programs = [Program(json.loads(line)) for line in lines]

    print("\ncheck: what ran")
    for program in sorted(programs, key=lambda p: p.name):
        program.print()
    passed = sum(p.passed for p in programs)
    failed = sum(len(p.failed) for p in programs)
    skipped = sum(len(p.skipped) for p in programs)
    if status and not failed:
        print(f"  meson test itself failed with exit code {status}")
        failed = 1
    if not passed:
        print("  nothing ran")
    print(f"\n{passed} passed, {failed} failed, {skipped} skipped")
    return 1 if failed or not passed else 0


sys.exit(main())
