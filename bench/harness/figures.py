"""Medians, ratios and their means, from the JSON of a run (results.py) alone.

A machine may be slower in one round than in another, which all allocators of a benchmark meet, so medians of times
are of times at the benchmark's usual speed: see speeds().
"""

import math
import statistics

SYSTEM = "glibc"
TIMES = ("cost", "wall", "cpu")
PENALTY = 10  # what a failed run counts as, times the best; or twice the worst, if that is more


def names(results):
    """The allocators that compete: all but the limit."""
    return [name for name, entry in results["allocators"].items() if not entry.get("limit")]


def values(benchmark, name, key):
    """The figures of an allocator, one per round; empty if it failed or there are none.

    Nothing is of no size: a processor time of 0 is one too short for the kernel's clock.
    """
    if name in benchmark["failures"]:
        return []
    return [run[key] for run in benchmark["runs"].get(name, []) if run.get(key)]


def medians(benchmark, names, key):
    slower = speeds(benchmark, key)
    measured = {name: values(benchmark, name, key) for name in names}
    return {name: statistics.median(at_usual_speed(found, slower)) for name, found in measured.items() if found}


def speeds(benchmark, key):
    """By round, how many times the usual time a run took: the median of what it was for each allocator.

    Of those that have the figure in every round; [] where there are none, or nothing is timed.
    """
    measured = [values(benchmark, name, key) for name in benchmark["runs"]]
    rounds = max(map(len, measured), default=0)
    shares = [[value / statistics.median(found) for value in found] for found in measured if len(found) == rounds]
    return [statistics.median(share) for share in zip(*shares)] if key in TIMES else []


def at_usual_speed(found, slower):
    return [value / speed for value, speed in zip(found, slower)] if len(found) == len(slower) else found


def comparable(benchmark, names, key):
    """Whether glibc has the figure: without it nothing is known to be right."""
    return SYSTEM in medians(benchmark, names, key)


def over_best(benchmark, names, key):
    """The ratio to the best by allocator; an allocator that failed must not gain by it."""
    found = medians(benchmark, names, key)
    best = min(found.values())
    ratios = {name: value / best for name, value in found.items()}
    penalty = max(PENALTY, 2 * max(ratios.values()))
    return ratios | {name: penalty for name in names if name in benchmark["failures"]}


def over_system(benchmark, names, key):
    """The same as a ratio to glibc."""
    ratios = over_best(benchmark, names, key)
    return {name: value / ratios[SYSTEM] for name, value in ratios.items()}


def best(benchmark, names, key):
    found = medians(benchmark, names, key)
    return min(found, key=found.get)


def spread(benchmark, name, to, key):
    """The least and the greatest ratio to another allocator within one round."""
    pairs = zip(values(benchmark, name, key), values(benchmark, to, key))
    ratios = [mine / theirs for mine, theirs in pairs]
    return min(ratios), max(ratios)


def geometric_mean(numbers):
    return math.exp(statistics.fmean(math.log(number) for number in numbers))


def means(benchmarks, names, key, relation):
    """The geometric mean of a ratio over the rows that have the figure, by allocator."""
    rows = [relation(benchmark, names, key) for benchmark in benchmarks
            if comparable(benchmark, names, key)]
    return {name: geometric_mean([row[name] for row in rows]) for name in names
            if rows and all(name in row for row in rows)}


def suites(results):
    """The benchmarks by suite, in order."""
    grouped = {}
    for benchmark in results["benchmarks"]:
        grouped.setdefault(benchmark["suite"], []).append(benchmark)
    return grouped
