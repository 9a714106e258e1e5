#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Every C file is laid out by .clang-format and says its licence first.

    contract-format.py SOURCE_ROOT
"""
import pathlib
import shutil
import subprocess
import sys

from tap import Tap

ROOT = pathlib.Path(sys.argv[1])
ROOMS = ["include", "lib", "cli", "shim", "tests", "bench", "examples"]


def main():
    tap = Tap()
    files = sorted(p for room in ROOMS for p in (ROOT / room).rglob("*") if p.suffix in (".c", ".h"))
    licence = "/* SPDX-License-Identifier: MIT */\n"
    tap.case("the licence stands first", [str(p.relative_to(ROOT)) for p in files
                                          if not p.read_text(encoding="utf-8").startswith(licence)])
    if not shutil.which("clang-format-14"):
        tap.skip("the layout is clang-format's", "clang-format-14 is not installed")
        tap.done()
    files = [str(p) for p in files if "uapi" not in p.parts]
    result = subprocess.run(["clang-format-14", "--dry-run", "--Werror", *files],
                            capture_output=True, text=True)
    tap.case("the layout is clang-format's",
             [line for line in result.stderr.splitlines() if "error:" in line])
    tap.done()


main()
