"""Wall time and peak resident memory of a program."""

import ctypes
import os
import signal
import subprocess
import time
from typing import NamedTuple

PR_SET_CHILD_SUBREAPER = 36


class usage(NamedTuple):
    seconds: float
    peak_bytes: int
    status: int


def measure(command, environment):
    """Runs a command to its end, its input empty and its output discarded.

    A process keeps the peak of the program that it executed before (getrusage(2): ru_maxrss is kept
    across execve), and a child of ours begins as a copy of this Python: no program would measure less
    than Python. So a shell, which is small, starts the command, says which process that is, and exits; the
    orphan comes to us as the subreaper (prctl(2)), and what wait4 reports is its own, with its children's.
    Ctrl-C does not reach it, since shells have what they start so ignore SIGINT.
    """
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    begin = time.monotonic()
    shell = subprocess.run(["/bin/sh", "-c", '"$@" >/dev/null & echo $!', "sh", *command], env=environment,
                           check=True, stdout=subprocess.PIPE)
    pid = int(shell.stdout)
    try:
        _, status, resources = os.wait4(pid, 0)
    except KeyboardInterrupt:
        os.kill(pid, signal.SIGKILL)
        raise
    seconds = time.monotonic() - begin
    return usage(seconds, resources.ru_maxrss * 1024, os.waitstatus_to_exitcode(status))
