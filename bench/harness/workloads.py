"""The suite "workloads": the programs of bench/workloads."""

import json
import pathlib
import tempfile

from harness import child
from harness.benchmark import benchmark


class row(benchmark):
    suite = "workloads"
    unit = "ns/operation"

    def __init__(self, declared, build, quick):
        arguments = declared.quick if quick else declared.arguments
        super().__init__(declared.name, [build / "bench/workloads" / declared.program, *arguments])
        self.options = ("-c",) if declared.curve else ()

    def read(self, printed, measured):
        figures = dict(line.split() for line in printed.splitlines())
        operations, seconds = int(figures.pop("operations")), float(figures.pop("seconds"))
        result = f"{operations} operations, checksum {figures.pop('checksum')}"
        del figures["operations_per_second"]
        others = {name: float(value) for name, value in figures.items()}
        return round(seconds / operations * 1e9, 4), others, result

    def record_latency(self, launcher, allocator):
        """A run of its own, since taking the time of each call takes time as well."""
        plain = self.command
        with tempfile.TemporaryDirectory(prefix="quarry-bench-") as folder:
            file = pathlib.Path(folder) / "latency"
            try:
                self.command = [*plain, "--latency", str(file)]
                child.run(launcher, allocator.library, self, self.patience)
                self.runs[allocator.name][0]["latency"] = json.loads(file.read_text())
            except child.failed as error:
                self.lose(allocator, f"{error} (while recording latency)")
            finally:
                self.command = plain


def benchmarks(rows, build, quick):
    return [row(declared, build, quick) for declared in rows]
