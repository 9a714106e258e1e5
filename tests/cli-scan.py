#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The command: usage, version, scan.

    cli-scan.py PAGESCAN WORKER SOURCE_ROOT
"""
import json
import os
import pathlib
import re
import subprocess

from command import (NOBODY, PAGESCAN, SOURCE, Worker, free_pid, kernel_thread, offered, pagescan, refusal,
                     sigpipe_default, success)
from tap import Tap

PAGE = os.sysconf("SC_PAGESIZE")
UNITS = {"B": 1, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30, "TiB": 1 << 40}


def scan_json(*args):
    done = pagescan("scan", *args, "--json")
    return json.loads(done.stdout) if done.returncode == 0 else {"failed": done.stderr}


def test_usage(tap):
    cases = [
        ((), "no command"),
        (("nonsense",), "'nonsense'"),
        (("--nonsense",), "'--nonsense'"),
        (("scan",), "which process"),
        (("scan", "1", "2"), "'2'"),
        (("scan", "--nonsense", "1"), "'--nonsense'"),
        (("scan", "--js", "1"), "'--js'"),
        (("scan", "-j", "1"), "'-j'"),
        (("scan", "--json=1", "1"), "takes no value"),
        (("scan", "--where"), "needs a value"),
        (("scan", "abc"), "'abc'"),
        (("scan", "0"), "'0'"),
        (("scan", "1x"), "'1x'"),
        (("scan", "99999999999"), "'99999999999'"),
        (("scan", "1", "--max-pages", "0"), "'0'"),
        (("scan", "1", "--max-pages", "-1"), "'-1'"),
        (("scan", "1", "--max-pages", "18446744073709551616"), "max-pages"),
        (("scan", "1", "--range", "abc"), "A-B"),
        (("scan", "1", "--range", "1000-"), "A-B"),
        (("scan", "1", "--range", "0x1000-0x2000 "), "A-B"),
        (("scan", "1", "--range", "1000+1X"), "A-B"),
        (("scan", "1", "--range", "1000+99999999T"), "A-B"),
        (("scan", "1", "--range", "2000-1000"), "before it begins"),
        (("scan", "1", "--range", "1000-1000"), "before it begins"),
        (("scan", "1", "--range", "1001-2000"), "begins at 1000"),
        (("scan", "1", "--report", "present,nonsense"), "'nonsense'"),
        (("scan", "1", "--report", ""), "''"),
        (("scan", "1", "--where", "present &"), "--where"),
        (("scan", "1", "--where", "present nonsense"), "--where"),
        (("version", "1"), "takes no argument"),
    ]
    for args, word in cases:
        tap.case(f"usage: {' '.join(args) or 'nothing'}",
                 refusal(pagescan(*args), 2, word, "--help"))


def test_help(tap):
    for command in ("scan", "watch", "version"):
        done = pagescan(command, "--help")
        wrong = success(done)
        if not done.stdout.startswith(f"Usage: pagescan {command}"):
            wrong.append(done.stdout[:80])
        tap.case(f"{command} --help", wrong)
    tap.case("--help names the commands", [
        name for name in ("scan", "watch", "version")
        if not re.search(rf"^  {name} ", pagescan("--help").stdout, re.M)])
    done = pagescan("--help", stdout=open("/dev/full", "w"))
    tap.case("--help on a full disk", refusal(done, 1, "No space"))


def test_pages_of_the_manual(tap):
    """The same options, with the same arguments, in --help and in the manual."""
    for command in ("scan", "watch"):
        text = pathlib.Path(SOURCE, "man", f"pagescan-{command}.1.scd").read_text("utf-8")
        manual = set(re.findall(r"^\*--([a-z-]+)\*(?: _([A-Z-]+)_)?$", text, re.M))
        said = set(re.findall(r"^  --([a-z-]+)(?: ([A-Z-]+))? ", pagescan(command, "--help").stdout,
                              re.M))
        tap.case(f"manual of {command}", sorted(map(str, manual ^ said)))


def test_refusals(tap):
    tap.case("no such process", refusal(pagescan("scan", free_pid()), 1))
    thread = kernel_thread()
    if thread:
        tap.case("kernel thread", refusal(pagescan("scan", thread), 1, "kernel"))
    else:
        tap.skip("kernel thread", "none is seen here")
    zombie = subprocess.Popen(["true"])
    os.waitid(os.P_PID, zombie.pid, os.WEXITED | os.WNOWAIT)
    tap.case("zombie", refusal(pagescan("scan", zombie.pid), 1))
    zombie.wait()
    if os.geteuid() == 0:
        done = pagescan("scan", os.getpid(), user=NOBODY, extra_groups=[])
        tap.case("another user's", refusal(done, 1))
    else:
        tap.skip("another user's", "needs root, to become nobody")


def test_lacking_category(tap):
    """Each category in turn: works, or is refused by its name."""
    known = offered().get("categories", "").split()
    with Worker("still") as worker:
        for name in ("wpallowed", "written", "file", "present", "swapped", "pfnzero", "huge",
                     "soft_dirty", "guard", "accessed"):
            done = pagescan("scan", worker.pid, "--where", name)
            tap.case(f"--where {name}",
                     success(done) if name in known else refusal(done, 1, name))
        tap.case("unharmed", worker.end())


def parse_size(text):
    number, unit = text.split()
    return float(number) * UNITS[unit]


def test_text_agrees_with_json(tap):
    wrong = []
    with Worker("still") as worker:
        data = scan_json(worker.pid)
        lines = pagescan("scan", worker.pid).stdout.splitlines()
        wrong += worker.end()
    rows = data.get("regions", [])
    if len(lines) - 1 != len(rows) or not rows:
        wrong.append(f"{len(lines)} lines, {len(rows)} regions")
    for line, row in zip(lines[1:], rows):
        found = re.match(r"\s*([0-9a-f]+)\s+([0-9a-f]+)\s+(\d+)\s+([\d.]+ \w+)\s+(\S+)\s+(.+)", line)
        if not found:
            wrong.append(line)
            continue
        start, end, pages, size, categories, mapping = found.groups()
        same = (int(start, 16) == int(row["start"], 16), int(end, 16) == int(row["end"], 16),
                int(pages) == row["pages"] == row["bytes"] // PAGE,
                abs(parse_size(size) - row["bytes"]) <= 0.06 * parse_size("1 " + size.split()[1]),
                categories == (",".join(row["categories"]) or "-"), mapping == row["mapping"])
        if not all(same):
            wrong.append(f"{line} is not {row}")
    total = data.get("total", {})
    if total.get("pages") != sum(row["pages"] for row in rows) or not data.get("complete"):
        wrong.append(f"total {total}")
    tap.case("text agrees with JSON", wrong)


def test_regions_keep_to_mappings(tap):
    wrong = []
    with Worker("still") as worker:
        with open(f"/proc/{worker.pid}/maps", encoding="utf-8") as maps:
            spans = [[int(x, 16) for x in line.split()[0].split("-")] + [line.split(None, 5)[5:]]
                     for line in maps]
        for row in scan_json(worker.pid).get("regions", []):
            start, end = int(row["start"], 16), int(row["end"], 16)
            span = [s for s in spans if s[0] <= start and end <= s[1]]
            name = span[0][2][0].rstrip("\n") if span and span[0][2] else "[anon]"
            if not span or name != row["mapping"]:
                wrong.append(f"{row} in {span}")
        wrong += worker.end()
    tap.case("a region lies in one mapping, under its name", wrong)


def test_summary(tap):
    wrong = []
    with Worker("still") as worker:
        data = scan_json(worker.pid, "--summary")
        regions = scan_json(worker.pid).get("regions", [])
        text = pagescan("scan", worker.pid, "--summary").stdout.splitlines()
        with open(f"/proc/{worker.pid}/maps", encoding="utf-8") as maps:
            n_mappings = sum("[vsyscall]" not in line for line in maps)
        wrong += worker.end()
    rows = data.get("mappings", [])
    if len(rows) != n_mappings or len(text) != n_mappings + 2:
        wrong.append(f"{len(rows)} rows, {len(text)} lines for {n_mappings} mappings")
    for key in ("pages", "present", "file", "pfnzero"):
        expected = sum(r["pages"] for r in regions if key == "pages" or key in r["categories"])
        counted = sum(row[key] for row in rows)
        if not expected == counted == data["total"][key] or not expected:
            wrong.append(f"{key}: {expected} expected, {counted} counted, {data['total'][key]}")
    if text and not re.fullmatch(rf"\s+\S+ \w+\s+{data['total']['pages']}\s.* total", text[-1]):
        wrong.append(text[-1])
    tap.case("summary", wrong)


def test_narrowing(tap):
    wrong = []
    with Worker("still") as worker:
        rows = scan_json(worker.pid)["regions"]
        # The longest: mixed memory of targets/worker.c has none of two pages.
        row = max(rows, key=lambda r: r["pages"])
        start, end = int(row["start"], 16), int(row["end"], 16)
        for text in (f"{start:x}-{end:x}", f"0x{start:X}-0x{end:X}", f"{start:x}+{end - start}",
                     f"{start:x}+{(end - start) // 1024}K", f"{start:x}+0x{end - start:x}"):
            found = scan_json(worker.pid, "--range", text).get("regions")
            if found != [row]:
                wrong.append(f"--range {text}: {found}")
        cut = scan_json(worker.pid, "--max-pages", 7)
        if cut["total"]["pages"] != 7:
            wrong.append(f"--max-pages 7: {cut['total']}")
        zero = scan_json(worker.pid, "--where", "pfnzero", "--report", "pfnzero")["regions"]
        if [(r["pages"], r["categories"]) for r in zero] != [(1, ["pfnzero"])]:
            wrong.append(f"--where pfnzero: {zero}")
        odd = scan_json(worker.pid, "--where", "!file & (pfnzero | huge | present) & !pfnzero")
        plain = [r for r in rows if not {"file", "pfnzero"} & set(r["categories"]) and
                 "present" in r["categories"]]
        if odd.get("regions") != plain:
            wrong.append(f"--where of another shape: {odd}, not {plain}")
        nothing = pagescan("scan", worker.pid, "--where", "huge & !huge")
        if nothing.returncode or nothing.stdout:
            wrong.append(f"nothing matches: {nothing}")
        wrong += worker.end()
    tap.case("range, max-pages, where, report", wrong)


def test_output(tap):
    with Worker("still") as worker:
        wrong = [path for path in (("scan", worker.pid), ("scan", worker.pid, "--summary"))
                 if "\033" in pagescan(*path).stdout]
        tap.case("no colours in a pipe", wrong)
        for args in ((), ("--json",), ("--summary",), ("--summary", "--json")):
            done = pagescan("scan", worker.pid, *args, stdout=open("/dev/full", "w"))
            tap.case(f"disk full {' '.join(args)}", refusal(done, 1, "No space"))
        reader, writer = os.pipe()
        os.close(reader)
        done = pagescan("scan", worker.pid, stdout=writer, preexec_fn=sigpipe_default)
        os.close(writer)
        wrong = [] if done.returncode == 1 and not done.stderr else [str(done)]
        tap.case("closed pipe", wrong)
        tap.case("unharmed by output that fails", worker.end())


def test_strange_names(tap):
    """File names are bytes: JSON must stay JSON, and a terminal its own."""
    path = b"/tmp/pagescan-\xff\x1b[31m\"\n-%d" % os.getpid()
    code = ("import mmap,os,sys; f=os.open(sys.argv[1].encode('utf-8','surrogateescape'), 0o102);"
            "os.ftruncate(f,4096); m=mmap.mmap(f,4096); m[0]=1; print('x',flush=True); input()")
    with subprocess.Popen(["python3", "-c", code, os.fsdecode(path)], stdin=subprocess.PIPE,
                          stdout=subprocess.PIPE) as process:
        process.stdout.readline()
        data = scan_json(process.pid, "--where", "present & file")
        text = pagescan("scan", process.pid, errors="surrogateescape").stdout
        process.communicate(b"\n")
    os.unlink(path)
    wrong = []
    if not any("pagescan-\\xff" in row["mapping"] for row in data.get("regions", [])):
        wrong.append("the name is not in JSON")
    if "\033" in text or "\udcff" in text:
        wrong.append("the name is raw in text")
    tap.case("a file name of any bytes", wrong)


def test_many_mappings(tap):
    """As many mappings as the kernel allows, nearly."""
    with open("/proc/sys/vm/max_map_count", encoding="ascii") as limit:
        n = min(60000, int(limit.read()) - 500)
    with Worker("mappings", str(n)) as worker:
        rows = scan_json(worker.pid, "--summary").get("mappings", [])
        tap.case(f"{n} mappings, summary", [] if len(rows) > n else [str(len(rows))])
        rows = scan_json(worker.pid).get("regions", [])
        tap.case(f"{n} mappings, regions", [] if len(rows) > n else [str(len(rows))])
        tap.case("unharmed", worker.end())


def peak_memory(*args):
    """Run pagescan; the number of its lines, and the most memory it had on the way, in MB."""
    n_lines, megabytes = 0, 0
    with subprocess.Popen([PAGESCAN, *map(str, args)], stdout=subprocess.PIPE) as process:
        for _ in process.stdout:
            n_lines += 1
            if n_lines % 20000 == 0:
                status = pathlib.Path(f"/proc/{process.pid}/status").read_text("ascii")
                megabytes = int(re.search(r"VmHWM:\s*(\d+) kB", status)[1]) // 1024
    return n_lines, megabytes


def test_memory(tap):
    """A process with very many regions is told with little memory."""
    if b"__asan_init" in pathlib.Path(PAGESCAN).read_bytes():
        tap.skip("very many regions", "the address sanitizer keeps memory")
        return
    code = ("import mmap; m=mmap.mmap(-1, 1<<30)\n"
            "for i in range(0, 1<<30, 8192): m[i]=1\nprint('x', flush=True); input()")
    with subprocess.Popen(["python3", "-c", code], stdin=subprocess.PIPE,
                          stdout=subprocess.PIPE) as process:
        process.stdout.readline()
        for args in ((), ("--json",)):
            n_lines, megabytes = peak_memory("scan", process.pid, *args)
            wrong = [] if n_lines > 131072 and 0 < megabytes < 30 else [f"{n_lines} {megabytes} MB"]
            tap.case(f"131072 regions in little memory {' '.join(args)}", wrong)
        process.communicate(b"\n")


def test_changing(tap):
    """One that maps and unmaps as fast as it can; it ends in the midst of a scan at last."""
    wrong = []
    with Worker("churn") as worker:
        for _ in range(20):
            for args in ((), ("--json",), ("--summary",)):
                wrong += success(pagescan("scan", worker.pid, *args))
        wrong += worker.end()
    tap.case("it maps and unmaps", wrong)
    wrong = []
    for i in range(40):
        with Worker("still") as worker:
            with subprocess.Popen(["sh", "-c", f"sleep 0.00{i % 10}; kill -9 {worker.pid}"]):
                done = pagescan("scan", worker.pid, "--json")
            if done.returncode not in (0, 1):
                wrong.append(str(done))
            if done.stdout:
                json.loads(done.stdout)
    tap.case("it is killed meanwhile", wrong)


def by(operation, *args):
    """Run the command with one operation forced."""
    return pagescan(*args, env={**os.environ, "PAGESCAN_OPERATION": operation})


def test_operations(tap):
    """Both answer alike; what is forced and cannot be had is refused."""
    with Worker("still") as worker:
        args = ("scan", worker.pid, "--json", "--where", "present | swapped",
                "--report", "present,swapped,file,written")
        engine, kernel = by("engine", *args), by("kernel", *args)
        nonsense = by("nonsense", *args)
        wrong = success(engine)
        if not json.loads(engine.stdout or "{}").get("regions"):
            wrong.append("the engine finds nothing")
        if offered().get("PAGEMAP_SCAN", "").startswith("yes"):
            wrong += success(kernel)
            if kernel.stdout != engine.stdout:
                wrong.append(f"{engine.stdout} is not {kernel.stdout}")
        else:
            wrong += refusal(kernel, 1, "PAGEMAP_SCAN")
        wrong += worker.end()
    tap.case("kernel and engine", wrong)
    tap.case("an operation that is none", refusal(nonsense, 1, "'nonsense'"))


def main():
    tap = Tap()
    test_usage(tap)
    test_help(tap)
    test_pages_of_the_manual(tap)
    test_refusals(tap)
    for test in (test_lacking_category, test_text_agrees_with_json, test_regions_keep_to_mappings,
                 test_summary, test_narrowing, test_output, test_strange_names,
                 test_many_mappings, test_memory, test_changing, test_operations):
        test(tap)
    tap.done()


main()
