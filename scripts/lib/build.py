"""Builds build/libquarry.so where it is missing or older than its sources."""

import fcntl
import os
import pathlib
import subprocess

import packages
from failure import failure

ROOT = pathlib.Path(__file__).resolve().parents[2]
BUILD = ROOT / "build"
LIBRARY = BUILD / "libquarry.so"


def library():
    """The path of an up-to-date library, built if need be; prints only if that fails."""
    if LIBRARY.exists() and not os.access(BUILD, os.W_OK):
        return LIBRARY
    packages.ensure(packages.BUILD)
    lock = os.open(ROOT, os.O_RDONLY)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)  # two commands at a time must not build in one folder
        if not (BUILD / "CMakeCache.txt").exists():
            cmake("-S", ROOT, "-B", BUILD)
        cmake("--build", BUILD, "--target", "quarry_shared", "-j", str(os.cpu_count()))
    finally:
        os.close(lock)
    return LIBRARY


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
