"""The allocators to measure: which they are, their versions, and whether they are truly in use."""

import pathlib
import platform
import re
import subprocess
from typing import NamedTuple

import packages
from failure import failure
from harness import child
from harness.figures import SYSTEM

SUBJECT = "quarry"
LIMIT = "limit"

LIBRARIES = f"/usr/lib/{platform.machine()}-linux-gnu"
PEERS = {  # as Debian ships them
    "jemalloc": ("libjemalloc2", "libjemalloc.so.2"),
    "mimalloc": ("libmimalloc2.0", "libmimalloc.so.2.0"),
    "tcmalloc": ("libtcmalloc-minimal4", "libtcmalloc_minimal.so.4"),
    "tbb": ("libtbbmalloc2", "libtbbmalloc_proxy.so.2"),
}


class allocator(NamedTuple):
    name: str
    library: str  # to preload; empty for glibc
    version: str
    is_limit: bool = False


def choose(given, without, directory, commit):
    """The allocators in the order in which they are shown, installed; `given` has files by name."""
    for name in without:
        if name not in (SUBJECT, *PEERS):
            raise failure(f"--without {name}: not one of {', '.join((SUBJECT, *PEERS))}")
    for name in (SYSTEM, LIMIT):
        if name in given:
            raise failure(f"--allocator {name}: what the others are compared with cannot be replaced")
    peers = {name: PEERS[name] for name in PEERS if name not in given and name not in without}
    packages.ensure({package: f"{LIBRARIES}/{file}" for package, file in peers.values()})

    version = f"{project_version(directory)}+{commit}"
    known = {SYSTEM: allocator(SYSTEM, "", package_version("libc6")),
             SUBJECT: allocator(SUBJECT, str(directory / "libquarry.so"), version)}
    known |= {name: allocator(name, f"{LIBRARIES}/{file}", package_version(package))
              for name, (package, file) in peers.items()}
    known |= {name: allocator(name, file, "unknown") for name, file in given.items()}
    limit = allocator(LIMIT, str(directory / "bench/micro/libquarry_limit.so"), "", True)
    return [entry for name, entry in known.items() if name not in without] + [limit]


def package_version(package):
    query = ["dpkg-query", "--show", "--showformat=${Version}", package]
    try:
        shown = subprocess.run(query, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    except FileNotFoundError:  # no Debian
        return "unknown"
    return shown.stdout or "unknown"


def project_version(directory):
    cache = (pathlib.Path(directory) / "CMakeCache.txt").read_text()
    return re.search(r"^CMAKE_PROJECT_VERSION:STATIC=(.*)$", cache, re.MULTILINE)[1]


def check_in_use(allocators, program):
    """A preload that fails is only a warning of the loader, so ask it where malloc is bound."""
    for entry in allocators:
        asked = child.environment() | {"LD_DEBUG": "bindings", "LD_BIND_NOW": "1",
                                        "LD_PRELOAD": entry.library}
        result = subprocess.run(program, env=asked, text=True, errors="replace",
                                stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                                stderr=subprocess.PIPE)
        bound = re.search(rf"binding file {re.escape(str(program[0]))} \[0\] to (\S+) .*`malloc'",
                          result.stderr)
        expected = entry.library or "/libc.so.6"
        if result.returncode != 0 or not bound or not bound[1].endswith(expected):
            what = f"malloc is that of {bound[1]}" if bound else result.stderr[-300:].strip()
            raise failure(f"{entry.name}: {program[0]} does not run on {expected}: {what}")


def rotated(names, turn):
    """Each goes first in turn; every other turn goes backwards, so that none always follows the same other."""
    first = turn % max(len(names), 1)
    if turn % 2 == 0:
        return names[first:] + names[:first]
    return names[first::-1] + names[:first:-1]
