"""Runs one case under glibc's malloc and with a library preloaded, and compares.

A case is a shell script of this folder. It starts in an empty folder of its own and prints what
must not depend on the allocator. Its line "# Programs: a b" names the programs it is about.

The test fails if standard output or the exit status differ, if the library or the loader
complained, or if the preload did not take place. That last point is taken from the loader's own
log (ld.so(8), LD_DEBUG=bindings): in every process of the case malloc and its kin must have been
bound to the library, and each program named must be among those processes.
"""

import argparse
import difflib
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import tempfile

SKIPPED = 77
TIME_LIMIT = 140  # seconds for one of the two runs, so that both end before ctest loses patience

MODES = {
    "rseq": {"QUARRY_CONF": "rseq:on"},
    "fallback": {"QUARRY_CONF": "rseq:off"},
    "tunables": {"GLIBC_TUNABLES": "glibc.pthread.rseq=0"},
}

BINDING = re.compile(
    r"binding file (.+) \[\d+\] to (.+) \[\d+\]: normal symbol .(?:malloc|calloc|realloc|free"
    r"|posix_memalign|aligned_alloc|memalign|malloc_usable_size)'"
)
COMPLAINT = re.compile(rb"^(quarry: .*|ERROR: ld\.so: .*)$", re.MULTILINE)


def run(case, extra_environment):
    """Runs a case in a fresh folder; returns its exit status, standard output and error."""
    with tempfile.TemporaryDirectory(prefix="quarry-case-") as folder:
        environment = {
            "CASES": str(case.parent),
            "HOME": folder,
            "LC_ALL": "C.UTF-8",
            "PATH": "/usr/sbin:/usr/bin:/sbin:/bin",
            "TMPDIR": folder,
            "TZ": "UTC",
            **extra_environment,
        }
        process = subprocess.Popen(
            ["/bin/sh", "-eu", str(case)],
            cwd=folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )
        try:
            output, errors = process.communicate(timeout=TIME_LIMIT)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            output, errors = process.communicate()
            errors += b"\n(stopped after %d s)\n" % TIME_LIMIT
        return process.returncode, output, errors


def run_preloaded(case, library, mode):
    """Runs a case with the library preloaded; returns its results and the loader's logs by pid."""
    with tempfile.TemporaryDirectory(prefix="quarry-bindings-") as folder:
        results = run(case, {
            **MODES[mode],
            "LD_PRELOAD": str(library),
            "LD_DEBUG": "bindings",
            "LD_DEBUG_OUTPUT": f"{folder}/log",
        })
        logs = {log.name: log.read_text(errors="replace") for log in pathlib.Path(folder).iterdir()}
        return *results, logs


def preload_faults(logs, library, programs):
    """What the loader's logs say against the claim that the library served every process."""
    faults = []
    served = set()
    for name, text in logs.items():
        bindings = BINDING.findall(text)
        if not bindings:
            faults.append(f"{name}: no process bound malloc")
        for user, provider in bindings:
            if os.path.realpath(provider) == str(library):
                served.add(os.path.basename(user))
            elif ".so" in provider:  # else the program's own PLT entry, where it takes the address
                faults.append(f"{user} was bound to the malloc of {provider}")
    faults += [f"{program} did not run with the library" for program in programs - served]
    return faults


def differences(expected, actual):
    """The lines by which the output under the library differs from that under glibc."""
    expected, actual = (text.decode(errors="replace").splitlines() for text in (expected, actual))
    return list(difflib.unified_diff(expected, actual, "glibc", "preloaded", lineterm="", n=1))[:40]


def tail(text):
    return "\n".join(text.decode(errors="replace").splitlines()[-20:])


def compare(case, library, mode, programs):
    """Runs the case both ways; returns the list of faults found."""
    status, output, errors = run(case, {})
    if status != 0 or not output:
        return [f"under glibc alone: exit status {status}, {len(output)} bytes of output", tail(errors)]

    preloaded_status, preloaded_output, preloaded_errors, logs = run_preloaded(case, library, mode)
    faults = preload_faults(logs, library, programs)
    faults += [line.decode(errors="replace") for line in COMPLAINT.findall(preloaded_errors)]
    if preloaded_status != status:
        faults.append(f"exit status {preloaded_status}, under glibc {status}")
    faults += differences(output, preloaded_output)
    return [*dict.fromkeys(faults), tail(preloaded_errors)] if faults else []


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--library", type=pathlib.Path, required=True)
    parser.add_argument("--mode", choices=MODES, required=True)
    parser.add_argument("case", type=pathlib.Path)
    return parser.parse_args()


def main():
    arguments = parse_arguments()
    case, library = arguments.case.resolve(), arguments.library.resolve()
    text = case.read_text()
    needed = re.search(r"^# Needs: (.*)$", text, re.MULTILINE).group(1).split()
    programs = set(re.search(r"^# Programs: (.*)$", text, re.MULTILINE).group(1).split())
    missing = [path for path in needed if not shutil.which(path)]
    if missing:
        print("SKIPPED: not installed:", *missing)
        sys.exit(SKIPPED)
    faults = compare(case, library, arguments.mode, programs)
    print(*faults, sep="\n")
    sys.exit(1 if faults else 0)


if __name__ == "__main__":
    main()
