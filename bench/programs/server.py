"""A server as the measured program: started through the launcher, stopped whatever happens.

The harness tells a driver by the environment what to do: BENCH_LAUNCH is its launcher, BENCH_PRELOAD
the allocator's library or empty, BENCH_OUTPUT the file for what the launcher measures. Only the
server is measured; the driver and its clients run without the allocator.
"""

import contextlib
import os
import pathlib
import platform
import signal
import socket
import subprocess
import sys
import time

SOCKET = "socket"  # in the row's directory: a longer path might not fit into a socket address
PATIENCE = 20  # seconds for a server to start, and to stop

# Debian's redis-server is linked with jemalloc; preloaded, glibc's malloc comes first there as well.
SYSTEM = f"/lib/{platform.machine()}-linux-gnu/libc.so.6"


@contextlib.contextmanager
def running(program):
    """Runs a server that listens at SOCKET; gives its pid once it does."""
    pathlib.Path(SOCKET).unlink(missing_ok=True)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("terminated"))
    library = os.environ["BENCH_PRELOAD"] or SYSTEM
    launcher = subprocess.Popen(
        [os.environ["BENCH_LAUNCH"], "-o", os.environ["BENCH_OUTPUT"], library, *program],
        stdin=subprocess.DEVNULL, stdout=sys.stderr)  # its log must not count as a result
    try:
        wait_for_connection(launcher)
        yield children(launcher)[0]
    finally:
        stop(launcher)
    if launcher.returncode != 0:
        sys.exit(f"{program[0]} ended with status {launcher.returncode}")


def connect():
    connection = socket.socket(socket.AF_UNIX)
    connection.connect(SOCKET)
    return connection


def wait_for_connection(launcher):
    deadline = time.monotonic() + PATIENCE
    while launcher.poll() is None and time.monotonic() < deadline:
        try:
            connect().close()
            return
        except OSError:
            time.sleep(0.01)
    sys.exit("the server does not start")


def children(launcher):
    """The pids of the launcher's children: the server is not ours to wait for, but to stop."""
    try:
        listed = pathlib.Path(f"/proc/{launcher.pid}/task/{launcher.pid}/children").read_text()
    except FileNotFoundError:
        listed = ""
    return [int(pid) for pid in listed.split()]


def stop(launcher):
    for number in signal.SIGTERM, signal.SIGKILL:
        for pid in children(launcher) or [launcher.pid] * (launcher.poll() is None):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)
        with contextlib.suppress(subprocess.TimeoutExpired):
            launcher.wait(PATIENCE)
            return


def resident_bytes(pid):
    status = pathlib.Path(f"/proc/{pid}/status").read_text()
    return next(int(line.split()[1]) * 1024 for line in status.splitlines() if "VmRSS" in line)
