"""quarry bench: Quarry beside the other allocators, on the same work in the same minutes."""

import argparse
import importlib.util
import os
import pathlib
import re
import signal
import sys
import tempfile

import build
import packages
from failure import failure
from harness import allocators, changes, external, micro, programs, results, rounds, start, table, workloads

BUSY = 1.0  # load average before the first run


def add_arguments(parser):
    parser.add_argument("--quick", action="store_true", help="smaller work, in at most 3 minutes instead of 40")
    parser.add_argument("--only", type=re.compile, default=".", metavar="REGEX",
                        help="only the benchmarks whose SUITE/NAME matches")
    parser.add_argument("--rounds", type=positive, metavar="N",
                        help="this many, however long it takes (default: up to 3 in the time there is)")
    parser.add_argument("--latency", action="store_true", help="record the time of each call in the workloads")
    parser.add_argument("--allocator", action="append", default=[], type=named_library, metavar="NAME=FILE.so",
                        help="one more, or another file for a known NAME")
    parser.add_argument("--without", action="append", default=[], metavar="NAME", help="leave this allocator out")
    parser.add_argument("--suite", action="append", default=[], metavar="DIR",
                        help="also the programs listed in DIR/suite (see bench/README.md)")
    parser.add_argument("--compare", nargs="+", default=[], metavar=("OLD.json", "NEW.json"),
                        help="show what changed since the run OLD; with NEW, run nothing and compare the two")
    parser.add_argument("--output", type=pathlib.Path, default=build.ROOT / "bench/results", metavar="DIR",
                        help="where the figures and the report go (default: bench/results)")
    parser.add_argument("--no-report", action="store_true", help="the figures alone")
    parser.add_argument("--build", type=pathlib.Path, metavar="DIR",
                        help="measure what is built in DIR, as it is, instead of building")


def positive(text):
    if not text.isdigit() or int(text) == 0:
        raise argparse.ArgumentTypeError(f"not a number of at least 1: {text}")
    return int(text)


def named_library(text):
    name, separator, file = text.partition("=")
    if not (name and separator and pathlib.Path(file).is_file()):
        raise argparse.ArgumentTypeError(f"not NAME=FILE with an existing file: {text}")
    return name, str(pathlib.Path(file).resolve())


def run(given):
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))  # stopping what runs
    if len(given.compare) > 2:
        raise failure("--compare takes one file, or two")
    old = [results.read(file) for file in given.compare]
    if len(old) == 2:
        changes.show(*old)
        return
    if old and old[0]["quick"] != given.quick:
        raise failure(f"{given.compare[0]}: its work is not of this size, only one of the runs being --quick")
    measured = measure(given)
    table.show(measured)
    if old:
        changes.show(*old, measured)
    file = results.write(measured, given.output)
    print(f"\nfigures: {file}")
    if not given.no_report:
        write_report(file)
    if any(row["failures"] for row in measured["benchmarks"]):
        raise failure("some runs failed, see above")


def measure(given):
    directory = prepare_build(given)
    commit = results.commit()
    chosen = allocators.choose(dict(given.allocator), given.without, directory, commit)
    rows = [row for row in all_benchmarks(given, directory) if re.search(given.only, row.full_name)]
    if not rows:
        raise failure(f"--only {given.only.pattern}: no benchmark matches")
    packages.ensure({name: witness for row in rows for name, witness in row.packages.items()})
    allocators.check_in_use(chosen, [directory / "bench/micro/quarry_micro", "--benchmark_list_tests"])
    load = os.getloadavg()[0]
    if load > BUSY:
        print(f"load average {load:.1f}: the machine is busy, expect wide spreads", file=sys.stderr)
    with tempfile.TemporaryDirectory(prefix="quarry-bench-") as folder:
        for row in rows:
            row.prepare(folder)
        made = rounds.measure(rows, chosen, directory / "bench/harness/quarry_launch", given.rounds,
                              rounds.MINUTES[given.quick], given.latency)
    return results.collect(given, chosen, rows, made, commit)


def prepare_build(given):
    if not given.build:
        build.benchmarks()
        return build.BUILD
    if not (given.build / "bench/harness/quarry_launch").exists():
        raise failure(f"--build {given.build}: no benchmarks are built there")
    return given.build.resolve()


def all_benchmarks(given, directory):
    rows = micro.benchmarks(directory, given.quick)
    rows += workloads.benchmarks(declared("workloads"), directory, given.quick)
    rows += programs.benchmarks(declared("programs"), given.quick)
    rows += start.benchmarks(given.quick)
    for suite in given.suite:
        rows += external.benchmarks(suite)
    return rows


def declared(folder):
    """The rows of bench/FOLDER/rows.py, which imports what lies beside it."""
    file = build.ROOT / "bench" / folder / "rows.py"
    if not file.exists():
        return []
    sys.path.append(str(file.parent))
    spec = importlib.util.spec_from_file_location(f"{folder}_rows", file)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.rows


def write_report(file):
    import report  # here, since it needs Matplotlib

    print(f"report:  {report.write(file, file.with_suffix(''))}")
