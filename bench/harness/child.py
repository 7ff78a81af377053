"""One run of one benchmark in a process of its own, measured by quarry_launch."""

import json
import os
import pathlib
import signal
import subprocess
import tempfile

# Variables whose names begin so tell an allocator what to do, or git which repository is meant.
KEPT_BACK = ("LD_PRELOAD", "QUARRY_CONF", "GLIBC_TUNABLES", "MALLOC_", "MIMALLOC_", "TCMALLOC_", "TBB_MALLOC_",
             "PYTHONMALLOC", "GLIBCXX_FORCE_NEW", "GIT_")


class failed(Exception):
    """Why a run does not count: a short phrase, then perhaps a colon and more."""


def environment():
    """What programs get: the caller's environment, but for what would have them do something else."""
    return {name: value for name, value in os.environ.items() if not name.startswith(KEPT_BACK)}


def run(launcher, library, program, seconds):
    """Runs a program (see benchmark.py) and returns its standard output and the launcher's figures."""
    with tempfile.TemporaryDirectory(prefix="quarry-bench-") as folder:
        output = pathlib.Path(folder) / "measured"
        launch = [launcher, *program.options, "-o", output, library]
        told = {"BENCH_LAUNCH": str(launcher), "BENCH_PRELOAD": library, "BENCH_OUTPUT": str(output)}
        status, printed, errors = finish(
            program.command if program.driver else [*launch, *program.command],
            environment() | program.environment | (told if program.driver else {}),
            program.directory, seconds)
        if status != 0:
            raise failed(how_it_ended(status) + last_line(errors))
        return printed, json.loads(output.read_text())


def finish(command, variables, directory, seconds):
    process = subprocess.Popen(command, env=variables, cwd=directory, start_new_session=True,
                               stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                               stderr=subprocess.PIPE)
    try:
        printed, errors = process.communicate(timeout=seconds)
    except subprocess.TimeoutExpired:
        raise failed(f"timeout: not done in {seconds:.0f} s") from None
    finally:
        if process.poll() is None:
            stop(process)
    return process.returncode, printed, errors


def stop(process):
    """First by a signal that lets a driver stop its server; the launcher's end kills its program."""
    process.terminate()
    try:
        process.wait(timeout=10)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def how_it_ended(status):
    """As a shell's status, which the launcher passes on."""
    number = -status if status < 0 else status - 128
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"status {status}"


def last_line(errors):
    lines = errors.decode(errors="replace").strip().splitlines()
    return f": {lines[-1].strip()[:300]}" if lines else ""
