#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Each public header compiles by itself, strictly, as every language that may include it.

    contract-headers.py SOURCE_ROOT
"""
import pathlib
import shutil
import subprocess
import sys

from tap import Tap

ROOT = pathlib.Path(sys.argv[1])
LANGUAGES = [("gcc", "c99"), ("gcc", "c11"), ("gcc", "c17"), ("g++", "c++11"),
             ("clang-14", "c99"), ("clang-14", "c17"), ("clang++-14", "c++11")]


def compile_header(compiler, standard, header):
    language = "c++" if "+" in standard else "c"
    # Twice: a header must bear that as well.
    program = f"#include <{header}>\n#include <{header}>\nint nothing;\n"
    result = subprocess.run(
        [compiler, f"-std={standard}", "-x", language, "-fsyntax-only", "-Wall", "-Wextra",
         "-Wpedantic", "-Wshadow", "-Wundef", "-Werror", "-I", str(ROOT / "include"), "-"],
        input=program, capture_output=True, text=True)
    return result.stderr.splitlines()


def main():
    tap = Tap()
    headers = sorted(str(p.relative_to(ROOT / "include")) for p in (ROOT / "include").rglob("*.h"))
    for compiler, standard in LANGUAGES:
        name = f"headers as {standard} with {compiler}"
        if not shutil.which(compiler):
            tap.skip(name, f"{compiler} is not installed")
            continue
        wrong = []
        for header in headers:
            wrong += compile_header(compiler, standard, header)
        tap.case(name, wrong)
    tap.done()


main()
