#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The command is killed at any moment; what it watched goes on unharmed and untracked.

    cli-killed.py PAGESCAN WORKER SOURCE_ROOT KILL_AT
"""
import os
import random
import re
import select
import subprocess
import sys
import time

from command import PAGESCAN, Worker, offered
from tap import Tap

KILL_AT = os.path.abspath(sys.argv[4])
# On a slow (emulated) machine: only at every so many of the calls and moments.
EVERY = int(os.environ.get("PAGESCAN_KILL_EVERY", "1"))
N_MOMENTS = 300 // EVERY
# With the sanitizers, starting pagescan takes a good part of a second.
PATIENCE_S = 20
WATCH = ("--interval", "10ms", "--duration", "20ms")
# Nothing else may trace a program in which leaks are looked for.
ENVIRONMENT = os.environ | {"ASAN_OPTIONS": os.environ.get("ASAN_OPTIONS", "") + ":detect_leaks=0"}
QUIET = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, "env": ENVIRONMENT}


def read(pid, name):
    with open(f"/proc/{pid}/{name}", encoding="utf-8", errors="surrogateescape") as file:
        return file.read()


def traces(pid):
    """What tracking a process may change of it, and must change back."""
    status = dict(line.split(":", 1) for line in read(pid, "status").splitlines())
    found = {key: status[key].strip() for key in ("TracerPid", "Threads", "VmPTE", "SigPnd", "ShdPnd")}
    found["mappings"] = re.findall(r"^(?:[0-9a-f]+-[0-9a-f]+ .*|VmFlags:.*)$", read(pid, "smaps"), re.M)
    found["descriptors"] = sorted(os.listdir(f"/proc/{pid}/fd"))
    return found


def settled(pid):
    """Its traces, once they do not change any more."""
    before = None
    while (now := traces(pid)) != before:
        before = now
        time.sleep(0.1)
    return now


def remains(pid, before):
    """What is left in it: a helper that outlives its caller ends soon, and is waited for."""
    deadline = time.monotonic() + PATIENCE_S
    while (now := traces(pid)) != before:
        if time.monotonic() > deadline:
            return [f"{key}: {before[key]}, now {now[key]}" for key in now if now[key] != before[key]]
        time.sleep(0.001)
    return []


def test_each_call(tap):
    wrong, n, n_killed = [], random.randint(1, EVERY), 0
    with Worker("write", "2") as worker:
        before, code = settled(worker.pid), 0
        while code == 0 and not wrong:
            code = subprocess.run([KILL_AT, str(n), PAGESCAN, "watch", str(worker.pid), *WATCH],
                                  check=False, **QUIET).returncode
            wrong = [f"killed at call {n}: {line}" for line in remains(worker.pid, before)]
            n_killed += code == 0
            n += EVERY
        # Fewer calls than this, and it did not watch anything.
        if code != 1 or n < 200:
            wrong.append(f"it was killed {n_killed} times, before call {n}; then it ended with {code}")
        print(f"# killed at {n_killed} system calls, every {EVERY} of them in turn")
        tap.case("killed at each system call", wrong + worker.end())


def run_time(*args):
    """How long it takes, so that moments can be chosen from within."""
    begin = time.monotonic()
    subprocess.run([PAGESCAN, "watch", *args], check=False, **QUIET)
    return time.monotonic() - begin


def test_moments(tap):
    wrong, n_killed, n_tries = [], 0, 0
    with Worker("write", "2") as worker:
        before = settled(worker.pid)
        longest = run_time(str(worker.pid), *WATCH)
        while n_killed < N_MOMENTS and n_tries < 10 * N_MOMENTS:
            n_tries += 1
            watch = subprocess.Popen([PAGESCAN, "watch", str(worker.pid), *WATCH], **QUIET)
            time.sleep(random.random() * longest)
            watch.kill()
            if watch.wait() == -9:
                n_killed += 1
            else:
                # The one that was timed was slower than most are.
                longest *= 0.9
            wrong = remains(worker.pid, before)
            if wrong:
                break
        if not wrong and n_killed < N_MOMENTS:
            wrong.append(f"only {n_killed} were killed in time")
        print(f"# killed at {n_killed} moments of {n_tries}")
        tap.case("killed at random moments", wrong + worker.end())


def output_of(pipe):
    """All that comes out of it; None if somebody holds it open for ever."""
    text = b""
    while select.select([pipe], [], [], PATIENCE_S)[0]:
        data = os.read(pipe, 4096)
        if not data:
            return text
        text += data
    return None


def test_started(tap):
    """A command that it started runs to its end, or was never there."""
    command = ["--", "sh", "-c", "sleep 0.02; echo done"]
    longest = run_time(*WATCH, *command)
    outcomes = {b"": 0, b"done\n": 0}
    wrong = []
    for _ in range(max(N_MOMENTS // 3, 1)):
        pipe, its_end = os.pipe()
        watch = subprocess.Popen([PAGESCAN, "watch", *WATCH, *command], **QUIET | {"stdout": its_end})
        os.close(its_end)
        time.sleep(random.random() * longest)
        watch.kill()
        watch.wait()
        said = output_of(pipe)
        os.close(pipe)
        if said not in outcomes:
            wrong.append(f"its command said {said}")
            break
        outcomes[said] += 1
    print("# {} never ran, {} ran to their end".format(*outcomes.values()))
    tap.case("killed when it has started a command", wrong)


def main():
    tap = Tap()
    names = ("killed at each system call", "killed at random moments",
             "killed when it has started a command")
    if not offered().get("write tracking", "").startswith("yes"):
        for name in names:
            tap.skip(name, "this kernel or a sandbox denies write tracking")
        tap.done()
    seed = os.environ.get("PAGESCAN_SEED") or str(random.getrandbits(32))
    print(f"# seed {seed}")
    random.seed(seed)
    for test in (test_each_call, test_moments, test_started):
        test(tap)
    tap.done()


main()
