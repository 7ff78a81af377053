"""One benchmark: what to run, how to read its figures, and what came of it so far.

A suite derives a class from it that says how its output is read.
"""

import itertools
import time

from harness import allocators, child

PATIENCE = (30, 50)  # seconds, and times what the warm-up took: then a run is given up
FIRST_PATIENCE = 300  # seconds for the warm-up itself


class benchmark:
    suite = None
    unit = "s"
    cost = "wall"  # which clock: wall or cpu
    memory = True  # whether peak and mean memory and the page faults mean anything
    expected = 1.0  # seconds of a run, until it is known better
    options = ()  # for the launcher
    directory = None
    environment = {}
    driver = False  # whether the command itself uses the launcher, for a server
    packages = {}

    def __init__(self, name, command):
        self.name = name
        self.command = [str(word) for word in command]
        self.runs = {}
        self.failures = {}
        self.reference = None  # what glibc's warm-up printed, as far as it must not differ
        self.seconds = []  # of all runs so far
        self.patience = FIRST_PATIENCE

    @property
    def full_name(self):
        return f"{self.suite}/{self.name}"

    def prepare(self, folder):
        """Whatever is to be there before the first run; the folder is the whole session's."""

    def read(self, printed, measured):
        """The cost, further figures, and the part of the output that is the same under every allocator."""
        raise NotImplementedError

    def has_limit(self):
        """Whether the bare array of bench/micro/limit.c can run it."""
        return False

    def is_for(self, allocator):
        return allocator.name not in self.failures and (self.has_limit() or not allocator.is_limit)

    def warm_up(self, launcher, system):
        """A run under glibc that does not count, but says what the others have to print."""
        try:
            _, self.reference = self.one_run(launcher, system)
        except child.failed as error:
            self.lose(system, error)
        first, factor = PATIENCE
        self.patience = first + factor * sum(self.seconds)

    def measure(self, launcher, allocator):
        """One run that counts; if it fails, those before it do not count either."""
        try:
            run, result = self.one_run(launcher, allocator)
            if result != self.reference:
                raise child.failed(f"wrong result: {difference(result, self.reference)}")
        except child.failed as error:
            self.lose(allocator, error)
        else:
            self.runs.setdefault(allocator.name, []).append(run)

    def lose(self, allocator, reason):
        self.failures[allocator.name] = str(reason)
        self.runs.pop(allocator.name, None)

    def one_run(self, launcher, allocator):
        begin = time.monotonic()
        printed, measured = child.run(launcher, allocator.library, self, self.patience)
        self.seconds.append(time.monotonic() - begin)
        try:
            cost, figures, result = self.read(printed.decode(errors="replace"), measured)
        except (ValueError, LookupError, ArithmeticError) as error:
            raise child.failed(f"wrong result: output that cannot be read: {error!r}") from None
        if not cost > 0:
            raise child.failed(f"no measurable cost: {cost}")
        run = {"cost": cost}
        if self.memory:
            run |= {"wall": measured["wall"], "cpu": round(measured["user"] + measured["system"], 6)}
            run |= {name: measured[name] for name in ("peak_kib", "mean_kib", "minor_faults",
                                                      "major_faults", "curve") if name in measured}
        if figures:
            run["figures"] = figures
        return run, result

    def as_json(self, names):
        """With the allocators in the order of their names here."""
        return {"suite": self.suite, "name": self.name, "unit": self.unit, "cost": self.cost,
                "runs": {name: self.runs[name] for name in names if name in self.runs},
                "failures": {name: self.failures[name] for name in names if name in self.failures}}


def difference(result, reference):
    """The first line in which they differ."""
    lines = itertools.zip_longest(result.splitlines(True), reference.splitlines(True), fillvalue="")
    number, (mine, expected) = next((number, pair) for number, pair in enumerate(lines, 1)
                                    if pair[0] != pair[1])
    return f"line {number} is {shortened(mine)}, under {allocators.SYSTEM} {shortened(expected)}"


def shortened(text):
    return repr(text if len(text) <= 60 else text[:57] + "...")
