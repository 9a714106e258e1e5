# SPDX-License-Identifier: MIT
"""A machine under plain emulation that runs a list of tests and ends."""
import os
import re
import selectors
import subprocess
import time

MEMORY = os.environ.get("PAGESCAN_MACHINE_MEMORY", "2048")
BOOT_SECONDS = 300
# What init gives a killed test before it calls it hung, and a little more.
GRACE_SECONDS = 60

# oops=panic and panic=-1: a kernel that is hurt answers nothing any more; the machine ends, and what
# was left is run in a new one. The watchdogs count real time, of which emulation gets too little.
KERNEL_ARGUMENTS = (
    "console=ttyS0,115200 loglevel=6 panic=-1 oops=panic mitigations=off nowatchdog "
    "rcupdate.rcu_cpu_stall_suppress=1 no_timer_check tsc=reliable random.trust_cpu=on"
)
KERNEL_COMPLAINT = re.compile(
    r"(BUG: .*|WARNING: .*|Oops.*|Kernel panic.*|general protection fault.*|INFO: task .* blocked.*)"
)

# What plain emulation by qemu 7.2 cannot do: with a thread for each processor, one may still run code
# that another has just patched, and the kernel dies of its own breakpoint; cmpxchg16b spoils the
# flags now and then. la57: programs shall meet the address space that machines have today.
ACCELERATOR = "tcg,thread=single"
PROCESSOR = "max,cx16=off,la57=off"


class Run:
    """What a test did in a machine: how it ended, what it printed, what the kernel said meanwhile."""

    def __init__(self, name):
        self.name = name
        self.ending, self.code, self.seconds = "lost", 0, 0.0
        self.output = []
        self.complaints = []


def start(kernel, archive, console):
    return subprocess.Popen(
        ["qemu-system-x86_64", "-accel", ACCELERATOR, "-machine", "pc", "-nodefaults",
         "-no-user-config", "-display", "none", "-no-reboot", "-cpu", PROCESSOR,
         "-smp", "2", "-m", MEMORY, "-kernel", kernel.image, "-initrd", archive,
         "-append", KERNEL_ARGUMENTS, "-serial", "chardev:console",
         "-chardev", f"file,id=console,append=on,path={console}", "-serial", "stdio"],
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip


def read_lines(process, log, get_deadline):
    """Lines as they come, until the machine ends or the deadline, which moves, has passed."""
    pending = b""
    with selectors.DefaultSelector() as selector:
        selector.register(process.stdout, selectors.EVENT_READ)
        while True:
            left = get_deadline() - time.monotonic()
            if left <= 0 or not selector.select(left):
                return
            data = os.read(process.stdout.fileno(), 65536)
            if not data:
                return
            log.write(data)
            log.flush()
            *lines, pending = (pending + data).split(b"\n")
            yield from (line.decode(errors="replace").rstrip("\r") for line in lines)


def boot(kernel, archive, tests, directory, report):
    """Run @tests as far as the machine comes. Returns the runs, and notes of init."""
    runs, notes, current = [], [], None
    timeouts = {test.name: test.timeout for test in tests}
    deadline = time.monotonic() + BOOT_SECONDS
    console = os.path.join(directory, "console.log")
    process = start(kernel, archive, console)
    try:
        with open(os.path.join(directory, "tests.log"), "ab") as log:
            for line in read_lines(process, log, lambda: deadline):
                words = line.split()
                if words[:2] == ["==", "test"]:
                    current = Run(words[2])
                    runs.append(current)
                    deadline = time.monotonic() + timeouts[current.name] + GRACE_SECONDS
                elif words[:2] == ["==", "end"] and current:
                    current.ending, current.code = words[3], int(words[4])
                    current.seconds = float(words[5])
                    report(current)
                    current = None
                    deadline = time.monotonic() + GRACE_SECONDS
                elif words[:2] == ["==", "note"]:
                    notes.append(" ".join(words[2:]))
                elif current:
                    current.output.append(line)
                elif words and words[0] != "==":
                    notes.append(line)
    finally:
        process.kill()
        process.wait()
    read_complaints(console, runs)
    return runs, notes


def read_complaints(console, runs):
    """Give what the kernel complained of to the test that was running."""
    by_name = {run.name: run for run in runs}
    current = None
    with open(console, encoding="utf-8", errors="replace") as lines:
        for line in lines:
            mark = re.search(r"check-kernels: test (\S+)", line)
            if mark:
                current = by_name.get(mark[1])
            complaint = KERNEL_COMPLAINT.search(line)
            if complaint and current:
                current.complaints.append(complaint[1].strip())
