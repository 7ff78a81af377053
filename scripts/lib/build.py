"""Builds in build/ what is missing or older than its sources: the library, or the benchmarks with it."""

import contextlib
import fcntl
import os
import pathlib
import re
import subprocess
import sys

import packages
from failure import failure

ROOT = pathlib.Path(__file__).resolve().parents[2]
BUILD = ROOT / "build"
LIBRARY = BUILD / "libquarry.so"


def library():
    """The path of an up-to-date library, built if need be."""
    if LIBRARY.exists() and not os.access(BUILD, os.W_OK):
        return LIBRARY
    check_origin()
    ensure(packages.BUILD)
    with lock():
        if not is_configured():
            print("quarry: building in build/, once", file=sys.stderr, flush=True)
            configure()
        make("quarry_shared")
    return LIBRARY


def benchmarks():
    """The library and all that measures it, built as what is measured must be: for release."""
    check_origin()
    ensure(packages.BENCH)
    with lock():
        print("quarry: building what is missing in build/", file=sys.stderr, flush=True)
        configure("-DCMAKE_BUILD_TYPE=Release", "-DQUARRY_BENCH=ON")
        make("quarry_bench")


def is_configured():
    """By what CMake writes last: the cache is there also where it failed."""
    return (BUILD / "cmake_install.cmake").exists()


def check_origin():
    """A folder that was copied or moved with its checkout still builds the old one."""
    cache = BUILD / "CMakeCache.txt"
    text = cache.read_text(errors="replace") if cache.exists() else ""
    origin = re.search(r"^CMAKE_HOME_DIRECTORY:INTERNAL=(.*)$", text, re.MULTILINE)
    if origin and os.path.realpath(origin[1]) != str(ROOT):
        raise failure(f"build/ was made for {origin[1]}; delete it")


def ensure(wanted):
    """The packages, but for a compiler and a tool that the folder has already, by whatever names."""
    found = ()
    if is_configured():
        found = ("g++", "make")
    elif "CMAKE_GENERATOR" in os.environ:
        found = ("make",)
    packages.ensure({package: witness for package, witness in wanted.items() if package not in found})


@contextlib.contextmanager
def lock():
    """Two commands at a time must not build in one folder."""
    folder = os.open(ROOT, os.O_RDONLY)
    try:
        fcntl.flock(folder, fcntl.LOCK_EX)
        yield
    finally:
        os.close(folder)


def configure(*definitions):
    cmake("-S", ROOT, "-B", BUILD, *definitions)


def make(target):
    cmake("--build", BUILD, "--target", target, "-j", os.cpu_count())


def cmake(*arguments):
    done = subprocess.run(
        ["cmake", *map(str, arguments)],
        env={name: value for name, value in os.environ.items() if name != "LD_PRELOAD"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        **as_owner(),
    )
    if done.returncode != 0:
        raise failure(f"the build failed:\n{done.stdout}")


def as_owner():
    """Under sudo the files built must still belong to the user whose checkout it is."""
    owner = ROOT.stat()
    if os.geteuid() == 0 and os.environ.get("SUDO_UID") == str(owner.st_uid) != "0":
        return {"user": owner.st_uid, "group": owner.st_gid, "extra_groups": []}
    return {}
