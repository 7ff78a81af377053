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
import struct
import subprocess
import sys
import time

SOCKET = "socket"  # in the row's directory: a longer path might not fit into a socket address
PATIENCE = 5  # seconds for a server to start, and to stop

# Debian's redis-server is linked with jemalloc; preloaded, glibc's malloc comes first there as well.
SYSTEM = f"/lib/{platform.machine()}-linux-gnu/libc.so.6"


@contextlib.contextmanager
def running(program):
    """Runs a server that listens at SOCKET; gives its pid once it does.

    A server that ends badly ends the driver with its status: what its clients say is but a consequence.
    """
    pathlib.Path(SOCKET).unlink(missing_ok=True)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("terminated"))
    library = os.environ["BENCH_PRELOAD"] or SYSTEM
    launcher = subprocess.Popen(
        [os.environ["BENCH_LAUNCH"], "-o", os.environ["BENCH_OUTPUT"], library, *program],
        stdin=subprocess.DEVNULL, stdout=sys.stderr)  # its log must not count as a result
    try:
        with first_connection(launcher) as connection:
            pid = peer(connection)
        yield pid
    finally:
        stop(launcher)
        if launcher.returncode != 0:
            print(f"{program[0]} ended with status {launcher.returncode}", file=sys.stderr)
            sys.exit(launcher.returncode)


def first_connection(launcher):
    deadline = time.monotonic() + PATIENCE
    while launcher.poll() is None and time.monotonic() < deadline:
        try:
            return connect()
        except OSError:
            time.sleep(0.01)
    sys.exit("the server does not start")


def connect():
    connection = socket.socket(socket.AF_UNIX)
    connection.connect(SOCKET)
    return connection


def peer(connection):
    """The pid of the process that listens at the other end (unix(7))."""
    size = struct.calcsize("3i")
    return struct.unpack("3i", connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, size))[0]


def stop(launcher):
    """The launcher passes SIGTERM on to the server, and takes the server with it if it is killed."""
    for number in signal.SIGTERM, signal.SIGINT:
        signal.signal(number, signal.SIG_IGN)  # what asked for the end may ask twice
    launcher.terminate()
    try:
        launcher.wait(PATIENCE)
    except subprocess.TimeoutExpired:
        launcher.kill()
        launcher.wait()


def resident_bytes(pid):
    status = pathlib.Path(f"/proc/{pid}/status").read_text()
    return next(int(line.split()[1]) * 1024 for line in status.splitlines() if "VmRSS" in line)
