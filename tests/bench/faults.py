"""The harness notices an allocator that crashes, one that corrupts, and one that is slow."""

import os
import pathlib
import types
import unittest
from unittest import mock

from harness import benchmark, child, figures, rounds, workloads
from harness.allocators import allocator

BUILD = pathlib.Path(os.environ["QUARRY_BUILD"])


def declared(operations):
    return types.SimpleNamespace(name="replace", curve=False, program=BUILD / "tests/bench/bench_workload",
                                 arguments=["--operations", str(operations)], quick=[])


def measure(name, operations=300_000):
    """The JSON of the test's workload under glibc and under one of the preloads of this folder."""
    library = str(BUILD / f"tests/bench/libbench_{name}.so")
    (row,) = workloads.benchmarks([declared(operations)], BUILD, False)
    rounds.measure([row], [allocator("glibc", "", ""), allocator(name, library, "")],
                   BUILD / "bench/harness/quarry_launch", 2, 1)
    return row.as_json(["glibc", name])


class Faults(unittest.TestCase):
    def test_a_crash_is_reported_and_costs_the_row(self):
        row = measure("crash")
        self.assertEqual(len(row["runs"]["glibc"]), 2)
        self.assertNotIn("crash", row["runs"])
        self.assertRegex(row["failures"]["crash"], "^SIGSEGV")
        self.assertEqual(figures.over_best(row, ["glibc", "crash"], "cost")["crash"], figures.PENALTY)

    def test_a_wrong_result_is_reported_with_both(self):
        row = measure("corrupt")
        self.assertNotIn("corrupt", row["runs"])
        self.assertRegex(row["failures"]["corrupt"], "^wrong result: .*checksum .* under glibc .*checksum")

    def test_wasted_time_shows_by_about_its_factor(self):
        row = measure("waste", 1_000_000)
        self.assertEqual(row["failures"], {})
        ratio = figures.over_system(row, ["glibc", "waste"], "cost")["waste"]
        self.assertGreater(ratio, 2)  # it is 3; the machine may have better and worse moments
        self.assertLess(ratio, 5)

    def test_output_that_is_no_workload_s_is_a_wrong_result(self):
        (row,) = workloads.benchmarks([declared(1)], BUILD, False)
        row.command = ["/bin/echo", "operations many"]
        rounds.measure([row], [allocator("glibc", "", "")], BUILD / "bench/harness/quarry_launch", 1, 1)
        self.assertRegex(row.failures["glibc"], "^wrong result: output that cannot be read")

    def test_the_first_line_that_differs_is_shown(self):
        shown = benchmark.difference("a\nb\nd\n", "a\nb\nc\n")
        self.assertEqual(shown, "line 3 is 'd\\n', under glibc 'c\\n'")
        self.assertEqual(benchmark.difference("a", "a\n"), "line 1 is 'a', under glibc 'a\\n'")

    def test_a_hanging_program_is_stopped(self):
        (row,) = workloads.benchmarks([declared(1)], BUILD, False)
        row.command = ["/bin/sh", "-c", "exec sleep 1000"]
        with self.assertRaisesRegex(child.failed, "^timeout"):
            child.run(BUILD / "bench/harness/quarry_launch", "", row, 0.5)
        self.assertNotIn("sleep 1000", running())

    def test_what_the_shell_tells_an_allocator_does_not_reach_the_program(self):
        (row,) = workloads.benchmarks([declared(1)], BUILD, False)
        row.command = ["/usr/bin/env"]
        row.environment = {"PYTHONMALLOC": "malloc"}
        shell = {"PYTHONMALLOC": "debug", "MALLOC_ARENA_MAX": "1", "QUARRY_CONF": "checks:on", "OTHER": "1"}
        with mock.patch.dict(os.environ, shell):
            printed, _ = child.run(BUILD / "bench/harness/quarry_launch", "", row, 60)
        variables = dict(line.split("=", 1) for line in printed.decode().splitlines() if "=" in line)
        self.assertEqual({name: variables.get(name) for name in shell},
                         {"PYTHONMALLOC": "malloc", "MALLOC_ARENA_MAX": None, "QUARRY_CONF": None, "OTHER": "1"})

    def test_without_a_right_run_under_glibc_nothing_is_compared(self):
        (row,) = workloads.benchmarks([declared(1)], BUILD, False)
        row.command = ["/bin/false"]
        rounds.measure([row], [allocator("glibc", "", "")], BUILD / "bench/harness/quarry_launch", 1, 1)
        self.assertEqual(row.failures, {"glibc": "status 1"})
        self.assertFalse(figures.comparable(row.as_json(["glibc"]), ["glibc"], "cost"))


def running():
    """The command lines of all processes."""
    lines = []
    for file in pathlib.Path("/proc").glob("[0-9]*/cmdline"):
        try:
            lines.append(file.read_bytes().replace(b"\0", b" ").decode(errors="replace").strip())
        except OSError:
            continue  # gone meanwhile
    return "\n".join(lines)


if __name__ == "__main__":
    unittest.main()
