#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Who may know whom: the rooms of ARCHITECTURE.md, read off the #include lines.

    contract-layers.py SOURCE_ROOT
"""
import pathlib
import re
import sys

from tap import Tap

ROOT = pathlib.Path(sys.argv[1])

# Inside lib, arrows point one way: a room sees itself and those to its right.
ROOMS = ["snapshot", "track", "scan", "page", "process", "base", "uapi"]

# A public header is seen by the room that implements it and those above.
HEADERS = {
    "pagescan/base.h": "base",
    "pagescan/process.h": "process",
    "pagescan/page.h": "page",
    "pagescan/scan.h": "scan",
    "pagescan/model.h": "scan",
    "pagescan/tracker.h": "track",
    "pagescan/snapshot.h": "snapshot",
}

# version.c alone speaks for the whole library.
WHOLE = "pagescan/pagescan.h"


def includes(path):
    """Yield (quote, name) of each #include line."""
    for line in path.read_text(encoding="utf-8").splitlines():
        found = re.match(r'\s*#\s*include\s*([<"])([^>"]+)[>"]', line)
        if found:
            yield found[1], found[2]


def sources(directory):
    return sorted(p for p in (ROOT / directory).rglob("*") if p.suffix in (".c", ".h"))


def is_inside(path, directory):
    return path.exists() and directory.resolve() in path.resolve().parents


def check_outside(directory):
    """What stands outside the library sees public headers and its own files."""
    wrong = []
    for path in sources(directory):
        for quote, name in includes(path):
            if quote == '"' and not is_inside(path.parent / name, ROOT / directory):
                wrong.append(f"{path.relative_to(ROOT)} includes \"{name}\" of another room")
            if quote == "<" and name.startswith("pagescan/"):
                if not (ROOT / "include" / name).exists():
                    wrong.append(f"{path.relative_to(ROOT)} includes <{name}>: no such header")
    return wrong


def check_room(room):
    allowed = ROOMS[ROOMS.index(room):]
    if room == "uapi":
        allowed = ["uapi"]
    wrong = []
    for path in sources(f"lib/{room}"):
        where = path.relative_to(ROOT)
        for quote, name in includes(path):
            if quote == '"':
                other = name.split("/")[0]
                if "/" not in name or other not in allowed:
                    wrong.append(f'{where} includes "{name}": only rooms {" ".join(allowed)}')
                wrong += check_siblings(where, path, name)
            elif name == WHOLE:
                if path.name != "version.c":
                    wrong.append(f"{where} includes <{name}>: name the noun instead")
            elif name in HEADERS:
                if HEADERS[name] not in allowed:
                    wrong.append(f"{where} includes <{name}> from above")
            elif name.startswith("pagescan/"):
                wrong.append(f"{where} includes <{name}>: no such noun")
            elif name.startswith(("linux/", "asm/")):
                wrong.append(f"{where} includes <{name}>: the kernel's structs stand in lib/uapi")
    return wrong


def check_shim():
    """The shim is a part of the library in disguise: it may see inside."""
    wrong = []
    for path in sources("shim"):
        for quote, name in includes(path):
            if quote == '"' and not ((ROOT / "shim" / name).exists()
                                     or (ROOT / "lib" / name).exists()):
                wrong.append(f'{path.relative_to(ROOT)} includes "{name}" of another room')
    return wrong


def check_siblings(where, path, name):
    """A backend never includes another backend, a view never another view; their parts may."""
    other = pathlib.PurePath(name)
    if path.stem.startswith(other.stem + "-"):
        return []
    for kind in ("backend-", "view-", "operation-"):
        if path.name.startswith(kind) and other.name.startswith(kind) and other.stem != path.stem:
            return [f'{where} includes "{name}": {kind[:-1]}s do not know each other']
    return []


def check_headers():
    """Public headers see each other in the order of the nouns, and no insides."""
    wrong = []
    for path in sources("include"):
        mine = str(path.relative_to(ROOT / "include"))
        for quote, name in includes(path):
            if quote == '"':
                wrong.append(f'{mine} includes "{name}"')
            elif name.startswith("pagescan/") and mine != WHOLE:
                if ROOMS.index(HEADERS[name]) < ROOMS.index(HEADERS[mine]):
                    wrong.append(f"{mine} includes <{name}> from above")
    return wrong


def main():
    tap = Tap()
    rooms = sorted(p.name for p in (ROOT / "lib").iterdir() if p.is_dir())
    tap.case("every room is known", [f"lib/{r}: not in the order" for r in rooms if r not in ROOMS])
    for room in ROOMS:
        if room in rooms:
            tap.case(f"lib/{room} sees only what is below it", check_room(room))
    for directory in ("cli", "examples", "bench"):
        tap.case(f"{directory} sees public headers only", check_outside(directory))
    tap.case("shim sees itself and inside the library", check_shim())
    tap.case("public headers see the nouns below", check_headers())
    tap.done()


main()
