"""What is drawn and told of a run beyond harness/figures.py: shares of the best, losses, means in all."""

from typing import NamedTuple

from harness import figures
from harness.allocators import SUBJECT
from harness.table import FAR, MEASURES

ALL = "all"


class share(NamedTuple):
    """The ratio to the best of the row, and the least and greatest within one round."""
    ratio: float
    least: float
    greatest: float


def of(run, row, key):
    """{allocator: share}, of those that have this figure of the row; the limit's too."""
    names = figures.names(run)
    found = figures.medians(row, run["allocators"], key)
    if not any(name in found for name in names):
        return {}
    best = figures.best(row, names, key)
    return {name: share(median / found[best], *figures.spread(row, name, best, key))
            for name, median in found.items()}


def losses(run):
    """The (row, key, share) in which Quarry takes FAR times the best or more, the worst first."""
    found = [(row, key, of(run, row, key).get(SUBJECT)) for row in run["benchmarks"] for key in MEASURES]
    return sorted((loss for loss in found if loss[2] and loss[2].ratio >= FAR),
                  key=lambda loss: -loss[2].ratio)


def medians(run):
    """How many medians Quarry has, of costs and of memory: what its losses are a part of."""
    return sum(bool(figures.values(row, SUBJECT, key)) for row in run["benchmarks"] for key in MEASURES)


def means(run, key):
    """{ALL or suite: {allocator: geometric mean over the best}}; without ALL where there is but one suite.

    ALL is the mean of the suites' means, so that the many rows of one do not outweigh the few of another.
    """
    names = figures.names(run)
    suites = {suite: figures.means(rows, names, key, figures.over_best)
              for suite, rows in figures.suites(run).items()}
    suites = {suite: found for suite, found in suites.items() if found}
    if len(suites) < 2:
        return suites
    everywhere = [name for name in names if all(name in found for found in suites.values())]
    return {ALL: {name: figures.geometric_mean([found[name] for found in suites.values()])
                  for name in everywhere}} | suites


def has(run, row, key):
    return bool(figures.medians(row, figures.names(run), key))


def failures(run):
    return [(row, name, reason) for row in run["benchmarks"] for name, reason in row["failures"].items()]


def failed(run):
    """{allocator: number of benchmarks it failed}, of those that failed any."""
    names = [name for _, name, _ in failures(run)]
    return {name: names.count(name) for name in run["allocators"] if name in names}
