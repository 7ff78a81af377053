"""The order of the runs: rounds over all benchmarks, the allocators in turn within each."""

import statistics
import sys
import time

from harness.allocators import rotated

ROUNDS = 3
MINUTES = {False: 40, True: 3}  # for all rounds, by whether it is to be quick
RESERVE = 0.95  # of that time, the rest being for what comes after


def measure(benchmarks, allocators, launcher, rounds, minutes, latency=False):
    """Fills in the benchmarks' runs; returns the number of rounds made.

    Without a number of rounds, as many as there is time for, but three at most. Each benchmark
    begins with a warm-up under glibc, the first of the allocators.
    """
    progress = display(benchmarks, allocators, rounds or ROUNDS)
    deadline = time.monotonic() + minutes * 60 * RESERVE
    for turn in range(rounds or ROUNDS):
        begin = time.monotonic()
        for position, row in enumerate(benchmarks):
            progress.show(turn, position)
            if turn == 0:
                row.warm_up(launcher, allocators[0])
            run_all(row, allocators, launcher, turn + position, latency and turn == 0)
        now = time.monotonic()
        if not rounds and now + (now - begin) > deadline:
            break
    progress.end()
    return turn + 1


def run_all(row, allocators, launcher, turn, latency):
    """Nothing can be compared without glibc's figure, so a row that fails there is left alone."""
    for allocator in rotated([entry for entry in allocators if row.is_for(entry)], turn):
        if allocators[0].name in row.failures:
            return
        row.measure(launcher, allocator)
        if latency and row.is_for(allocator) and hasattr(row, "record_latency"):
            row.record_latency(launcher, allocator)


class display:
    """On standard error: one line that changes on a terminal, else one line per benchmark."""

    def __init__(self, benchmarks, allocators, rounds):
        self.benchmarks = benchmarks
        self.allocators = allocators
        self.rounds = rounds
        self.on_terminal = sys.stderr.isatty()

    def show(self, turn, position):
        text = (f"round {turn + 1}/{self.rounds}, {position + 1}/{len(self.benchmarks)} "
                f"{self.benchmarks[position].full_name}, {self.left(turn, position)} left")
        start, end = ("\r\033[K", "") if self.on_terminal else ("", "\n")
        print(start + text, end=end, file=sys.stderr, flush=True)

    def end(self):
        if self.on_terminal:
            print("\r\033[K", end="", file=sys.stderr, flush=True)

    def left(self, turn, position):
        seconds = 0
        for index, row in enumerate(self.benchmarks):
            rounds = self.rounds - turn - (index < position)
            runs = rounds * sum(row.is_for(allocator) for allocator in self.allocators)
            seconds += (runs + (not row.seconds)) * self.expected(row)
        return f"{seconds / 60:.0f} min" if seconds >= 120 else f"{seconds:.0f} s"

    def expected(self, row):
        """Seconds of a run: by what it took, else by what others of its suite took."""
        if row.seconds:
            return statistics.mean(row.seconds)
        others = [statistics.mean(other.seconds) for other in self.benchmarks
                  if other.suite == row.suite and other.seconds]
        return statistics.mean(others) if others else row.expected
