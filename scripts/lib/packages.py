"""Which Debian packages are missing, and their installation.

A package is known by something it brings along, a command or a file, so that a compiler installed
in another way counts as well. Where one of several will do, they are a tuple.
"""

import glob
import os
import shutil
import subprocess
import sys

from failure import failure

# As CMake looks for a compiler, where none is named.
COMPILERS = (*os.environ.get("CXX", "").split()[:1], "c++", "g++", "clang++")

BUILD = {"g++": COMPILERS, "cmake": "cmake", "make": "make"}

BENCH = BUILD | {"libbenchmark-dev": "/usr/include/benchmark/benchmark.h"}

TESTS = BENCH | {
    "g++": "g++",
    "clang": "clang",
    "clang-format": "clang-format",
    "libclang-rt-14-dev": "/usr/lib/llvm-*/lib/clang/*/lib/linux/libclang_rt.asan-*.a",
    "libgtest-dev": "/usr/include/gtest/gtest.h",
    "binutils": "readelf",
    "pkgconf": "pkg-config",
    "bash": "/bin/bash",
    "perl": "/usr/bin/perl",
    "python3": "/usr/bin/python3",
    "sqlite3": "/usr/bin/sqlite3",
    "git": "/usr/bin/git",
    "nodejs": "/usr/bin/node",
    "redis-tools": "/usr/bin/redis-check-rdb",  # is redis-server too, see tests/programs/redis.sh
    "tar": "/usr/bin/tar",
    "xz-utils": "/usr/bin/xz",
    "mawk": "/usr/bin/awk",
}

# Of the system's Python, which runs the commands (bootstrap.sh).
REPORT = {"python3-matplotlib": "/usr/lib/python3/dist-packages/matplotlib/__init__.py"}


def is_there(witness):
    if isinstance(witness, tuple):
        return any(map(is_there, witness))
    return glob.glob(witness) if "/" in witness else shutil.which(witness)


def ensure(wanted):
    """Installs those of the packages that are missing, and says so on standard error."""
    missing = sorted(package for package, witness in wanted.items() if not is_there(witness))
    if not missing:
        return
    names = " ".join(missing)
    if os.geteuid() != 0 or not shutil.which("apt-get"):
        raise failure(f"missing Debian packages; install them with: apt-get install {names}")
    print(f"quarry: installing {names}", file=sys.stderr, flush=True)
    apt_get("update")
    apt_get("install", "-y", "--no-install-recommends", *missing)


def apt_get(*arguments):
    done = subprocess.run(
        ["apt-get", "-q", *arguments],
        env=os.environ | {"DEBIAN_FRONTEND": "noninteractive"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    if done.returncode != 0:
        raise failure(f"apt-get {arguments[0]} failed:\n{done.stdout}")
