"""The rows for the workloads, in the order in which they are shown."""

from typing import NamedTuple


class row(NamedTuple):
    name: str
    program: str
    arguments: list
    quick: list  # the arguments for a run of a tenth of a second or two
    curve: bool = False  # whether memory over time is of interest


def threads(program, count, quick, name=None, flags=(), curve=False):
    """A row of `count` threads, of as many operations as the program does by default."""
    arguments = ["--threads", str(count), *flags]
    return row(name or f"{program}/{count}", program, arguments,
               [*arguments, "--operations", str(quick)], curve)


rows = [
    *(threads("server", count, 4_000_000) for count in (1, 2, 16, 64)),
    *(threads("pipeline", count, 1_000_000) for count in (2, 16, 64)),
    threads("pipeline", 16, 1_000_000, "pipeline/15-to-1", ["--consumers", "1"]),
    threads("pipeline", 16, 1_000_000, "pipeline/1-to-15", ["--consumers", "15"]),
    *(threads("pareto", count, 5_000_000) for count in (1, 16)),
    *(threads("churn", count, 2_000_000) for count in (2, 16, 64)),
    *(threads("web", count, 50_000) for count in (1, 16)),
    threads("kvstore", 1, 100_000, curve=True),
    threads("strings", 1, 1_000_000),
    *(threads("trees", count, 2_000_000) for count in (1, 16)),
    *(threads("large", count, 300) for count in (1, 2)),
    *(threads("gaps", count, 3_000) for count in (1, 2)),
    threads("sharing", 2, 50_000_000),
    threads("idle", 1000, 1_000_000),
    threads("burst", 1, 400_000, curve=True),
]
