# SPDX-License-Identifier: MIT
"""The file system of a machine that check-kernels boots, as the kernel unpacks it (cpio, newc)."""
import glob
import lzma
import os
import re
import shlex
import stat
import subprocess

# What tests start, besides what is built: files of this system, taken if they are there.
PROGRAMS = (
    "sh awk basename cat chmod cmp cp cut date dd dirname echo env expr false find grep head id "
    "kill ln ls mkdir mkfs.ext4 mktemp mv nice nohup od printf ps pwd readlink rm rmdir sed seq "
    "setsid sha256sum sleep sort stat sync tail tee test timeout touch tr true uname uniq wc xargs yes"
).split()
PYTHON = "/usr/bin/python3"
NOT_OF_PYTHON = "test tests idlelib tkinter lib2to3 ensurepip dist-packages pydoc_data".split()
DIRECTORIES = ["dev", "proc", "sys", "tmp", "root", "run", "var/tmp", "etc", "usr/bin", "usr/lib"]
MODULES = ["lzo", "lzo_rle", "zram"]
ACCOUNTS = {
    "etc/passwd": "root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/sh\n",
    "etc/group": "root:x:0:\nnogroup:x:65534:\n",
}


class Archive:
    """Entries by path, each put down once; parents come by themselves."""

    def __init__(self):
        self.entries = {}
        for name in DIRECTORIES:
            self.add_directory(name)
        for name, text in ACCOUNTS.items():
            self.add(name, text.encode())
        if os.path.exists("/etc/mke2fs.conf"):
            self.add_file("/etc/mke2fs.conf")
        for name in ("bin", "sbin", "lib", "lib64"):
            if os.path.islink("/" + name):
                self.add_link(name, os.readlink("/" + name))

    def add_directory(self, name):
        if name and name not in self.entries:
            self.add_directory(os.path.dirname(name))
            self.entries[name] = (stat.S_IFDIR | 0o755, b"", 0)

    def add(self, name, data, mode=0o644, mtime=0):
        self.add_directory(os.path.dirname(name))
        self.entries[name] = (stat.S_IFREG | mode, data, mtime)

    def add_link(self, name, target):
        self.add_directory(os.path.dirname(name))
        self.entries[name] = (stat.S_IFLNK | 0o777, target.encode(), 0)

    def add_file(self, path):
        """A file of this system, under its own path and under the one it really has."""
        real = os.path.realpath(path)
        here = os.path.join(os.path.realpath(os.path.dirname(path)), os.path.basename(path))
        if here != real:
            self.add_link(here[1:], real)
        if real[1:] not in self.entries:
            with open(real, "rb") as file:
                about = os.fstat(file.fileno())
                self.add(real[1:], file.read(), about.st_mode & 0o777, int(about.st_mtime))

    def add_program(self, path):
        """A program with all libraries it loads."""
        self.add_file(path)
        text = subprocess.run(["ldd", path], capture_output=True, text=True, check=False).stdout
        for library in re.findall(r"(/\S+) \(0x", text):
            self.add_file(library)

    def add_tree(self, top, without=()):
        """All files below, but for those below directories that are hidden or named in @without."""
        for directory, names, files in os.walk(top):
            names[:] = [n for n in names if not n.startswith(".") and n not in without]
            for file in files:
                path = os.path.join(directory, file)
                if is_program(path):
                    self.add_program(path)
                elif os.path.isfile(path):
                    self.add_file(path)

    def get_bytes(self):
        out = bytearray()
        entries = [*self.entries.items(), ("TRAILER!!!", (0, b"", 0))]
        for number, (name, (mode, data, mtime)) in enumerate(entries):
            links = 2 if stat.S_ISDIR(mode) else 1
            fields = [number, mode, 0, 0, links, mtime, len(data), 0, 0, 0, 0, len(name) + 1, 0]
            out += b"070701" + "".join(f"{field:08x}" for field in fields).encode()
            out += name.encode() + b"\0"
            out += bytes(-len(out) % 4) + data
            out += bytes(-len(out) % 4)
        return bytes(out)


def is_program(path):
    """Something to execute or a library, which may lack the permission."""
    if not os.path.isfile(path) or not (os.access(path, os.X_OK) or ".so" in path):
        return False
    with open(path, "rb") as file:
        return file.read(4) == b"\x7fELF"


def add_programs(archive, source, build):
    """What was built, what it was built from, and what both start: all under their own paths."""
    for directory, _, files in os.walk(build):
        for path in (os.path.join(directory, file) for file in files):
            if is_program(path):
                archive.add_program(path)
    archive.add_tree(source, [os.path.basename(build), *glob.glob("build*", root_dir=source)])
    for program in PROGRAMS:
        for path in (f"/usr/bin/{program}", f"/usr/sbin/{program}"):
            if os.path.exists(path):
                archive.add_program(path)
    if os.path.exists(PYTHON):
        archive.add_program(PYTHON)
        library = "import sysconfig; print(sysconfig.get_paths()['stdlib'])"
        path = subprocess.check_output([PYTHON, "-c", library], text=True).strip()
        archive.add_tree(path, NOT_OF_PYTHON)


def add_modules(archive, kernel):
    """In the order of need: the names that a module says it depends on come before it."""
    order = []

    def want(name):
        path = kernel.find_module(name)
        if not path or path in (known for known, _ in order):
            return
        with open(path, "rb") as file:
            data = file.read()
        if path.endswith(".xz"):
            data = lzma.decompress(data)
        needs = re.search(rb"\0depends=([^\0]*)\0", data)
        for need in needs[1].decode().split(",") if needs else ():
            want(need)
        order.append((path, data))

    for name in MODULES:
        want(name)
    for number, (_, data) in enumerate(order):
        archive.add(f"modules/{number}.ko", data)


def add_tests(archive, tests, environment):
    """A script for each test, and the list that init reads."""
    lines = []
    for test in tests:
        settings = {**environment, **test.environment}
        words = [f"export {name}={shlex.quote(value)}" for name, value in settings.items()]
        words.append(f"cd {shlex.quote(test.directory)} || exit 1")
        words.append("exec " + shlex.join(test.command))
        archive.add(f"tests/{test.name}", "\n".join(words).encode() + b"\n")
        archive.add_directory(test.directory.strip("/"))
        lines.append(f"{test.timeout} {test.name}\n")
    archive.add("tests/list", "".join(lines).encode())
