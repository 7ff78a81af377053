"""quarry bench: Quarry beside the other allocators, on the same work in the same minutes."""

import importlib.util
import os
import re
import signal
import sys
import tempfile

import build
import packages
from failure import failure
from harness import allocators, changes, external, micro, programs, results, rounds, start, table, workloads

BUSY = 1.0  # load average before the first run


def run(given):
    end_on_signals()
    if len(given.compare) > 2:
        raise failure("--compare takes one file, or two")
    old = [results.read(file) for file in given.compare]
    sizes = {entry["quick"] for entry in old} | ({given.quick} if len(old) == 1 else set())
    if len(sizes) > 1:
        raise failure("--compare: of the two runs only one is --quick, on less work")
    if len(old) == 2:
        changes.show(*old)
        return
    results.prepare(given.output)
    measured = measure(given)
    file = results.write(measured, given.output)
    table.show(measured)
    if old:
        changes.show(*old, measured)
    print(f"\nfigures: {file}")
    if not given.no_report:
        write_report(file)
    if any(row["failures"] for row in measured["benchmarks"]):
        raise failure("some runs failed, see above")


def end_on_signals():
    """As on Ctrl-C what runs is stopped and temporary files go; nohup's SIGHUP stays ignored."""
    for number in signal.SIGTERM, signal.SIGHUP:
        if signal.getsignal(number) != signal.SIG_IGN:
            signal.signal(number, lambda number, _: sys.exit(128 + number))


def measure(given):
    directory = prepare_build(given)
    commit = results.commit()
    rows = [row for row in all_benchmarks(given, directory) if re.search(given.only, row.full_name)]
    if not rows:
        raise failure(f"--only {given.only.pattern}: no benchmark matches")
    chosen = allocators.choose(dict(given.allocator), given.without, directory, commit)
    needed = {name: witness for row in rows for name, witness in row.packages.items()}
    packages.ensure(needed if given.no_report else needed | packages.REPORT)
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
    parts = ("CMakeCache.txt", "libquarry.so", "bench/harness/quarry_launch",
             "bench/micro/quarry_micro", "bench/micro/libquarry_limit.so")
    if not all((given.build / part).exists() for part in parts):
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
    sys.path.append(str(file.parent))
    spec = importlib.util.spec_from_file_location(f"{folder}_rows", file)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.rows


def write_report(file):
    import report  # here, since it needs Matplotlib

    print(f"report:  {report.write(file, file.with_suffix(''))}")
