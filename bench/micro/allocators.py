"""The allocators that `compare` and `footprint` measure: installed, built, and truly in use."""

import argparse
import os
import platform
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SYSTEM = "glibc"
SUBJECT = "quarry"
PEERS = {
    "jemalloc": ("libjemalloc2", "libjemalloc.so.2"),
    "mimalloc": ("libmimalloc2.0", "libmimalloc.so.2.0"),
}
TO_BUILD = ["cmake", "g++", "make", "libbenchmark-dev"]


def add_arguments(parser):
    parser.add_argument("--build", type=Path, default=ROOT / "build", metavar="DIR",
                        help="where to build Quarry and the benchmarks (default: %(default)s)")
    parser.add_argument("--prebuilt", action="store_true", help="use what is in DIR as it is")
    parser.add_argument("--allocator", action="append", default=[], type=named_library,
                        metavar="NAME=FILE.so", help="one more, or another file for a known NAME")
    parser.add_argument("--without", action="append", default=[], metavar="NAME",
                        help="leave this allocator out")


def named_library(text):
    name, separator, file = text.partition("=")
    if not (name and separator and Path(file).is_file()):
        raise argparse.ArgumentTypeError(f"not NAME=FILE with an existing file: {text}")
    return name, str(Path(file).resolve())


def prepare(arguments, target, packages):
    """Installs and builds what is needed; the libraries to preload by allocator name."""
    given = dict(arguments.allocator)
    libraries = {SYSTEM: ""}
    for name, (package, file) in PEERS.items():
        if name not in arguments.without and name not in given:
            packages = [*packages, package]
            libraries[name] = f"/usr/lib/{platform.machine()}-linux-gnu/{file}"
    if SUBJECT not in arguments.without:
        libraries[SUBJECT] = str(arguments.build.resolve() / "libquarry.so")
    libraries.update(given)
    install(packages if arguments.prebuilt else [*TO_BUILD, *packages])
    if not arguments.prebuilt:
        build_subject = SUBJECT in libraries and SUBJECT not in given
        build(arguments.build, [target, "quarry_shared"] if build_subject else [target])
    return {name: file for name, file in libraries.items() if name not in arguments.without}


def install(packages):
    missing = [package for package in packages if not installed(package)]
    if not missing:
        return
    command = ["apt-get", "install", "-y", "--no-install-recommends", *missing]
    if os.geteuid() != 0:
        sys.exit("missing Debian packages; as root: " + " ".join(command))
    for step in (["apt-get", "update"], command):
        subprocess.run(step, check=True, stdout=sys.stderr,
                       env={**os.environ, "DEBIAN_FRONTEND": "noninteractive"})


def installed(package):
    query = ["dpkg-query", "--show", "--showformat=${db:Status-Status}", package]
    result = subprocess.run(query, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    return result.stdout == "installed"


def build(directory, targets):
    configure = ["cmake", "-S", ROOT, "-B", directory, "-DQUARRY_BENCH=ON"]
    make = ["cmake", "--build", directory, "--parallel", str(os.cpu_count()), "--target", *targets]
    for step in (configure, make):
        subprocess.run(step, check=True, stdout=sys.stderr)


def environment(library):
    changed = {name: value for name, value in os.environ.items() if name != "LD_PRELOAD"}
    return {**changed, "LD_PRELOAD": library} if library else changed


def check_in_use(libraries, program):
    """A preload that fails is only a warning of the loader, so ask it where malloc is bound."""
    for name, library in libraries.items():
        asked = {**environment(library), "LD_DEBUG": "bindings", "LD_BIND_NOW": "1"}
        result = subprocess.run(program, env=asked, text=True, stdout=subprocess.DEVNULL,
                                stderr=subprocess.PIPE)
        bound = re.search(rf"binding file {re.escape(str(program[0]))} \[0\] to (\S+) .*`malloc'",
                          result.stderr)
        expected = library or "/libc.so.6"
        if result.returncode != 0 or not bound or not bound[1].endswith(expected):
            what = f"malloc is that of {bound[1]}" if bound else result.stderr[-300:].strip()
            sys.exit(f"{name}: {program[0]} does not run on {expected}: {what}")


def rotated(names, turn):
    """Each allocator goes first equally often, so that none always follows the same other."""
    names = list(names)
    turn %= len(names)
    return names[turn:] + names[:turn]
