# SPDX-License-Identifier: MIT
"""Running pagescan on programs that notice harm, for the tests of the command."""
import functools
import glob
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time

PAGESCAN, WORKER, SOURCE = (os.path.abspath(path) for path in sys.argv[1:4])
NOBODY = 65534


class Worker:
    """A worker (targets/worker.c) that must be sound when it is let go."""

    def __init__(self, *mode, **options):
        self.wrong = []
        self.process = subprocess.Popen([WORKER, *mode], stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, text=True, **options)
        self.process.stdout.readline()
        self.pid = self.process.pid
        # It waits for its input when it said that: from then on, its own hands lie still.
        while self.process.poll() is None and self.state() != "S":
            time.sleep(0.001)
        self.descriptors = self.count_descriptors()

    def state(self):
        with open(f"/proc/{self.pid}/stat", encoding="ascii") as stat:
            return stat.read().rsplit(")", 1)[1].split()[0]

    def count_descriptors(self):
        return len(os.listdir(f"/proc/{self.pid}/fd"))

    def end(self):
        """End it, and return what is wrong with it."""
        wrong = []
        if self.process.poll() is None and self.count_descriptors() != self.descriptors:
            wrong.append(f"it has other descriptors: {os.listdir(f'/proc/{self.pid}/fd')}")
        said, _ = self.process.communicate()
        if self.process.returncode or not said.startswith("sound"):
            wrong.append(f"the worker was harmed: {said!r}, status {self.process.returncode}")
        return wrong

    def __enter__(self):
        return self

    def __exit__(self, *error):
        if self.process.poll() is None:
            self.process.kill()
        self.process.communicate()


@functools.cache
def public_copy():
    """The directory of a copy that any user may run: the build may stand in one's own home."""
    public = tempfile.TemporaryDirectory()
    os.chmod(public.name, 0o755)
    for path in [PAGESCAN, *glob.glob(os.path.dirname(PAGESCAN) + "/libpagescan.so.?")]:
        shutil.copy(path, public.name)
    return public


def pagescan(*args, **options):
    """Run it; the result has returncode, stdout and stderr."""
    options.setdefault("stdout", subprocess.PIPE)
    options.setdefault("stderr", subprocess.PIPE)
    command = PAGESCAN
    if "user" in options:
        command = os.path.join(public_copy().name, "pagescan")
    return subprocess.run([command, *map(str, args)], text=True, timeout=120, **options)


def refusal(done, code, *words):
    """What is wrong with a run that had to end with @code and one sentence with @words in it."""
    wrong = []
    if done.returncode != code:
        wrong.append(f"exit code {done.returncode}, not {code}")
    if done.stdout:
        wrong.append(f"it printed {done.stdout[:200]!r}")
    lines = (done.stderr or "").splitlines()
    if len(lines) != 1 or not lines[0].startswith("pagescan: "):
        wrong.append(f"not one sentence: {done.stderr!r}")
    wrong += [f"does not say {word!r}: {done.stderr!r}" for word in words
              if word.lower() not in (done.stderr or "").lower()]
    return wrong


def success(done):
    if done.returncode == 0:
        return []
    return [f"exit code {done.returncode}: {done.stderr!r}"]


def json_lines(text):
    return [json.loads(line) for line in text.splitlines()]


def kernel_thread():
    """The number of one, or None where they are not seen."""
    for entry in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{entry}/stat", encoding="ascii", errors="replace") as stat:
                # The flag PF_KTHREAD, in the seventh field behind the name.
                if int(stat.read().rsplit(")", 1)[1].split()[6]) & 0x200000:
                    return entry
        except OSError:
            pass
    return None


def free_pid():
    """The number of a process that is gone."""
    process = subprocess.Popen(["true"])
    process.wait()
    return process.pid


def offered():
    """What 'pagescan version' says, by its first words."""
    lines = pagescan("version").stdout.splitlines()
    return {line[:16].strip(): line[17:] for line in lines}


def sigpipe_default():
    """For a child of Python, which ignores SIGPIPE."""
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
