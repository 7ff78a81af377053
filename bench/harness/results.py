"""The JSON of a run: the machine, the allocators, every figure; schema 1."""

import datetime
import json
import os
import pathlib
import platform
import re
import shutil
import subprocess

from build import ROOT
from failure import failure
from harness import child

SCHEMA = 1
KEYS = ("date", "quarry_commit", "machine", "rounds", "quick", "allocators", "benchmarks")
ROW_KEYS = ("suite", "name", "unit", "cost", "runs", "failures")


def collect(given, allocators, benchmarks, rounds, commit):
    now = datetime.datetime.now(datetime.timezone.utc)
    return {
        "schema": SCHEMA,
        "date": now.strftime("%Y-%m-%dT%H:%M:%SZ"),
        "quarry_commit": commit,
        "machine": machine(),
        "rounds": rounds,
        "quick": given.quick,
        "allocators": {entry.name: described(entry) for entry in allocators},
        "benchmarks": [row.as_json([entry.name for entry in allocators]) for row in benchmarks],
    }


def described(allocator):
    library = {"library": pathlib.Path(allocator.library).name, "version": allocator.version}
    return library | {"limit": True} if allocator.is_limit else library


def machine():
    cpu = re.search(r"^model name\s*:\s*(.*)$", pathlib.Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    memory = re.search(r"^MemTotal:\s*(\d+)", pathlib.Path("/proc/meminfo").read_text(), re.MULTILINE)
    return {
        "cpu": cpu[1] if cpu else platform.machine(),
        "cpus": len(os.sched_getaffinity(0)),
        "memory_kib": int(memory[1]),
        "kernel": platform.release(),
        "libc": " ".join(platform.libc_ver()),
        "system": system(),
    }


def system():
    try:
        release = platform.freedesktop_os_release()
    except OSError:  # without such a file
        return platform.system()
    return f"{release['ID'].capitalize()} {release.get('VERSION_ID', '')}".strip()


def commit():
    """The commit that is checked out, marked where the tree differs from it."""
    git = shutil.which("git")
    if not git:
        return "unknown"
    shown = subprocess.run([git, "-C", ROOT, "describe", "--always", "--dirty", "--exclude", "*"],
                           env=child.environment(), stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                           text=True)
    return shown.stdout.strip() or "unknown"


def prepare(directory):
    """Makes the directory for results, before the time is spent that they take."""
    try:
        directory.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise failure(f"--output {directory}: {error.strerror}") from None
    if not os.access(directory, os.W_OK):
        raise failure(f"--output {directory}: cannot be written to")


def write(results, directory):
    """Writes results to a file in the prepared directory, named by their date; returns its path."""
    file = directory / f"{results['date'].replace(':', '')}.json"
    file.write_text(json.dumps(results, separators=(",", ":")).replace('{"suite"', '\n{"suite"') + "\n")
    return file


def read(file):
    try:
        results = json.loads(pathlib.Path(file).read_text())
        known = results["schema"] == SCHEMA
        _ = [results[key] for key in KEYS], [row[key] for row in results["benchmarks"] for key in ROW_KEYS]
    except KeyError as error:
        raise failure(f"{file}: not the results of a run: {error} is missing") from None
    except (OSError, ValueError, TypeError) as error:
        raise failure(f"{file}: not the results of a run: {error}") from None
    if not known:
        raise failure(f"{file}: results of schema {results['schema']}, this reads {SCHEMA}")
    return results
