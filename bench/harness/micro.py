"""The suite "micro": the rows of bench/micro, each in a process of its own."""

import json
import re
import subprocess

from harness import child
from harness.benchmark import benchmark

SECONDS = {False: 0.05, True: 0.01}  # at least, for one run, by whether it is to be quick
# Rows that the bare array of limit.c can run, see there.
WITH_LIMIT = re.compile(r"(malloc|new)_pair/\d{1,6}|batch_\w+/size:\d+/live:1\d{2,3}")


class row(benchmark):
    suite = "micro"
    unit = "ns/operation"
    memory = False
    expected = 0.2

    def __init__(self, program, title, quick):
        super().__init__(re.sub("/(process_time|real_time)", "", title),
                         [program, f"--benchmark_filter=^{title}$", "--benchmark_format=json",
                          f"--benchmark_min_time={SECONDS[quick]}"])
        self.cost = "wall" if title.endswith("/real_time") else "cpu"

    def read(self, printed, measured):
        (figures,) = json.loads(printed)["benchmarks"]
        if figures.get("error_occurred"):
            raise child.failed(figures["error_message"])
        return figures["real_time" if self.cost == "wall" else "cpu_time"], {}, ""

    def has_limit(self):
        return WITH_LIMIT.fullmatch(self.name) is not None


def benchmarks(build, quick):
    program = build / "bench/micro/quarry_micro"
    listed = subprocess.run([program, "--benchmark_list_tests"], env=child.environment(), check=True,
                            stdout=subprocess.PIPE, text=True).stdout
    return [row(program, title, quick) for title in listed.split()]
