#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The command: watch. Whatever happens, the process that is watched stays sound.

    cli-watch.py PAGESCAN WORKER SOURCE_ROOT
"""
import ctypes

import os
import signal
import subprocess
import tempfile
import threading
import time

from command import (NOBODY, PAGESCAN, WORKER, Worker, free_pid, json_lines, kernel_thread, offered,
                     pagescan, refusal, sigpipe_default, success)
from tap import Tap

PAGE = os.sysconf("SC_PAGESIZE")
PTRACE_SEIZE = 0x4206


def start_watch(*args, **options):
    return subprocess.Popen([PAGESCAN, "watch", *map(str, args)], text=True,
                            stdout=subprocess.PIPE, stderr=subprocess.PIPE, **options)


def check_lines(lines):
    """What is wrong with the lines of --json as a whole."""
    wrong = []
    intervals = [line for line in lines if line["type"] == "interval"]
    if not lines or lines[0]["type"] != "start" or lines[-1]["type"] != "summary":
        return [f"no start or no summary: {lines}"]
    summary = lines[-1]
    for key in ("pages", "bytes"):
        if sum(line[key] for line in intervals) != summary[key]:
            wrong.append(f"{key} of the intervals do not add up to {summary[key]}")
    if intervals and intervals[-1]["distinct_pages"] != summary["distinct_pages"]:
        wrong.append("the last count of distinct pages is not that of the summary")
    for line in intervals:
        if sum(row["pages"] for row in line["top"]) > line["pages"]:
            wrong.append(f"the mappings have more than all: {line}")
        if line["bytes"] != line["pages"] * PAGE:
            wrong.append(f"bytes are not pages: {line}")
    return wrong


def test_usage(tap):
    cases = [
        (("watch",), "which process"),
        (("watch", "abc"), "'abc'"),
        (("watch", "1", "--"), "not both"),
        (("watch", "1", "--", "true"), "not both"),
        (("watch", "--"), "which command"),
        (("watch", "1", "--interval"), "needs a value"),
        (("watch", "1", "--top", "0"), "'0'"),
        (("watch", "1", "--top", "1001"), "'1001'"),
    ]
    for value in ("", "5", "0s", "-1s", "1e3s", "5 s", "5sec", "1.s", "0.0001ms",
                  "99999999999999999999s", "9999999999h"):
        cases.append((("watch", "1", "--interval", value), f"'{value}'"))
        cases.append((("watch", "1", f"--duration={value}"), f"'{value}'"))
    for args, word in cases:
        tap.case(f"usage: {' '.join(args)}", refusal(pagescan(*args), 2, word, "--help"))


def test_refusals(tap):
    tap.case("no such process", refusal(pagescan("watch", free_pid()), 1))
    thread = kernel_thread()
    if thread:
        tap.case("kernel thread", refusal(pagescan("watch", thread), 1, "kernel"))
    else:
        tap.skip("kernel thread", "none is seen here")
    with tempfile.TemporaryDirectory() as directory:
        tap.case("no such command", refusal(pagescan("watch", "--", "./no-such-command"), 1,
                                            "no-such-command"))
        script = f"{directory}/not-executable"
        pathlib_touch(script)
        tap.case("command that may not run", refusal(pagescan("watch", "--", script), 1, script))
        tap.case("output that cannot be made",
                 refusal(pagescan("watch", "--output", directory, "--", "true"), 1, directory))


def pathlib_touch(path):
    with open(path, "w", encoding="utf-8"):
        pass


def test_denied(tap):
    """Under a filter that denies userfaultfd, as some containers have it: both, and only us."""
    marker = tempfile.mktemp()
    with Worker("write") as worker:
        done = subprocess.run([WORKER, "deny", PAGESCAN, "watch", "--", "touch", marker],
                              capture_output=True, text=True, check=False)
        tap.case("userfaultfd denied to both", refusal(done, 1, "seccomp"))
        tap.case("a command that cannot be watched does not run",
                 [marker] if os.path.exists(marker) else [])
        tap.case("unharmed", worker.end())
    with Worker("deny", WORKER, "write") as worker:
        done = subprocess.run([WORKER, "deny", PAGESCAN, "watch", str(worker.pid)],
                              capture_output=True, text=True, check=False)
        tap.case("userfaultfd denied to both, running", refusal(done, 1, "seccomp"))
        tap.case("unharmed", worker.end())


def test_another_users(tap):
    if os.geteuid():
        tap.skip("another user's", "needs root, to become nobody")
        return
    with Worker("write") as worker:
        done = pagescan("watch", worker.pid, user=NOBODY, extra_groups=[])
        tap.case("another user's", refusal(done, 1))
        tap.case("unharmed", worker.end())


def test_traced(tap):
    libc = ctypes.CDLL(None, use_errno=True)
    with Worker("write") as worker:
        if libc.ptrace(PTRACE_SEIZE, worker.pid, None, None):
            tap.skip("already traced", f"cannot trace: {os.strerror(ctypes.get_errno())}")
            return
        tap.case("already traced", refusal(pagescan("watch", worker.pid), 1, "traced"))
        tap.case("unharmed", worker.end())


def test_numbers(tap):
    with Worker("write", "2") as worker:
        done = pagescan("watch", worker.pid, "--interval", "50ms", "--duration", "400ms", "--json",
                        "--top", "2")
        wrong = success(done) or check_lines(json_lines(done.stdout))
        summary = json_lines(done.stdout)[-1] if not wrong else {}
        if summary and not 100 < summary["distinct_pages"] < 4096:
            wrong.append(f"{summary['distinct_pages']} distinct pages")
        if summary and (summary["ended_by"] != "duration over" or len(summary["top"]) > 2):
            wrong.append(str(summary))
        tap.case("numbers of --json", wrong)
        done = pagescan("watch", worker.pid, "--interval", "100ms", "--duration", "300ms")
        text = done.stdout
        wrong = success(done) + [word for word in ("Watching worker", "MOSTLY IN", "Written",
                                                   "Distinct", "Cost to it", "stopped for") if word not in text]
        tap.case("text", wrong + (["colours in a pipe"] if "\033" in text else []))
        tap.case("unharmed", worker.end())


def test_signals(tap):
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        with Worker("write") as worker:
            watch = start_watch(worker.pid, "--interval", "20ms", "--json")
            lines = [watch.stdout.readline() for _ in range(3)]
            watch.send_signal(number)
            text, errors = watch.communicate()
            lines = json_lines("".join(lines) + text)
            wrong = check_lines(lines)
            if watch.returncode or errors or lines[-1].get("ended_by") != "interrupted":
                wrong.append(f"{watch.returncode} {errors} {lines[-1]}")
            tap.case(f"{number.name} ends it with the summary", wrong)
            tap.case("unharmed", worker.end())
    with Worker("write") as worker:
        watch = subprocess.Popen(["nohup", PAGESCAN, "watch", str(worker.pid), "--duration", "300ms",
                                  "--interval", "20ms", "--json"], stdout=subprocess.PIPE,
                                 stderr=subprocess.DEVNULL, text=True)
        lines = watch.stdout.readline()
        watch.send_signal(signal.SIGHUP)
        lines = json_lines(lines + watch.communicate()[0])
        tap.case("nohup", [] if lines[-1].get("ended_by") == "duration over" else [str(lines)])


def test_reader_that_does_not_read(tap):
    """It can be ended though the pipe is full."""
    with Worker("write") as worker:
        watch = start_watch(worker.pid, "--interval", "1ms", "--top", "50", "--json")
        watch.stdout.readline()
        while blocked_in(watch.pid) != "pipe":
            time.sleep(0.05)
        watch.send_signal(signal.SIGINT)
        code = watch.wait(20)
        tap.case("nobody reads", [] if code == 1 else [str(code)])
        watch.communicate()
        tap.case("unharmed", worker.end())


def blocked_in(pid):
    """"pipe" if its pipe is full: what it wrote stays the same for long."""
    def written():
        with open(f"/proc/{pid}/io", encoding="ascii") as counters:
            return counters.read().split("wchar: ")[1].split()[0]
    before = written()
    time.sleep(0.5)
    return "pipe" if written() == before else "no"


def test_output(tap):
    with Worker("write") as worker:
        for args in ((), ("--json",)):
            done = pagescan("watch", worker.pid, "--interval", "20ms", *args,
                            stdout=open("/dev/full", "w", encoding="utf-8"))
            tap.case(f"disk full {' '.join(args)}", refusal(done, 1, "No space"))
        watch = start_watch(worker.pid, "--interval", "20ms", preexec_fn=sigpipe_default)
        watch.stdout.readline()
        watch.stdout.close()
        errors = watch.stderr.read()
        tap.case("closed pipe", [] if watch.wait() == 1 and not errors else [errors])
        watch.stderr.close()
        tap.case("unharmed by output that fails", worker.end())


def test_exits(tap):
    for how, number in (("ends", None), ("is killed", signal.SIGKILL)):
        with Worker("write") as worker:
            watch = start_watch(worker.pid, "--interval", "20ms", "--json")
            lines = [watch.stdout.readline() for _ in range(4)]
            wrong = worker.end() if not number else []
            if number:
                worker.process.send_signal(number)
                worker.process.wait()
            text, errors = watch.communicate()
            lines = json_lines("".join(lines) + text)
            wrong += check_lines(lines)
            if watch.returncode or errors or lines[-1].get("ended_by") != "exited":
                wrong.append(f"{watch.returncode} {errors} {lines[-1]}")
            tap.case(f"it {how}", wrong)
    wrong = []
    for i in range(40):
        with Worker("write") as worker:
            threading.Timer(i / 4000, worker.process.kill).start()
            done = pagescan("watch", worker.pid, "--interval", "5ms", "--json", "--duration", "200ms")
            if done.returncode and len(done.stderr.splitlines()) != 1:
                wrong.append(str(done))
            if not done.returncode:
                wrong += check_lines(json_lines(done.stdout))
    tap.case("it is killed at any moment", wrong)


def test_commands(tap):
    code = ("import mmap,time,sys; m=mmap.mmap(-1,1<<22,mmap.MAP_PRIVATE|mmap.MAP_ANONYMOUS)\n"
            "for i in range(0,1<<22,4096): m[i]=1\n"
            "time.sleep(0.5); print(sys.stdin.read()); sys.exit(7)")
    done = pagescan("watch", "--interval", "50ms", "--json", "--", "python3", "-c", code,
                    input="through")
    lines = json_lines(done.stderr) if not done.returncode else []
    wrong = success(done) or check_lines(lines)
    if done.stdout != "through\n":
        wrong.append(f"its output is {done.stdout!r}")
    if lines and (lines[-1].get("exit_status") != 7 or lines[-1]["distinct_pages"] < 1024):
        wrong.append(str(lines[-1]))
    tap.case("a command", wrong)
    with tempfile.TemporaryDirectory() as directory:
        path = f"{directory}/report"
        done = pagescan("watch", "--output", path, "--interval", "20ms", "--", "sh", "-c",
                        "sleep 0.1; kill -9 $$")
        with open(path, encoding="utf-8") as report:
            text = report.read()
        wrong = success(done) + [done.stderr] * bool(done.stderr)
        tap.case("--output", wrong + ([] if "ended by signal 9" in text else [text]))
    done = pagescan("watch", "--duration", "100ms", "--", "sleep", "0.5")
    tap.case("a command runs on", success(done) +
             ([] if "runs on" in done.stderr else [done.stderr]))
    # No signal is blocked or ignored in it, and it has no descriptor of ours.
    code = "cat /proc/self/status | grep -E '^Sig(Blk|Ign)'; ls /proc/self/fd | wc -l"
    plain = subprocess.run(["sh", "-c", code], capture_output=True, text=True, check=False,
                           preexec_fn=sigpipe_default)
    done = pagescan("watch", "--", "sh", "-c", code, preexec_fn=sigpipe_default)
    tap.case("a command is started as a shell would",
             [] if done.stdout == plain.stdout else [done.stdout, plain.stdout])


def test_interrupted_command(tap):
    """Ctrl-C at a terminal goes to both: the whole group of processes."""
    for code, key, value in (("import signal,time\nsignal.signal(2, signal.SIG_DFL)\n"
                              "print('ready', flush=True)\ntime.sleep(60)", "exit_signal", 2),
                             ("import signal,time\nsignal.signal(2, lambda *_: exit(5))\n"
                              "print('ready', flush=True)\ntime.sleep(60)", "exit_status", 5)):
        watch = start_watch("--json", "--interval", "50ms", "--", "python3", "-c", code,
                            start_new_session=True)
        watch.stdout.readline()
        os.killpg(watch.pid, signal.SIGINT)
        lines = json_lines(watch.communicate()[1])
        wrong = [] if lines[-1].get(key) == value else [str(lines[-1])]
        tap.case(f"Ctrl-C, {key}", wrong)


def test_exec(tap):
    code = ("import mmap,time; m=mmap.mmap(-1,1<<22,mmap.MAP_PRIVATE|mmap.MAP_ANONYMOUS)\n"
            "for i in range(0,1<<22,4096): m[i]=1\ntime.sleep(0.4)")
    done = pagescan("watch", "--interval", "50ms", "--json", "--", "sh", "-c",
                    f"sleep 0.3; exec python3 -c '{code}'")
    lines = json_lines(done.stderr) if not done.returncode else []
    wrong = success(done) or check_lines(lines)
    events = [line for line in lines if line["type"] == "event"]
    if [line["event"] for line in events] != ["exec"] or "python3" not in events[0]["text"]:
        wrong.append(f"events: {events}")
    if lines and lines[-1]["distinct_pages"] < 1024:
        wrong.append(str(lines[-1]))
    tap.case("exec", wrong)
    done = pagescan("watch", "--interval", "50ms", "--", "sh", "-c", "sleep 0.2; exec sleep 0.2")
    tap.case("exec, in text", [] if done.stderr.count("replaced by another program") == 1
             else [done.stderr])
    done = pagescan("watch", "--interval", "5ms", "--json", "--", "sh", "-c",
                    "n=$1; [ $n = 0 ] || exec sh -c \"$0\" \"$0\" $((n-1))" .replace("$0", "$0"),
                    "true", "0")
    tap.case("exec of nothing", success(done))
    loop = "import os,sys; n=int(sys.argv[1]); n and os.execv(sys.executable, " \
           "[sys.executable, '-SIc', sys.argv[2], str(n-1), sys.argv[2]])"
    done = pagescan("watch", "--interval", "3ms", "--json", "--", "python3", "-SIc", loop, "30", loop)
    tap.case("exec again and again", success(done) or check_lines(json_lines(done.stderr)))


def test_changing(tap):
    with Worker("churn") as worker:
        done = pagescan("watch", worker.pid, "--interval", "5ms", "--duration", "1s", "--json")
        tap.case("it maps and unmaps", success(done) or check_lines(json_lines(done.stdout)))
        tap.case("unharmed", worker.end())
    with open("/proc/sys/vm/max_map_count", encoding="ascii") as limit:
        n = min(60000, int(limit.read()) - 500)
    with Worker("mappings", str(n)) as worker:
        done = pagescan("watch", worker.pid, "--duration", "1s", "--json")
        tap.case(f"{n} mappings", success(done) or check_lines(json_lines(done.stdout)))
        tap.case("unharmed", worker.end())
    with Worker("write", "32") as worker:
        done = pagescan("watch", worker.pid, "--interval", "10ms", "--duration", "500ms", "--json")
        tap.case("32 threads", success(done) or check_lines(json_lines(done.stdout)))
        tap.case("unharmed", worker.end())


def test_late(tap):
    """Stopped for a while, it goes on at the next interval, and says what it skipped."""
    with Worker("write") as worker:
        watch = start_watch(worker.pid, "--interval", "20ms", "--json")
        lines = [watch.stdout.readline() for _ in range(3)]
        watch.send_signal(signal.SIGSTOP)
        time.sleep(0.3)
        watch.send_signal(signal.SIGCONT)
        lines += [watch.stdout.readline() for _ in range(5)]
        watch.send_signal(signal.SIGINT)
        lines = json_lines("".join(lines) + watch.communicate()[0])
        wrong = check_lines(lines)
        skipped = [line["skipped_intervals"] for line in lines if line["type"] == "interval"]
        if sum(skipped) != lines[-1]["skipped_intervals"] or max(skipped) < 5:
            wrong.append(f"skipped {skipped}, in all {lines[-1]['skipped_intervals']}")
        tap.case("late intervals", wrong)
        tap.case("unharmed", worker.end())


def main():
    # Under nohup all that is started here would ignore it, and wait for ever.
    signal.signal(signal.SIGHUP, signal.SIG_DFL)
    tap = Tap()
    test_usage(tap)
    if not offered().get("write tracking", "").startswith("yes"):
        with Worker("still") as worker:
            tap.case("no write tracking", refusal(pagescan("watch", worker.pid), 1))
            tap.case("unharmed", worker.end())
        tap.skip("watch", "this kernel or a sandbox denies write tracking")
        tap.done()
    for test in (test_refusals, test_denied, test_another_users, test_traced, test_numbers,
                 test_signals, test_reader_that_does_not_read, test_output, test_exits,
                 test_commands, test_interrupted_command, test_exec, test_changing, test_late):
        test(tap)
    tap.done()


main()
