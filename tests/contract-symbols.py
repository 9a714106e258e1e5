#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""What the library exports is what its headers declare and its map lists.

    contract-symbols.py SOURCE_ROOT libpagescan.so libpagescan.a
"""
import pathlib
import re
import subprocess
import sys

from tap import Tap

ROOT = pathlib.Path(sys.argv[1])
SHARED, STATIC = sys.argv[2], sys.argv[3]


def run(*command):
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def declared():
    names = set()
    for header in (ROOT / "include").rglob("*.h"):
        text = re.sub(r"/\*.*?\*/", "", header.read_text(encoding="utf-8"), flags=re.S)
        for found in re.finditer(r"^PAGESCAN_API\b[^;(]*?(\w+)\(", text.replace(
                "PAGESCAN_API PAGESCAN_MUST_CHECK", "PAGESCAN_API"), flags=re.M | re.S):
            names.add(found[1])
    return names


def mapped():
    """The names of the map, in the order they stand, one list a version."""
    text = (ROOT / "lib/libpagescan.map").read_text(encoding="utf-8")
    return [re.findall(r"^\s+(pagescan_\w+);", node, re.M) for node in text.split("}")]


def exported():
    lines = run("nm", "--dynamic", "--defined-only", SHARED).splitlines()
    names = {line.split()[2].split("@")[0] for line in lines}
    return {n for n in names if not re.match(r"PAGESCAN_\d", n)}


def linkable():
    """Names that a program linked with the static library may collide with."""
    for line in run("nm", "--extern-only", "--defined-only", STATIC).splitlines():
        words = line.split()
        if len(words) == 3:
            yield words[2]


def needed():
    return re.findall(r"\(NEEDED\).*\[(.*)\]", run("readelf", "--dynamic", "--wide", SHARED))


def differences(left, right, text):
    return [f"{name} {text}" for name in sorted(left - right)]


def main():
    tap = Tap()
    headers, library = declared(), exported()
    listed = {name for node in mapped() for name in node}
    tap.case("something is declared", [] if headers else ["no PAGESCAN_API found"])
    tap.case("the map lists what the headers declare",
             differences(headers, listed, "is declared but not in the map")
             + differences(listed, headers, "is in the map but not declared"))
    tap.case("the library exports what the map lists",
             differences(listed, library, "is in the map but not exported")
             + differences(library, listed, "is exported but not in the map"))
    tap.case("the map is sorted", [f"after {a}: {b}" for node in mapped()
                                   for a, b in zip(node, node[1:]) if a > b])
    # Instrumented builds define names of their own.
    tap.case("linkable names carry our prefix",
             sorted(n for n in linkable() if not n.startswith(("pagescan_", "__asan", "__odr_asan",
                                                               "__ubsan", "__gcov", "__sancov"))))
    tap.case("the library needs libc and nothing else",
             [n for n in needed() if not re.match(r"(libc\.so|ld-linux|libasan|libubsan|libgcov"
                                                  r"|libgcc_s|libm\.so)", n)])
    tap.done()


main()
