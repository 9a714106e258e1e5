#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Each example runs and says what it is meant to say.

    examples.py DIRECTORY_OF_EXAMPLES
"""
import pathlib
import re
import subprocess
import sys

from tap import Tap

EXAMPLES = pathlib.Path(sys.argv[1])

# Writes the same 256 pages all the time.
WRITER = """
import time
memory = bytearray(1 << 20)
print("ready", flush=True)
while True:
    for i in range(0, len(memory), 4096):
        memory[i] = (memory[i] + 1) & 255
    time.sleep(0.001)
"""


def run(name, *arguments):
    return subprocess.run([EXAMPLES / name, *arguments], capture_output=True, text=True, timeout=60)


def differs(result, expected):
    wrong = [f"exit code {result.returncode}"] if result.returncode else []
    wrong += [f"stderr: {line}" for line in result.stderr.splitlines()]
    if result.stdout != expected:
        wrong += [f"said: {line}" for line in result.stdout.splitlines()]
    return wrong


# On any kernel.
SIMULATED = """\
era 1: page 0 present; page 1 present written;
era 2: page 0 present; page 1 present written; page 2 written;
era 3: page 0 present; page 1 present written; page 2 written;
"""

OUTPUTS = {
    "track_own_writes": """\
pages 17 to 17 were written
pages 500 to 502 were written
""",
    "find_written_and_protect": """\
round 1:
  page 10, 1 in a row
  1 pages
round 2:
  page 20, 1 in a row
  page 22, 1 in a row
  2 pages
round 3:
  page 30, 1 in a row
  page 32, 1 in a row
  page 34, 1 in a row
  3 pages
""",
    "find_written_file_pages": """\
asked in categories:
  page 20, 2 in a row: written file present
  page 60, 1 in a row: written file present
asked in words:
  page 20, 2 in a row: written file present
  page 60, 1 in a row: written file present
""",
    "track_in_five_steps": """\
round 1
  only looking:
    page 100, 1 in a row
    1 pages
  and protecting again:
    page 100, 1 in a row
    1 pages
  looking once more:
    0 pages
round 2
  only looking:
    page 200, 2 in a row
    2 pages
  and protecting again:
    page 200, 2 in a row
    2 pages
  looking once more:
    0 pages
""",
}


def watch():
    """What is wrong with watching a process that writes 256 pages all the time."""
    writer = subprocess.Popen([sys.executable, "-c", WRITER], stdout=subprocess.PIPE, text=True)
    try:
        writer.stdout.readline()
        result = run("watch_process", str(writer.pid))
        wrong = [f"stderr: {line}" for line in result.stderr.splitlines()]
        if result.returncode:
            wrong.append(f"exit code {result.returncode}")
        rounds = [int(n) for n in re.findall(r"^wrote to (\d+) KiB", result.stdout, re.M)]
        if len(rounds) != 5:
            wrong.append(f"{len(rounds)} rounds")
        # One round may find it waiting for a processor, all of them not.
        if rounds and max(rounds) < 1024:
            wrong.append(f"at most {max(rounds)} KiB a round, and it writes 1024 all the time")
        if not re.search(r"^it was stopped for \d+\.\d+ ms", result.stdout, re.M):
            wrong.append("the cost is missing")
        if writer.poll() is not None:
            wrong.append(f"the watched process ended: {writer.returncode}")
        return wrong
    finally:
        writer.kill()
        writer.wait()


def main():
    tap = Tap()
    probe = run("what_works_here")
    tap.case("what_works_here", [] if probe.returncode == 0 else [probe.stderr])
    tap.case("test_without_a_kernel", differs(run("test_without_a_kernel"), SIMULATED))
    can_track = re.search(r"^write tracking: +yes", probe.stdout, re.M)
    reason = "this kernel or sandbox has no asynchronous write tracking"
    for name, expected in OUTPUTS.items():
        if can_track:
            tap.case(name, differs(run(name), expected))
        else:
            tap.skip(name, reason)
    if can_track:
        tap.case("watch_process", watch())
    else:
        tap.skip("watch_process", reason)
    tap.done()


main()
