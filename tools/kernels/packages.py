# SPDX-License-Identifier: MIT
"""Kernels to boot: found on this machine, or fetched as Debian packages by apt.

The system's own apt is left alone: sources, lists and cache are private ones in
a temporary directory. The archive is the one that the system already uses.
"""
import glob
import os
import re
import subprocess
import tempfile

CACHE = os.path.join(
    os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache"), "pagescan", "kernels"
)
KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg"

# The cloud flavour is the same kernel without drivers that an emulated machine lacks: a third to
# fetch. Its swap (zram), its ext4 and its serial line are what the tests need.
KNOWN = {
    "6.1": "bookworm/linux-image-cloud-amd64",
    "6.12.95": "bookworm-backports/linux-image-6.12.95+deb12-cloud-amd64",
}


class Unavailable(Exception):
    """A kernel that cannot be had; the text says why."""


class Kernel:
    """A kernel image, and the directory of its modules if there is one."""

    def __init__(self, name, image, modules):
        self.name, self.image, self.modules = name, image, modules
        self.release = read_release(image)

    def find_module(self, name):
        for directory, _, files in os.walk(self.modules or "/nonexistent"):
            for file in files:
                if re.fullmatch(re.escape(name).replace("_", "[-_]") + r"\.ko(\.xz)?", file):
                    return os.path.join(directory, file)
        return None


def read_release(image):
    """The boot header of an x86 image points to a text that begins with the release."""
    with open(image, "rb") as file:
        data = file.read()
    if data[0x202:0x206] != b"HdrS":
        raise Unavailable(f"{image} is no x86 kernel image")
    at = int.from_bytes(data[0x20E:0x210], "little") + 0x200
    return data[at : at + 100].split(b"\0")[0].split()[0].decode()


class Archive:
    """The Debian archive this system uses, asked about one suite."""

    def __init__(self, suite, directory):
        for name in ("lists/partial", "cache/archives/partial"):
            os.makedirs(os.path.join(directory, name))
        sources = os.path.join(directory, "sources.list")
        signed_by = f"[signed-by={KEYRING}] " if os.path.exists(KEYRING) else ""
        with open(sources, "w", encoding="ascii") as file:
            file.write(f"deb {signed_by}{self.find_address()} {suite} main\n")
        self.options = [
            "-q",
            f"-oDir::Etc::sourcelist={sources}",
            "-oDir::Etc::sourceparts=/dev/null",
            f"-oDir::State::lists={directory}/lists",
            f"-oDir::Cache={directory}/cache",
            "-oAPT::Sandbox::User=root",
        ]
        self.run("apt-get", "update")

    @staticmethod
    def find_address():
        """The address of the suite that is named like this release and nothing more."""
        text = subprocess.run(
            ["apt-get", "indextargets", "--format", "$(REPO_URI) $(RELEASE)", "Created-By: Packages"],
            capture_output=True, text=True, check=False,
        ).stdout
        for line in text.splitlines():
            address, suite = line.split()
            if re.fullmatch(r"[a-z]+", suite):
                return address
        raise Unavailable("apt knows no Debian archive here")

    def run(self, tool, *arguments, **where):
        done = subprocess.run(
            [tool, *self.options, *arguments],
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False, **where,
        )
        if done.returncode:
            raise Unavailable(f"{tool} {arguments[0]} failed: {done.stdout.strip()}")
        return done.stdout

    def find_packages(self, name):
        """The package, and what it depends on of a kernel's parts: newer ones are in several."""
        names, todo = [], [name]
        while todo:
            names.append(todo.pop())
            for line in self.run("apt-cache", "depends", names[-1]).splitlines():
                part = re.match(r"\s+Depends: (linux-(?:image|binary|modules)-\S+)", line)
                if part and part[1] not in names:
                    todo.append(part[1])
        return names


def unpack(packages, directory):
    """All or nothing."""
    part = directory + ".part"
    subprocess.run(["rm", "-rf", part], check=True)
    for package in packages:
        subprocess.run(["dpkg-deb", "-x", package, part], check=True)
    os.rename(part, directory)


def fetch(where):
    """Fetch SUITE/PACKAGE once, and unpack it into the cache."""
    directory = os.path.join(CACHE, where.replace("/", "_"))
    if not os.path.isdir(directory):
        os.makedirs(CACHE, exist_ok=True)
        suite, name = where.split("/")
        with tempfile.TemporaryDirectory() as temporary:
            archive = Archive(suite, temporary)
            print(f"check-kernels: fetching {name} of {suite}", flush=True)
            archive.run("apt-get", "download", *archive.find_packages(name), cwd=temporary)
            unpack(glob.glob(os.path.join(temporary, "*.deb")), directory)
    return directory


def find_image(directory):
    for where in ("boot/vmlinuz-*", "usr/lib/modules/*/vmlinuz*", "lib/modules/*/vmlinuz*"):
        for image in glob.glob(os.path.join(directory, where)):
            return image
    raise Unavailable(f"no kernel image in {directory}")


def get_kernel(what):
    """@what: a name of KNOWN, SUITE/PACKAGE, a .deb, or a kernel image."""
    if what in KNOWN:
        directory = fetch(KNOWN[what])
    elif what.endswith(".deb"):
        directory = os.path.join(CACHE, os.path.basename(what)[: -len(".deb")])
        if not os.path.isdir(directory):
            os.makedirs(CACHE, exist_ok=True)
            unpack([what], directory)
    elif os.path.isfile(what):
        kernel = Kernel(what, what, None)
        modules = f"/lib/modules/{kernel.release}"
        return Kernel(kernel.release, what, modules if os.path.isdir(modules) else None)
    elif re.fullmatch(r"[a-z-]+/linux-image-\S+", what):
        directory = fetch(what)
    else:
        raise Unavailable("neither a known name, SUITE/PACKAGE, a .deb nor a kernel image")
    image = find_image(directory)
    kernel = Kernel(what, image, directory)
    if what not in KNOWN:
        kernel.name = kernel.release.removesuffix("-amd64").removesuffix("-cloud").split("+")[0]
    return kernel
