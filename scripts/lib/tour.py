"""quarry run without a program: one real program under glibc's malloc and under Quarry."""

import os
import pathlib
import subprocess
import sys

import launch
from failure import failure
from measure import measure

WORKLOAD = pathlib.Path(__file__).with_name("tour_workload.py")
ROUNDS = 3

INTRODUCTION = """\
A tour: python3 with malloc for every object (PYTHONMALLOC=malloc) builds records, writes them as JSON
and reads them back. The best of {rounds} runs each:
"""


def tour():
    library = launch.library()
    command = [sys.executable, str(WORKLOAD)]
    plain = {name: value for name, value in os.environ.items()
             if name not in ("LD_PRELOAD", "QUARRY_CONF")} | {"PYTHONMALLOC": "malloc"}
    quarry = plain | {"LD_PRELOAD": str(library)}

    print(INTRODUCTION.format(rounds=ROUNDS))
    print(f"{'':12}{'wall time':>12}{'peak memory':>16}", flush=True)
    runs = {"glibc": [], "quarry": []}
    for _ in range(ROUNDS):  # in turn, so that what else the machine does meets both
        for name, environment in (("glibc", plain), ("quarry", quarry)):
            runs[name].append(successful(command, environment))
    for name, results in runs.items():
        seconds = min(result.seconds for result in results)
        peak = min(result.peak_bytes for result in results)
        print(f"{name:12}{seconds:10.2f} s{peak / 2**20:12.1f} MiB")

    print("\nThe same once more with QUARRY_CONF=stats:exit, Quarry's own picture of the heap:\n", flush=True)
    subprocess.run(command, env=quarry | {"QUARRY_CONF": "stats:exit"}, stdout=subprocess.DEVNULL,
                   check=True)


def successful(command, environment):
    result = measure(command, environment)
    if result.status != 0:
        raise failure(f"the tour's program ended with status {result.status}")
    return result
