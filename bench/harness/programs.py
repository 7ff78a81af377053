"""The suite "programs": the real programs of bench/programs."""

import pathlib
import re

from harness.benchmark import benchmark

FIGURE = re.compile(r"^quarry-bench: (\S+) (\S+)\n", re.MULTILINE)  # beside the result


class row(benchmark):
    suite = "programs"
    cost = "cpu"
    expected = 2.0

    def __init__(self, declared, quick):
        super().__init__(declared.name, declared.command)
        self.declared = declared
        self.quick = quick
        self.packages = declared.packages
        self.environment = declared.environment
        self.driver = declared.driver

    def prepare(self, folder):
        self.directory = pathlib.Path(folder) / re.sub(r"\W+", "-", self.name)
        self.directory.mkdir()
        self.declared.prepare(self.directory, self.quick)

    def read(self, printed, measured):
        figures = {name: float(value) for name, value in FIGURE.findall(printed)}
        return round(measured["user"] + measured["system"], 6), figures, FIGURE.sub("", printed)


def benchmarks(rows, quick):
    return [row(declared, quick) for declared in rows]
