# SPDX-License-Identifier: MIT
"""What tests said, as cells of a table: ran, skipped because, or failed."""
import re

# The reasons follow the table; a cell names them by a letter.
LETTERS = "abcdefghijklmnopqrstuvwxyz"


class Cell:
    """One test on one kernel."""

    def __init__(self):
        self.passed, self.failures, self.skips = [], [], []

    @classmethod
    def failed(cls, reason):
        cell = cls()
        cell.failures.append(reason)
        return cell

    @classmethod
    def skipped(cls, reason):
        cell = cls()
        cell.skips.append(("all", reason))
        return cell

    @classmethod
    def from_run(cls, run):
        cell = cls()
        cell.read_tap(run.output)
        cell.failures += [f"kernel: {complaint}" for complaint in dict.fromkeys(run.complaints)]
        if run.ending != "exit":
            what = f"signal {run.code}" if run.ending == "signal" else run.ending
            if what == "lost":
                what = "the machine ended"
            cell.failures.append(f"{what} after {run.seconds:.0f} s")
        elif run.code == 77 and not cell.passed:
            cell.skips = cell.skips or [("all", find_reason(run.output))]
        elif run.code and not cell.failures:
            cell.failures.append(f"exit code {run.code}")
        elif not (cell.passed or cell.failures or cell.skips):
            cell.passed.append(run.name)
        return cell

    def read_tap(self, lines):
        planned, seen, reason = None, 0, None
        for line in lines:
            plan = re.match(r"1\.\.(\d+)", line)
            if plan:
                planned = (planned or 0) + int(plan[1])
            if line.startswith("# skip:"):
                reason = line[len("# skip:") :].strip()
            # cmocka 1.1.5 writes a skip as "not ok N # SKIP name".
            case = re.match(r"(not )?ok\b\s*\d*\s*-?\s*([^#]*?)\s*(?:#\s*skip\b\s*(.*))?$", line, re.I)
            if not case:
                continue
            seen += 1
            if case[3] is not None:
                name, said = (case[2], case[3]) if case[2] else (case[3], "")
                self.skips.append((name, reason or said or "no reason given"))
            elif case[1]:
                self.failures.append(case[2])
            else:
                self.passed.append(case[2])
            reason = None
        if planned is not None and seen < planned:
            self.failures.append(f"only {seen} of {planned} cases reported")

    def has_run(self, case):
        return case in self.passed if case else bool(self.passed)

    @property
    def text(self):
        if self.failures:
            return f"FAILED {len(self.failures)}" + (f", ran {len(self.passed)}" * bool(self.passed))
        if not self.passed:
            return "skipped"
        return f"ran {len(self.passed)}" + f", skipped {len(self.skips)}" * bool(self.skips)


def find_reason(lines):
    said = [line[len("# skip:") :].strip() for line in lines if line.startswith("# skip:")]
    return said[0] if said else "no reason given"


class Notes:
    """Reasons, each with its mark, in the order of their first use."""

    def __init__(self):
        self.texts = []

    def mark(self, reasons):
        marks = []
        for reason in dict.fromkeys(reasons):
            if reason not in self.texts:
                self.texts.append(reason)
            marks.append(self.name(self.texts.index(reason)))
        return f" ({' '.join(marks)})" if marks else ""

    @staticmethod
    def name(number):
        high, low = divmod(number, len(LETTERS))
        return (LETTERS[high - 1] if high else "") + LETTERS[low]


def print_table(names, columns, problems):
    """@columns: kernel to test to cell. Returns the exit code."""
    notes, rows = Notes(), [["test", *columns]]
    for name in names:
        cells = [column[name] for column in columns.values()]
        rows.append([name] + [c.text + notes.mark(reason for _, reason in c.skips) for c in cells])
    widths = [max(map(len, column)) for column in zip(*rows)]
    print()
    for row in rows:
        print("  ".join(text.ljust(width) for text, width in zip(row, widths)).rstrip())
    if notes.texts:
        print("\nskipped because")
    for number, text in enumerate(notes.texts):
        print(f"  ({notes.name(number)}) {text}")

    failures = [
        f"{kernel}: {name}: {failure}"
        for kernel, column in columns.items()
        for name in names
        for failure in column[name].failures
    ]
    for text in failures + problems:
        print(f"FAILED  {text}")
    cells = [cell for column in columns.values() for cell in column.values()]
    passed, skipped = (sum(len(getattr(c, what)) for c in cells) for what in ("passed", "skips"))
    failed = len(failures) + len(problems)
    print(f"\n{passed} passed, {failed} failed, {skipped} skipped")
    return 1 if failed or not passed else 0
