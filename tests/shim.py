#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Programs written against the kernel alone do the same with and without the shim.

    shim.py SOURCE_ROOT SHIM STRANGER
"""
import os
import pathlib
import re
import shutil
import subprocess
import sys

from tap import Tap

ROOT = pathlib.Path(sys.argv[1])
SHIM, STRANGER = sys.argv[2], sys.argv[3]

# Generous: an emulated machine is slow. A program that waits for its handler waits for ever.
TIMEOUT = 120


NOBODY = {"user": 65534, "group": 65534, "extra_groups": []}

# What a user that may not have a full userfaultfd cannot do, by the list of pagescan-shim(7).
NOBODY_DIFFERS = ("kernel-writes",)


def run(case, mode=None, **who):
    """What a case prints and how it ends; @mode None: without the shim."""
    environment = {k: v for k, v in os.environ.items() if k != "PAGESCAN_SHIM"}
    if mode is not None:
        environment["LD_PRELOAD"] = SHIM
    if mode:
        environment["PAGESCAN_SHIM"] = mode
    try:
        done = subprocess.run([STRANGER, case] if case else [STRANGER], env=environment,
                              capture_output=True, text=True, timeout=TIMEOUT, **who)
    except subprocess.TimeoutExpired:
        return ["it did not end"]
    return done.stdout.splitlines() + done.stderr.splitlines() + [f"exit {done.returncode}"]


def recorded():
    """What each case printed natively on Linux 6.18: for kernels that cannot say it themselves."""
    cases = {}
    for line in (ROOT / "tests/shim/expected.txt").read_text().splitlines():
        if line.startswith("# "):
            lines = cases.setdefault(line[2:], [])
        else:
            lines.append(line)
    return {name: lines + ["exit 0"] for name, lines in cases.items()}


GONE = "dead: -1 No such process, walk_end untouched"


def ask_kernel(case, mode=None, **who):
    """What the kernel answers. Of memory that is gone some say ESRCH, before they look at the
    argument (R2.0); the shim answers as the others do, and so as is recorded."""
    dead = (line for line in recorded()["another"] if line.startswith("dead: "))
    return [next(dead) if line == GONE else line for line in run(case, mode, **who)]


# Who sets pages aside is another test.
NO_HUGE = "no huge pages"

# What older kernels cannot be made to do, by the list of pagescan-shim(7).
OLD_DIFFER = {
    "api": "other features of the kernel",
    "registering": "other features of the kernel",
    "moving-mappings": "memory that is moved keeps its marks",
    "empty-pages": "empty pages cannot be armed",
}


def differences(native, shimmed):
    wrong = [f"natively: {a}   with the shim: {b}" for a, b in zip(native, shimmed) if a != b]
    if len(native) != len(shimmed):
        wrong.append(f"{len(native)} lines natively, {len(shimmed)} with the shim")
    return wrong[:10]


def check_exports(tap):
    if not shutil.which("nm"):
        tap.skip("the shim exports what its map lists", "nm is not installed")
        return
    lines = subprocess.run(["nm", "--dynamic", "--defined-only", SHIM], check=True,
                           capture_output=True, text=True).stdout.splitlines()
    exported = {line.split()[2].split("@")[0] for line in lines}
    listed = set(re.findall(r"^\t(\w+);", (ROOT / "shim/shim.map").read_text(), re.M))
    tap.case("the shim exports what its map lists",
             [f"{name} is in one of them only" for name in sorted(exported ^ listed)])


def may_have_full_userfaultfd():
    setting = pathlib.Path("/proc/sys/vm/unprivileged_userfaultfd")
    return os.geteuid() == 0 or (setting.exists() and setting.read_text().strip() == "1")


def check_nobody(tap, cases):
    """Without privilege, which is how most programs run."""
    try:
        is_native = run("arm-by-scan", **NOBODY)[0].startswith("first: 1 ")
        reason = "" if is_native else "this kernel has nothing to compare with"
    except OSError as error:
        reason = f"cannot run as nobody: {error}"
    for case in cases:
        name = f"{case}, force, as nobody"
        if reason:
            tap.skip(name, reason)
        elif case not in NOBODY_DIFFERS and case != "hugetlb":
            tap.case(name, differences(ask_kernel(case, **NOBODY), run(case, "force", **NOBODY)))


def main():
    tap = Tap()
    check_exports(tap)
    cases = [line for line in run("") if not line.startswith("exit")]
    tap.case("there are cases", [] if len(cases) > 10 else [f"only {len(cases)}"])
    is_native = run("arm-by-scan")[0].startswith("first: 1 ")
    old, is_full = recorded(), may_have_full_userfaultfd()
    emulated = ("force",) if is_native else ("", "force")
    for case in cases:
        if not is_native and case not in old:
            tap.skip(case, "this kernel has nothing to compare with")
            continue
        if is_native:
            native, modes = ask_kernel(case), ("", "force", "force-scan")
        elif case in OLD_DIFFER:
            tap.skip(case, "this kernel differs: " + OLD_DIFFER[case])
            continue
        else:
            native, modes = old[case], ("", "force")
        for mode in modes:
            ask = ask_kernel if is_native and not mode else run
            name, shimmed = f"{case}, {mode or 'as the kernel is'}", ask(case, mode)
            if case == "hugetlb" and NO_HUGE in native + shimmed:
                tap.skip(name, NO_HUGE)
            elif case in NOBODY_DIFFERS and mode in emulated and not is_full:
                tap.skip(name, "needs a full userfaultfd: CAP_SYS_PTRACE, or the sysctl")
            else:
                tap.case(name, differences(native, shimmed))
    check_nobody(tap, cases)
    tap.done()


main()
