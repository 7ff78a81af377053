"""The suites of --suite DIR: programs from elsewhere, listed in the file DIR/suite.

Each line is split as a shell would: the name, the figure, and the command, which runs in DIR. The
figure is `wall` or `cpu` (seconds), or a regular expression for the standard output with one group,
a number of which less is better. Empty lines and what follows a # are ignored.

    espresso  cpu                     ./espresso -s largest.espresso
    larson    'time: ([0-9.]+) sec'   ./larson 5 8 1000 5000 100 4141 4
"""

import pathlib
import re
import shlex
import shutil

from failure import failure
from harness import child
from harness.benchmark import benchmark

CLOCKS = ("wall", "cpu")


class row(benchmark):
    def __init__(self, suite, name, figure, command):
        super().__init__(name, command)
        self.suite = suite.name
        self.directory = suite
        self.figure = figure
        if figure in CLOCKS:
            self.cost = figure
        else:
            self.unit = "as printed"

    def read(self, printed, measured):
        if self.figure == "wall":
            return measured["wall"], {}, ""
        if self.figure == "cpu":
            return round(measured["user"] + measured["system"], 6), {}, ""
        found = re.search(self.figure, printed)
        try:
            return float(found[1]), {}, ""
        except (TypeError, ValueError):
            raise child.failed(f"no figure: nothing in the output is {self.figure}") from None


def benchmarks(directory):
    directory = pathlib.Path(directory).resolve()
    try:
        lines = (directory / "suite").read_text().splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise failure(f"--suite {directory}: cannot read its file 'suite': {error}") from None
    rows = {}
    for number, line in enumerate(lines, 1):
        try:
            words = shlex.split(line, comments=True)
            if words:
                name, figure, command = check(words, directory)
                if name in rows:
                    raise ValueError(f"{name} is there twice")
                rows[name] = row(directory, name, figure, command)
        except (ValueError, re.error) as error:
            raise failure(f"{directory}/suite:{number}: {error}") from None
    if not rows:
        raise failure(f"{directory}/suite: no benchmark in it")
    return list(rows.values())


def check(words, directory):
    if len(words) < 3:
        raise ValueError("not NAME FIGURE COMMAND")
    name, figure, *command = words
    if figure not in CLOCKS and re.compile(figure).groups != 1:
        raise ValueError(f"the figure is neither wall nor cpu nor a regular expression with one group: {figure}")
    if not shutil.which(directory / command[0] if "/" in command[0] else command[0]):
        raise ValueError(f"no such program: {command[0]}")
    return name, figure, command
